// Curve25519 one point at a time, in five digits of 51 bits with 128-bit products; and which kernels serve.
#include "curve25519_loops.hpp"

#include <memory>

#include "cpu.hpp"

namespace tacit::curve25519 {
namespace portable {
namespace {

constexpr u64 kLow = (u64{1} << 51) - 1;
using u128 = unsigned __int128;

struct Field {
  using Mask = u64;  // all ones or none
  static constexpr size_t lanes = 1;

  struct E {
    u64 l[5];
  };
  struct Bits {
    u64 w[4];
  };

  static TACIT_INLINE Mask none() { return 0; }
  static TACIT_INLINE Mask all() { return ~u64{0}; }
  static TACIT_INLINE Mask differ(Mask a, Mask b) { return a ^ b; }
  static TACIT_INLINE Mask without(Mask a, Mask b) { return a & ~b; }
  static TACIT_INLINE Mask mask(const u64* bits) { return 0 - (bits[0] & 1); }
  static TACIT_INLINE void spread(Mask m, u64* out) { out[0] = m; }

  static TACIT_INLINE E zero() { return {{0, 0, 0, 0, 0}}; }
  static TACIT_INLINE E constant(const u64* limbs) { return {{limbs[0], limbs[1], limbs[2], limbs[3], limbs[4]}}; }
  static TACIT_INLINE E constant_times_two_j() { return {{2 * 486662, 0, 0, 0, 0}}; }
  static TACIT_INLINE E select(Mask m, const E& yes, const E& no) {
    E r;
    for (int i = 0; i < 5; ++i) r.l[i] = no.l[i] ^ (m & (no.l[i] ^ yes.l[i]));
    return r;
  }
  static TACIT_INLINE void swap(Mask m, E& a, E& b) {
    for (int i = 0; i < 5; ++i) {
      const u64 x = m & (a.l[i] ^ b.l[i]);
      a.l[i] ^= x;
      b.l[i] ^= x;
    }
  }

  static TACIT_INLINE E reduce(const E& a) {
    return {{(a.l[0] & kLow) + 19 * (a.l[4] >> 51), (a.l[1] & kLow) + (a.l[0] >> 51), (a.l[2] & kLow) + (a.l[1] >> 51),
             (a.l[3] & kLow) + (a.l[2] >> 51), (a.l[4] & kLow) + (a.l[3] >> 51)}};
  }
  static TACIT_INLINE E add(const E& a, const E& b) {
    E r;
    for (int i = 0; i < 5; ++i) r.l[i] = a.l[i] + b.l[i];
    return r;
  }
  static TACIT_INLINE E sub(const E& a, const E& b) {  // + 4 p
    E r;
    for (int i = 0; i < 5; ++i) r.l[i] = a.l[i] + ((i == 0 ? kLow - 18 : kLow) << 2) - b.l[i];
    return r;
  }

