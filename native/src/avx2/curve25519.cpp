// Curve25519 on four points at once, by the 32-bit multiplication of AVX2.
//
// Numbers have ten digits in words of 64, of 26 and 25 bits in turn, as 255 / 10 is 25.5: digit i counts
// 2**ceil(25.5 i). Factors must stay below 2**27.7 in every digit, so that 19 times a digit still has 32 bits: sums of two
// reduced numbers do, and differences are carried.
// Scheduled before registers are given out: there are sixteen of them, and half of what a product needs would be spilled.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("schedule-insns", "sched-pressure")
#endif
#include "simd.hpp"

#include "../curve25519_loops.hpp"

namespace tacit::curve25519::avx2 {
namespace {

struct Field {
  using V = __m256i;
  using Mask = __m256i;  // all ones or none in each lane
  static constexpr size_t lanes = 4;

  struct E {
    V l[10];
  };
  struct Bits {
    V w[4];
  };

  static constexpr int bits_of(int i) { return i % 2 == 0 ? 26 : 25; }
  static constexpr u64 mask_of(int i) { return (u64{1} << bits_of(i)) - 1; }

  static TACIT_INLINE V fill(u64 w) { return _mm256_set1_epi64x(static_cast<long long>(w)); }
  static TACIT_INLINE V nil() { return _mm256_setzero_si256(); }
  static TACIT_INLINE V plus(V a, V b) { return _mm256_add_epi64(a, b); }
  static TACIT_INLINE V both(V a, V b) { return _mm256_and_si256(a, b); }
  static TACIT_INLINE V times(V a, V b) { return _mm256_mul_epu32(a, b); }
  static TACIT_INLINE V load_words(const u64* p) { return _mm256_load_si256(reinterpret_cast<const V*>(p)); }
  static TACIT_INLINE void store_words(u64* p, V v) { _mm256_store_si256(reinterpret_cast<V*>(p), v); }
  static TACIT_INLINE V blend(Mask m, V yes, V no) { return _mm256_blendv_epi8(no, yes, m); }
  static TACIT_INLINE V nineteen(V a) {
    return plus(plus(_mm256_slli_epi64(a, 4), _mm256_slli_epi64(a, 1)), a);
  }

  static TACIT_INLINE Mask none() { return nil(); }
  static TACIT_INLINE Mask all() { return _mm256_set1_epi64x(-1); }
  static TACIT_INLINE Mask differ(Mask a, Mask b) { return _mm256_xor_si256(a, b); }
  static TACIT_INLINE Mask without(Mask a, Mask b) { return _mm256_andnot_si256(b, a); }
  static TACIT_INLINE Mask lowest(V a) { return _mm256_sub_epi64(nil(), both(a, fill(1))); }
  static TACIT_INLINE Mask mask(const u64* bits) { return lowest(load_words(bits)); }
  static TACIT_INLINE void spread(Mask m, u64* out) { store_words(out, m); }

  static TACIT_INLINE E zero() {
    E r;
    for (V& l : r.l) l = nil();
    return r;
  }
  // Five digits of 51 bits to ten.
  static TACIT_INLINE E split(const V (&w)[5]) {
    E r;
    for (int i = 0; i < 5; ++i) {
      r.l[2 * i] = both(w[i], fill(mask_of(0)));
      r.l[2 * i + 1] = _mm256_srli_epi64(w[i], 26);
    }
    return r;
  }
  static TACIT_INLINE E constant(const u64* limbs) {
    const V w[5] = {fill(limbs[0]), fill(limbs[1]), fill(limbs[2]), fill(limbs[3]), fill(limbs[4])};
    return split(w);
  }
  static TACIT_INLINE E constant_times_two_j() {
    constexpr u64 limbs[5] = {2 * 486662, 0, 0, 0, 0};
    return constant(limbs);
  }
  static TACIT_INLINE E select(Mask m, const E& yes, const E& no) {
    E r;
    for (int i = 0; i < 10; ++i) r.l[i] = blend(m, yes.l[i], no.l[i]);
    return r;
  }
  static TACIT_INLINE void swap(Mask m, E& a, E& b) {
    for (int i = 0; i < 10; ++i) {
      const V x = both(m, _mm256_xor_si256(a.l[i], b.l[i]));
      a.l[i] = _mm256_xor_si256(a.l[i], x);
      b.l[i] = _mm256_xor_si256(b.l[i], x);
    }
  }

