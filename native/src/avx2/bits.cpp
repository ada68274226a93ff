#include "../bits_kernels.hpp"
#include "simd.hpp"

namespace tacit {
namespace {

struct Avx2Bits : Avx2 {
  static Word pack_word(const std::uint8_t* bits) {
    const auto zeros = [bits](int at) {
      const V bytes = _mm256_loadu_si256(reinterpret_cast<const V*>(bits + at));
      return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(bytes, _mm256_setzero_si256())));
    };
    return ~(Word{zeros(0)} | Word{zeros(32)} << 32);
  }

  static void unpack_word(Word word, std::uint8_t* bits) {
    const V copy = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const V select = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
    for (int half = 0; half < 2; ++half) {
      const V spread = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(word >> (32 * half))), copy);
      const V ones = _mm256_cmpeq_epi8(_mm256_and_si256(spread, select), select);
      _mm256_storeu_si256(reinterpret_cast<V*>(bits + 32 * half), _mm256_and_si256(ones, _mm256_set1_epi8(1)));
    }
  }

  // row[r] = word r of each of four consecutive blocks of 64 words.
  static void load_blocks(const Word* x, V* row) {
    for (int r = 0; r < 64; r += 4) {
      for (int t = 0; t < 4; ++t) row[r + t] = _mm256_loadu_si256(reinterpret_cast<const V*>(x + 64 * t + r));
      transpose_words(row + r);
    }
  }

  static void store_blocks(V* row, Word* x) {
    for (int r = 0; r < 64; r += 4) {
      transpose_words(row + r);
      for (int t = 0; t < 4; ++t) _mm256_storeu_si256(reinterpret_cast<V*>(x + 64 * t + r), row[r + t]);
    }
  }

  static TACIT_INLINE void transpose_words(V* r) {
    const V even01 = _mm256_unpacklo_epi64(r[0], r[1]), odd01 = _mm256_unpackhi_epi64(r[0], r[1]);
    const V even23 = _mm256_unpacklo_epi64(r[2], r[3]), odd23 = _mm256_unpackhi_epi64(r[2], r[3]);
    r[0] = _mm256_permute2x128_si256(even01, even23, 0x20);
    r[1] = _mm256_permute2x128_si256(odd01, odd23, 0x20);
    r[2] = _mm256_permute2x128_si256(even01, even23, 0x31);
    r[3] = _mm256_permute2x128_si256(odd01, odd23, 0x31);
  }
};

}  // namespace

constinit const BitKernels avx2_bits = Bits<Avx2Bits>::table();

}  // namespace tacit
