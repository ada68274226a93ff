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

  static constexpr BooleanKernels table() { return {replicated_and, masked_and_close}; }
};

}  // namespace tacit
