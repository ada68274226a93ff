#include "boolean.hpp"

#include "boolean_kernels.hpp"
#include "columns.hpp"
#include "cpu.hpp"

namespace tacit {
namespace {

constexpr BooleanKernels kPortable = Boolean<Portable>::table();

const BooleanKernels& kernels() noexcept {
#if defined(TACIT_X86)
  if (isa() == Isa::avx512) return avx512_boolean;
  if (isa() == Isa::avx2) return avx2_boolean;
#endif
  return kPortable;
}

constexpr std::size_t kWordGrain = 1 << 13;  // words of each operand that are worth a thread's wake-up

}  // namespace

void replicated_and(Replicated x, Replicated y, const Word* alpha, Word* out, std::size_t words) {
  over_columns(words, kWordGrain, [&](Columns at) { kernels().replicated_and(x, y, alpha, out, at.begin, at.end); });
}

void masked_and_close(const Word* x, const Word* y, const Word* lx, const Word* ly, const Word* lxy, bool leader,
                      Word* out, std::size_t words) {
  over_columns(words, kWordGrain, [&](Columns at) {
    kernels().masked_and_close(x, y, lx, ly, lxy, leader, out, at.begin, at.end);
  });
}

}  // namespace tacit
