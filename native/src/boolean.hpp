// Two-input AND on packed boolean shares, and one level of the binary carry tree built from it.
//
// A level holds K pairs (g, p) of planes, low to high; neighbours (2i, 2i+1) become
//   g' = g_{2i+1} + p_{2i+1} g_{2i},   p' = p_{2i+1} p_{2i},
// the lowest pair without p', and a last pair that has no neighbour passes through. The ANDs of a level, in this order:
// p_{2i+1} g_{2i} for i ascending, then p_{2i+1} p_{2i} for i >= 1 ascending.
#pragma once

#include "simd.hpp"

namespace tacit {

struct CarryPlan {
  std::size_t ands, next_pairs;
};

constexpr CarryPlan carry_plan(std::size_t pairs) {
  const std::size_t couples = pairs / 2;
  return {couples == 0 ? 0 : 2 * couples - 1, couples + pairs % 2};
}

// A replicated share: the party's own component and its neighbour's.
struct Replicated {
  const Word *own, *next;
};

// The party's additive share of x y, masked by its zero share alpha.
void replicated_and(Replicated x, Replicated y, const Word* alpha, Word* out, std::size_t words);
// With X = x + lx and Y = y + ly open: the share of x y from shares of lx, ly and lxy = lx ly.
void masked_and_close(const Word* x, const Word* y, const Word* lx, const Word* ly, const Word* lxy, bool leader,
                      Word* out, std::size_t words);
// All ANDs of a carry level at once, as replicated_and does one.
void carry_and(Replicated g, Replicated p, const Word* alpha, Word* out, std::size_t pairs, std::size_t words);
// The next level from the ANDs: once for each component of the shares. Row 0 of p2 is zero.
void carry_close(const Word* g, const Word* p, const Word* ands, Word* g2, Word* p2, std::size_t pairs,
                 std::size_t words);

struct BooleanKernels {
  void (*replicated_and)(Replicated x, Replicated y, const Word* alpha, Word* out, std::size_t begin, std::size_t end);
  void (*masked_and_close)(const Word* x, const Word* y, const Word* lx, const Word* ly, const Word* lxy, bool leader,
                           Word* out, std::size_t begin, std::size_t end);
  void (*carry_and)(Replicated g, Replicated p, const Word* alpha, Word* out, std::size_t pairs, Columns at);
  void (*carry_close)(const Word* g, const Word* p, const Word* ands, Word* g2, Word* p2, std::size_t pairs,
                      Columns at);
};

extern const BooleanKernels avx2_boolean, avx512_boolean;

}  // namespace tacit
