#include "cpu.hpp"

#include <atomic>
#include <stdexcept>

namespace tacit {
namespace {

Isa detect() noexcept {
#if defined(TACIT_X86)
  // __builtin_cpu_supports also asks the operating system (XGETBV) for the wide registers.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
                    __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512ifma") &&
                      __builtin_cpu_supports("gfni") && __builtin_cpu_supports("vpclmulqdq");
  if (avx512) return Isa::avx512;  // every processor with GFNI and VPCLMULQDQ on AVX-512 has VAES too
  if (avx2) return Isa::avx2;
#endif
  return Isa::portable;
}

std::atomic<Isa>& current() noexcept {
  static std::atomic<Isa> value{detect()};
  return value;
}

}  // namespace

Isa best_isa() noexcept {
  static const Isa best = detect();
  return best;
}

Isa isa() noexcept { return current().load(std::memory_order_relaxed); }

void set_isa(Isa wanted) {
  if (static_cast<int>(wanted) > static_cast<int>(best_isa()))
    throw std::invalid_argument("this processor lacks the requested instruction set");
  current().store(wanted);
}

bool has_aes() noexcept { return static_cast<int>(best_isa()) >= static_cast<int>(Isa::avx2); }

}  // namespace tacit
