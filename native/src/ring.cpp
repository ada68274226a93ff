// The portable ring kernels, and the choice of the set.
#define TACIT_RING_SET portable
#include "ring_loops.hpp"

#include "cpu.hpp"

namespace tacit::ring {

const Kernels& kernels() noexcept {
#if defined(TACIT_X86)
  if (isa() == Isa::avx512) return avx512::kernels;
  if (isa() == Isa::avx2) return avx2::kernels;
#endif
  return portable::kernels;
}

}  // namespace tacit::ring
