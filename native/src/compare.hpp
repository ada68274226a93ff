// Bit-sliced comparison of a public word c with a shared word r: [c < r] on planes.
//
// Legend: D digits of four bits from the low end (the last may be shorter); hot_v = [r's digit is v], v >= 1;
// G = [c's digit is less], P = [c's digit is equal]; K pairs (G, P) of a tree level, low to high, combined by fours
// from the low end. A group of s pairs becomes
//   G' = G_{s-1} + P_{s-1} G_{s-2} + ... + P_{s-1}..P_1 G_0,   P' = P_{s-1}..P_0,
// the lowest group without P', which nothing uses; a group of one passes through. Planes of a group, in this order:
//   opened:   P_i for i ascending (from 1 where P' is left out), then G_i for i = 0..s-2;
//   products: lambda(P_T) for the sets T of two or more of those P, T ascending as a binary number (bit i is P_i),
//             then for i = 0..s-2 lambda(G_i P_T) for the non-empty T above i, T ascending.
// Groups follow one another from the low end.
//
// Speed: rows of whole cache lines that are not a page apart (W % 8 == 0, W % 512 != 0) and batches whose planes
// fit the second-level cache (about 60 000 elements) run fastest; any W is correct.
#pragma once

#include "simd.hpp"

namespace tacit {

struct TreePlan {
  std::size_t opened, products, next_pairs;
};

std::size_t digit_planes(int bits) noexcept;
TreePlan tree_plan(std::size_t pairs) noexcept;

void digits_deal(const Word* r, int bits, Word* out, bool accumulate, std::size_t words);
void digits_close(const Word* c, const Word* hot, int bits, bool leader, Word* g, Word* p, std::size_t words);
void tree_open(const Word* g, const Word* p, const Word* lam, Word* out, std::size_t pairs, std::size_t words);
void tree_deal(const Word* lam, std::size_t pairs, Word* out, bool accumulate, std::size_t words);
void tree_close(const Word* opened, const Word* lam, const Word* products, const Word* g, const Word* p, bool leader,
                Word* g2, Word* p2, std::size_t pairs, std::size_t words);

// One instruction set's kernels, each on a range of columns.
struct CompareKernels {
  void (*digits_deal)(const Word* r, int bits, Word* out, bool accumulate, Columns at);
  void (*digits_close)(const Word* c, const Word* hot, int bits, bool leader, Word* g, Word* p, Columns at);
  void (*tree_open)(const Word* g, const Word* p, const Word* lam, Word* out, std::size_t pairs, Columns at);
  void (*tree_deal)(const Word* lam, std::size_t pairs, Word* out, bool accumulate, Columns at);
  void (*tree_close)(const Word* opened, const Word* lam, const Word* products, const Word* g, const Word* p,
                     bool leader, Word* g2, Word* p2, std::size_t pairs, Columns at);
};

extern const CompareKernels avx2_compare, avx512_compare;

}  // namespace tacit
