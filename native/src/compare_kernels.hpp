// The kernels of compare.hpp as templates over the vector width; each instruction set instantiates them once.
//
// The outer loop runs over digits or groups and the inner one over columns: every plane is then read or written once,
// as one of a few sequential streams, and the 16 values of a digit or the 30 planes of a group stay in registers.
#pragma once

#include "compare.hpp"

namespace tacit {

constexpr int kDigit = 4;
constexpr std::size_t kFan = 4;

template <int n>
struct Width {
  static constexpr int bits = n, values = 1 << n;
};

// A group of `n` pairs; `keep_product` tells whether P' is wanted.
template <int n, bool keep_product>
struct Group {
  static constexpr int size = n, sets = 1 << n, full = sets - 1;
  static constexpr bool keep = keep_product;
  static constexpr int first_p = keep ? 0 : 1;
  static constexpr int opened = (n - first_p) + (n - 1);
  static constexpr bool used(int set) { return keep || (set & 1) == 0; }
  static constexpr bool single(int set) { return (set & (set - 1)) == 0; }
  static constexpr int above(int i) { return full & ~((2 << i) - 1); }
};

template <class F>
static TACIT_INLINE void with_width(int width, F f) {
  switch (width) {
    case 1: return f(Width<1>{});
    case 2: return f(Width<2>{});
    case 3: return f(Width<3>{});
    default: return f(Width<4>{});
  }
}

template <class F>
static TACIT_INLINE void with_group(std::size_t size, bool keep, F f) {
  switch (size * 2 + (keep ? 1 : 0)) {
    case 4: return f(Group<2, false>{});
    case 5: return f(Group<2, true>{});
    case 6: return f(Group<3, false>{});
    case 7: return f(Group<3, true>{});
    case 8: return f(Group<4, false>{});
    default: return f(Group<4, true>{});
  }
}

static TACIT_INLINE int digit_width(int bits, int low) { return bits - low < kDigit ? bits - low : kDigit; }
static TACIT_INLINE std::size_t group_size(std::size_t pairs, std::size_t low) {
  return pairs - low < kFan ? pairs - low : kFan;
}

template <class S>
struct Compare {
  using V = typename S::V;

  static void digits_deal(const Word* r, int bits, Word* out, bool accumulate, Columns at) {
    for (int low = 0; low < bits; low += kDigit) {
      with_width(digit_width(bits, low), [&](auto width) __attribute__((always_inline)) {
        if (accumulate)
          deal_digit<decltype(width), true>(r, out, at);
        else
          deal_digit<decltype(width), false>(r, out, at);
        r += width.bits * at.stride;
        out += (width.values - 1) * at.stride;
      });
    }
  }

  static void digits_close(const Word* c, const Word* hot, int bits, bool leader, Word* g, Word* p, Columns at) {
    const V one = S::fill(leader ? ~Word{0} : Word{0});
    for (int low = 0; low < bits; low += kDigit) {
      with_width(digit_width(bits, low), [&](auto width) __attribute__((always_inline)) {
        close_digit<decltype(width)>(c, hot, one, g, p, at);
        c += width.bits * at.stride;
        hot += (width.values - 1) * at.stride;
      });
      g += at.stride;
      p += at.stride;
    }
  }

  static void tree_open(const Word* g, const Word* p, const Word* lam, Word* out, std::size_t pairs, Columns at) {
    for (std::size_t low = 0; low < pairs; low += kFan) {
      const std::size_t size = group_size(pairs, low);
      if (size > 1)
        with_group(size, low > 0, [&](auto group) __attribute__((always_inline)) {
          for (int i = group.first_p; i < group.size; ++i) mask_row(p + i * at.stride, lam, out, at);
          for (int i = 0; i < group.size - 1; ++i) mask_row(g + i * at.stride, lam, out, at);
        });
      g += size * at.stride;
      p += size * at.stride;
    }
  }

  static void tree_deal(const Word* lam, std::size_t pairs, Word* out, bool accumulate, Columns at) {
    for (std::size_t low = 0; low < pairs; low += kFan) {
      const std::size_t size = group_size(pairs, low);
      if (size == 1) continue;
      with_group(size, low > 0, [&](auto group) __attribute__((always_inline)) {
        if (accumulate)
          deal_group<decltype(group), true>(lam, out, at);
        else
          deal_group<decltype(group), false>(lam, out, at);
        lam += group.opened * at.stride;
        out += product_count<decltype(group)>() * at.stride;
      });
    }
  }

