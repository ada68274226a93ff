// The kernels of ot.hpp over a vector type of one or more blocks.
//
// `S` offers: V, lanes (blocks per V), load, store, bxor, sigma, fill(Block), counters(first) (the tweaks first, first
// + 1, ... in the low words), pairs(left, right, out) (left[0], right[0], left[1], ... into two vectors),
// round_key(keys, i), enc, last, fold (the exclusive or of all lanes), and ctr (AES in counter mode).
#pragma once

#include <string.h>

#include "ot.hpp"

namespace tacit {

template <class S>
struct OtLoops {
  using V = typename S::V;
  static constexpr std::size_t lanes = S::lanes;
  static constexpr int wide = 8;

  struct Key {
    V round[11];
    explicit Key(const std::uint8_t* round_keys) {
      for (int i = 0; i < 11; ++i) round[i] = S::round_key(round_keys, i);
    }
  };

  template <int width>
  static inline __attribute__((always_inline)) void permute(const Key& key, V* state) {
    for (int i = 0; i < width; ++i) state[i] = S::bxor(state[i], key.round[0]);
    for (int round = 1; round < 10; ++round)
      for (int i = 0; i < width; ++i) state[i] = S::enc(state[i], key.round[round]);
    for (int i = 0; i < width; ++i) state[i] = S::last(state[i], key.round[10]);
  }

  // --- the hash ---

  template <int width>
  static inline void hash_some(const Key& key, const Block* x, std::uint64_t first, Block* out) {
    V inner[width], outer[width];
    for (int i = 0; i < width; ++i) inner[i] = S::load(x + lanes * i);
    permute<width>(key, inner);
    for (int i = 0; i < width; ++i) outer[i] = S::bxor(inner[i], S::counters(first + lanes * i));
    permute<width>(key, outer);
    for (int i = 0; i < width; ++i) S::store(out + lanes * i, S::bxor(inner[i], outer[i]));
  }

  static void hash(const std::uint8_t* round_keys, const Block* x, std::size_t n, std::uint64_t first, Block* out) {
    const Key key(round_keys);
    std::size_t at = 0;
    for (; at + lanes * wide <= n; at += lanes * wide) hash_some<wide>(key, x + at, first + at, out + at);
    for (; at < n; at += lanes) {
      const std::size_t here = n - at < lanes ? n - at : lanes;
      Block held[lanes] = {};
      memcpy(held, x + at, here * sizeof(Block));
      hash_some<1>(key, held, first + at, held);
      memcpy(out + at, held, here * sizeof(Block));
    }
  }

  // --- trees ---

  // Children of the parents at `from`, written to `to`; returns `sum` ^ their left children. All parents are read
  // before a child is written, so `to` may begin at or above `from`.
  template <int width>
  static inline V children(const Key& key, const Block* from, Block* to, V sum) {
    V parent[width], left[width];
    for (int i = 0; i < width; ++i) {
      parent[i] = S::load(from + lanes * i);
      left[i] = S::sigma(parent[i]);
    }
    V mixed[width];
    for (int i = 0; i < width; ++i) mixed[i] = left[i];
    permute<width>(key, left);
    for (int i = 0; i < width; ++i) {
      left[i] = S::bxor(left[i], mixed[i]);
      sum = S::bxor(sum, left[i]);
      V two[2];
      S::pairs(left[i], S::bxor(left[i], parent[i]), two);
      S::store(to + 2 * lanes * i, two[0]);
      S::store(to + 2 * lanes * i + lanes, two[1]);
    }
    return sum;
  }

  // One level in place: `count` parents, a power of two, become 2 * count nodes. Returns the sum of the left ones.
  static inline Block level(const Key& key, Block* nodes, std::size_t count) {
    V sum = S::fill(Block{0, 0});
    if (count < lanes) {
      Block held[2 * lanes] = {};
      memcpy(held, nodes, count * sizeof(Block));
      children<1>(key, held, held, sum);
      Block left = {0, 0};
      for (std::size_t i = 0; i < count; ++i) left = left ^ held[2 * i];
      memcpy(nodes, held, 2 * count * sizeof(Block));
      return left;
    }
    if (count < lanes * wide) {
      for (std::size_t at = count; at != 0;) {
        at -= lanes;
        sum = children<1>(key, nodes + at, nodes + 2 * at, sum);
      }
      return S::fold(sum);
    }
    for (std::size_t at = count; at != 0;) {
      at -= lanes * wide;
      sum = children<wide>(key, nodes + at, nodes + 2 * at, sum);
    }
    return S::fold(sum);
  }

