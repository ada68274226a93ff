// PCLMULQDQ: products are summed before they are reduced, so that a term costs one (GF(2^64)) or three instructions.
#include <immintrin.h>

#include "../ot.hpp"

namespace tacit::avx2 {
namespace {

inline std::uint64_t low_word(__m128i v) { return static_cast<std::uint64_t>(_mm_cvtsi128_si64(v)); }
inline std::uint64_t high_word(__m128i v) { return static_cast<std::uint64_t>(_mm_extract_epi64(v, 1)); }
inline __m128i load(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

// x^64 = x^4 + x^3 + x + 1, that is 0x1b.
inline std::uint64_t reduce64(__m128i sum) {
  const __m128i tail = _mm_cvtsi64_si128(0x1b);
  const __m128i once = _mm_clmulepi64_si128(sum, tail, 0x01);
  const __m128i twice = _mm_clmulepi64_si128(once, tail, 0x01);
  return low_word(_mm_xor_si128(sum, _mm_xor_si128(once, twice)));
}

}  // namespace

void field64_combine(const std::uint64_t* x, std::size_t rows, std::size_t columns, const std::uint64_t* weights,
                     std::uint64_t* out) {
  for (std::size_t r = 0; r < rows; ++r) {
    const std::uint64_t* row = x + r * columns;
    __m128i even = _mm_setzero_si128(), odd = even;
    std::size_t c = 0;
    for (; c + 2 <= columns; c += 2) {
      const __m128i a = load(row + c), b = load(weights + c);
      even = _mm_xor_si128(even, _mm_clmulepi64_si128(a, b, 0x00));
      odd = _mm_xor_si128(odd, _mm_clmulepi64_si128(a, b, 0x11));
    }
    if (c < columns)
      even = _mm_xor_si128(even, _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<long long>(row[c])),
                                                      _mm_cvtsi64_si128(static_cast<long long>(weights[c])), 0x00));
    out[r] = reduce64(_mm_xor_si128(even, odd));
  }
}

Block field128_dot(const Block* a, const Block* b, std::size_t n) {
  __m128i low = _mm_setzero_si128(), high = low, both = low;
  for (std::size_t i = 0; i < n; ++i) {
    const __m128i x = load(a + i), y = load(b + i);
    low = _mm_xor_si128(low, _mm_clmulepi64_si128(x, y, 0x00));
    high = _mm_xor_si128(high, _mm_clmulepi64_si128(x, y, 0x11));
    const __m128i folded = _mm_xor_si128(x, _mm_shuffle_epi32(x, 0x4e));
    both = _mm_xor_si128(both, _mm_clmulepi64_si128(folded, _mm_xor_si128(y, _mm_shuffle_epi32(y, 0x4e)), 0x00));
  }
  const __m128i middle = _mm_xor_si128(both, _mm_xor_si128(low, high));  // Karatsuba
  const __m128i tail = _mm_cvtsi64_si128(0x87);                         // x^128 = x^7 + x^2 + x + 1
  const __m128i bottom = _mm_xor_si128(low, _mm_slli_si128(middle, 8));
  const __m128i top = _mm_xor_si128(high, _mm_srli_si128(middle, 8));
  const __m128i upper = _mm_clmulepi64_si128(top, tail, 0x01);  // the highest word times x^128 lands one word up
  const __m128i lower = _mm_clmulepi64_si128(_mm_xor_si128(top, _mm_srli_si128(upper, 8)), tail, 0x00);
  const __m128i out = _mm_xor_si128(bottom, _mm_xor_si128(_mm_slli_si128(upper, 8), lower));
  return {low_word(out), high_word(out)};
}

}  // namespace tacit::avx2
