// Product kernels on 512-bit vectors: VPMULLQ multiplies eight words at once.
//
// Nothing here may come from a standard header's templates: the linker could keep this file's copy for everyone.
#include "product_kernels.hpp"

#if defined(__GNUC__) && !defined(__clang__)
// GCC 12 takes its own _mm512_undefined_epi32(), the unused operand of several intrinsics, for a mistake of ours.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <immintrin.h>

namespace tacit {
namespace {

using u64 = std::uint64_t;
using vec = __m512i;
constexpr std::ptrdiff_t kBytes = sizeof(u64);
constexpr std::size_t kLanes = 8, kRows = 8, kVectors = 3, kCols = kVectors * kLanes;

vec load(const u64* at) { return _mm512_loadu_si512(at); }
vec spread(u64 word) { return _mm512_set1_epi64(static_cast<long long>(word)); }
vec multiply(vec x, vec y) { return _mm512_mullo_epi64(x, y); }
vec add(vec x, vec y) { return _mm512_add_epi64(x, y); }
__mmask8 first(std::size_t lanes) { return static_cast<__mmask8>((1U << lanes) - 1U); }

void store(u64* at, vec value, __mmask8 mask, bool keep, bool negate) {
  if (negate) value = _mm512_sub_epi64(_mm512_setzero_si512(), value);
  if (keep) value = add(value, _mm512_maskz_loadu_epi64(mask, at));
  _mm512_mask_storeu_epi64(at, mask, value);
}

// The lanes of column vector v that are inside a block of `cols` columns.
__mmask8 inside(std::size_t cols, std::size_t v) {
  const std::size_t left = cols - v * kLanes;
  return left >= kLanes ? static_cast<__mmask8>(0xff) : first(left);
}

// ---- packed tiles -------------------------------------------------------------------------------------------------

template <int R, int V>
void tile_of(const Tile& t) {
  vec sum[R][V];
  const u64* a = t.a;
  const u64* b = t.b;
  for (int r = 0; r < R; ++r)  // the results arrive from far away while the sums are formed
    for (int v = 0; v < V; ++v) _mm_prefetch(t.sink.data + t.row_at[r] + v * kLanes, _MM_HINT_T0);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const vec row = spread(t.a_sums[r]);
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      sum[r][v] = _mm512_sub_epi64(_mm512_setzero_si512(), add(row, load(t.b_sums + v * kLanes)));
  }
  for (std::size_t d = 0; d < t.depth; d += 2, a += 2 * kRows, b += 2 * V * kLanes) {
    vec even[V], odd[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) even[v] = load(b + v * kLanes), odd[v] = load(b + (V + v) * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const vec a_even = spread(a[r]), a_odd = spread(a[kRows + static_cast<std::size_t>(r)]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[r][v] = add(sum[r][v], multiply(add(a_even, odd[v]), add(a_odd, even[v])));
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      store(t.sink.data + t.row_at[r] + v * kLanes, sum[r][v], inside(t.cols, static_cast<std::size_t>(v)), t.sink.keep,
            t.sink.negate);
}

using TileFunction = void (*)(const Tile&);
constexpr TileFunction kTiles[kRows][kVectors] = {
    {tile_of<1, 1>, tile_of<1, 2>, tile_of<1, 3>}, {tile_of<2, 1>, tile_of<2, 2>, tile_of<2, 3>},
    {tile_of<3, 1>, tile_of<3, 2>, tile_of<3, 3>}, {tile_of<4, 1>, tile_of<4, 2>, tile_of<4, 3>},
    {tile_of<5, 1>, tile_of<5, 2>, tile_of<5, 3>}, {tile_of<6, 1>, tile_of<6, 2>, tile_of<6, 3>},
    {tile_of<7, 1>, tile_of<7, 2>, tile_of<7, 3>}, {tile_of<8, 1>, tile_of<8, 2>, tile_of<8, 3>}};

void tile(const Tile& t) { kTiles[t.rows - 1][(t.cols - 1) / kLanes](t); }

// ---- products in place --------------------------------------------------------------------------------------------

// `cols` columns from b and out on, all t.k of the depth.
template <int R, int V>
void direct_of(const Direct& t, const u64* a, const u64* b, u64* out, std::size_t cols) {
  vec sum[R][V];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) sum[r][v] = _mm512_setzero_si512();
  const __mmask8 last = inside(cols, V - 1);
  // Rows that follow each other closely are over before the processor notices a stream: fetch the next R of them, a
  // cache line at each step.
  const char* next = reinterpret_cast<const char*>(a) + R * t.a_row * kBytes;
  for (std::size_t d = 0; d < t.k; ++d, a += t.a_col, b += t.b_row) {
    const auto line = static_cast<std::ptrdiff_t>(d);
    _mm_prefetch(next + ((line & 7) * t.a_row + (line & ~7)) * kBytes, _MM_HINT_T0);
    vec column[V];
#pragma GCC unroll 4
    for (int v = 0; v < V - 1; ++v) column[v] = load(b + v * kLanes);
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v)
      _mm_prefetch(reinterpret_cast<const char*>(b + v * kLanes) + t.ahead * kBytes, _MM_HINT_T1);
    column[V - 1] = _mm512_maskz_loadu_epi64(last, b + (V - 1) * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const vec row = spread(a[r * t.a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[r][v] = add(sum[r][v], multiply(row, column[v]));
    }
  }
  if (t.out_col == 1) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        store(out + r * t.out_row + v * static_cast<std::ptrdiff_t>(kLanes), sum[r][v],
              inside(cols, static_cast<std::size_t>(v)), t.keep, t.negate);
    return;
  }
  u64 spill[R][V * kLanes];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      _mm512_storeu_si512(&spill[r][static_cast<std::size_t>(v) * kLanes],
                          t.negate ? _mm512_sub_epi64(_mm512_setzero_si512(), sum[r][v]) : sum[r][v]);
  for (std::size_t j = 0; j < cols; ++j)
    for (int r = 0; r < R; ++r) {
      u64& at = out[r * t.out_row + static_cast<std::ptrdiff_t>(j) * t.out_col];
      at = t.keep ? at + spill[r][j] : spill[r][j];
    }
}

using DirectFunction = void (*)(const Direct&, const u64*, const u64*, u64*, std::size_t);
constexpr DirectFunction kDirect[kRows][kVectors] = {
    {direct_of<1, 1>, direct_of<1, 2>, direct_of<1, 3>}, {direct_of<2, 1>, direct_of<2, 2>, direct_of<2, 3>},
    {direct_of<3, 1>, direct_of<3, 2>, direct_of<3, 3>}, {direct_of<4, 1>, direct_of<4, 2>, direct_of<4, 3>},
    {direct_of<5, 1>, direct_of<5, 2>, direct_of<5, 3>}, {direct_of<6, 1>, direct_of<6, 2>, direct_of<6, 3>},
    {direct_of<7, 1>, direct_of<7, 2>, direct_of<7, 3>}, {direct_of<8, 1>, direct_of<8, 2>, direct_of<8, 3>}};

void direct(const Direct& t) {
  const DirectFunction wide_row = direct_of<1, 8>;
  for (std::size_t i = 0; i < t.m; i += kRows) {
    const std::size_t rows = t.m - i < kRows ? t.m - i : kRows;
    const u64* a = t.a + static_cast<std::ptrdiff_t>(i) * t.a_row;
    u64* out = t.out + static_cast<std::ptrdiff_t>(i) * t.out_row;
    std::size_t j = 0;
    // One row alone has too few sums to hide the latency of the adder in 24 columns; take 64.
    if (rows == 1)
      for (; j + 8 * kLanes <= t.n; j += 8 * kLanes)
        wide_row(t, a, t.b + j, out + static_cast<std::ptrdiff_t>(j) * t.out_col, 8 * kLanes);
    for (; j < t.n; j += kCols) {
      const std::size_t cols = t.n - j < kCols ? t.n - j : kCols;
      kDirect[rows - 1][(cols - 1) / kLanes](t, a, t.b + j, out + static_cast<std::ptrdiff_t>(j) * t.out_col, cols);
    }
  }
}

// ---- inner products -----------------------------------------------------------------------------------------------

// Lane i of the result is the sum of the lanes of x[i].
vec transpose_add(const vec* x) {
  vec pair[4], quad[2];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i)
    pair[i] = add(_mm512_unpacklo_epi64(x[2 * i], x[2 * i + 1]), _mm512_unpackhi_epi64(x[2 * i], x[2 * i + 1]));
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    const vec low = _mm512_shuffle_i64x2(pair[2 * i], pair[2 * i + 1], 0x88);
    const vec high = _mm512_shuffle_i64x2(pair[2 * i], pair[2 * i + 1], 0xdd);
    quad[i] = add(low, high);  // 128-bit blocks: two of pair[2i], two of pair[2i+1]
  }
  return add(_mm512_shuffle_i64x2(quad[0], quad[1], 0x88), _mm512_shuffle_i64x2(quad[0], quad[1], 0xdd));
}

// sum[c][r] = the products of row r of a and row c of b, lane by lane.
template <int C, std::size_t Rows>
void row_products(const u64* const* a, const u64* b, std::ptrdiff_t b_row, std::size_t depth, vec (*sum)[Rows]) {
  vec s[C][Rows];
#pragma GCC unroll 4
  for (int c = 0; c < C; ++c)
#pragma GCC unroll 8
    for (std::size_t r = 0; r < Rows; ++r) s[c][r] = _mm512_setzero_si512();
  const auto step = [&](std::size_t d, __mmask8 mask) __attribute__((always_inline)) {
    vec column[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) column[c] = _mm512_maskz_loadu_epi64(mask, b + c * b_row + d);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < Rows; ++r) {
      const vec row = _mm512_maskz_loadu_epi64(mask, a[r] + d);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) s[c][r] = add(s[c][r], multiply(row, column[c]));
    }
  };
  std::size_t d = 0;
  for (; d + kLanes <= depth; d += kLanes) step(d, 0xff);
  if (d < depth) step(d, first(depth - d));
