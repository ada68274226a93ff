// The loops over points, for any field F that computes on F::lanes numbers modulo p side by side.
//
// F::E holds such numbers. Products come out of mul and sqr wide: they may be added and subtracted, and must pass through
// reduce before they are multiplied again. What add and sub give may be multiplied at once; to be added or subtracted once
// more it must pass through reduce. (Only AVX-512 leaves products wide; reduce is cheap where nothing is left to carry.)
#pragma once

#include <cstring>

#include "curve25519.hpp"
#include "simd.hpp"

namespace tacit::curve25519 {

inline constexpr u64 kOne[5] = {1, 0, 0, 0, 0};
inline constexpr u64 kJ[5] = {486662, 0, 0, 0, 0};
inline constexpr u64 kSqrtMinusOne[5] = {0x61b274a0ea0b0, 0xd5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e,
                                         0x2b8324804fc1d};
inline constexpr u64 kRootTwo[5] = {0x61b274a0ea0b1, 0xd5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e,
                                    0x2b8324804fc1d};  // 2**((p + 3) / 8)
inline constexpr u64 kEdwards[5] = {0x604aaff457e06, 0x2296fa350598d, 0x7f13dfb16874f, 0x35de93d846e01,
                                    0xf26edf460a00};  // sqrt(-486664): x = sqrt(-486664) u / v
inline constexpr u64 kTwiceD[5] = {0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff};

template <class F>
struct Loops {
  using E = typename F::E;
  using Mask = typename F::Mask;
  static constexpr size_t lanes = F::lanes;
  static constexpr size_t kGroups = 16;  // inverted together

  struct Words {
    alignas(64) u64 w[4][lanes];
  };
  struct Point {  // affine, on the Montgomery curve
    E u, v;
    Mask valid;
  };
  struct Extended {  // x = X / Z, y = Y / Z, x y = T / Z on the twisted Edwards curve
    E X, Y, Z, T;
  };
  struct Ladder {
    E x2, z2, x3, z3;  // of k P and (k + 1) P
  };

  // --- octets ------------------------------------------------------------------------------------------------

  // Rows at, at + 1, ...; past `end` the last one again.
  static void gather(Words& out, const u8* rows, size_t stride, size_t at, size_t end) {
    for (size_t l = 0; l < lanes; ++l) {
      const size_t row = at + l < end ? at + l : end - 1;
      u64 words[4];
      std::memcpy(words, rows + row * stride, kOctets);
      for (int i = 0; i < 4; ++i) out.w[i][l] = words[i];
    }
  }

  // Writes rows; where `usable` is false, zeros.
  static void scatter(Words& in, Mask usable, u8* rows, size_t at, size_t end) {
    alignas(64) u64 keep[lanes];
    F::spread(usable, keep);
    for (size_t l = 0; l < lanes && at + l < end; ++l) {
      u64 words[4];
      for (int i = 0; i < 4; ++i) words[i] = in.w[i][l] & keep[l];
      std::memcpy(rows + (at + l) * kOctets, words, kOctets);
    }
  }

  static E load(const u8* rows, size_t at, size_t end) {
    Words words;
    gather(words, rows, kOctets, at, end);
    return F::from_words(words.w);
  }

  static void store(const E& u, Mask usable, u8* rows, size_t at, size_t end) {
    Words words;
    F::to_words(u, words.w);
    scatter(words, usable, rows, at, end);
  }

  static void store_point(const E& u, const E& v, Mask usable, u8* rows, size_t at, size_t end) {
    Words words, parity;
    F::to_words(u, words.w);
    F::to_words(v, parity.w);
    for (size_t l = 0; l < lanes; ++l) words.w[3][l] |= parity.w[0][l] << 63;
    scatter(words, usable, rows, at, end);
  }

  // --- the field ---------------------------------------------------------------------------------------------

