// The vocabulary of simd.hpp on 256 bits.
#pragma once

#include <immintrin.h>

#include "../simd.hpp"

namespace tacit {

struct Avx2 {
  using V = __m256i;
  static constexpr std::size_t lanes = 4;

  struct Whole {
    TACIT_INLINE V load(const Word* p) const { return _mm256_loadu_si256(reinterpret_cast<const V*>(p)); }
    TACIT_INLINE void store(Word* p, V v) const { _mm256_storeu_si256(reinterpret_cast<V*>(p), v); }
  };
  struct Part {
    V mask;
    TACIT_INLINE explicit Part(std::size_t count)
        : mask(_mm256_cmpgt_epi64(_mm256_set1_epi64x(static_cast<long long>(count)), _mm256_setr_epi64x(0, 1, 2, 3))) {}
    TACIT_INLINE V load(const Word* p) const {
      return _mm256_maskload_epi64(reinterpret_cast<const long long*>(p), mask);
    }
    TACIT_INLINE void store(Word* p, V v) const { _mm256_maskstore_epi64(reinterpret_cast<long long*>(p), mask, v); }
  };

  static TACIT_INLINE V fill(Word w) { return _mm256_set1_epi64x(static_cast<long long>(w)); }
  static TACIT_INLINE V band(V a, V b) { return _mm256_and_si256(a, b); }
  static TACIT_INLINE V bxor(V a, V b) { return _mm256_xor_si256(a, b); }
  static TACIT_INLINE V without(V a, V b) { return _mm256_andnot_si256(b, a); }
  static TACIT_INLINE V add_product(V x, V a, V b) { return bxor(x, band(a, b)); }
  static TACIT_INLINE V choose(V bit, V one, V zero) { return bxor(zero, band(bit, bxor(one, zero))); }
  template <int n> static TACIT_INLINE V shift_left(V a) { return _mm256_slli_epi64(a, n); }
  template <int n> static TACIT_INLINE V shift_right(V a) { return _mm256_srli_epi64(a, n); }
};

}  // namespace tacit
