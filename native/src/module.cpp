// The one native door: tacit._native. Every group of kernels binds itself.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <stdexcept>
#include <string>

#include "cpu.hpp"
#include "parallel.hpp"

namespace nb = nanobind;

namespace tacit {
void bind_aes(nb::module_& m);
void bind_bits(nb::module_& m);
void bind_curve25519(nb::module_& m);
void bind_montgomery(nb::module_& m);
void bind_ot(nb::module_& m);
void bind_ring(nb::module_& m);
void bind_product(nb::module_& m);
void bind_separable(nb::module_& m);
void bind_truncation(nb::module_& m);
}  // namespace tacit

namespace {

constexpr const char* kNames[] = {"portable", "avx2", "avx512"};

tacit::Isa parse(const std::string& name) {
  for (int i = 0; i < 3; ++i)
    if (name == kNames[i]) return static_cast<tacit::Isa>(i);
  throw std::invalid_argument("isa must be 'portable', 'avx2' or 'avx512', not '" + name + "'");
}

}  // namespace

NB_MODULE(_native, m) {
  // Generators that live until the interpreter ends are no leak; its teardown simply does not reach them.
  nb::set_leak_warnings(false);
  m.doc() = "Native kernels. All work on buffers the caller provides and release the GIL.";
  m.def("isa", [] { return kNames[static_cast<int>(tacit::isa())]; });
  m.def("best_isa", [] { return kNames[static_cast<int>(tacit::best_isa())]; });
  m.def("set_isa", [](const std::string& name) { tacit::set_isa(parse(name)); }, nb::arg("name"));
  m.def("has_aes", &tacit::has_aes);
  m.def("threads", &tacit::threads);
  m.def("set_threads", &tacit::set_threads, nb::arg("count"));
  tacit::bind_aes(m);
  tacit::bind_bits(m);
  tacit::bind_curve25519(m);
  tacit::bind_montgomery(m);
  tacit::bind_ot(m);
  tacit::bind_ring(m);
  tacit::bind_product(m);
  tacit::bind_separable(m);
  tacit::bind_truncation(m);
}
