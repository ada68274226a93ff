#include "product_blocked.hpp"

#include <algorithm>

#include "scratch.hpp"

namespace tacit {
namespace {

// 96 rows by kBlockDepth words of one operand are 384 KiB, for the second-level cache; the other operand's block of
// 3 MiB is for the third level and is read in panels of 96 KiB. Both are multiples of every kernel's tile. Deep blocks
// pay: they go over the results less often.
constexpr std::size_t kBlockRows = 96, kBlockColumns = 768;

std::size_t round_up(std::size_t value, std::size_t unit) { return (value + unit - 1) / unit * unit; }

// Equal parts of at most `limit`, each a multiple of `unit`.
std::size_t even_part(std::size_t total, std::size_t limit, std::size_t unit) {
  const std::size_t parts = (total + limit - 1) / limit;
  return std::min(limit, round_up((total + parts - 1) / parts, unit));
}

// Panels of `width` rows, each `even` deep (depth made even with zeros); the last is as wide as its rows need.
void pack_panels(const ProductKernels& kernels, const Operand& operand, std::size_t width, std::size_t unit,
                 std::size_t row, std::size_t rows, std::size_t from, std::size_t depth, std::uint64_t* to,
                 std::uint64_t* sums) {
  const std::size_t even = round_up(depth, 2);
  for (std::size_t i = 0; i < rows; i += width, to += width * even, sums += width) {
    const std::size_t here = std::min(width, rows - i), padded = round_up(here, unit);
    operand.pack(to, padded, row + i, here, from, depth);
    if (even > depth) std::fill_n(to + depth * padded, padded, 0);
    kernels.pair_sums(to, padded, even, sums);
  }
}

}  // namespace

void EvenRows::locate(std::size_t first, std::size_t count, std::ptrdiff_t* offsets) const {
  for (std::size_t i = 0; i < count; ++i) offsets[i] = static_cast<std::ptrdiff_t>(first + i) * stride_;
}

void blocked_product(const Operand& a, const Operand& b, const Extent& extent, std::size_t from, std::size_t depth,
                     const RowMap& map, const Sink& sink) {
  const ProductKernels& kernels = product_kernels();
  const std::size_t mr = kernels.mr, nr = kernels.nr;
  const std::size_t mc = even_part(extent.rows, kBlockRows, mr);
  const std::size_t nc = even_part(extent.columns, kBlockColumns, nr);
  const std::size_t kc = even_part(depth, kBlockDepth, 2);
  std::uint64_t* left = scratch(Scratch::left_panels, mc * (kc + 1));
  std::uint64_t* right = scratch(Scratch::right_panels, nc * (kc + 1));
  std::uint64_t* left_sums = left + mc * kc;
  std::uint64_t* right_sums = right + nc * kc;
  std::ptrdiff_t row_at[kBlockRows];

  for (std::size_t j0 = 0; j0 < extent.columns; j0 += nc) {
    const std::size_t columns = std::min(nc, extent.columns - j0);
    for (std::size_t d0 = 0; d0 < depth; d0 += kc) {
      const std::size_t deep = std::min(kc, depth - d0), even = round_up(deep, 2);
      pack_panels(kernels, b, nr, kernels.lanes, extent.column + j0, columns, from + d0, deep, right, right_sums);
      for (std::size_t i0 = 0; i0 < extent.rows; i0 += mc) {
        const std::size_t rows = std::min(mc, extent.rows - i0);
        pack_panels(kernels, a, mr, mr, extent.row + i0, rows, from + d0, deep, left, left_sums);
        map.locate(extent.row + i0, rows, row_at);
        for (std::size_t j = 0; j < columns; j += nr)
          for (std::size_t i = 0; i < rows; i += mr)
            kernels.tile({std::min(mr, rows - i), std::min(nr, columns - j), even, left + i * even, right + j * even,
                          left_sums + i, right_sums + j,
                          {sink.data + extent.column + j0 + j, sink.keep || d0 > 0, sink.negate}, row_at + i});
      }
    }
  }
}

}  // namespace tacit
