// Curve25519 on eight points at once, by the 52-bit multiply-add of AVX-512-IFMA.
//
// Numbers have five digits of 51 bits in words of 64. Factors must stay below 2**52 in every digit, and two reduced
// digits add up to a little more than that: so sums are carried, while products are not until they have been summed.
// Scheduled before registers are given out: the products of a step are independent, and their carries would stall it.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("schedule-insns", "sched-pressure")
#endif
#include "simd.hpp"

#include "../curve25519_loops.hpp"

namespace tacit::curve25519::avx512 {
namespace {

constexpr u64 kLow = (u64{1} << 51) - 1;

struct Field {
  using V = __m512i;
  using Mask = __mmask8;
  static constexpr size_t lanes = 8;

  struct E {
    V l[5];
  };
  struct Bits {
    V w[4];
  };

  static TACIT_INLINE V fill(u64 w) { return _mm512_set1_epi64(static_cast<long long>(w)); }
  static TACIT_INLINE V plus(V a, V b) { return _mm512_add_epi64(a, b); }
  static TACIT_INLINE V low(V a) { return _mm512_and_si512(a, fill(kLow)); }
  static TACIT_INLINE V madlo(V c, V a, V b) { return _mm512_madd52lo_epu64(c, a, b); }
  static TACIT_INLINE V madhi(V c, V a, V b) { return _mm512_madd52hi_epu64(c, a, b); }

  static TACIT_INLINE Mask none() { return 0; }
  static TACIT_INLINE Mask all() { return 0xff; }
  static TACIT_INLINE Mask differ(Mask a, Mask b) { return static_cast<Mask>(a ^ b); }
  static TACIT_INLINE Mask without(Mask a, Mask b) { return static_cast<Mask>(a & ~b); }
  static TACIT_INLINE Mask mask(const u64* bits) {
    return _mm512_test_epi64_mask(_mm512_load_si512(bits), fill(1));
  }
  static TACIT_INLINE void spread(Mask m, u64* out) { _mm512_store_si512(out, _mm512_maskz_set1_epi64(m, -1)); }

  static TACIT_INLINE E zero() {
    E r;
    for (V& l : r.l) l = _mm512_setzero_si512();
    return r;
  }
  static TACIT_INLINE E constant(const u64* limbs) {
    E r;
    for (int i = 0; i < 5; ++i) r.l[i] = fill(limbs[i]);
    return r;
  }
  static TACIT_INLINE E constant_times_two_j() {
    constexpr u64 limbs[5] = {2 * 486662, 0, 0, 0, 0};
    return constant(limbs);
  }
  static TACIT_INLINE E select(Mask m, const E& yes, const E& no) {
    E r;
    for (int i = 0; i < 5; ++i) r.l[i] = _mm512_mask_mov_epi64(no.l[i], m, yes.l[i]);
    return r;
  }
  static TACIT_INLINE void swap(Mask m, E& a, E& b) {
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) {
      const V x = a.l[i];
      a.l[i] = _mm512_mask_mov_epi64(x, m, b.l[i]);
      b.l[i] = _mm512_mask_mov_epi64(b.l[i], m, x);
    }
  }

  // Digits below 2**62 to digits below 2**51 + 2**16.
  static TACIT_INLINE E reduce(const E& a) {
    V c[5];
    E r;
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) {
      c[i] = _mm512_srli_epi64(a.l[i], 51);
      r.l[i] = low(a.l[i]);
    }
    r.l[0] = madlo(r.l[0], c[4], fill(19));
#pragma GCC unroll 4
    for (int i = 1; i < 5; ++i) r.l[i] = plus(r.l[i], c[i - 1]);
    return r;
  }
  static TACIT_INLINE E add(const E& a, const E& b) {
    E r;
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) r.l[i] = plus(a.l[i], b.l[i]);
    return reduce(r);
  }
  static TACIT_INLINE E sub(const E& a, const E& b) {  // + 1024 p
    E r;
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) {
      const V bias = fill(i == 0 ? (kLow - 18) << 10 : kLow << 10);
      r.l[i] = _mm512_sub_epi64(plus(a.l[i], bias), b.l[i]);
    }
    return reduce(r);
  }

  // A constant that the compiler may not turn into shifts, of which there is one a cycle as well, but three to a product.
  static TACIT_INLINE V opaque(u64 w) {
    V v = fill(w);
    asm("" : "+v"(v));
    return v;
  }

  // Sums of digit products by column: low halves belong to column c, high halves, twice, to column c + 1, because
  // 2**52 = 2 * 2**51. The columns from 5 on are summed first and enter the others 19 times, for 2**255 = 19: so nine
  // sums are open at a time, and what is done to the first ones hides behind the products of the second.
  static TACIT_INLINE V twice(V a) { return plus(a, a); }
  static TACIT_INLINE V nil() { return _mm512_setzero_si512(); }

  // Digits below 2**61.
  static TACIT_INLINE E mul(const E& a, const E& b) {
    const V nineteen = opaque(19);
    V lo[9], hi[9];
#pragma GCC unroll 9
    for (int c = 0; c < 9; ++c) lo[c] = hi[c] = nil();
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) {
#pragma GCC unroll 5
      for (int j = 4 - i; j < 5; ++j) {
        hi[i + j] = madhi(hi[i + j], a.l[i], b.l[j]);
        if (i + j > 4) lo[i + j] = madlo(lo[i + j], a.l[i], b.l[j]);
      }
    }
