// One vocabulary for boolean kernels: a kernel is a template over S, and S is 64, 256 or 512 bits wide.
//
// A template over S has its own symbol for each S, so that code built for a wide instruction set is never the copy
// the linker keeps for the baseline. For the same reason the helpers of the kernel headers are static.
#pragma once

#include <cstddef>
#include <cstdint>

#define TACIT_INLINE inline __attribute__((always_inline))

namespace tacit {

using Word = std::uint64_t;

// The rows of a plane array: row r starts `stride` words after row r - 1; a kernel works on words [begin, end) of each.
struct Columns {
  std::size_t stride, begin, end;
};

// The baseline: one word at a time.
struct Portable {
  using V = Word;
  static constexpr std::size_t lanes = 1;

  struct Whole {
    V load(const Word* p) const { return *p; }
    void store(Word* p, V v) const { *p = v; }
  };
  struct Part : Whole {  // never reached: one lane leaves no remainder
    explicit Part(std::size_t) {}
  };

  static V fill(Word w) { return w; }
  static V band(V a, V b) { return a & b; }
  static V bxor(V a, V b) { return a ^ b; }
  static V without(V a, V b) { return a & ~b; }                       // a and not b
  static V add_product(V x, V a, V b) { return x ^ (a & b); }         // x + a b over GF(2)
  static V choose(V bit, V one, V zero) { return zero ^ (bit & (one ^ zero)); }
  template <int n> static V shift_left(V a) { return a << n; }
  template <int n> static V shift_right(V a) { return a >> n; }
};

// Calls body(io, w) for each run of S::lanes words in [begin, end); io loads and stores that many, or the remainder.
template <class S, class Body>
TACIT_INLINE void sweep(std::size_t begin, std::size_t end, Body body) {
  std::size_t w = begin;
  for (; w + S::lanes <= end; w += S::lanes) body(typename S::Whole{}, w);
  if (w < end) body(typename S::Part{end - w}, w);
}

// As sweep, over rows that begin at `row` and their like: the first run is cut short where that makes the later ones
// whole cache lines. Rows a power of two apart share one cache set, and a line read in two halves is fetched twice.
template <class S, class Body>
TACIT_INLINE void sweep_lines(const Word* row, Columns at, Body body) {
  constexpr std::size_t line = 8;
  std::size_t begin = at.begin;
  if (S::lanes > 1 && at.stride % line == 0) {
    const std::size_t off = (reinterpret_cast<std::uintptr_t>(row + begin) / sizeof(Word)) % S::lanes;
    if (off != 0 && begin + S::lanes - off <= at.end) {
      body(typename S::Part{S::lanes - off}, begin);
      begin += S::lanes - off;
    }
  }
  sweep<S>(begin, at.end, body);
}

}  // namespace tacit
