// The portable ring kernels, and the choice of the set.
#define TACIT_RING_SET portable
#define TACIT_RING_LANES 1
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

std::vector<u64> polynomial_table(In coefficients, int degree) {
  std::vector<u64> table, binomial(degree + 1, 1);  // binomial[i] = binomial(k + i, k) modulo 2^64, for k = 0
  for (int k = 0; k <= degree; ++k) {
    for (int i = 0; i <= degree - k; ++i) {
      if (k != 0 && i != 0) binomial[i] += binomial[i - 1];  // Pascal: C(k+i, k) = C(k-1+i, k-1) + C(k+i-1, k)
      const u64 term = coefficients[k + i] * binomial[i];
      table.push_back(k % 2 == 0 ? term : 0 - term);
    }
  }
  return table;
}

}  // namespace tacit::ring
