// What oblivious transfer computes on 128-bit blocks: AES under a fixed public key as a permutation pi, hashes made of
// it, and the trees of correlated puncturable functions.
//
// A block is two words, the low one first. Source: Guo, Katz, Wang and Yu (eprint 2019/074) for the hashes, Guo, Yang,
// Wang, Zhang, Xie, Liu and Zhao (eprint 2022/1431, "half-tree") for the trees.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tacit {

struct Block {
  std::uint64_t low, high;
};

inline Block operator^(Block a, Block b) { return {a.low ^ b.low, a.high ^ b.high}; }

// Leaves of 2^depth per tree; a level's sum is the exclusive or of its even (left) nodes, the root's children first.
constexpr int kMaxDepth = 24;

class FixedKey {
 public:
  // `key` has 16 bytes. Throws std::runtime_error where the processor has no AES instructions.
  explicit FixedKey(const std::uint8_t* key);

  // out[i] = pi(pi(x[i]) ^ (first + i)) ^ pi(x[i]), the tweak in the low word: tweakable circular correlation robust.
  // out may be x.
  void hash(const Block* x, std::size_t n, std::uint64_t first, Block* out) const;

  // Expands `trees` trees. The root of tree i has the children roots[i] and roots[i] ^ delta; a node x has the children
  // H(x) and H(x) ^ x with H(x) = pi(s(x)) ^ s(x), s(high, low) = (high ^ low, high). So every level sums to delta. At last the lowest bit of every leaf
  // is cleared.
  void expand(const Block* roots, Block delta, std::size_t trees, int depth, Block* leaves, Block* sums) const;

  // The same trees but for the leaf paths[i], from the sums of those sides that the path does not take: sums[i][level]
  // is the sum of the nodes whose last bit is not the path's. Leaf paths[i] becomes the sum of all others, which is the
  // missing leaf ^ delta, with the lowest bit set; that of all others is cleared. Bits of the path from the highest;
  // those above `depth` are ignored.
  void complete(const Block* sums, const std::uint64_t* paths, std::size_t trees, int depth, Block* leaves) const;

  // out[i] ^= table[j_0] ^ ... ^ table[j_9] with positions drawn from AES-CTR of this key: the 32-bit words 10 (first + i)
  // and up of stream `nonce` give floor(word * rows / 2^32). 0 < rows <= 2^30; first < 2^60 is a multiple of kBatch.
  void encode(std::uint64_t nonce, std::uint64_t first, const Block* table, std::size_t rows, Block* out,
              std::size_t n) const;

 private:
  alignas(16) std::uint8_t round_keys_[176];
};

constexpr std::size_t kLocality = 10;  // entries of the table that an output of `encode` takes
constexpr std::size_t kBatch = 16;     // outputs of `encode` that draw their positions together

// Sums of products in GF(2^64) mod x^64 + x^4 + x^3 + x + 1: out[r] = sum over c of x[r][c] * weights[c].
void field64_combine(const std::uint64_t* x, std::size_t rows, std::size_t columns, const std::uint64_t* weights,
                     std::uint64_t* out);
// In GF(2^128) mod x^128 + x^7 + x^2 + x + 1, bit i of a block the coefficient of x^i: sum of a[i] * b[i].
Block field128_dot(const Block* a, const Block* b, std::size_t n);

// One instruction set's kernels, single-threaded.
struct OtKernels {
  void (*hash)(const std::uint8_t* round_keys, const Block* x, std::size_t n, std::uint64_t first, Block* out);
  void (*expand)(const std::uint8_t* round_keys, Block root, Block delta, int depth, Block* leaves, Block* sums);
  void (*complete)(const std::uint8_t* round_keys, const Block* sums, std::uint64_t path, int depth, Block* leaves);
  void (*encode)(const std::uint8_t* round_keys, std::uint64_t nonce, std::uint64_t first, const Block* table,
                 std::size_t rows, Block* out, std::size_t n);
};

extern const OtKernels avx2_ot, avx512_ot;

namespace avx2 {
void field64_combine(const std::uint64_t* x, std::size_t rows, std::size_t columns, const std::uint64_t* weights,
                     std::uint64_t* out);
Block field128_dot(const Block* a, const Block* b, std::size_t n);
}  // namespace avx2

}  // namespace tacit
