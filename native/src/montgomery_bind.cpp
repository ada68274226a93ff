// tacit._native.Montgomery.
#include <nanobind/nanobind.h>

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>

#include "buffer_view.hpp"
#include "montgomery.hpp"
#include "parallel.hpp"

namespace nb = nanobind;

namespace tacit {
namespace {

using namespace montgomery;
using Access = BufferView::Access;

constexpr size_t kGroup = 8;  // elements that the widest path works on together

// Splits [0, count) between groups; `grain` groups are worth a thread.
template <class Body>
void split(size_t count, size_t grain, const Body& body) {
  nb::gil_scoped_release released;
  parallel_for((count + kGroup - 1) / kGroup, grain, [&](size_t begin, size_t end) {
    body(begin * kGroup, std::min(end * kGroup, count));
  });
}

void construct(Modulus* self, const nb::bytes& n, bool squared) {
  new (self) Modulus(static_cast<const std::uint8_t*>(n.data()), n.size(), squared);
}

// Rows of `width` words: as many as `count`, or a single one for all of them.
Rows rows(const char* name, const WordView& view, size_t width, size_t count) {
  view.need_rank(2);
  const bool single = view.dim(0) == 1;
  view.need_shape({single ? 1 : count, width});
  if (view.dim(1) == 0) throw std::invalid_argument(std::string(name) + " has rows of no words");
  return {view.words(), single ? 0 : width};
}

void one(const Modulus& m, nb::handle out) {
  const WordView to("out", out, Access::write);
  to.need_shape({m.width});
  std::copy_n(m.one(), m.width, to.words());
}

void multiply(const Modulus& m, nb::handle a, nb::handle b, nb::handle out) {
  const WordView left("a", a, Access::read), right("b", b, Access::read), to("out", out, Access::write);
  to.need_rank(2);
  const size_t count = to.dim(0);
  to.need_shape({count, m.width});
  left.need_shape({count, m.width});
  const Rows factors = rows("b", right, m.width, count);
  to.need_apart(left, true);
  to.need_apart(right, true);
  const auto kernel = kernels().multiply;
  split(count, 8, [&](size_t begin, size_t end) {
    kernel(m, {left.words(), m.width}, factors, to.words(), begin, end);
  });
}

void powers(const Modulus& m, nb::handle a, nb::handle exponents, size_t bits, nb::handle out) {
  const WordView base("a", a, Access::read), exponent("exponents", exponents, Access::read);
  const WordView to("out", out, Access::write);
  to.need_rank(2);
  const size_t count = to.dim(0);
  to.need_shape({count, m.width});
  exponent.need_rank(2);
  if (bits < 1 || bits > 64 * exponent.dim(1))
    throw std::invalid_argument("bits must be between 1 and the " + std::to_string(64 * exponent.dim(1)) +
                                " of an exponent's words, not " + std::to_string(bits));
  const Rows bases = rows("a", base, m.width, count);
  const Rows digits = rows("exponents", exponent, exponent.dim(1), count);
  to.need_apart(base);
  to.need_apart(exponent);
  const auto kernel = kernels().powers;
  split(count, 1, [&](size_t begin, size_t end) { kernel(m, bases, digits, bits, to.words(), begin, end); });
}

void fixed_powers(const Modulus& m, nb::handle table, nb::handle exponents, nb::handle out) {
  const WordView entries("table", table, Access::read), exponent("exponents", exponents, Access::read);
  const WordView to("out", out, Access::write);
  entries.need_rank(3);
  const size_t windows = entries.dim(0), size = entries.dim(1);
  entries.need_shape({windows, size, m.width});
  size_t window = 1;
  while (window < kMaxWindow && (size_t{1} << window) < size) ++window;
  if (size != size_t{1} << window || windows == 0)
    throw std::invalid_argument("table has " + std::to_string(windows) + " windows of " + std::to_string(size) +
                                " entries, but needs at least one, of a power of two from 2 to " +
                                std::to_string(size_t{1} << kMaxWindow));
  exponent.need_rank(2);
  const size_t words = exponent.dim(1);
  if (words * 64 > (windows * window + 63) / 64 * 64)
    throw std::invalid_argument("exponents have " + std::to_string(words) + " words, but the table covers " +
                                std::to_string(windows * window) + " bits");
  to.need_shape({exponent.dim(0), m.width});
  to.need_apart(entries);
  to.need_apart(exponent);
  const auto kernel = kernels().fixed_powers;
  split(exponent.dim(0), 1, [&](size_t begin, size_t end) {
    kernel(m, entries.words(), windows, window, {exponent.words(), words}, words, to.words(), begin, end);
  });
}

void products(const Modulus& m, nb::handle x, nb::handle index, nb::handle starts, nb::handle out) {
  const WordView from("x", x, Access::read), to("out", out, Access::write);
  const IndexView chosen("index", index), bounds("starts", starts);
  from.need_rank(2);
  from.need_shape({from.dim(0), m.width});
  to.need_rank(2);
  to.need_shape({to.dim(0), m.width});
  chosen.need_rank(1);
  bounds.need_shape({to.dim(0) + 1});
  const std::int64_t total = static_cast<std::int64_t>(chosen.dim(0)), known = static_cast<std::int64_t>(from.dim(0));
  std::int64_t before = 0;
  for (size_t s = 0; s <= to.dim(0); ++s) {
    const std::int64_t start = bounds.indices()[s];
    if (start < before || start > total)
      throw std::invalid_argument("starts[" + std::to_string(s) + "] is " + std::to_string(start) +
                                  ": it must rise from 0 to at most " + std::to_string(total));
    before = start;
  }
  for (std::int64_t j = 0; j < total; ++j)
    if (chosen.indices()[j] < 0 || chosen.indices()[j] >= known)
      throw std::invalid_argument("index[" + std::to_string(j) + "] is " + std::to_string(chosen.indices()[j]) +
                                  ", outside the " + std::to_string(known) + " rows of x");
  to.need_apart(from);
  const auto kernel = kernels().products;
  split(to.dim(0), 2, [&](size_t begin, size_t end) {
    kernel(m, from.words(), chosen.indices(), bounds.indices(), to.words(), begin, end);
  });
}

void enter(const Modulus& m, nb::handle octets, nb::handle out) {
  const ByteView from("octets", octets, Access::read);
  const WordView to("out", out, Access::write);
  from.need_rank(2);
  to.need_shape({from.dim(0), m.width});
  to.need_apart(from);
  const size_t size = from.dim(1), limit = kMaxChunks * m.digits * kDigitBits / 8;
  if (size < 1 || size > limit)
    throw std::invalid_argument("octets has rows of " + std::to_string(size) + ", but 1 to " + std::to_string(limit) +
                                " are allowed");
  const auto kernel = kernels().enter;
  split(from.dim(0), 4, [&](size_t begin, size_t end) { kernel(m, from.octets(), size, to.words(), begin, end); });
}

void leave(const Modulus& m, nb::handle a, nb::handle out) {
  const WordView from("a", a, Access::read);
  const ByteView to("out", out, Access::write);
  from.need_rank(2);
  from.need_shape({from.dim(0), m.width});
  to.need_shape({from.dim(0), m.octets});
  to.need_apart(from);
  const auto kernel = kernels().leave;
  split(from.dim(0), 4, [&](size_t begin, size_t end) {
    kernel(m, {from.words(), m.width}, to.octets(), begin, end);
  });
}

}  // namespace

void bind_montgomery(nb::module_& m) {
  nb::class_<Modulus>(m, "Montgomery", "Arithmetic modulo an odd number; see the stub for the contract.")
      .def("__init__", &construct, nb::arg("modulus"), nb::arg("squared") = false)
      .def_prop_ro("width", [](const Modulus& self) { return self.width; })
      .def_prop_ro("octets", [](const Modulus& self) { return self.octets; })
      .def("one", &one, nb::arg("out"))
      .def("multiply", &multiply, nb::arg("a"), nb::arg("b"), nb::arg("out"))
      .def("powers", &powers, nb::arg("a"), nb::arg("exponents"), nb::arg("bits"), nb::arg("out"))
      .def("fixed_powers", &fixed_powers, nb::arg("table"), nb::arg("exponents"), nb::arg("out"))
      .def("products", &products, nb::arg("x"), nb::arg("index"), nb::arg("starts"), nb::arg("out"))
      .def("enter", &enter, nb::arg("octets"), nb::arg("out"))
      .def("leave", &leave, nb::arg("a"), nb::arg("out"));
}

}  // namespace tacit