#pragma GCC unroll 4
  for (int c = 0; c < C; ++c)
#pragma GCC unroll 8
    for (std::size_t r = 0; r < Rows; ++r) sum[c][r] = s[c][r];
}

// Eight rows of a (the last repeated where fewer are left) against C rows of b.
template <int C>
void dots_of(const Dots& t, std::size_t i, std::size_t rows, std::size_t j) {
  const u64* a[kRows];
  for (std::size_t r = 0; r < kRows; ++r)
    a[r] = t.a + static_cast<std::ptrdiff_t>(i + (r < rows ? r : rows - 1)) * t.a_row;
  const u64* b = t.b + static_cast<std::ptrdiff_t>(j) * t.b_row;
  vec sum[C][kRows];
  if (!t.one_by_one) {
    row_products<C, kRows>(a, b, t.b_row, t.k, sum);
  } else {
    for (std::size_t r = 0; r < kRows; ++r) {
      vec one[C][1];
      row_products<C, 1>(a + r, b, t.b_row, t.k, one);
      for (int c = 0; c < C; ++c) sum[c][r] = one[c][0];
    }
  }
#pragma GCC unroll 4
  for (int c = 0; c < C; ++c) {
    const vec result = transpose_add(sum[c]);
    u64* out = t.out + static_cast<std::ptrdiff_t>(i) * t.out_row + (static_cast<std::ptrdiff_t>(j) + c) * t.out_col;
    if (t.out_row == 1) {
      store(out, result, first(rows), t.keep, t.negate);
      continue;
    }
    u64 spill[kRows];
    _mm512_storeu_si512(spill, t.negate ? _mm512_sub_epi64(_mm512_setzero_si512(), result) : result);
    for (std::size_t r = 0; r < rows; ++r) {
      u64& at = out[static_cast<std::ptrdiff_t>(r) * t.out_row];
      at = t.keep ? at + spill[r] : spill[r];
    }
  }
}

