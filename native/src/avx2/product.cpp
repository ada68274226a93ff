// Product kernels on 256-bit vectors, which multiply 32-bit words only.
//
// With x = x1 2^32 + x0, x y = x0 y0 + 2^32 (x0 y1 + x1 y0) modulo 2^64. VPMULUDQ gives x0 y0; VPMULLD of x and of y
// with its halves swapped gives the low words of both cross products at once. The two kinds of sum are kept apart and
// are joined once at the end, so that a product costs two multiplications, two additions and a shuffle.
//
// Nothing here may come from a standard header's templates: the linker could keep this file's copy for everyone.
#include "product_kernels.hpp"

#include <immintrin.h>

namespace tacit {
namespace {

using u64 = std::uint64_t;
using vec = __m256i;
constexpr std::size_t kLanes = 4, kRows = 4, kVectors = 2, kCols = kVectors * kLanes;

vec load(const u64* at) { return _mm256_loadu_si256(reinterpret_cast<const vec*>(at)); }
void put(u64* at, vec value) { _mm256_storeu_si256(reinterpret_cast<vec*>(at), value); }
vec spread(u64 word) { return _mm256_set1_epi64x(static_cast<long long>(word)); }
vec swap(vec x) { return _mm256_shuffle_epi32(x, 0xb1); }
vec add(vec x, vec y) { return _mm256_add_epi64(x, y); }
vec negated(vec x) { return _mm256_sub_epi64(_mm256_setzero_si256(), x); }

// All ones in the first `lanes` lanes.
vec first(std::size_t lanes) { return _mm256_cmpgt_epi64(spread(lanes), _mm256_set_epi64x(3, 2, 1, 0)); }
std::size_t inside(std::size_t cols, std::size_t v) {
  const std::size_t left = cols - v * kLanes;
  return left < kLanes ? left : kLanes;
}
vec load(const u64* at, std::size_t lanes) {
  if (lanes == kLanes) return load(at);
  return _mm256_maskload_epi64(reinterpret_cast<const long long*>(at), first(lanes));
}

// A sum of products in two parts: low products, and pairs of 32-bit cross products.
struct Sum {
  vec low = _mm256_setzero_si256(), cross = _mm256_setzero_si256();

