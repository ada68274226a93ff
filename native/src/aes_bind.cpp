// tacit._native.Aes128.
#include <nanobind/nanobind.h>

#include <new>
#include <stdexcept>
#include <string>

#include "aes.hpp"
#include "buffer_view.hpp"

namespace nb = nanobind;

namespace tacit {
namespace {

using Access = BufferView::Access;

constexpr std::size_t kQuick = 8192;  // bytes that take less than a microsecond: not worth handing over the GIL

template <Combine combine>
void apply(const Aes128& aes, std::uint64_t nonce, std::uint64_t counter, nb::handle object) {
  constexpr bool on_words = combine == Combine::add || combine == Combine::sub;
  const BufferView out("out", object, Access::write, on_words ? "LQlq" : "?cbBhHiIlLqQefd",
                       on_words ? "64-bit integer" : "plain numeric");
  std::uint8_t* const bytes = out.data<std::uint8_t>();
  if (out.bytes() <= kQuick) return aes.apply(combine, nonce, counter, bytes, out.bytes());
  nb::gil_scoped_release released;
  aes.apply(combine, nonce, counter, bytes, out.bytes());
}

void construct(Aes128* self, const nb::bytes& key) {
  if (key.size() != 16)
    throw std::invalid_argument("an AES-128 key has 16 bytes, not " + std::to_string(key.size()));
  new (self) Aes128(static_cast<const std::uint8_t*>(key.data()));
}

}  // namespace

void bind_aes(nb::module_& m) {
  nb::class_<Aes128>(m, "Aes128", "AES-128 counter-mode keystream; see the stub for the contract.")
      .def("__init__", &construct, nb::arg("key"))
      .def("expand", &apply<Combine::store>, nb::arg("nonce"), nb::arg("counter"), nb::arg("out"))
      .def("add_into", &apply<Combine::add>, nb::arg("nonce"), nb::arg("counter"), nb::arg("out"))
      .def("sub_into", &apply<Combine::sub>, nb::arg("nonce"), nb::arg("counter"), nb::arg("out"))
      .def("xor_into", &apply<Combine::exclusive_or>, nb::arg("nonce"), nb::arg("counter"), nb::arg("out"));
}

}  // namespace tacit
