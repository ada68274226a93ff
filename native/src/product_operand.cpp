#include "product_operand.hpp"

#include <algorithm>
#include <cstring>

#include "product_kernels.hpp"

namespace tacit {

const std::uint64_t kZeros[kBlockDepth] = {};

namespace {

// Copies `rows` contiguous words to each of `depth` lines of a panel, zeros after them; `stride` words apart in memory.
void pack_lines(std::uint64_t* to, std::size_t width, const std::uint64_t* from, std::ptrdiff_t stride,
                std::size_t rows, std::size_t depth) {
  constexpr std::size_t kChunk = 4;  // a size the compiler copies without a call
  for (std::size_t d = 0; d < depth; ++d, to += width, from += stride) {
    std::size_t i = 0;
    for (; i + kChunk <= rows; i += kChunk) std::memcpy(to + i, from + i, kChunk * sizeof *to);
    for (; i < rows; ++i) to[i] = from[i];
    for (; i < width; ++i) to[i] = 0;
  }
}

}  // namespace

void StridedOperand::pack(std::uint64_t* to, std::size_t width, std::size_t row, std::size_t rows, std::size_t from,
                          std::size_t depth) const {
  const std::uint64_t* corner =
      data_ + static_cast<std::ptrdiff_t>(row) * row_stride_ + static_cast<std::ptrdiff_t>(from) * depth_stride_;
  if (row_stride_ == 1) {
    pack_lines(to, width, corner, depth_stride_, rows, depth);
    return;
  }
  if (depth_stride_ == 1) {
    const std::uint64_t* lines[kMaxWidth];
    for (std::size_t i = 0; i < width; ++i)
      lines[i] = i < rows ? corner + static_cast<std::ptrdiff_t>(i) * row_stride_ : kZeros;
    product_kernels().gather(to, width, lines, depth);
    return;
  }
  for (std::size_t d = 0; d < depth; ++d, to += width, corner += depth_stride_) {
    const std::uint64_t* at = corner;
    for (std::size_t i = 0; i < rows; ++i, at += row_stride_) to[i] = *at;
    std::fill(to + rows, to + width, 0);
  }
}

}  // namespace tacit