#pragma GCC unroll 4
    for (int c = 0; c < 4; ++c) lo[c] = _mm512_mullo_epi64(plus(lo[c + 5], twice(hi[c + 4])), nineteen);
    lo[4] = _mm512_mullo_epi64(twice(hi[8]), nineteen);
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) {
#pragma GCC unroll 5
      for (int j = 0; j < 5 - i; ++j) {
        lo[i + j] = madlo(lo[i + j], a.l[i], b.l[j]);
        if (i + j < 4) hi[i + j] = madhi(hi[i + j], a.l[i], b.l[j]);
      }
    }
    return {{lo[0], plus(lo[1], twice(hi[0])), plus(lo[2], twice(hi[1])), plus(lo[3], twice(hi[2])),
             plus(lo[4], twice(hi[3]))}};
  }
  static TACIT_INLINE E sqr(const E& x) {
    const V nineteen = opaque(19);
    const V a = x.l[0], b = x.l[1], c = x.l[2], d = x.l[3], e = x.l[4];
    const V h4 = madhi(twice(madhi(madhi(nil(), a, e), b, d)), c, c);
    const V h5 = twice(madhi(madhi(nil(), b, e), c, d));
    const V h6 = madhi(twice(madhi(nil(), c, e)), d, d);
    const V h7 = twice(madhi(nil(), d, e));
    const V h8 = madhi(nil(), e, e);
    const V l5 = twice(madlo(madlo(nil(), b, e), c, d));
    const V l6 = madlo(twice(madlo(nil(), c, e)), d, d);
    const V l7 = twice(madlo(nil(), d, e));
    const V l8 = madlo(nil(), e, e);
    const V z5 = _mm512_mullo_epi64(plus(l5, twice(h4)), nineteen);
    const V z6 = _mm512_mullo_epi64(plus(l6, twice(h5)), nineteen);
    const V z7 = _mm512_mullo_epi64(plus(l7, twice(h6)), nineteen);
    const V z8 = _mm512_mullo_epi64(plus(l8, twice(h7)), nineteen);
    const V z9 = _mm512_mullo_epi64(twice(h8), nineteen);
    // The rest of column c is 2 (off-diagonal low + high of column c - 1) + diagonal low.
    const V m1 = madhi(madlo(nil(), a, b), a, a);
    const V h1 = madhi(nil(), a, b);
    const V m2 = plus(madlo(nil(), a, c), twice(h1));
    const V h2 = madhi(twice(madhi(nil(), a, c)), b, b);
    const V m3 = plus(madlo(madlo(nil(), a, d), b, c), h2);
    const V h3 = twice(madhi(madhi(nil(), a, d), b, c));
    const V m4 = plus(madlo(madlo(nil(), a, e), b, d), h3);
    return {{madlo(z5, a, a), plus(z6, twice(m1)), plus(madlo(z7, b, b), twice(m2)), plus(z8, twice(m3)),
             plus(madlo(z9, c, c), twice(m4))}};
  }
  static TACIT_INLINE E add_a24(const E& base, const E& a) {  // base + 121665 a
    const V k = fill(121665);
    V hi[5];
    E r;
#pragma GCC unroll 5
    for (int i = 0; i < 5; ++i) {
      r.l[i] = madlo(base.l[i], a.l[i], k);
      hi[i] = madhi(_mm512_setzero_si512(), a.l[i], k);
    }
    r.l[0] = madlo(r.l[0], hi[4], fill(38));
#pragma GCC unroll 4
    for (int i = 1; i < 5; ++i) r.l[i] = plus(r.l[i], plus(hi[i - 1], hi[i - 1]));
    return reduce(r);
  }

  // The digits of the number below p.
  static E canonical(const E& a) {
    E r = reduce(reduce(a));
    const auto ripple = [&r] {
      for (int i = 0; i < 4; ++i) {
        r.l[i + 1] = plus(r.l[i + 1], _mm512_srli_epi64(r.l[i], 51));
        r.l[i] = low(r.l[i]);
      }
      const V c = _mm512_srli_epi64(r.l[4], 51);
      r.l[4] = low(r.l[4]);
      return c;
    };
    r.l[0] = madlo(r.l[0], ripple(), fill(19));
    r.l[0] = madlo(r.l[0], ripple(), fill(19));  // now below 2**255
    E up = r;
    up.l[0] = plus(up.l[0], fill(19));
    V q = up.l[0];
    for (int i = 1; i < 5; ++i) q = plus(up.l[i], _mm512_srli_epi64(q, 51));
    r.l[0] = madlo(r.l[0], _mm512_srli_epi64(q, 51), fill(19));
    ripple();
    return r;
  }
  static TACIT_INLINE Mask is_zero(const E& a) {
    const E r = canonical(a);
    V any = r.l[0];
    for (int i = 1; i < 5; ++i) any = _mm512_or_si512(any, r.l[i]);
    return _mm512_testn_epi64_mask(any, any);
  }
  static TACIT_INLINE Mask odd(const E& a) { return _mm512_test_epi64_mask(canonical(a).l[0], fill(1)); }

  static TACIT_INLINE E from_words(const u64 (*w)[lanes]) {
    const V a = _mm512_load_si512(w[0]), b = _mm512_load_si512(w[1]), c = _mm512_load_si512(w[2]),
            d = _mm512_load_si512(w[3]);
    const auto join = [](V x, int right, V y, int left) {
      return low(_mm512_or_si512(_mm512_srli_epi64(x, static_cast<unsigned>(right)),
                                 _mm512_slli_epi64(y, static_cast<unsigned>(left))));
    };
    return {{low(a), join(a, 51, b, 13), join(b, 38, c, 26), join(c, 25, d, 39), low(_mm512_srli_epi64(d, 12))}};
  }
  static TACIT_INLINE void to_words(const E& a, u64 (*w)[lanes]) {
    const E r = canonical(a);
    const auto join = [](V x, int right, V y, int left) {
      return _mm512_or_si512(_mm512_srli_epi64(x, static_cast<unsigned>(right)),
                             _mm512_slli_epi64(y, static_cast<unsigned>(left)));
    };
    _mm512_store_si512(w[0], join(r.l[0], 0, r.l[1], 51));
    _mm512_store_si512(w[1], join(r.l[1], 13, r.l[2], 38));
    _mm512_store_si512(w[2], join(r.l[2], 26, r.l[3], 25));
    _mm512_store_si512(w[3], join(r.l[3], 39, r.l[4], 12));
  }

  static TACIT_INLINE Bits bits(const u64 (*w)[lanes]) {
    Bits b;
    for (int i = 0; i < 4; ++i) b.w[i] = _mm512_load_si512(w[i]);
    return b;
  }
  static TACIT_INLINE Mask bit(const Bits& b, int t) { return _mm512_test_epi64_mask(b.w[t >> 6], fill(u64{1} << (t & 63))); }

  // The entry of one window for the digit of six bits at `at`, less `offset`: negated if that is below zero, (1, 1, 0) if it
  // is zero. Every word of the window is read, into registers.
  static TACIT_INLINE void look_up(const u64* window, const Bits& b, size_t at, u64 offset, E& plus_, E& minus_, E& xyd) {
    V digit = _mm512_srl_epi64(b.w[at / 64], _mm_cvtsi64_si128(static_cast<long long>(at % 64)));
    if (at % 64 > 64 - kWindowBits && at / 64 < 3)
      digit = _mm512_or_si512(digit, _mm512_sll_epi64(b.w[at / 64 + 1], _mm_cvtsi64_si128(static_cast<long long>(64 - at % 64))));
    digit = _mm512_sub_epi64(_mm512_and_si512(digit, fill(63)), fill(offset));
    const Mask negative = _mm512_movepi64_mask(digit);
    const V index = _mm512_sub_epi64(_mm512_abs_epi64(digit), fill(1));
    const Mask some = _mm512_test_epi64_mask(digit, digit);
    const Mask upper = _mm512_test_epi64_mask(index, fill(16));
    E* const out[3] = {&plus_, &minus_, &xyd};
    for (int k = 0; k < 3; ++k)
      for (int i = 0; i < 5; ++i) {
        const u64* const row = window + (k * 5 + i) * static_cast<int>(kEntries);
        const V first = _mm512_permutex2var_epi64(_mm512_loadu_si512(row), index, _mm512_loadu_si512(row + 8));
        const V second = _mm512_permutex2var_epi64(_mm512_loadu_si512(row + 16), index, _mm512_loadu_si512(row + 24));
        const V none = k < 2 && i == 0 ? fill(1) : _mm512_setzero_si512();
        out[k]->l[i] = _mm512_mask_mov_epi64(none, some, _mm512_mask_mov_epi64(first, upper, second));
      }
    swap(negative, plus_, minus_);
    for (int i = 0; i < 5; ++i)  // 2 p - x: its digits stay below 2**52
      xyd.l[i] = _mm512_mask_sub_epi64(xyd.l[i], negative, fill(i == 0 ? (kLow - 18) << 1 : kLow << 1), xyd.l[i]);
  }
};

}  // namespace

const Kernels kKernels = Loops<Field>::kernels();

}  // namespace tacit::curve25519::avx512
