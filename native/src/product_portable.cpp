// The portable product kernels, and the choice among the sets.
#include "cpu.hpp"
#include "product_kernels.hpp"

namespace tacit {
namespace {

using u64 = std::uint64_t;
constexpr std::size_t kRows = 4, kCols = 4;

void store(u64& at, u64 value, bool keep, bool negate) {
  if (negate) value = ~value + 1;
  at = keep ? at + value : value;
}

// Row by row, so that a 16-register processor keeps one row's four sums and the pair of b rows at hand.
void tile(const Tile& t) {
  u64 sums[kRows][kCols];
  for (std::size_t i = 0; i < kRows; ++i) {
    u64 s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    const u64* a = t.a + i;
    const u64* b = t.b;
    for (std::size_t d = 0; d < t.depth; d += 2, a += 2 * kRows, b += 2 * kCols) {
      const u64 even = a[0], odd = a[kRows];
      s0 += (even + b[kCols + 0]) * (odd + b[0]);
      s1 += (even + b[kCols + 1]) * (odd + b[1]);
      s2 += (even + b[kCols + 2]) * (odd + b[2]);
      s3 += (even + b[kCols + 3]) * (odd + b[3]);
    }
    sums[i][0] = s0, sums[i][1] = s1, sums[i][2] = s2, sums[i][3] = s3;
  }
  for (std::size_t i = 0; i < t.rows; ++i) {
    u64* out = t.sink.data + t.row_at[i];
    for (std::size_t j = 0; j < t.cols; ++j)
      store(out[j], sums[i][j] - t.a_sums[i] - t.b_sums[j], t.sink.keep, t.sink.negate);
  }
}

void direct(const Direct& t) {
  for (std::size_t i = 0; i < t.m; ++i) {
    for (std::size_t j = 0; j < t.n; j += kCols) {
      const std::size_t cols = t.n - j < kCols ? t.n - j : kCols;
      u64 sums[kCols] = {};
      const u64* a = t.a + static_cast<std::ptrdiff_t>(i) * t.a_row;
      const u64* b = t.b + j;
      if (cols == kCols) {
        u64 s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (std::size_t d = 0; d < t.k; ++d, a += t.a_col, b += t.b_row)
          s0 += *a * b[0], s1 += *a * b[1], s2 += *a * b[2], s3 += *a * b[3];
        sums[0] = s0, sums[1] = s1, sums[2] = s2, sums[3] = s3;
      } else {
        for (std::size_t d = 0; d < t.k; ++d, a += t.a_col, b += t.b_row)
          for (std::size_t c = 0; c < cols; ++c) sums[c] += *a * b[c];
      }
      u64* out = t.out + static_cast<std::ptrdiff_t>(i) * t.out_row + static_cast<std::ptrdiff_t>(j) * t.out_col;
      for (std::size_t c = 0; c < cols; ++c)
        store(out[static_cast<std::ptrdiff_t>(c) * t.out_col], sums[c], t.keep, t.negate);
    }
  }
}

void dots(const Dots& t) {
  for (std::size_t i = 0; i < t.m; ++i) {
    const u64* a = t.a + static_cast<std::ptrdiff_t>(i) * t.a_row;
    for (std::size_t j = 0; j < t.n; ++j) {
      const u64* b = t.b + static_cast<std::ptrdiff_t>(j) * t.b_row;
      u64 even = 0, odd = 0;
      std::size_t d = 0;
      for (; d + 2 <= t.k; d += 2) even += a[d] * b[d], odd += a[d + 1] * b[d + 1];
      if (d < t.k) even += a[d] * b[d];
      store(t.out[static_cast<std::ptrdiff_t>(i) * t.out_row + static_cast<std::ptrdiff_t>(j) * t.out_col], even + odd,
            t.keep, t.negate);
    }
  }
}

void gather(u64* to, std::size_t width, const u64* const* rows, std::size_t depth) {
  for (std::size_t i = 0; i < width; ++i) {
    const u64* row = rows[i];
    for (std::size_t d = 0; d < depth; ++d) to[d * width + i] = row[d];
  }
}

void pair_sums(const u64* panel, std::size_t width, std::size_t depth, u64* sums) {
  for (std::size_t i = 0; i < width; ++i) {
    u64 sum = 0;
    for (std::size_t d = 0; d < depth; d += 2) sum += panel[d * width + i] * panel[(d + 1) * width + i];
    sums[i] = sum;
  }
}

}  // namespace

const ProductKernels kPortableProducts = {kRows, kCols, kCols, tile, direct, dots, gather, pair_sums};

const ProductKernels& product_kernels() noexcept {
#if defined(TACIT_X86)
  switch (isa()) {
    case Isa::avx512: return kAvx512Products;
    case Isa::avx2: return kAvx2Products;
    case Isa::portable: break;
  }
#endif
  return kPortableProducts;
}

}  // namespace tacit
