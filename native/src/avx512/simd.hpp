// The vocabulary of simd.hpp on 512 bits: every three-operand form is one VPTERNLOG.
#pragma once

// GCC 12's own header declares `__m512i y = y` for "undefined" and then warns of it wherever it is inlined.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

#include "../simd.hpp"

namespace tacit {

struct Avx512 {
  using V = __m512i;
  static constexpr std::size_t lanes = 8;

  struct Whole {
    TACIT_INLINE V load(const Word* p) const { return _mm512_loadu_si512(p); }
    TACIT_INLINE void store(Word* p, V v) const { _mm512_storeu_si512(p, v); }
  };
  struct Part {
    __mmask8 mask;
    TACIT_INLINE explicit Part(std::size_t count) : mask(static_cast<__mmask8>((1u << count) - 1u)) {}
    TACIT_INLINE V load(const Word* p) const { return _mm512_maskz_loadu_epi64(mask, p); }
    TACIT_INLINE void store(Word* p, V v) const { _mm512_mask_storeu_epi64(p, mask, v); }
  };

  static TACIT_INLINE V fill(Word w) { return _mm512_set1_epi64(static_cast<long long>(w)); }
  static TACIT_INLINE V band(V a, V b) { return _mm512_and_si512(a, b); }
  static TACIT_INLINE V bxor(V a, V b) { return _mm512_xor_si512(a, b); }
  static TACIT_INLINE V without(V a, V b) { return _mm512_ternarylogic_epi64(a, b, b, 0x30); }
  static TACIT_INLINE V add_product(V x, V a, V b) { return _mm512_ternarylogic_epi64(x, a, b, 0x78); }
  static TACIT_INLINE V choose(V bit, V one, V zero) { return _mm512_ternarylogic_epi64(bit, one, zero, 0xca); }
  template <int n> static TACIT_INLINE V shift_left(V a) { return _mm512_slli_epi64(a, n); }
  template <int n> static TACIT_INLINE V shift_right(V a) { return _mm512_srli_epi64(a, n); }
};

}  // namespace tacit