  void multiply_add(vec x, vec y, vec y_swapped) {
    low = add(low, _mm256_mul_epu32(x, y));
    cross = _mm256_add_epi32(cross, _mm256_mullo_epi32(x, y_swapped));
  }
  vec total() const { return add(low, _mm256_slli_epi64(add(cross, _mm256_srli_epi64(cross, 32)), 32)); }
};

void store(u64* at, vec value, std::size_t lanes, bool keep, bool negate) {
  if (negate) value = negated(value);
  if (lanes == kLanes) {
    put(at, keep ? add(value, load(at)) : value);
    return;
  }
  if (keep) value = add(value, load(at, lanes));
  _mm256_maskstore_epi64(reinterpret_cast<long long*>(at), first(lanes), value);
}

// ---- packed tiles -------------------------------------------------------------------------------------------------

// Rows r and r + 1 of a tile: sixteen registers hold no more.
template <int V>
void two_rows(const Tile& t, std::size_t row) {
  Sum sum[2][V];
  const u64* a = t.a + row;
  const u64* b = t.b;
  for (std::size_t d = 0; d < t.depth; d += 2, a += 2 * kRows, b += 2 * V * kLanes) {
#pragma GCC unroll 2
    for (int r = 0; r < 2; ++r) {
      const vec a_even = spread(a[r]), a_odd = spread(a[kRows + static_cast<std::size_t>(r)]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        const vec y = add(a_odd, load(b + v * kLanes));
        sum[r][v].multiply_add(add(a_even, load(b + (V + v) * kLanes)), y, swap(y));
      }
    }
  }
  for (std::size_t r = 0; r < 2 && row + r < t.rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      const vec pairs = add(spread(t.a_sums[row + r]), load(t.b_sums + v * kLanes));
      const vec value = _mm256_sub_epi64(sum[r][v].total(), pairs);
      store(t.sink.data + t.row_at[row + r] + v * kLanes, value, inside(t.cols, static_cast<std::size_t>(v)),
            t.sink.keep, t.sink.negate);
    }
}

void tile(const Tile& t) {
  for (std::size_t row = 0; row < t.rows; row += 2) {
    if (t.cols > kLanes)
      two_rows<2>(t, row);
    else
      two_rows<1>(t, row);
  }
}

// ---- products in place --------------------------------------------------------------------------------------------

template <int R, int V>
void direct_of(const Direct& t, std::size_t i, std::size_t j, std::size_t cols) {
  Sum sum[R][V];
  const u64* a = t.a + static_cast<std::ptrdiff_t>(i) * t.a_row;
  const u64* b = t.b + j;
  const std::size_t last = inside(cols, V - 1);
  for (std::size_t d = 0; d < t.k; ++d, a += t.a_col, b += t.b_row) {
    vec column[V], swapped[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      column[v] = v + 1 == V ? load(b + v * kLanes, last) : load(b + v * kLanes);
      swapped[v] = swap(column[v]);
    }
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r) {
      const vec row = spread(a[r * t.a_row]);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[r][v].multiply_add(row, column[v], swapped[v]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int v = 0; v < V; ++v) {
      const std::size_t lanes = inside(cols, static_cast<std::size_t>(v));
      const auto column = static_cast<std::ptrdiff_t>(j) + v * static_cast<std::ptrdiff_t>(kLanes);
      u64* out = t.out + (static_cast<std::ptrdiff_t>(i) + r) * t.out_row + column * t.out_col;
      if (t.out_col == 1) {
        store(out, sum[r][v].total(), lanes, t.keep, t.negate);
        continue;
      }
      u64 spill[kLanes];
      put(spill, t.negate ? negated(sum[r][v].total()) : sum[r][v].total());
      for (std::size_t c = 0; c < lanes; ++c) {
        u64& at = out[static_cast<std::ptrdiff_t>(c) * t.out_col];
        at = t.keep ? at + spill[c] : spill[c];
      }
    }
}

void direct(const Direct& t) {
  for (std::size_t i = 0; i < t.m; i += 2)
    for (std::size_t j = 0; j < t.n; j += kCols) {
      const std::size_t cols = t.n - j < kCols ? t.n - j : kCols;
      if (t.m - i >= 2)
        cols > kLanes ? direct_of<2, 2>(t, i, j, cols) : direct_of<2, 1>(t, i, j, cols);
      else
        cols > kLanes ? direct_of<1, 2>(t, i, j, cols) : direct_of<1, 1>(t, i, j, cols);
    }
}

// ---- inner products -----------------------------------------------------------------------------------------------

u64 lane_sum(vec x) {
  const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  return static_cast<u64>(_mm_cvtsi128_si64(half)) + static_cast<u64>(_mm_extract_epi64(half, 1));
}

// R rows of a (the last repeated where fewer are left) against row j of b.
template <std::size_t R>
void dots_of(const Dots& t, std::size_t i, std::size_t rows, std::size_t j) {
  const u64* a[R];
  for (std::size_t r = 0; r < R; ++r)
    a[r] = t.a + static_cast<std::ptrdiff_t>(i + (r < rows ? r : rows - 1)) * t.a_row;
  const u64* b = t.b + static_cast<std::ptrdiff_t>(j) * t.b_row;
  Sum sum[R];
  std::size_t d = 0;
  for (; d + kLanes <= t.k; d += kLanes) {
    const vec column = load(b + d), swapped = swap(column);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) sum[r].multiply_add(load(a[r] + d), column, swapped);
  }
  if (d < t.k) {
    const vec mask = first(t.k - d);
    const vec column = _mm256_maskload_epi64(reinterpret_cast<const long long*>(b + d), mask), swapped = swap(column);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r)
      sum[r].multiply_add(_mm256_maskload_epi64(reinterpret_cast<const long long*>(a[r] + d), mask), column, swapped);
  }
  for (std::size_t r = 0; r < rows; ++r) {
    const u64 total = lane_sum(sum[r].total());
    u64& at = t.out[static_cast<std::ptrdiff_t>(i + r) * t.out_row + static_cast<std::ptrdiff_t>(j) * t.out_col];
    at = (t.keep ? at : 0) + (t.negate ? ~total + 1 : total);
  }
}

void dots(const Dots& t) {
  const std::size_t step = t.one_by_one ? 1 : kRows;
  for (std::size_t i = 0; i < t.m; i += step)
    for (std::size_t j = 0; j < t.n; ++j)
      t.one_by_one ? dots_of<1>(t, i, 1, j) : dots_of<kRows>(t, i, t.m - i < kRows ? t.m - i : kRows, j);
}

// ---- packing ------------------------------------------------------------------------------------------------------

void gather(u64* to, std::size_t width, const u64* const* rows, std::size_t depth) {
  for (std::size_t i = 0; i < width; i += kLanes) {
    std::size_t d = 0;
    for (; d + kLanes <= depth; d += kLanes) {
      const vec x0 = load(rows[i] + d), x1 = load(rows[i + 1] + d);
      const vec x2 = load(rows[i + 2] + d), x3 = load(rows[i + 3] + d);
      const vec low01 = _mm256_unpacklo_epi64(x0, x1), high01 = _mm256_unpackhi_epi64(x0, x1);
      const vec low23 = _mm256_unpacklo_epi64(x2, x3), high23 = _mm256_unpackhi_epi64(x2, x3);
      u64* at = to + d * width + i;
      put(at, _mm256_permute2x128_si256(low01, low23, 0x20));
      put(at + width, _mm256_permute2x128_si256(high01, high23, 0x20));
      put(at + 2 * width, _mm256_permute2x128_si256(low01, low23, 0x31));
      put(at + 3 * width, _mm256_permute2x128_si256(high01, high23, 0x31));
    }
    for (; d < depth; ++d)
      for (std::size_t r = i; r < i + kLanes; ++r) to[d * width + r] = rows[r][d];
  }
}

void pair_sums(const u64* panel, std::size_t width, std::size_t depth, u64* sums) {
  for (std::size_t i = 0; i < width; i += kLanes) {
    Sum sum;
    for (std::size_t d = 0; d < depth; d += 2) {
      const vec odd = load(panel + (d + 1) * width + i);
      sum.multiply_add(load(panel + d * width + i), odd, swap(odd));
    }
    put(sums + i, sum.total());
  }
}

}  // namespace

const ProductKernels kAvx2Products = {kRows, kCols, kLanes, tile, direct, dots, gather, pair_sums};

}  // namespace tacit
