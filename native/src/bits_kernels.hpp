// The kernels of bits.hpp that are the same on every width, as templates over it.
#pragma once

#include "bits.hpp"

namespace tacit {

// The elements of the words from `word` on, at most `room`: x itself, or a copy in `pad` followed by zeros.
static TACIT_INLINE const Word* padded(const Word* x, std::size_t n, std::size_t word, std::size_t room, Word* pad) {
  const std::size_t first = word * 64;
  if (first + room <= n) return x + first;
  const std::size_t count = n - first;
  __builtin_memcpy(pad, x + first, count * sizeof(Word));
  __builtin_memset(pad + count, 0, (room - count) * sizeof(Word));
  return pad;
}

template <class S>
struct Bits {
  using V = typename S::V;

  // Bytes are handled 64 at a time, one word each: S::pack_word and S::unpack_word.
  static void pack(const std::uint8_t* bits, std::size_t n, Word* words, std::size_t begin, std::size_t end) {
    for (std::size_t w = begin; w < end; ++w) {
      const std::size_t left = n - w * 64;
      if (left >= 64) {
        words[w] = S::pack_word(bits + w * 64);
      } else {
        alignas(64) std::uint8_t pad[64] = {};
        __builtin_memcpy(pad, bits + w * 64, left);
        words[w] = S::pack_word(pad);
      }
    }
  }

  static void unpack(const Word* words, std::size_t n, std::uint8_t* bits, std::size_t begin, std::size_t end) {
    for (std::size_t w = begin; w < end; ++w) {
      const std::size_t left = n - w * 64;
      if (left >= 64) {
        S::unpack_word(words[w], bits + w * 64);
      } else {
        alignas(64) std::uint8_t pad[64];
        S::unpack_word(words[w], pad);
        __builtin_memcpy(bits + w * 64, pad, left);
      }
    }
  }

  static void bit_xor(const Word* a, const Word* b, Word* out, std::size_t begin, std::size_t end) {
    sweep<S>(begin, end, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
      io.store(out + w, S::bxor(io.load(a + w), io.load(b + w)));
    });
  }

  static void bit_and(const Word* a, const Word* b, Word* out, std::size_t begin, std::size_t end) {
    sweep<S>(begin, end, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
      io.store(out + w, S::band(io.load(a + w), io.load(b + w)));
    });
  }

  static std::size_t popcount(const Word* words, std::size_t begin, std::size_t end) {
    std::size_t count = 0;
    for (std::size_t w = begin; w < end; ++w) count += static_cast<std::size_t>(__builtin_popcountll(words[w]));
    return count;
  }

  static void transpose64(const Word* in, Word* out, std::size_t begin, std::size_t end) {
    constexpr std::size_t room = 64 * S::lanes;
    V row[64];
    std::size_t b = begin;
    for (; b + S::lanes <= end; b += S::lanes) {
      S::load_blocks(in + b * 64, row);
      transpose(row);
      S::store_blocks(row, out + b * 64);
    }
    if (b < end) {
      alignas(64) Word pad[room];
      S::load_blocks(padded(in, end * 64, b, room, pad), row);
      transpose(row);
      S::store_blocks(row, pad);
      __builtin_memcpy(out + b * 64, pad, (end - b) * 64 * sizeof(Word));
    }
  }

  static void to_planes(const Word* x, std::size_t n, int shift, int count, Word* planes, Columns at) {
    constexpr std::size_t room = 64 * S::lanes;
    sweep<S>(at.begin, at.end, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
      alignas(64) Word pad[room];
      V row[64];
      S::load_blocks(padded(x, n, w, room, pad), row);
      transpose(row);
      for (int i = 0; i < count; ++i) io.store(planes + i * at.stride + w, row[shift + i]);
    });
  }

  static void from_planes(const Word* planes, int count, std::size_t n, Word* x, Columns at) {
    constexpr std::size_t room = 64 * S::lanes;
    sweep<S>(at.begin, at.end, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
      V row[64];
      for (int i = 0; i < 64; ++i) row[i] = i < count ? io.load(planes + i * at.stride + w) : S::fill(0);
      transpose(row);
      const std::size_t left = n - w * 64;
      if (left >= room) {
        S::store_blocks(row, x + w * 64);
      } else {
        alignas(64) Word pad[room];
        S::store_blocks(row, pad);
        __builtin_memcpy(x + w * 64, pad, left * sizeof(Word));
      }
    });
  }

  static constexpr BitKernels table() {
    return {pack, unpack, transpose64, to_planes, from_planes, bit_xor, bit_and, popcount};
  }

 private:
  // Each lane's 64x64 bits: swap the off-diagonal blocks of size 32, 16, ... 1. Two passes of three levels keep
  // eight rows in registers.
  static void transpose(V* row) {
    for (int k = 0; k < 8; ++k) {
      swap_level<32, 4, 8>(row + k);
      swap_level<16, 2, 8>(row + k);
      swap_level<8, 1, 8>(row + k);
    }
    for (int k = 0; k < 64; k += 8) {
      swap_level<4, 4, 1>(row + k);
      swap_level<2, 2, 1>(row + k);
      swap_level<1, 1, 1>(row + k);
    }
  }

  // Blocks of size j among the eight rows 0, step, .. 7 step, where partners are `hop` rows of these apart.
  template <int j, int hop, int step>
  static TACIT_INLINE void swap_level(V* row) {
    const V low = S::fill(~Word{0} / ((Word{1} << j) + 1));
#pragma GCC unroll 8
    for (int k = 0; k < 8; ++k)
      if ((k & hop) == 0) {
        V &a = row[k * step], &b = row[(k + hop) * step];
        const V moved = S::band(S::bxor(S::template shift_right<j>(a), b), low);
        b = S::bxor(b, moved);
        a = S::bxor(a, S::template shift_left<j>(moved));
      }
  }
};

}  // namespace tacit