  static void tree_close(const Word* opened, const Word* lam, const Word* products, const Word* g, const Word* p,
                         bool leader, Word* g2, Word* p2, std::size_t pairs, Columns at) {
    const V one = S::fill(leader ? ~Word{0} : Word{0});
    for (std::size_t low = 0; low < pairs; low += kFan) {
      const std::size_t size = group_size(pairs, low);
      if (size == 1) {
        pass(g, p, low > 0, g2, p2, at);
      } else {
        with_group(size, low > 0, [&](auto group) __attribute__((always_inline)) {
          close_group<decltype(group)>(opened, lam, products, g + (group.size - 1) * at.stride, one, g2, p2, at);
          opened += group.opened * at.stride;
          lam += group.opened * at.stride;
          products += product_count<decltype(group)>() * at.stride;
        });
      }
      g += size * at.stride;
      p += size * at.stride;
      g2 += at.stride;
      p2 += at.stride;
    }
  }

  static constexpr CompareKernels table() { return {digits_deal, digits_close, tree_open, tree_deal, tree_close}; }

 private:
  // The products of a group; TreePlan counts them the same way.
  template <class Gr>
  static constexpr std::size_t product_count() {
    std::size_t count = 0;
    for (int set = 1; set < Gr::sets; ++set) count += Gr::used(set) && !Gr::single(set);
    for (int i = 0; i < Gr::size - 1; ++i) count += (1u << (Gr::size - 1 - i)) - 1u;
    return count;
  }

  template <bool accumulate, class Io>
  static TACIT_INLINE void put(const Io& io, Word* to, V value) {
    io.store(to, accumulate ? S::bxor(io.load(to), value) : value);
  }

  template <class Wd, bool accumulate>
  static void deal_digit(const Word* r, Word* out, Columns at) {
    sweep_lines<S>(out, at, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
      V hot[Wd::values];
      hot[0] = S::fill(~Word{0});
#pragma GCC unroll 4
      for (int bit = 0; bit < Wd::bits; ++bit) {
        const V plane = io.load(r + bit * at.stride + w);
#pragma GCC unroll 8
        for (int v = 0; v < Wd::values / 2; ++v)
          if (v >> bit == 0) {
            hot[v | 1 << bit] = S::band(hot[v], plane);
            hot[v] = S::without(hot[v], plane);
          }
      }
#pragma GCC unroll 16
      for (int v = 1; v < Wd::values; ++v) put<accumulate>(io, out + (v - 1) * at.stride + w, hot[v]);
    });
  }