void dots(const Dots& t) {
  for (std::size_t i = 0; i < t.m; i += kRows) {
    const std::size_t rows = t.m - i < kRows ? t.m - i : kRows;
    std::size_t j = 0;
    for (; j + 2 <= t.n; j += 2) dots_of<2>(t, i, rows, j);
    if (j < t.n) dots_of<1>(t, i, rows, j);
  }
}

// ---- packing ------------------------------------------------------------------------------------------------------

// Eight rows of eight words become eight columns.
void transpose(const u64* const* rows, std::size_t d, u64* to, std::size_t width) {
  vec x[8], y[8];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) x[i] = load(rows[i] + d);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    y[2 * i] = _mm512_unpacklo_epi64(x[2 * i], x[2 * i + 1]);
    y[2 * i + 1] = _mm512_unpackhi_epi64(x[2 * i], x[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int odd = 0; odd < 2; ++odd) {
    const vec low01 = _mm512_shuffle_i64x2(y[odd], y[2 + odd], 0x88);       // columns 0 and 4 (1 and 5) of rows 0-3
    const vec high01 = _mm512_shuffle_i64x2(y[odd], y[2 + odd], 0xdd);      // columns 2 and 6 (3 and 7)
    const vec low23 = _mm512_shuffle_i64x2(y[4 + odd], y[6 + odd], 0x88);
    const vec high23 = _mm512_shuffle_i64x2(y[4 + odd], y[6 + odd], 0xdd);
    const auto column = static_cast<std::size_t>(odd);
    _mm512_storeu_si512(to + (column + 0) * width, _mm512_shuffle_i64x2(low01, low23, 0x88));
    _mm512_storeu_si512(to + (column + 4) * width, _mm512_shuffle_i64x2(low01, low23, 0xdd));
    _mm512_storeu_si512(to + (column + 2) * width, _mm512_shuffle_i64x2(high01, high23, 0x88));
    _mm512_storeu_si512(to + (column + 6) * width, _mm512_shuffle_i64x2(high01, high23, 0xdd));
  }
}

void gather(u64* to, std::size_t width, const u64* const* rows, std::size_t depth) {
  for (std::size_t i = 0; i < width; i += kLanes) {
    std::size_t d = 0;
    for (; d + kLanes <= depth; d += kLanes) transpose(rows + i, d, to + d * width + i, width);
    for (; d < depth; ++d)
      for (std::size_t r = i; r < i + kLanes; ++r) to[d * width + r] = rows[r][d];
  }
}

void pair_sums(const u64* panel, std::size_t width, std::size_t depth, u64* sums) {
  for (std::size_t i = 0; i < width; i += kLanes) {
    vec sum = _mm512_setzero_si512();
    for (std::size_t d = 0; d < depth; d += 2)
      sum = add(sum, multiply(load(panel + d * width + i), load(panel + (d + 1) * width + i)));
    _mm512_storeu_si512(sums + i, sum);
  }
}

}  // namespace

const ProductKernels kAvx512Products = {kRows, kCols, kLanes, tile, direct, dots, gather, pair_sums};

}  // namespace tacit
