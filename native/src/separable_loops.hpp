// The separable kernels, written once and compiled once per instruction set: include it from one file per set, which has
// defined TACIT_SEPARABLE_SET (a namespace). Plain loops over blocks that stay in the first-level cache; the compiler
// vectorises them, and must not contract a product and a sum into one rounding (-ffp-contract=off).
#pragma once

#include "separable.hpp"

namespace tacit::separable::TACIT_SEPARABLE_SET {
namespace {

constexpr size_t kBlock = 128;
using Reals = double[kBlock];

constexpr double kRounder = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds a double below 2^51 to an integer
constexpr double kTwoPi = 6.283185307179586477;
constexpr double kTwo62 = 4611686018427387904.0;

inline u64 bits_of(double value) {
  u64 bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline double real_of(u64 bits) {
  double value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return value;
}

inline u64 rounded(double value) { return bits_of(value + kRounder) - bits_of(kRounder); }
inline double real(u64 word) { return static_cast<double>(static_cast<std::int64_t>(word)); }

// Sine and cosine of 2 pi x turn / 2^64: Taylor on a quarter of the angle, where cos = sqrt(1 - sin^2) is at least 0.7
// and nothing cancels, then two doublings. Error 2^-43.
void circle(const u64* x, u64 turn, double* sine, double* cosine, size_t n) {
  constexpr double taylor[] = {1.0, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880, -1.0 / 39916800, 1.0 / 6227020800};
  for (size_t i = 0; i < n; ++i) {
    const double quarter = real(x[i] * turn) * (kTwoPi / 4 / (4 * kTwo62));
    const double square = quarter * quarter;
    double s = taylor[6];
    for (int j = 5; j >= 0; --j) s = s * square + taylor[j];
    s *= quarter;
    double c = __builtin_sqrt(1.0 - s * s);
    for (int doubling = 0; doubling < 2; ++doubling) {
      const double twice = s * c, squared = s * s;
      s = twice + twice;
      c = 1.0 - (squared + squared);
    }
    sine[i] = s;
    cosine[i] = c;
  }
}

// 2^y for |y| < 1000: a polynomial on [-1/2, 1/2], error 2^-47, and the integer part into the exponent.
inline double power_of_two(double y) {
  constexpr double c[] = {1.0,
                          0.69314718055994530942,
                          0.24022650695910071233,
                          0.055504108664821579953,
                          0.0096181291076284771620,
                          0.0013333558146428443423,
                          0.00015403530393381609954,
                          1.5252733804059840280e-05,
                          1.3215486790144309488e-06,
                          1.0178086009239699727e-07,
                          7.0549116208011233299e-09,
                          4.4455382718708114976e-10};
  const double shifted = y + kRounder;
  const double f = y - (shifted - kRounder);
  double p = c[11];
  for (int j = 10; j >= 0; --j) p = p * f + c[j];
  return real_of(bits_of(p) + ((bits_of(shifted) - bits_of(kRounder)) << 52));
}

// Calls use(k, sin(h_k t) * unit, cos(h_k t) * unit) for rows of a block: s_(k+1) = 2 cos(stride t) s_k - s_(k-1).
template <class Use>
inline void harmonics(const Series& f, const u64* x, size_t n, Use use) {
  alignas(64) Reals rows[3][2], factor;
  double(*before)[kBlock] = rows[0], (*now)[kBlock] = rows[1], (*next)[kBlock] = rows[2];
  circle(x, f.turn, now[0], now[1], n);
  const double unit = f.unit;
  const bool odd = f.stride == 2;
  for (size_t i = 0; i < n; ++i) {
    const double s = now[0][i], c = now[1][i];
    factor[i] = odd ? 4.0 * (c * c) - 2.0 : 2.0 * c;
    now[0][i] = s * unit;
    now[1][i] = c * unit;
    before[0][i] = odd ? -(s * unit) : 0.0;  // one stride before the first harmonic
    before[1][i] = odd ? c * unit : unit;
  }
  for (size_t k = 0;; ++k) {
    use(k, now[0], now[1]);
    if (k + 1 == f.harmonics) return;
    for (size_t i = 0; i < n; ++i) {
      next[0][i] = factor[i] * now[0][i] - before[0][i];
      next[1][i] = factor[i] * now[1][i] - before[1][i];
    }
    double(*const oldest)[kBlock] = before;
    before = now;
    now = next;
    next = oldest;
  }
}

// Calls body(first, count) for the blocks of [begin, end).
template <class Body>
inline void by_block(size_t begin, size_t end, Body body) {
  for (size_t first = begin; first < end; first += kBlock)
    body(first, end - first < kBlock ? end - first : kBlock);
}

void series_close(const Series& f, const u64* u, const u64* dealt, u64* out, size_t n, size_t begin, size_t end) {
  by_block(begin, end, [&](size_t first, size_t count) {
    alignas(64) u64 sum[kBlock] = {};
    harmonics(f, u + first, count, [&](size_t k, const double* sine, const double* cosine) {
      const u64 *a = dealt + 2 * k * n + first, *b = a + n;
      for (size_t i = 0; i < count; ++i) sum[i] += rounded(sine[i]) * a[i] + rounded(cosine[i]) * b[i];
    });
    if (f.slope) {
      const u64 *a = dealt + 2 * f.harmonics * n + first, *b = a + n;
      for (size_t i = 0; i < count; ++i) sum[i] += u[first + i] * f.rate * a[i] + b[i];
    }
    for (size_t i = 0; i < count; ++i) out[first + i] = sum[i];
  });
}

// sin(h a) meets c sin(h b) + s cos(h b); cos(h a) meets c cos(h b) - s sin(h b).
void series_deal(const Series& f, const double* cosines, const double* sines, const u64* v, const u64* minus, u64* out,
                 size_t n, size_t begin, size_t end) {
  by_block(begin, end, [&](size_t first, size_t count) {
    harmonics(f, v + first, count, [&](size_t k, const double* sine, const double* cosine) {
      const size_t a = 2 * k * n + first, b = a + n;
      const double c = cosines[k], s = sines[k];
      for (size_t i = 0; i < count; ++i) {
        out[a + i] = rounded(c * sine[i] + s * cosine[i]) - minus[a + i];
        out[b + i] = rounded(c * cosine[i] - s * sine[i]) - minus[b + i];
      }
    });
    if (f.slope) {
      const size_t a = 2 * f.harmonics * n + first, b = a + n;
      for (size_t i = 0; i < count; ++i) {
        out[a + i] = 1 - minus[a + i];
        out[b + i] = 0 - v[first + i] * f.rate - minus[b + i];
      }
    }
  });
}

// The octaves below the angle's high digit.
inline double low_digit(u64 angle, double octaves) {
  return real(angle << 2 >> 1) * (octaves / (2 * kTwo62));  // below 2^63, so that the signed conversion serves
}

void window_close(const Window& f, const u64* u, const u64* dealt, u64* out, size_t n, size_t begin, size_t end) {
  const u64 step = static_cast<u64>(f.octaves) << 52;  // one digit up, in the exponent field
  by_block(begin, end, [&](size_t first, size_t count) {
    for (size_t i = first; i < first + count; ++i) {
      const u64 angle = u[i] * f.turn + f.turned, high = angle >> 62;
      const u64 base = bits_of(power_of_two(low_digit(angle, f.octaves) + f.exponent));
      u64 sum = 0;
      for (u64 j = 0; j < Window::kDigits; ++j)
        sum += rounded(real_of(base + ((high - j) & 3) * step)) * dealt[j * n + i];
      out[i] = sum;
    }
  });
}

void window_deal(const Window& f, const u64* v, const u64* minus, u64* out, size_t n, size_t begin, size_t end) {
  by_block(begin, end, [&](size_t first, size_t count) {
    alignas(64) u64 factor[kBlock], high[kBlock];
    for (size_t i = 0; i < count; ++i) {
      const u64 angle = v[first + i] * f.turn;
      high[i] = angle >> 62;
      factor[i] = rounded(power_of_two(f.exponent - low_digit(angle, f.octaves)));
    }
    for (u64 j = 0; j < Window::kDigits; ++j)
      for (size_t i = 0; i < count; ++i)
        out[j * n + first + i] = (high[i] == j ? factor[i] : 0) - minus[j * n + first + i];
  });
}

}  // namespace

const Kernels kernels = {series_close, series_deal, window_close, window_deal};

}  // namespace tacit::separable::TACIT_SEPARABLE_SET
