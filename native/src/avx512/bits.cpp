// Transposes by bytes: VPERMB gathers an 8x8-bit tile into each word, GFNI transposes the tile, and 64-bit shuffles
// move whole words between registers. Legend for the index of an element's bit: block t of 64, register k, byte j of
// a register's 64-byte row become plane byte a, bit b; [x, y] is a register whose word x holds byte y.
#include "../bits_kernels.hpp"
#include "simd.hpp"

namespace tacit {
namespace {

using V = __m512i;

struct Avx512Bits : Avx512 {
  static TACIT_INLINE Word pack_word(const std::uint8_t* bits) {
    const V bytes = _mm512_loadu_si512(bits);
    return _cvtmask64_u64(_mm512_test_epi8_mask(bytes, bytes));
  }
  static TACIT_INLINE void unpack_word(Word word, std::uint8_t* bits) {
    _mm512_storeu_si512(bits, _mm512_maskz_set1_epi8(_cvtu64_mask64(word), 1));
  }
};

// 8x8 words, held in eight registers.
TACIT_INLINE void transpose_words(V (&r)[8]) {
  V pair[8];
  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm512_unpacklo_epi64(r[i], r[i + 1]);
    pair[i + 1] = _mm512_unpackhi_epi64(r[i], r[i + 1]);
  }
  for (int odd = 0; odd < 2; ++odd) {
    const V low = _mm512_shuffle_i64x2(pair[odd], pair[odd + 2], 0x88);
    const V low2 = _mm512_shuffle_i64x2(pair[odd + 4], pair[odd + 6], 0x88);
    const V high = _mm512_shuffle_i64x2(pair[odd], pair[odd + 2], 0xdd);
    const V high2 = _mm512_shuffle_i64x2(pair[odd + 4], pair[odd + 6], 0xdd);
    r[odd] = _mm512_shuffle_i64x2(low, low2, 0x88);
    r[odd + 2] = _mm512_shuffle_i64x2(high, high2, 0x88);
    r[odd + 4] = _mm512_shuffle_i64x2(low, low2, 0xdd);
    r[odd + 6] = _mm512_shuffle_i64x2(high, high2, 0xdd);
  }
}

struct Indices {
  alignas(64) std::uint8_t plain[64], reversed[64];
};

// [x, y] -> [y, x], and [x, y] -> [y, 7 - x]: GFNI wants the rows of a tile in reverse.
constexpr Indices make_indices() {
  Indices made{};
  for (int x = 0; x < 8; ++x)
    for (int y = 0; y < 8; ++y) {
      made.plain[8 * y + x] = static_cast<std::uint8_t>(8 * x + y);
      made.reversed[8 * y + 7 - x] = static_cast<std::uint8_t>(8 * x + y);
    }
  return made;
}

constexpr Indices kIndices = make_indices();

TACIT_INLINE V swap_bytes(V v) { return _mm512_permutexvar_epi8(_mm512_load_si512(kIndices.plain), v); }
TACIT_INLINE V swap_bytes_reversed(V v) { return _mm512_permutexvar_epi8(_mm512_load_si512(kIndices.reversed), v); }
TACIT_INLINE V transpose_tiles(V reversed) {
  return _mm512_gf2p8affine_epi64_epi8(_mm512_set1_epi64(static_cast<long long>(0x8040201008040201)), reversed, 0);
}

// 64 elements (k: [j, a]) to eight registers (a: [b, k]).
TACIT_INLINE void split(const Word* x, V (&r)[8]) {
  for (int k = 0; k < 8; ++k) r[k] = transpose_tiles(swap_bytes_reversed(_mm512_loadu_si512(x + 8 * k)));
  transpose_words(r);
  for (int a = 0; a < 8; ++a) r[a] = swap_bytes(r[a]);
}

void transpose64(const Word* in, Word* out, std::size_t begin, std::size_t end) {
  for (std::size_t block = begin; block < end; ++block) {
    V r[8];
    split(in + 64 * block, r);
    for (int a = 0; a < 8; ++a) _mm512_storeu_si512(out + 64 * block + 8 * a, r[a]);
  }
}

constexpr std::size_t kRoom = 512;

void to_planes(const Word* x, std::size_t n, int shift, int count, Word* planes, Columns at) {
  const int first = shift / 8, last = (shift + count - 1) / 8;
  sweep<Avx512Bits>(at.begin, at.end, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
    alignas(64) Word pad[kRoom];
    V stage[8][8];  // by a, t
    const Word* from = padded(x, n, w, kRoom, pad);
    for (int t = 0; t < 8; ++t) {
      V r[8];
      split(from + 64 * t, r);
      for (int a = 0; a < 8; ++a) stage[a][t] = r[a];
    }
    for (int a = first; a <= last; ++a) {
      transpose_words(stage[a]);
      for (int b = 0; b < 8; ++b) {
        const int plane = 8 * a + b - shift;
        if (plane >= 0 && plane < count) io.store(planes + plane * at.stride + w, stage[a][b]);
      }
    }
  });
}

void from_planes(const Word* planes, int count, std::size_t n, Word* x, Columns at) {
  sweep<Avx512Bits>(at.begin, at.end, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
    alignas(64) Word pad[kRoom];
    V stage[8][8];  // by t, a
    for (int a = 0; a < 8; ++a) {
      V r[8];
      for (int b = 0; b < 8; ++b) {
        const int plane = 8 * a + b;
        r[b] = plane < count ? io.load(planes + plane * at.stride + w) : Avx512Bits::fill(0);
      }
      transpose_words(r);
      for (int t = 0; t < 8; ++t) stage[t][a] = swap_bytes_reversed(r[t]);
    }
    const std::size_t left = n - w * 64;
    Word* to = left >= kRoom ? x + w * 64 : pad;
    for (int t = 0; t < 8; ++t) {
      transpose_words(stage[t]);
      for (int k = 0; k < 8; ++k)
        _mm512_storeu_si512(to + 64 * t + 8 * k, swap_bytes(transpose_tiles(stage[t][k])));
    }
    if (left < kRoom) __builtin_memcpy(x + w * 64, pad, left * sizeof(Word));
  });
}

using Shared = Bits<Avx512Bits>;

}  // namespace

constinit const BitKernels avx512_bits = {Shared::pack, Shared::unpack, transpose64, to_planes, from_planes,
                                          Shared::bit_xor, Shared::bit_and, Shared::popcount};

}  // namespace tacit
