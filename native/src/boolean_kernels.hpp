// The kernels of boolean.hpp as templates over the vector width.
#pragma once

#include "boolean.hpp"

namespace tacit {

template <class S>
struct Boolean {
  using V = typename S::V;

  // own own' + own next' + next own' is own (own' + next') + next own'.
  static void replicated_and(Replicated x, Replicated y, const Word* alpha, Word* out, std::size_t begin,
                             std::size_t end) {
    sweep<S>(begin, end, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
      const V own = io.load(y.own + w);
      V sum = S::add_product(io.load(alpha + w), io.load(x.next + w), own);
      sum = S::add_product(sum, io.load(x.own + w), S::bxor(own, io.load(y.next + w)));
      io.store(out + w, sum);
    });
  }

  static void masked_and_close(const Word* x, const Word* y, const Word* lx, const Word* ly, const Word* lxy,
                               bool leader, Word* out, std::size_t begin, std::size_t end) {
    const V one = S::fill(leader ? ~Word{0} : Word{0});
    sweep<S>(begin, end, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
      const V open_x = io.load(x + w), open_y = io.load(y + w);
      V sum = S::add_product(io.load(lxy + w), open_y, io.load(lx + w));
      // X ly + X Y for the leader is X (ly + Y).
      sum = S::add_product(sum, open_x, S::add_product(io.load(ly + w), open_y, one));
      io.store(out + w, sum);
    });
  }

  static void carry_and(Replicated g, Replicated p, const Word* alpha, Word* out, std::size_t pairs, Columns at) {
    const std::size_t couples = pairs / 2;
    for (std::size_t i = 0; i < couples; ++i) {
      const Replicated high = row(p, 2 * i + 1, at);
      const std::size_t to_g = i * at.stride, to_p = (couples + i - 1) * at.stride;
      replicated_and(high, row(g, 2 * i, at), alpha + to_g, out + to_g, at.begin, at.end);
      if (i > 0) replicated_and(high, row(p, 2 * i, at), alpha + to_p, out + to_p, at.begin, at.end);
    }
  }

  static void carry_close(const Word* g, const Word* p, const Word* ands, Word* g2, Word* p2, std::size_t pairs,
                          Columns at) {
    const std::size_t couples = pairs / 2;
    for (std::size_t i = 0; i < couples + pairs % 2; ++i) {
      const bool coupled = i < couples;
      const Word* top = g + (coupled ? 2 * i + 1 : 2 * i) * at.stride;
      const Word* below = ands + i * at.stride;
      const Word* both = coupled ? ands + (couples + i - 1) * at.stride : p + 2 * i * at.stride;
      sweep<S>(at.begin, at.end, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
        io.store(g2 + i * at.stride + w, coupled ? S::bxor(io.load(top + w), io.load(below + w)) : io.load(top + w));
        io.store(p2 + i * at.stride + w, i > 0 ? io.load(both + w) : S::fill(0));
      });
    }
  }

  static constexpr BooleanKernels table() { return {replicated_and, masked_and_close, carry_and, carry_close}; }

 private:
  static TACIT_INLINE Replicated row(Replicated x, std::size_t r, Columns at) {
    return {x.own + r * at.stride, x.next + r * at.stride};
  }
};

}  // namespace tacit
