// Where a packed product reads an operand from: something with rows and a depth that can be copied into panels.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tacit {

// The depth of one packed block; no pack() asks for more.
inline constexpr std::size_t kBlockDepth = 512;

// kBlockDepth words of zero, for a gather to read where there is nothing.
extern const std::uint64_t kZeros[kBlockDepth];

class Operand {
 public:
  virtual ~Operand() = default;

  // Lays out rows [row, row + rows) at depths [from, from + depth):
  //   to[d * width + i] = element(row + i, from + d) for i < rows, and zero for rows <= i < width.
  // width is a multiple of the lanes of the kernels in use and at most kMaxWidth.
  virtual void pack(std::uint64_t* to, std::size_t width, std::size_t row, std::size_t rows, std::size_t from,
                    std::size_t depth) const = 0;
};

// A matrix in memory, by its strides in words; any stride may be zero or negative.
class StridedOperand final : public Operand {
 public:
  StridedOperand(const std::uint64_t* data, std::ptrdiff_t row_stride, std::ptrdiff_t depth_stride)
      : data_(data), row_stride_(row_stride), depth_stride_(depth_stride) {}

  void pack(std::uint64_t* to, std::size_t width, std::size_t row, std::size_t rows, std::size_t from,
            std::size_t depth) const override;

 private:
  const std::uint64_t* data_;
  std::ptrdiff_t row_stride_, depth_stride_;
};

}  // namespace tacit