  static TACIT_INLINE E product(const E& a, const E& b) { return F::reduce(F::mul(a, b)); }
  static TACIT_INLINE E square(const E& a) { return F::reduce(F::sqr(a)); }
  static TACIT_INLINE E sum(const E& a, const E& b) { return F::reduce(F::add(a, b)); }
  static TACIT_INLINE E difference(const E& a, const E& b) { return F::reduce(F::sub(a, b)); }
  static TACIT_INLINE E number(const u64 (&limbs)[5]) { return F::constant(limbs); }

  static E squares(E a, int count) {
    for (int i = 0; i < count; ++i) a = square(a);
    return a;
  }

  // a**(2**250 - 1), and a**11 beside it
  static E chain(const E& a, E& eleven) {
    const E two = square(a);
    const E nine = product(squares(two, 2), a);
    eleven = product(nine, two);
    const E x5 = product(square(eleven), nine);
    const E x10 = product(squares(x5, 5), x5);
    const E x20 = product(squares(x10, 10), x10);
    const E x40 = product(squares(x20, 20), x20);
    const E x50 = product(squares(x40, 10), x10);
    const E x100 = product(squares(x50, 50), x50);
    const E x200 = product(squares(x100, 100), x100);
    return product(squares(x200, 50), x50);
  }

  static E invert(const E& a) {  // a**(p - 2); 0 for 0
    E eleven;
    const E high = chain(a, eleven);
    return product(squares(high, 5), eleven);
  }

  static E root_power(const E& a) {  // a**((p - 5) / 8)
    E eleven;
    const E high = chain(a, eleven);
    return product(squares(high, 2), a);
  }

  static TACIT_INLINE Mask equal(const E& a, const E& b) { return F::is_zero(F::sub(a, b)); }

  // d[i] becomes its inverse, by one inversion for all; usable[i] is false where it has none.
  static void invert_all(E* d, Mask* usable, size_t count) {
    E before[kGroups];
    E all = number(kOne);
    for (size_t i = 0; i < count; ++i) {
      const Mask zero = F::is_zero(d[i]);
      usable[i] = F::without(usable[i], zero);
      d[i] = F::select(zero, number(kOne), d[i]);
      before[i] = all;
      all = product(all, d[i]);
    }
    all = invert(all);
    for (size_t i = count; i-- > 0;) {
      const E inverse = product(all, before[i]);
      all = product(all, d[i]);
      d[i] = inverse;
    }
  }

  // --- the Montgomery curve ----------------------------------------------------------------------------------

  // x2 : z2 and x3 : z3 stay wide from step to step: every sum of them is reduced anyhow. Where `swap` says so the two are
  // exchanged first: that makes no difference to their sum, so only what is doubled has to be chosen.
  static TACIT_INLINE void step(const E& u, Mask swap, Ladder& s) {
    const E A = F::add(s.x2, s.z2), D = F::sub(s.x3, s.z3);
    const E C = F::add(s.x3, s.z3), B = F::sub(s.x2, s.z2);
    const E DA = F::mul(D, A), CB = F::mul(C, B);
    const E AA = square(F::select(swap, C, A)), BB = square(F::select(swap, D, B));
    const E X = F::add(DA, CB), Z = F::sub(DA, CB);
    const E difference = F::sub(AA, BB);
    s.x3 = F::sqr(X);
    const E ZZ = square(Z);
    s.x2 = F::mul(AA, BB);
    s.z2 = F::mul(difference, F::add_a24(AA, difference));
    s.z3 = F::mul(u, ZZ);
  }

  static Ladder ladder(const Words& scalars, const E& u) {
    const typename F::Bits bits = F::bits(scalars.w);
    Ladder s{number(kOne), F::zero(), u, number(kOne)};
    Mask swapped = F::none();
    for (int t = 254; t >= 0; --t) {
      const Mask bit = F::bit(bits, t);
      step(u, F::differ(swapped, bit), s);
      swapped = bit;
    }
    F::swap(swapped, s.x2, s.x3);
    F::swap(swapped, s.z2, s.z3);
    return {F::reduce(s.x2), F::reduce(s.z2), F::reduce(s.x3), F::reduce(s.z3)};
  }