  // With public c, [c < r] = sum of hot_j over j > c and [c == r] = hot_c are two look-ups, each a tree of selections.
  template <class Wd>
  static void close_digit(const Word* c, const Word* hot, V one, Word* g, Word* p, Columns at) {
    sweep_lines<S>(hot, at, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
      V less[Wd::values], equal[Wd::values];
      less[Wd::values - 1] = S::fill(0);
#pragma GCC unroll 16
      for (int v = Wd::values - 1; v > 0; --v) {
        equal[v] = io.load(hot + (v - 1) * at.stride + w);
        less[v - 1] = S::bxor(less[v], equal[v]);
      }
      equal[0] = S::bxor(less[0], one);
#pragma GCC unroll 4
      for (int bit = 0; bit < Wd::bits; ++bit) {
        const V plane = io.load(c + bit * at.stride + w);
#pragma GCC unroll 8
        for (int v = 0; v < Wd::values / 2; ++v)
          if (v < Wd::values >> (bit + 1)) {
            less[v] = S::choose(plane, less[2 * v + 1], less[2 * v]);
            equal[v] = S::choose(plane, equal[2 * v + 1], equal[2 * v]);
          }
      }
      io.store(g + w, less[0]);
      io.store(p + w, equal[0]);
    });
  }

  static TACIT_INLINE void mask_row(const Word* value, const Word*& lam, Word*& out, Columns at) {
    const Word* mask = lam;
    Word* to = out;
    sweep<S>(at.begin, at.end, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
      io.store(to + w, S::bxor(io.load(value + w), io.load(mask + w)));
    });
    lam += at.stride;
    out += at.stride;
  }

  template <class Gr, bool accumulate>
  static void deal_group(const Word* lam, Word* out, Columns at) {
    sweep_lines<S>(out, at, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
      const Word* from = lam + w;
      Word* to = out + w;
      V p[Gr::sets];  // p[set] = product of the masks of the P in the set
#pragma GCC unroll 4
      for (int i = Gr::first_p; i < Gr::size; ++i, from += at.stride) p[1 << i] = io.load(from);
#pragma GCC unroll 16
      for (int set = 1; set < Gr::sets; ++set)
        if (Gr::used(set) && !Gr::single(set)) {
          p[set] = S::band(p[set & (set - 1)], p[set & -set]);
          put<accumulate>(io, to, p[set]);
          to += at.stride;
        }
#pragma GCC unroll 4
      for (int i = 0; i < Gr::size - 1; ++i, from += at.stride) {
        const V gi = io.load(from);
#pragma GCC unroll 16
        for (int set = 1; set < Gr::sets; ++set)
          if ((set & Gr::above(i)) == set) {
            put<accumulate>(io, to, S::band(gi, p[set]));
            to += at.stride;
          }
      }
    });
  }

  // With v^ = v + lambda open, a product of v is the sum over sets T of (product of v^ outside T) lambda_T, and
  // lambda_{} = 1 is the leader's. Each prefix of P is summed once, and serves both its own G and P'.
  template <class Gr>
  static void close_group(const Word* opened, const Word* lam, const Word* products, const Word* top, V one, Word* g2,
                          Word* p2, Columns at) {
    sweep_lines<S>(products, at, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
      const Word* open_at = opened + w;
      const Word* lam_at = lam + w;
      const Word* product_at = products + w;
      V open[Gr::sets], mask[Gr::sets];  // by set of P: product of opened values; share of the product of masks
      open[0] = S::fill(~Word{0});
      mask[0] = one;
#pragma GCC unroll 4
      for (int i = Gr::first_p; i < Gr::size; ++i, open_at += at.stride, lam_at += at.stride) {
        open[1 << i] = io.load(open_at);
        mask[1 << i] = io.load(lam_at);
      }
#pragma GCC unroll 16
      for (int set = 1; set < Gr::sets; ++set)
        if (Gr::used(set) && !Gr::single(set)) {
          open[set] = S::band(open[set & (set - 1)], open[set & -set]);
          mask[set] = io.load(product_at);
          product_at += at.stride;
        }
      V sum = io.load(top + w);
#pragma GCC unroll 4
      for (int i = 0; i < Gr::size - 1; ++i, open_at += at.stride, lam_at += at.stride) {
        sum = S::add_product(sum, io.load(open_at), product_share<Gr>(open, mask, Gr::above(i)));
        sum = S::add_product(sum, open[Gr::above(i)], io.load(lam_at));
#pragma GCC unroll 16
        for (int set = 1; set < Gr::sets; ++set)
          if ((set & Gr::above(i)) == set) {
            sum = S::add_product(sum, open[Gr::above(i) ^ set], io.load(product_at));
            product_at += at.stride;
          }
      }
      io.store(g2 + w, sum);
      io.store(p2 + w, Gr::keep ? product_share<Gr>(open, mask, Gr::full) : S::fill(0));
    });
  }

  template <class Gr>
  static TACIT_INLINE V product_share(const V* open, const V* mask, int of) {
    V sum = S::band(open[of], mask[0]);
#pragma GCC unroll 16
    for (int set = 1; set < Gr::sets; ++set)
      if ((set & of) == set) sum = S::add_product(sum, open[of ^ set], mask[set]);
    return sum;
  }

  static void pass(const Word* g, const Word* p, bool keep, Word* g2, Word* p2, Columns at) {
    sweep<S>(at.begin, at.end, [&](const auto& io, std::size_t w) __attribute__((always_inline)) {
      io.store(g2 + w, io.load(g + w));
      io.store(p2 + w, keep ? io.load(p + w) : S::fill(0));
    });
  }
};

}  // namespace tacit
