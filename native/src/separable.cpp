// The portable separable kernels, and the choice of the set.
#define TACIT_SEPARABLE_SET portable
#include "separable_loops.hpp"

#include "cpu.hpp"

namespace tacit::separable {

const Kernels& kernels() noexcept {
#if defined(TACIT_X86)
  if (isa() == Isa::avx512) return avx512::kernels;
  if (isa() == Isa::avx2) return avx2::kernels;
#endif
  return portable::kernels;
}

}  // namespace tacit::separable