  // v(k P) v(P) = Y / D and u(k P) = X / D, from u(P), u(k P) and u((k + 1) P): Okeya and Sakurai 2001, as Algorithm 5 of
  // Costello and Smith 2017 writes it, where v(P) occurs in the denominator alone. It need not be known.
  static void recover(const E& u, const Ladder& s, E& X, E& Y, E& D) {
    const E uz = product(u, s.z2);
    const E right = F::mul(square(F::sub(s.x2, uz)), s.x3);
    const E jz = product(F::constant_times_two_j(), s.z2);
    const E sum_ = F::add(sum(s.x2, uz), jz);
    const E cross = F::add(F::mul(u, s.x2), s.z2);
    const E left = F::sub(F::mul(sum_, cross), F::mul(jz, s.z2));
    Y = difference(F::mul(left, s.z3), right);
    const E zz = product(F::add(s.z2, s.z2), s.z3);
    X = product(zz, s.x2);
    D = product(zz, s.z2);
  }

  // The root of u**3 + J u**2 + u that makes the lowest bit of v w equal to bit 255 of the octets; w = 1 for v itself.
  static Point open(const u8* rows, size_t at, size_t end, const E& w) {
    Words words;
    gather(words, rows, kOctets, at, end);
    Point p;
    p.u = F::from_words(words.w);
    const E uu = square(p.u);
    const E g = product(p.u, F::reduce(F::add(sum(uu, number(kOne)), F::mul(number(kJ), p.u))));
    const E first = product(g, root_power(g));  // g**((p + 3) / 8), the root of g or of -g
    const E root = F::select(equal(F::sqr(first), g), first, product(first, number(kSqrtMinusOne)));
    p.valid = equal(F::sqr(root), g);
    alignas(64) u64 sign[lanes];
    for (size_t l = 0; l < lanes; ++l) sign[l] = words.w[3][l] >> 63;
    p.v = F::select(F::differ(F::odd(F::mul(root, w)), F::mask(sign)), difference(F::zero(), root), root);
    return p;
  }

  // (u numerator, u denominator, v) of Elligator 2: the straight line of RFC 9380, appendix G.2.1.
  static void elligator(const E& e, E& xn, E& xd, E& v) {
    const E one = number(kOne);
    const E ee = square(e);
    const E tv1 = sum(ee, ee);
    xd = sum(tv1, one);
    const E x1n = difference(F::zero(), number(kJ));
    const E xd2 = square(xd);
    const E gxd = product(xd2, xd);
    E gx1 = product(product(number(kJ), tv1), x1n);
    gx1 = product(F::add(gx1, xd2), x1n);
    const E gxd2 = square(gxd);
    const E tv3 = product(product(gxd2, gxd), gx1);
    const E y11 = product(root_power(product(square(gxd2), tv3)), tv3);
    const E y12 = product(y11, number(kSqrtMinusOne));
    const E y1 = F::select(equal(F::mul(square(y11), gxd), gx1), y11, y12);
    const E x2n = product(x1n, tv1);
    const E y21 = product(product(y11, e), number(kRootTwo));
    const E y22 = product(y21, number(kSqrtMinusOne));
    const E gx2 = product(gx1, tv1);
    const E y2 = F::select(equal(F::mul(square(y21), gxd), gx2), y21, y22);
    const Mask first = equal(F::mul(square(y1), gxd), gx1);
    xn = F::select(first, x1n, x2n);
    const E y = F::select(first, y1, y2);
    v = F::select(F::differ(first, F::odd(y)), difference(F::zero(), y), y);
  }

  // --- the Edwards curve -------------------------------------------------------------------------------------

  // From u = xn / xd and v: x = c u / v, y = (u - 1) / (u + 1).
  static Extended to_edwards(const E& xn, const E& xd, const E& v) {
    const E plus = F::add(xn, xd), minus = F::sub(xn, xd);
    const E cx = product(number(kEdwards), xn), vd = product(v, xd);
    return {product(cx, plus), product(minus, vd), product(vd, plus), product(cx, minus)};
  }

