// The packed matrix product: cache-sized blocks of two operands, register tiles inside.
#pragma once

#include "partition.hpp"
#include "product_kernels.hpp"
#include "product_operand.hpp"

namespace tacit {

// Where the rows of a result lie: word offsets from the start of a sink.
class RowMap {
 public:
  virtual ~RowMap() = default;
  virtual void locate(std::size_t first, std::size_t count, std::ptrdiff_t* offsets) const = 0;
};

// Rows a fixed number of words apart.
class EvenRows final : public RowMap {
 public:
  explicit EvenRows(std::ptrdiff_t stride) : stride_(stride) {}
  void locate(std::size_t first, std::size_t count, std::ptrdiff_t* offsets) const override;

 private:
  std::ptrdiff_t stride_;
};

// The block `extent` of a . transpose(b) over the depths [from, from + depth), into `sink`: row r of the result goes to
// the offset `map` gives for r, column c to the c-th word from there. On the calling thread; nothing may be empty.
void blocked_product(const Operand& a, const Operand& b, const Extent& extent, std::size_t from, std::size_t depth,
                     const RowMap& map, const Sink& sink);

}  // namespace tacit
