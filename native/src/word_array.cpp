#include "word_array.hpp"

#include <functional>

namespace tacit {
namespace {

template <class Number>
std::string tuple(const Number* sizes, std::size_t count) {
  std::string text = "(";
  for (std::size_t i = 0; i < count; ++i) text += (i > 0 ? ", " : "") + std::to_string(sizes[i]);
  return text + (count == 1 ? ",)" : ")");
}

struct Range {
  const std::uint64_t *first, *last;
};

bool is_empty(const ArrayInfo& array) {
  for (std::size_t i = 0; i < array.ndim; ++i)
    if (array.shape[i] == 0) return true;
  return false;
}

// The lowest and the highest word of an array that is not empty.
Range range(const ArrayInfo& array) {
  Range r{array.data, array.data};
  for (std::size_t i = 0; i < array.ndim; ++i)
    (array.stride[i] < 0 ? r.first : r.last) += (array.shape[i] - 1) * array.stride[i];
  return r;
}

}  // namespace

std::string described(const ArrayInfo& array) { return std::string(array.name) + " " + tuple(array.shape, array.ndim); }

void refuse(const std::string& message) { throw std::invalid_argument(message); }

void require_aligned(const ArrayInfo& array) {
  if (reinterpret_cast<std::uintptr_t>(array.data) % alignof(std::uint64_t) != 0)
    refuse(std::string(array.name) + " does not start at a multiple of 8 bytes: pass a copy of it");
}

void require_contiguous(const ArrayInfo& array) {
  if (is_empty(array)) return;
  std::int64_t expected = 1;
  for (std::size_t i = array.ndim; i-- > 0; expected *= array.shape[i])
    if (array.shape[i] != 1 && array.stride[i] != expected)
      refuse(described(array) + " must be C-contiguous: axis " + std::to_string(i) + " has a stride of " +
             std::to_string(array.stride[i]) + " words, not " + std::to_string(expected));
}

void require_ndim(const ArrayInfo& array, std::size_t ndim) {
  if (array.ndim != ndim)
    refuse(described(array) + " must have " + std::to_string(ndim) + " axes, not " + std::to_string(array.ndim));
}

void require_shape(const ArrayInfo& array, std::initializer_list<std::size_t> shape, const char* because) {
  bool equal = array.ndim == shape.size();
  for (std::size_t i = 0; equal && i < array.ndim; ++i) equal = array.size(i) == shape.begin()[i];
  if (!equal) refuse(described(array) + " must have the shape " + tuple(shape.begin(), shape.size()) + ": " + because);
}

void require_apart(const ArrayInfo& out, const ArrayInfo& in) {
  if (is_empty(out) || is_empty(in)) return;
  const Range a = range(out), b = range(in);
  const std::less<const std::uint64_t*> before;
  if (!before(a.last, b.first) && !before(b.last, a.first))
    refuse(std::string(out.name) + " shares memory with " + in.name + ": pass another array to write to");
}

void require_accumulate(int accumulate) {
  if (accumulate < -1 || accumulate > 1)
    refuse("accumulate must be 0 (out = product), 1 (out += product) or -1 (out -= product), not " +
           std::to_string(accumulate));
}

void require_sign(const char* name, int sign) {
  if (sign != 1 && sign != -1) refuse(std::string(name) + " must be 1 or -1, not " + std::to_string(sign));
}

}  // namespace tacit