  static Extended twice(const Extended& p) {  // dbl-2008-hwcd
    const E A = square(p.X), B = square(p.Y), ZZ = square(p.Z);
    const E xy = square(F::add(p.X, p.Y));
    const E H = difference(F::sub(F::zero(), A), B);  // -(A + B)
    const E W = F::reduce(F::add(xy, H));             // E of the formulas
    const E G = difference(B, A);
    const E K = difference(G, sum(ZZ, ZZ));           // F of the formulas
    return {product(W, K), product(G, H), product(K, G), product(W, H)};
  }

  // p + (y + x, y - x, 2 d x y): madd-2008-hwcd-3. X, Y and Z stay wide.
  static TACIT_INLINE Extended add_affine(const Extended& p, const E& plus, const E& minus, const E& xyd) {
    const E A = F::mul(F::sub(p.Y, p.X), minus), B = F::mul(F::add(p.Y, p.X), plus);
    const E C = F::mul(F::reduce(p.T), xyd), D = sum(p.Z, p.Z);
    const E W = F::sub(B, A), H = F::add(B, A), K = F::sub(D, C), G = F::add(D, C);
    return {F::mul(W, K), F::mul(G, H), F::mul(K, G), F::mul(W, H)};
  }

  // p + s B. s + sum of 32 * 64**i has digits d + 32 of s = sum of d 64**i, d = -32 .. 31; the highest is 0 or 1.
  static Extended add_multiple(Extended p, Words& scalars, const u64* table) {
    u64 offsets[4] = {};
    for (size_t window = 0; window + 1 < kWindows; ++window) {
      const size_t at = kWindowBits * window + kWindowBits - 1;
      offsets[at / 64] |= u64{1} << (at % 64);
    }
    for (size_t l = 0; l < lanes; ++l) {
      unsigned __int128 total = 0;
      for (int i = 0; i < 4; ++i) {
        const u64 word = i == 3 ? scalars.w[i][l] & ((u64{1} << 60) - 1) : scalars.w[i][l];
        total += static_cast<unsigned __int128>(word) + offsets[i];
        scalars.w[i][l] = static_cast<u64>(total);
        total >>= 64;
      }
    }
    const typename F::Bits bits = F::bits(scalars.w);
    for (size_t window = 0; window < kWindows; ++window) {
      E plus, minus, xyd;
      F::look_up(table + window * 3 * 5 * kEntries, bits, kWindowBits * window, window + 1 < kWindows ? kEntries : 0, plus,
                 minus, xyd);
      p = add_affine(p, plus, minus, xyd);
    }
    return {F::reduce(p.X), F::reduce(p.Y), F::reduce(p.Z), F::reduce(p.T)};
  }

  // --- kernels -----------------------------------------------------------------------------------------------

  static void multiply(const u8* scalars, size_t stride, const u8* points, u8* out, size_t begin, size_t end) {
    E n[kGroups], d[kGroups];
    Mask usable[kGroups];
    for (size_t at = begin; at < end;) {
      const size_t start = at;
      size_t count = 0;
      for (; count < kGroups && at < end; ++count, at += lanes) {
        Words words;
        gather(words, scalars, stride, at, end);
        const Ladder s = ladder(words, load(points, at, end));
        n[count] = s.x2;
        d[count] = s.z2;
        usable[count] = F::all();
      }
      invert_all(d, usable, count);
      for (size_t i = 0; i < count; ++i)
        store(product(n[i], d[i]), usable[i], out, start + i * lanes, end);
    }
  }