  static void expand(const std::uint8_t* round_keys, Block root, Block delta, int depth, Block* leaves, Block* sums) {
    const Key key(round_keys);
    leaves[0] = root;
    leaves[1] = root ^ delta;
    sums[0] = root;
    for (int i = 1; i < depth; ++i) sums[i] = level(key, leaves, std::size_t{1} << i);
    clear(leaves, std::size_t{1} << depth);
  }

  static inline void clear(Block* leaves, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) leaves[i].low &= ~std::uint64_t{1};
  }

  // The unknown node is kept as zero; its two children come out as H(0) and are taken out of the sum again.
  static void complete(const std::uint8_t* round_keys, const Block* sums, std::uint64_t path, int depth, Block* leaves) {
    const Key key(round_keys);
    Block zeros[2] = {};
    const Block of_zero = level(key, zeros, 1);
    std::size_t unknown = (path >> (depth - 1)) & 1;
    Block known = sums[0];  // the sum of all nodes of the level but the unknown one
    leaves[unknown] = Block{0, 0};
    leaves[unknown ^ 1] = known;
    for (int i = 1; i < depth; ++i) {
      const Block left = level(key, leaves, std::size_t{1} << i) ^ of_zero;
      const std::size_t bit = (path >> (depth - 1 - i)) & 1;
      const std::uint64_t mask = std::uint64_t{0} - (bit ^ 1);  // the sibling is a right node: right sum = left ^ known
      const Block others = {left.low ^ (known.low & mask), left.high ^ (known.high & mask)};
      const Block sibling = sums[i] ^ others;
      unknown = 2 * unknown + bit;
      leaves[unknown] = Block{0, 0};
      leaves[unknown ^ 1] = sibling;
      known = known ^ sibling;
    }
    leaves[unknown] = known;
    clear(leaves, std::size_t{1} << depth);
    leaves[unknown].low |= 1;
  }

  // --- the code ---

  static constexpr std::size_t batch = kBatch, draws = batch * kLocality;

  static inline void positions(const std::uint8_t* round_keys, std::uint64_t nonce, std::uint64_t at, std::uint64_t rows,
                               const Block* table, std::uint32_t* out) {
    S::ctr(round_keys, nonce, at / batch * (4 * draws / 16), reinterpret_cast<std::uint8_t*>(out), 4 * draws);
    for (std::size_t i = 0; i < draws; ++i) out[i] = static_cast<std::uint32_t>((out[i] * rows) >> 32);
    for (std::size_t i = 0; i < draws; ++i) __builtin_prefetch(table + out[i]);
  }

  static inline void accumulate(const Block* table, const std::uint32_t* at, Block* out, std::size_t n) {
    typedef std::uint64_t Pair __attribute__((vector_size(16), aligned(8), may_alias));
    const Pair* const rows = reinterpret_cast<const Pair*>(table);
    Pair* const sums = reinterpret_cast<Pair*>(out);
    for (std::size_t i = 0; i < n; ++i, at += kLocality) {
      Pair sum = sums[i];
      for (std::size_t j = 0; j < kLocality; ++j) sum ^= rows[at[j]];
      sums[i] = sum;
    }
  }

  // Positions of the next batch are fetched while this one is summed.
  static void encode(const std::uint8_t* round_keys, std::uint64_t nonce, std::uint64_t first, const Block* table,
                     std::size_t rows, Block* out, std::size_t n) {
    alignas(64) std::uint32_t drawn[2][draws];
    if (n != 0) positions(round_keys, nonce, first, rows, table, drawn[0]);
    for (std::size_t at = 0, turn = 0; at < n; at += batch, turn ^= 1) {
      if (at + batch < n) positions(round_keys, nonce, first + at + batch, rows, table, drawn[turn ^ 1]);
      accumulate(table, drawn[turn], out + at, n - at < batch ? n - at : batch);
    }
  }

  static constexpr OtKernels table() { return {hash, expand, complete, encode}; }
};

}  // namespace tacit
