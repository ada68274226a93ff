// Bits as planes: word w of plane i holds bit i of the elements 64 w .. 64 w + 63, element e at position e % 64.
#pragma once

#include "simd.hpp"

namespace tacit {

constexpr std::size_t words_for(std::size_t elements) { return elements / 64 + (elements % 64 != 0); }

// Buffers must not overlap, but for out == a or out == b in the word-wise forms and out == in in transpose64.
void pack(const std::uint8_t* bits, std::size_t n, Word* words);    // bit = (byte != 0); padding bits are zero
void unpack(const Word* words, std::size_t n, std::uint8_t* bits);  // bytes 0 and 1
void transpose64(const Word* in, std::size_t blocks, Word* out);    // out[j] bit i = in[i] bit j, per block of 64
// Planes of the bits shift .. shift + count - 1 of x; padding bits are zero.
void to_planes(const Word* x, std::size_t n, int shift, int count, Word* planes);
// x gets its bits 0 .. count - 1, and zeros above.
void from_planes(const Word* planes, int count, std::size_t n, Word* x);
void bit_xor(const Word* a, const Word* b, Word* out, std::size_t words);
void bit_and(const Word* a, const Word* b, Word* out, std::size_t words);
std::size_t popcount(const Word* words, std::size_t count);

// Rows of `width` words by index; std::out_of_range names the first index position outside [0, rows).
void gather(const Word* x, std::size_t rows, std::size_t width, const std::int64_t* index, std::size_t m, Word* out);
// out[perm[i]] = x[i]; perm must hold each of 0 .. rows - 1 once (only the bounds are checked).
void permute(const Word* x, std::size_t rows, std::size_t width, const std::int64_t* perm, Word* out);

// One instruction set's kernels, each on the words [begin, end) of the packed side (transpose64: on blocks).
struct BitKernels {
  void (*pack)(const std::uint8_t* bits, std::size_t n, Word* words, std::size_t begin, std::size_t end);
  void (*unpack)(const Word* words, std::size_t n, std::uint8_t* bits, std::size_t begin, std::size_t end);
  void (*transpose64)(const Word* in, Word* out, std::size_t begin, std::size_t end);
  void (*to_planes)(const Word* x, std::size_t n, int shift, int count, Word* planes, Columns at);
  void (*from_planes)(const Word* planes, int count, std::size_t n, Word* x, Columns at);
  void (*bit_xor)(const Word* a, const Word* b, Word* out, std::size_t begin, std::size_t end);
  void (*bit_and)(const Word* a, const Word* b, Word* out, std::size_t begin, std::size_t end);
  std::size_t (*popcount)(const Word* words, std::size_t begin, std::size_t end);
};

extern const BitKernels avx2_bits, avx512_bits;

}  // namespace tacit