  // Every digit's carry to the next one, all at once.
  static TACIT_INLINE E reduce(const E& a) {
    V c[10];
    E r;
#pragma GCC unroll 10
    for (int i = 0; i < 10; ++i) {
      c[i] = _mm256_srli_epi64(a.l[i], bits_of(i));
      r.l[i] = both(a.l[i], fill(mask_of(i)));
    }
    r.l[0] = plus(r.l[0], nineteen(c[9]));
#pragma GCC unroll 9
    for (int i = 1; i < 10; ++i) r.l[i] = plus(r.l[i], c[i - 1]);
    return r;
  }
  static TACIT_INLINE E add(const E& a, const E& b) {
    E r;
    for (int i = 0; i < 10; ++i) r.l[i] = plus(a.l[i], b.l[i]);
    return r;
  }
  static TACIT_INLINE E sub(const E& a, const E& b) {  // + 4 p
    E r;
    for (int i = 0; i < 10; ++i) {
      const V bias = fill((i == 0 ? mask_of(0) - 18 : mask_of(i)) << 2);
      r.l[i] = _mm256_sub_epi64(plus(a.l[i], bias), b.l[i]);
    }
    return reduce(r);
  }

  // Two odd digits meet half a bit too low: their product counts twice. Beyond digit 9 all counts 19 times.
  static TACIT_INLINE E mul(const E& f, const E& g) {
    V g19[10], f2[10];
    E h = zero();
#pragma GCC unroll 10
    for (int i = 1; i < 10; ++i) {
      g19[i] = times(g.l[i], fill(19));
      f2[i] = plus(f.l[i], f.l[i]);
    }
#pragma GCC unroll 10
    for (int i = 0; i < 10; ++i) {
#pragma GCC unroll 10
      for (int j = 0; j < 10; ++j) {
        const V left = i % 2 == 1 && j % 2 == 1 ? f2[i] : f.l[i];
        V& to = h.l[(i + j) % 10];
        to = plus(to, times(left, i + j < 10 ? g.l[j] : g19[j]));
      }
    }
    return reduce(reduce(h));
  }
  static TACIT_INLINE E sqr(const E& f) {
    V f19[10], f2[10], f4[10];
    E h = zero();
#pragma GCC unroll 10
    for (int i = 0; i < 10; ++i) {
      f2[i] = plus(f.l[i], f.l[i]);
      f4[i] = plus(f2[i], f2[i]);
      f19[i] = times(f.l[i], fill(19));
    }
#pragma GCC unroll 10
    for (int i = 0; i < 10; ++i) {
#pragma GCC unroll 10
      for (int j = i; j < 10; ++j) {
        const bool odd = i % 2 == 1 && j % 2 == 1;
        const V left = i == j ? (odd ? f2[i] : f.l[i]) : odd ? f4[i] : f2[i];
        V& to = h.l[(i + j) % 10];
        to = plus(to, times(left, i + j < 10 ? f.l[j] : f19[j]));
      }
    }
    return reduce(reduce(h));
  }
  static TACIT_INLINE E add_a24(const E& base, const E& a) {  // base + 121665 a
    E r;
    for (int i = 0; i < 10; ++i) r.l[i] = plus(base.l[i], times(a.l[i], fill(121665)));
    return reduce(reduce(r));
  }

