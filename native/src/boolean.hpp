// Two-input AND on packed boolean shares.
#pragma once

#include "simd.hpp"

namespace tacit {

// A replicated share: the party's own component and its neighbour's.
struct Replicated {
  const Word *own, *next;
};

// The party's additive share of x y, masked by its zero share alpha.
void replicated_and(Replicated x, Replicated y, const Word* alpha, Word* out, std::size_t words);
// With X = x + lx and Y = y + ly open: the share of x y from shares of lx, ly and lxy = lx ly.
void masked_and_close(const Word* x, const Word* y, const Word* lx, const Word* ly, const Word* lxy, bool leader,
                      Word* out, std::size_t words);

struct BooleanKernels {
  void (*replicated_and)(Replicated x, Replicated y, const Word* alpha, Word* out, std::size_t begin, std::size_t end);
  void (*masked_and_close)(const Word* x, const Word* y, const Word* lx, const Word* ly, const Word* lxy, bool leader,
                           Word* out, std::size_t begin, std::size_t end);
};

extern const BooleanKernels avx2_boolean, avx512_boolean;

}  // namespace tacit