  static void encode(const u8* numbers, u8* out, size_t begin, size_t end) {
    E n[kGroups], d[kGroups];
    Mask usable[kGroups];
    for (size_t at = begin; at < end;) {
      const size_t start = at;
      size_t count = 0;
      for (; count < kGroups && at < end; ++count, at += lanes) {
        E v;
        elligator(load(numbers, at, end), n[count], d[count], v);
        for (int doubling = 0; doubling < 3; ++doubling) {
          const E AA = square(F::add(n[count], d[count])), BB = square(F::sub(n[count], d[count]));
          const E difference = F::sub(AA, BB);
          n[count] = product(AA, BB);
          d[count] = product(difference, F::add_a24(AA, difference));
        }
        usable[count] = F::all();
      }
      invert_all(d, usable, count);
      for (size_t i = 0; i < count; ++i)
        store(product(n[i], d[i]), usable[i], out, start + i * lanes, end);
    }
  }

  // u = (Z + Y) / (Z - Y), v = c u Z / X: both from the inverse of (Z - Y) X.
  static void blind(const u8* numbers, const u8* scalars, const u64* table, u8* u, u8* v, size_t begin, size_t end) {
    E un[kGroups], vn[kGroups], d[kGroups];
    Mask usable[kGroups];
    for (size_t at = begin; at < end;) {
      const size_t start = at;
      size_t count = 0;
      for (; count < kGroups && at < end; ++count, at += lanes) {
        E xn, xd, y;
        elligator(load(numbers, at, end), xn, xd, y);
        Words words;
        gather(words, scalars, kOctets, at, end);
        const Extended p = add_multiple(twice(twice(twice(to_edwards(xn, xd, y)))), words, table);
        const E plus = F::add(p.Z, p.Y), minus = F::sub(p.Z, p.Y);
        un[count] = product(plus, p.X);
        vn[count] = product(product(number(kEdwards), plus), p.Z);
        d[count] = product(minus, p.X);
        usable[count] = F::all();
      }
      invert_all(d, usable, count);
      for (size_t i = 0; i < count; ++i) {
        store(product(un[i], d[i]), usable[i], u, start + i * lanes, end);
        store(product(vn[i], d[i]), usable[i], v, start + i * lanes, end);
      }
    }
  }

  static void evaluate(const u8* scalar, const u8* points, u8* out, size_t begin, size_t end) {
    E un[kGroups], vn[kGroups], d[kGroups];
    Mask usable[kGroups];
    Words words;
    gather(words, scalar, 0, 0, 1);
    for (size_t at = begin; at < end;) {
      const size_t start = at;
      size_t count = 0;
      for (; count < kGroups && at < end; ++count, at += lanes) {
        const E u = load(points, at, end);
        recover(u, ladder(words, u), un[count], vn[count], d[count]);
        usable[count] = F::all();
      }
      invert_all(d, usable, count);
      for (size_t i = 0; i < count; ++i)
        store_point(product(un[i], d[i]), product(vn[i], d[i]), usable[i], out, start + i * lanes, end);
    }
  }

  static void unblind(const u8* points, const u8* v, const u8* scalars, const u64* table, u8* out, size_t begin,
                      size_t end) {
    E n[kGroups], d[kGroups];
    Mask usable[kGroups];
    for (size_t at = begin; at < end;) {
      const size_t start = at;
      size_t count = 0;
      for (; count < kGroups && at < end; ++count, at += lanes) {
        const Point q = open(points, at, end, load(v, at, end));
        Words words;
        gather(words, scalars, kOctets, at, end);
        const Extended p = add_multiple(to_edwards(q.u, number(kOne), q.v), words, table);
        n[count] = F::add(p.Z, p.Y);
        d[count] = F::reduce(F::sub(p.Z, p.Y));
        usable[count] = F::without(q.valid, F::is_zero(q.u));
      }
      invert_all(d, usable, count);
      for (size_t i = 0; i < count; ++i)
        store(product(n[i], d[i]), usable[i], out, start + i * lanes, end);
    }
  }

  static constexpr Kernels kernels() { return {lanes, &multiply, &encode, &blind, &evaluate, &unblind}; }
};

}  // namespace tacit::curve25519