  // Five columns, each below 2**115, to digits below 2**51 + 2**13.
  static TACIT_INLINE E carried(u128 c0, u128 c1, u128 c2, u128 c3, u128 c4) {
    E r;
    c1 += static_cast<u64>(c0 >> 51);
    c2 += static_cast<u64>(c1 >> 51);
    c3 += static_cast<u64>(c2 >> 51);
    c4 += static_cast<u64>(c3 >> 51);
    const u128 first = (static_cast<u64>(c0) & kLow) + static_cast<u128>(static_cast<u64>(c4 >> 51)) * 19;
    r.l[0] = static_cast<u64>(first) & kLow;
    r.l[1] = (static_cast<u64>(c1) & kLow) + static_cast<u64>(first >> 51);
    r.l[2] = static_cast<u64>(c2) & kLow;
    r.l[3] = static_cast<u64>(c3) & kLow;
    r.l[4] = static_cast<u64>(c4) & kLow;
    return r;
  }
  static TACIT_INLINE u128 wide(u64 a, u64 b) { return static_cast<u128>(a) * b; }
  static TACIT_INLINE E mul(const E& x, const E& y) {  // digits below 2**54
    const u64 a0 = x.l[0], a1 = x.l[1], a2 = x.l[2], a3 = x.l[3], a4 = x.l[4];
    const u64 b0 = y.l[0], b1 = y.l[1], b2 = y.l[2], b3 = y.l[3], b4 = y.l[4];
    const u64 s1 = 19 * b1, s2 = 19 * b2, s3 = 19 * b3, s4 = 19 * b4;
    return carried(wide(a0, b0) + wide(a1, s4) + wide(a2, s3) + wide(a3, s2) + wide(a4, s1),
                   wide(a0, b1) + wide(a1, b0) + wide(a2, s4) + wide(a3, s3) + wide(a4, s2),
                   wide(a0, b2) + wide(a1, b1) + wide(a2, b0) + wide(a3, s4) + wide(a4, s3),
                   wide(a0, b3) + wide(a1, b2) + wide(a2, b1) + wide(a3, b0) + wide(a4, s4),
                   wide(a0, b4) + wide(a1, b3) + wide(a2, b2) + wide(a3, b1) + wide(a4, b0));
  }
  static TACIT_INLINE E sqr(const E& x) {
    const u64 a0 = x.l[0], a1 = x.l[1], a2 = x.l[2], a3 = x.l[3], a4 = x.l[4];
    const u64 d0 = 2 * a0, d1 = 2 * a1, d2 = 2 * a2, d3 = 2 * a3, s3 = 19 * a3, s4 = 19 * a4;
    return carried(wide(a0, a0) + wide(d1, s4) + wide(d2, s3), wide(d0, a1) + wide(d2, s4) + wide(a3, s3),
                   wide(d0, a2) + wide(a1, a1) + wide(d3, s4), wide(d0, a3) + wide(d1, a2) + wide(a4, s4),
                   wide(d0, a4) + wide(d1, a3) + wide(a2, a2));
  }
  static TACIT_INLINE E add_a24(const E& base, const E& a) {
    constexpr u64 k = 121665;
    return carried(base.l[0] + wide(a.l[0], k), base.l[1] + wide(a.l[1], k), base.l[2] + wide(a.l[2], k),
                   base.l[3] + wide(a.l[3], k), base.l[4] + wide(a.l[4], k));
  }

  static E canonical(const E& a) {
    E r = reduce(reduce(a));
    const auto ripple = [&r] {
      for (int i = 0; i < 4; ++i) {
        r.l[i + 1] += r.l[i] >> 51;
        r.l[i] &= kLow;
      }
      const u64 c = r.l[4] >> 51;
      r.l[4] &= kLow;
      return c;
    };
    r.l[0] += 19 * ripple();
    r.l[0] += 19 * ripple();  // now below 2**255
    u64 q = r.l[0] + 19;
    for (int i = 1; i < 5; ++i) q = r.l[i] + (q >> 51);
    r.l[0] += 19 * (q >> 51);
    ripple();
    return r;
  }
  static TACIT_INLINE Mask is_zero(const E& a) {
    const E r = canonical(a);
    const u64 any = r.l[0] | r.l[1] | r.l[2] | r.l[3] | r.l[4];
    return ((any | (0 - any)) >> 63) - 1;
  }
  static TACIT_INLINE Mask odd(const E& a) { return 0 - (canonical(a).l[0] & 1); }

  static TACIT_INLINE E from_words(const u64 (*w)[lanes]) {
    const u64 a = w[0][0], b = w[1][0], c = w[2][0], d = w[3][0];
    return {{a & kLow, (a >> 51 | b << 13) & kLow, (b >> 38 | c << 26) & kLow, (c >> 25 | d << 39) & kLow, (d >> 12) & kLow}};
  }
  static TACIT_INLINE void to_words(const E& a, u64 (*w)[lanes]) {
    const E r = canonical(a);
    w[0][0] = r.l[0] | r.l[1] << 51;
    w[1][0] = r.l[1] >> 13 | r.l[2] << 38;
    w[2][0] = r.l[2] >> 26 | r.l[3] << 25;
    w[3][0] = r.l[3] >> 39 | r.l[4] << 12;
  }

