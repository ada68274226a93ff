// Functions that split over a difference, f(u - v) = sum_j left_j(u) * right_j(v) modulo 2^64: both sides, fused with what
// is done to them. src/tacit/primitive/mpc/separable.py has the mathematics.
//
// Factors are real numbers rounded to integers. They come from additions, products and square roots in a fixed order, each
// rounded as IEEE 754 has it, so that every instruction set gives the same words.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tacit::separable {

using std::size_t;
using u64 = std::uint64_t;

// sin and cos of h_k t, h_k = 1 + stride * k, t = 2 pi x turn / 2^64; two terms each. With `slope` two terms more: x times rate.
struct Series {
  u64 turn;
  int stride;  // 1 or 2
  size_t harmonics;
  double unit;  // what a factor of 1 is rounded to, on the side that is computed
  bool slope;
  u64 rate;

  size_t terms() const { return 2 * harmonics + (slope ? 2 : 0); }
};

// Powers of two on a circle of four digits of `octaves` octaves each, 2^64 being the full turn.
struct Window {
  static constexpr size_t kDigits = 4;
  u64 turn;
  u64 turned;  // added to the visible angle, to put the least exponent of the domain at angle zero
  int octaves;
  int exponent;  // of the least visible factor; of the largest hidden one
};

struct Kernels {
  // out[i] = sum_j left_j(u[i]) * dealt[j * n + i]; elements [begin, end) of n.
  void (*series_close)(const Series& f, const u64* u, const u64* dealt, u64* out, size_t n, size_t begin, size_t end);
  // out[j * n + i] = right_j(v[i]) - minus[j * n + i], of the series with these coefficients
  void (*series_deal)(const Series& f, const double* cosines, const double* sines, const u64* v, const u64* minus,
                      u64* out, size_t n, size_t begin, size_t end);
  void (*window_close)(const Window& f, const u64* u, const u64* dealt, u64* out, size_t n, size_t begin, size_t end);
  void (*window_deal)(const Window& f, const u64* v, const u64* minus, u64* out, size_t n, size_t begin, size_t end);
};

// The kernels of the instruction set in use.
const Kernels& kernels() noexcept;

namespace portable { extern const Kernels kernels; }
namespace avx2 { extern const Kernels kernels; }
namespace avx512 { extern const Kernels kernels; }

}  // namespace tacit::separable
