// A checked view of a NumPy array: element type, C order and shape are verified before a kernel sees the pointer.
//
// It uses the buffer protocol directly: importing an array through DLPack costs several times as much per argument.
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

namespace tacit {

class BufferView {
 public:
  enum class Access { read, write };

  // `formats` lists the accepted one-letter struct codes, `dtype` names them in the error.
  BufferView(const char* name, nanobind::handle object, Access access, const char* formats, const char* dtype)
      : name_(name) {
    const int flags = PyBUF_ND | PyBUF_C_CONTIGUOUS | PyBUF_FORMAT | (access == Access::write ? PyBUF_WRITABLE : 0);
    if (PyObject_GetBuffer(object.ptr(), &buffer_, flags) != 0) {
      PyErr_Clear();
      throw nanobind::type_error((std::string(name) + " must be a C-contiguous " +
                                  (access == Access::write ? "writable " : "") + dtype + " array")
                                     .c_str());
    }
    const char* format = buffer_.format == nullptr ? "B" : buffer_.format;
    for (const char* accepted = formats; *accepted != 0; ++accepted)
      if (format[0] == *accepted && format[1] == 0) return;
    const std::string found = format;
    PyBuffer_Release(&buffer_);
    throw nanobind::type_error(
        (std::string(name) + " must have dtype " + dtype + ", not buffer format '" + found + "'").c_str());
  }
  ~BufferView() { PyBuffer_Release(&buffer_); }
  BufferView(const BufferView&) = delete;
  BufferView& operator=(const BufferView&) = delete;

  std::size_t rank() const { return static_cast<std::size_t>(buffer_.ndim); }
  std::size_t dim(std::size_t axis) const { return static_cast<std::size_t>(buffer_.shape[axis]); }
  std::size_t bytes() const { return static_cast<std::size_t>(buffer_.len); }

  template <class T>
  T* data() const {
    return static_cast<T*>(buffer_.buf);
  }

  void need_rank(std::size_t rank) const {
    if (this->rank() != rank)
      throw std::invalid_argument(std::string(name_) + " has shape " + shape() + " but needs " + std::to_string(rank) +
                                  (rank == 1 ? " axis" : " axes"));
  }

  void need_shape(std::initializer_list<std::size_t> wanted) const {
    bool same = rank() == wanted.size();
    std::size_t axis = 0;
    for (const std::size_t size : wanted) same = same && dim(axis++) == size;
    if (same) return;
    std::string text = "(";
    for (const std::size_t size : wanted) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
    throw std::invalid_argument(std::string(name_) + " has shape " + shape() + " but needs " + text +
                                (wanted.size() == 1 ? ",)" : ")"));
  }

  void need_same_shape(const BufferView& other) const {
    bool same = rank() == other.rank();
    for (std::size_t axis = 0; same && axis < rank(); ++axis) same = dim(axis) == other.dim(axis);
    if (!same)
      throw std::invalid_argument(std::string(name_) + " has shape " + shape() + " but " + other.name_ + " has " +
                                  other.shape());
  }

  // For an output that must not share memory with an input; `in_place` lets the very same buffer through.
  void need_apart(const BufferView& other, bool in_place = false) const {
    const char *mine = data<char>(), *theirs = other.data<char>();
    if ((in_place && mine == theirs) || bytes() == 0 || other.bytes() == 0) return;
    if (mine < theirs + other.bytes() && theirs < mine + bytes())
      throw std::invalid_argument(std::string(name_) + " overlaps " + other.name_ + " in memory (" +
                                  std::to_string(bytes()) + " and " + std::to_string(other.bytes()) + " bytes)");
  }

 private:
  std::string shape() const {
    std::string text = "(";
    for (std::size_t axis = 0; axis < rank(); ++axis) text += (axis > 0 ? ", " : "") + std::to_string(dim(axis));
    return text + (rank() == 1 ? ",)" : ")");
  }

  const char* name_;
  Py_buffer buffer_;
};

// 64-bit words, however C names the type on this platform.
struct WordView : BufferView {
  WordView(const char* name, nanobind::handle object, Access access)
      : BufferView(name, object, access, sizeof(long) == 8 ? "LQ" : "Q", "uint64") {}
  std::uint64_t* words() const { return data<std::uint64_t>(); }
};

struct IndexView : BufferView {
  IndexView(const char* name, nanobind::handle object)
      : BufferView(name, object, Access::read, sizeof(long) == 8 ? "lq" : "q", "int64") {}
  const std::int64_t* indices() const { return data<std::int64_t>(); }
};

struct ByteView : BufferView {
  ByteView(const char* name, nanobind::handle object, Access access)
      : BufferView(name, object, access, "B?", "bool or uint8") {}
  std::uint8_t* octets() const { return data<std::uint8_t>(); }
};

}  // namespace tacit