  static TACIT_INLINE Bits bits(const u64 (*w)[lanes]) { return {{w[0][0], w[1][0], w[2][0], w[3][0]}}; }
  static TACIT_INLINE Mask bit(const Bits& b, int t) { return 0 - ((b.w[t >> 6] >> (t & 63)) & 1); }

  static TACIT_INLINE void look_up(const u64* window, const Bits& b, size_t at, u64 offset, E& plus, E& minus, E& xyd) {
    u64 digit = b.w[at / 64] >> (at % 64);
    if (at % 64 > 64 - kWindowBits && at / 64 < 3) digit |= b.w[at / 64 + 1] << (64 - at % 64);
    digit = (digit & 63) - offset;
    const Mask negative = 0 - (digit >> 63);
    const u64 magnitude = (digit ^ negative) - negative;
    E* const out[3] = {&plus, &minus, &xyd};
    plus = minus = constant(kOne);
    xyd = zero();
    for (u64 m = 1; m <= kEntries; ++m) {
      const u64 off = magnitude ^ m;
      const Mask here = ((off | (0 - off)) >> 63) - 1;
      for (int k = 0; k < 3; ++k)
        for (int i = 0; i < 5; ++i) {
          u64& limb = out[k]->l[i];
          limb ^= here & (limb ^ window[(k * 5 + i) * static_cast<int>(kEntries) + static_cast<int>(m) - 1]);
        }
    }
    swap(negative, plus, minus);
    xyd = select(negative, sub(zero(), xyd), xyd);
  }
};

using All = Loops<Field>;
using E = Field::E;

struct Niels {
  E plus, minus, xyd;
};

Niels niels(const All::Extended& p, const E& inverse) {
  const E x = All::product(p.X, inverse), y = All::product(p.Y, inverse);
  return {Field::canonical(Field::add(y, x)), Field::canonical(Field::sub(y, x)),
          Field::canonical(All::product(All::product(x, y), All::number(kTwiceD)))};
}

void write(const Niels& entry, u64* window, size_t m) {
  const E* const parts[3] = {&entry.plus, &entry.minus, &entry.xyd};
  for (size_t k = 0; k < 3; ++k)
    for (size_t i = 0; i < 5; ++i) window[(k * 5 + i) * kEntries + m - 1] = parts[k]->l[i];
}

}  // namespace

const Kernels kKernels = All::kernels();

bool fill_table(const u8* point, u64* table) {
  const All::Point p = All::open(point, 0, 1, All::number(kOne));
  if (p.valid == 0) return false;
  All::Extended base = All::to_edwards(p.u, All::number(kOne), p.v);
  const E order = All::twice(All::twice(All::twice(base))).X;
  if (Field::is_zero(p.u) || Field::is_zero(p.v) || Field::is_zero(order)) return false;
  for (size_t window = 0; window < kWindows; ++window) {
    u64* const out = table + window * 3 * 5 * kEntries;
    const Niels one = niels(base, All::invert(base.Z));
    All::Extended multiples[kEntries];
    multiples[0] = base;
    for (size_t m = 1; m < kEntries; ++m)
      multiples[m] = All::add_affine(multiples[m - 1], one.plus, one.minus, one.xyd);
    for (size_t half = 0; half < kEntries; half += All::kGroups) {
      E z[All::kGroups];
      Field::Mask usable[All::kGroups];
      for (size_t i = 0; i < All::kGroups; ++i) {
        z[i] = multiples[half + i].Z;
        usable[i] = Field::all();
      }
      All::invert_all(z, usable, All::kGroups);
      for (size_t i = 0; i < All::kGroups; ++i) write(niels(multiples[half + i], z[i]), out, half + i + 1);
    }
    base = All::twice(multiples[kEntries - 1]);
  }
  return true;
}

}  // namespace portable

bool fill_table(const u8* point, u64* table) { return portable::fill_table(point, table); }

const Kernels& kernels() noexcept {
#if defined(TACIT_X86)
  if (isa() == Isa::avx512) return avx512::kKernels;
  if (isa() == Isa::avx2) return avx2::kKernels;
#endif
  return portable::kKernels;
}

}  // namespace tacit::curve25519
