// NumPy arrays of 64-bit words at the native door, and the checks every product makes of them.
#pragma once

#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

namespace tacit {

using Words = nanobind::ndarray<const std::uint64_t, nanobind::device::cpu>;
using OutWords = nanobind::ndarray<std::uint64_t, nanobind::device::cpu>;

// One array as the checks see it: no Python behind it, cheap to build.
struct ArrayInfo {
  const char* name;
  const std::uint64_t* data;
  std::size_t ndim;
  const std::int64_t *shape, *stride;  // in words

  template <class Array>
  ArrayInfo(const char* name_, const Array& array)
      : name(name_), data(array.data()), ndim(array.ndim()), shape(array.shape_ptr()), stride(array.stride_ptr()) {}

  std::size_t size(std::size_t axis) const { return static_cast<std::size_t>(shape[axis]); }
};

// "a (3, 4)"
std::string described(const ArrayInfo& array);

[[noreturn]] void refuse(const std::string& message);

// Throw std::invalid_argument, naming the arrays and the numbers.
void require_aligned(const ArrayInfo& array);
void require_contiguous(const ArrayInfo& array);
void require_ndim(const ArrayInfo& array, std::size_t ndim);
void require_shape(const ArrayInfo& array, std::initializer_list<std::size_t> shape, const char* because);
void require_apart(const ArrayInfo& out, const ArrayInfo& in);
void require_accumulate(int accumulate);
void require_sign(const char* name, int sign);

}  // namespace tacit
