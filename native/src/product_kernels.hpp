// What one instruction set must provide for products; product_blocked.cpp and product.cpp build everything from these.
//
// The packed kernel uses Winograd's inner product (S. Winograd, "A New Algorithm for Inner Product", IEEE Trans.
// Comput. C-17, 1968). In a commutative ring, for every pair of depth indices (2p, 2p+1),
//     a[2p] b[2p] + a[2p+1] b[2p+1] = (a[2p] + b[2p+1]) (a[2p+1] + b[2p]) - a[2p] a[2p+1] - b[2p] b[2p+1],
// and the last two terms depend on one row or one column only. It halves the multiplications, the scarce resource of
// 64-bit integer arithmetic, for as many additions, and is exact modulo 2^64.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tacit {

// Where results go: data = (keep ? data : 0) + (negate ? -result : result).
struct Sink {
  std::uint64_t* data;
  bool keep;
  bool negate;
};

// One register tile of a packed product.
struct Tile {
  std::size_t rows, cols, depth;       // rows <= mr, cols <= nr, depth even
  const std::uint64_t* a;              // a[d * mr + i]
  const std::uint64_t* b;              // b[d * width + j], width = cols rounded up to a multiple of lanes
  const std::uint64_t* a_sums;         // of each row: the sum over p of a[2p] a[2p+1]
  const std::uint64_t* b_sums;         // likewise of each column
  Sink sink;
  const std::ptrdiff_t* row_at;        // element (i, j) goes to sink.data[row_at[i] + j]
};

// A product read in place: b has unit column stride, a and out any strides (in words).
struct Direct {
  std::size_t m, n, k;
  const std::uint64_t* a;
  std::ptrdiff_t a_row, a_col;
  const std::uint64_t* b;
  std::ptrdiff_t b_row;
  std::uint64_t* out;
  std::ptrdiff_t out_row, out_col;
  bool keep, negate;
  std::ptrdiff_t ahead;  // while a word of b is used, the one this many words further is fetched; zero for none
};

// Inner products of contiguous vectors: out(i, j) = row i of a . row j of b.
struct Dots {
  std::size_t m, n, k;
  const std::uint64_t* a;
  std::ptrdiff_t a_row;
  const std::uint64_t* b;
  std::ptrdiff_t b_row;
  std::uint64_t* out;
  std::ptrdiff_t out_row, out_col;
  bool keep, negate;
  bool one_by_one;  // take the rows of a one after the other, not several side by side
};

struct ProductKernels {
  std::size_t mr, nr, lanes;  // lanes divides both mr and nr; nr <= kMaxWidth
  void (*tile)(const Tile&);
  void (*direct)(const Direct&);
  void (*dots)(const Dots&);
  // to[d * width + i] = rows[i][d] for d < depth and i < width; width is a multiple of lanes.
  void (*gather)(std::uint64_t* to, std::size_t width, const std::uint64_t* const* rows, std::size_t depth);
  // sums[i] = sum over p of panel[2p * width + i] * panel[(2p + 1) * width + i]; depth even.
  void (*pair_sums)(const std::uint64_t* panel, std::size_t width, std::size_t depth, std::uint64_t* sums);
};

inline constexpr std::size_t kMaxWidth = 32;

extern const ProductKernels kPortableProducts;
#if defined(TACIT_X86)
extern const ProductKernels kAvx2Products;
extern const ProductKernels kAvx512Products;
#endif

// The kernels of the instruction set in use.
const ProductKernels& product_kernels() noexcept;

}  // namespace tacit