  static E canonical(const E& a) {
    E r = reduce(reduce(a));
    const auto ripple = [&r] {
      for (int i = 0; i < 9; ++i) {
        r.l[i + 1] = plus(r.l[i + 1], _mm256_srli_epi64(r.l[i], bits_of(i)));
        r.l[i] = both(r.l[i], fill(mask_of(i)));
      }
      const V c = _mm256_srli_epi64(r.l[9], 25);
      r.l[9] = both(r.l[9], fill(mask_of(9)));
      return c;
    };
    r.l[0] = plus(r.l[0], nineteen(ripple()));
    r.l[0] = plus(r.l[0], nineteen(ripple()));  // now below 2**255
    V q = plus(r.l[0], fill(19));
    for (int i = 1; i < 10; ++i) q = plus(r.l[i], _mm256_srli_epi64(q, bits_of(i - 1)));
    r.l[0] = plus(r.l[0], nineteen(_mm256_srli_epi64(q, 25)));
    ripple();
    return r;
  }
  static TACIT_INLINE Mask is_zero(const E& a) {
    const E r = canonical(a);
    V any = r.l[0];
    for (int i = 1; i < 10; ++i) any = _mm256_or_si256(any, r.l[i]);
    return _mm256_cmpeq_epi64(any, nil());
  }
  static TACIT_INLINE Mask odd(const E& a) { return lowest(canonical(a).l[0]); }

  static TACIT_INLINE V join(V x, int right, V y, int left) {
    return _mm256_or_si256(_mm256_srli_epi64(x, right), _mm256_slli_epi64(y, left));
  }
  static TACIT_INLINE E from_words(const u64 (*w)[lanes]) {
    const V a = load_words(w[0]), b = load_words(w[1]), c = load_words(w[2]), d = load_words(w[3]);
    const V low = fill((u64{1} << 51) - 1);
    const V digits[5] = {both(a, low), both(join(a, 51, b, 13), low), both(join(b, 38, c, 26), low),
                         both(join(c, 25, d, 39), low), both(_mm256_srli_epi64(d, 12), low)};
    return split(digits);
  }
  static TACIT_INLINE void to_words(const E& a, u64 (*w)[lanes]) {
    const E r = canonical(a);
    V digit[5];
    for (int i = 0; i < 5; ++i) digit[i] = join(r.l[2 * i], 0, r.l[2 * i + 1], 26);
    store_words(w[0], join(digit[0], 0, digit[1], 51));
    store_words(w[1], join(digit[1], 13, digit[2], 38));
    store_words(w[2], join(digit[2], 26, digit[3], 25));
    store_words(w[3], join(digit[3], 39, digit[4], 12));
  }

  static TACIT_INLINE Bits bits(const u64 (*w)[lanes]) {
    return {{load_words(w[0]), load_words(w[1]), load_words(w[2]), load_words(w[3])}};
  }
  static TACIT_INLINE Mask bit(const Bits& b, int t) {
    return lowest(_mm256_srl_epi64(b.w[t >> 6], _mm_cvtsi32_si128(t & 63)));
  }

  static TACIT_INLINE void look_up(const u64* window, const Bits& b, size_t at, u64 offset, E& plus_, E& minus_, E& xyd) {
    V digit = _mm256_srl_epi64(b.w[at / 64], _mm_cvtsi32_si128(static_cast<int>(at % 64)));
    if (at % 64 > 64 - kWindowBits && at / 64 < 3)
      digit = _mm256_or_si256(digit, _mm256_sll_epi64(b.w[at / 64 + 1], _mm_cvtsi32_si128(static_cast<int>(64 - at % 64))));
    digit = _mm256_sub_epi64(both(digit, fill(63)), fill(offset));
    const Mask negative = _mm256_cmpgt_epi64(nil(), digit);
    const V magnitude = _mm256_sub_epi64(_mm256_xor_si256(digit, negative), negative);
    V found[3][5];
    for (int k = 0; k < 3; ++k)
      for (int i = 0; i < 5; ++i) found[k][i] = k < 2 && i == 0 ? fill(1) : nil();
    for (u64 m = 1; m <= kEntries; ++m) {
      const Mask here = _mm256_cmpeq_epi64(magnitude, fill(m));
      for (int k = 0; k < 3; ++k)
        for (int i = 0; i < 5; ++i)
          found[k][i] =
              blend(here, fill(window[(k * 5 + i) * static_cast<int>(kEntries) + static_cast<int>(m) - 1]), found[k][i]);
    }
    plus_ = split(found[0]);
    minus_ = split(found[1]);
    xyd = split(found[2]);
    swap(negative, plus_, minus_);
    xyd = select(negative, sub(zero(), xyd), xyd);
  }
};

}  // namespace

const Kernels kKernels = Loops<Field>::kernels();

}  // namespace tacit::curve25519::avx2
