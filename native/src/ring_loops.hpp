// The ring kernels, written once and compiled once per instruction set: include it from one file per set, which has
// defined TACIT_RING_SET (a namespace).
//
// Plain loops that the compiler vectorises. Nothing from the standard library is called here: an inline function compiled for a wide set must
// not become the copy that the linker keeps for everybody.
#pragma once

#include "ring.hpp"

// Outputs may be the very memory of an input, which leaves iterations independent.
#if defined(__clang__)
#define TACIT_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define TACIT_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace tacit::ring::TACIT_RING_SET {
namespace {

using std::size_t;

void add(In a, In b, Out out, size_t n) {
  TACIT_INDEPENDENT
  for (size_t i = 0; i < n; ++i) out[i] = a[i] + b[i];
}

void sub(In a, In b, Out out, size_t n) {
  TACIT_INDEPENDENT
  for (size_t i = 0; i < n; ++i) out[i] = a[i] - b[i];
}

void neg(In a, Out out, size_t n) {
  TACIT_INDEPENDENT
  for (size_t i = 0; i < n; ++i) out[i] = 0 - a[i];
}

void mul(In a, In b, Out out, size_t n) {
  TACIT_INDEPENDENT
  for (size_t i = 0; i < n; ++i) out[i] = a[i] * b[i];
}

void mul_add(In a, In b, In c, Out out, size_t n) {
  TACIT_INDEPENDENT
  for (size_t i = 0; i < n; ++i) out[i] = a[i] * b[i] + c[i];
}

void scale(In a, u64 k, Out out, size_t n) {
  TACIT_INDEPENDENT
  for (size_t i = 0; i < n; ++i) out[i] = a[i] * k;
}

void axpy(u64 k, In a, Out out, size_t n) {
  TACIT_INDEPENDENT
  for (size_t i = 0; i < n; ++i) out[i] += k * a[i];
}

// X * Y - X * ry - Y * rx + t = X * (Y - ry) - Y * rx + t: the leader too needs two products only.
void product_close(In X, In Y, In rx, In ry, In t, u64 leader, Out out, size_t n) {
  const u64 mask = 0 - leader;
  TACIT_INDEPENDENT
  for (size_t i = 0; i < n; ++i) out[i] = X[i] * ((Y[i] & mask) - ry[i]) - Y[i] * rx[i] + t[i];
}

void truncate_close(In C0, In C1, In u, In m, int bits, u64 leader, Out out, size_t n) {
  const u64 mask = 0 - leader, offset = (u64{1} << (62 - bits)) & mask;
  TACIT_INDEPENDENT
  for (size_t i = 0; i < n; ++i) {
    const u64 C = C0[i] + C1[i];
    const u64 wrap = (C >> 63) - 1;  // all ones when the most significant bit is clear
    out[i] = ((C >> bits) & mask) - offset - u[i] + (m[i] & wrap);
  }
}

void truncate_deal(In s, In u0, In m0, int bits, Out u1, Out m1, size_t n) {
  const u64 weight = bits == 0 ? 0 : u64{1} << (64 - bits);
  TACIT_INDEPENDENT
  for (size_t i = 0; i < n; ++i) {
    const u64 mask = s[i], low = u0[i], high = m0[i];
    u1[i] = (mask >> bits) - low;
    m1[i] = ((0 - (mask >> 63)) & weight) - high;
  }
}

// Calls body(first, count, word) for each word of packed bits; count is 64 but for the last one.
template <class Body>
inline void by_word(In bits, size_t n, Body body) {
  size_t first = 0;
  for (; first + 64 <= n; first += 64) body(first, size_t{64}, bits[first / 64]);
  if (first < n) body(first, n - first, bits[first / 64]);
}

// All ones where bit e of `word` is set.
inline u64 spread(u64 word, size_t e) { return 0 - ((word >> e) & 1); }

// (1 - 2 b) * value for b given as a mask.
inline u64 flipped(u64 value, u64 b) { return (value ^ b) - b; }

void select_close(In bits, In X, In rho, In sigma, In share, Out out, size_t n) {
  by_word(bits, n, [=](size_t first, size_t count, u64 word) __attribute__((always_inline)) {
    TACIT_INDEPENDENT
    for (size_t e = 0; e < count; ++e) {
      const size_t i = first + e;
      const u64 b = spread(word, e);
      out[i] = (share[i] & b) + flipped(X[i] * rho[i] - sigma[i], b);
    }
  });
}

void select_deal(In beta, In r, In rho0, In sigma0, Out rho1, Out sigma1, size_t n) {
  by_word(beta, n, [=](size_t first, size_t count, u64 word) __attribute__((always_inline)) {
    TACIT_INDEPENDENT
    for (size_t e = 0; e < count; ++e) {
      const size_t i = first + e;
      const u64 b = spread(word, e), mask = r[i] & b, rho = rho0[i], sigma = sigma0[i];
      rho1[i] = (b & 1) - rho;
      sigma1[i] = mask - sigma;
    }
  });
}

void bit_to_ring_close(In bits, In rho, u64 leader, Out out, size_t n) {
  by_word(bits, n, [=](size_t first, size_t count, u64 word) __attribute__((always_inline)) {
    TACIT_INDEPENDENT
    for (size_t e = 0; e < count; ++e) {
      const u64 b = spread(word, e);
      out[first + e] = (b & leader) + flipped(rho[first + e], b);
    }
  });
}

inline u64 bits_of(double value) {
  u64 bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

constexpr double kTwo32 = 4294967296.0;
constexpr double kTwo62 = 4611686018427387904.0;
// Adding 1.5 * 2^52 rounds a double below 2^51 in magnitude to an integer, half to even, and leaves it in the low bits.
constexpr double kRounder = 6755399441055744.0;

// Round half to even, for |value| < 2^62: in two exact halves, because no vector conversion to 64-bit integers exists
// before AVX-512. `high` is a multiple of 2^32 nearest to value, so value - high is exact.
inline u64 rounded(double value) {
  const double shifted = value * (1 / kTwo32) + kRounder;
  const double low = (value - (shifted - kRounder) * kTwo32) + kRounder;
  return ((bits_of(shifted) - bits_of(kRounder)) << 32) + (bits_of(low) - bits_of(kRounder));
}

inline bool encodable(double scaled) { return __builtin_fabs(scaled) < kTwo62; }  // false for NaN

size_t encode(const double* values, int bits, Out out, size_t n) {
  const double factor = static_cast<double>(u64{1} << bits);
  constexpr size_t block = 1024;
  size_t first_refused = n;
  for (size_t begin = 0; begin < n; begin += block) {
    const size_t end = begin + block < n ? begin + block : n;
    u64 all = ~u64{0};
    TACIT_INDEPENDENT
    for (size_t i = begin; i < end; ++i) {
      const double scaled = values[i] * factor;
      const u64 ok = 0 - static_cast<u64>(encodable(scaled));
      out[i] = rounded(scaled) & ok;
      all &= ok;
    }
    if (all == 0 && first_refused == n) {
      first_refused = begin;
      while (encodable(values[first_refused] * factor)) ++first_refused;
    }
  }
  return first_refused;
}

void decode(In a, int bits, double* out, size_t n) {
  const double factor = 1 / static_cast<double>(u64{1} << bits);
  TACIT_INDEPENDENT
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<double>(static_cast<std::int64_t>(a[i])) * factor;
}

}  // namespace

const Kernels kernels = {add,           sub,         neg,         mul,
                         mul_add,       scale,       axpy,        product_close,
                         truncate_close, truncate_deal, select_close, select_deal,
                         bit_to_ring_close, encode,  decode};

}  // namespace tacit::ring::TACIT_RING_SET
