// The ring kernels of tacit._native: buffers are checked here, work is split here, the GIL is released here.
#include <nanobind/nanobind.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>

#include "buffer_view.hpp"
#include "parallel.hpp"
#include "ring.hpp"

namespace nb = nanobind;

namespace tacit {
namespace {

using Access = BufferView::Access;
using ring::In;
using ring::Kernels;
using ring::Out;
using ring::u64;
using std::size_t;

constexpr size_t kQuick = 2048;  // elements that take about a microsecond: not worth handing over the GIL
constexpr size_t kGroup = 64;    // ranges start on whole words of packed bits and on whole cache lines
constexpr size_t kGrain = 32768 / kGroup;  // groups per thread of the lightest kernel: 256 KiB per operand

// Calls body(begin, end) over [0, n) on several threads; `weight` is the work per element, an addition being 1.
template <class Body>
void run(size_t n, size_t weight, const Body& body) {
  if (n * weight <= kQuick) return body(size_t{0}, n);
  nb::gil_scoped_release released;
  if (n * weight <= kGrain * kGroup) return body(size_t{0}, n);
  parallel_for((n + kGroup - 1) / kGroup, std::max<size_t>(kGrain / weight, 1),
               [&](size_t begin, size_t end) { body(begin * kGroup, std::min(n, end * kGroup)); });
}

// Flat views: the kernels are element-wise, so the number of elements matters and the shape does not.
struct Flat : BufferView {
  Flat(const char* name, nb::handle object, Access access, const char* formats, const char* dtype)
      : BufferView(name, object, access, formats, dtype), name(name) {}

  size_t size() const { return bytes() / 8; }
  u64* words() const { return data<u64>(); }
  double* reals() const { return data<double>(); }

  void need_size(size_t count) const {
    if (size() != count)
      throw std::invalid_argument(std::string(name) + " has " + std::to_string(size()) + " elements but needs " +
                                  std::to_string(count));
  }

  const char* name;
};

Flat input(nb::handle object, const char* name) { return {name, object, Access::read, "LQ", "uint64"}; }
Flat output(nb::handle object, const char* name) { return {name, object, Access::write, "LQ", "uint64"}; }

u64 checked_leader(int leader) {
  if (leader != 0 && leader != 1)
    throw std::invalid_argument("leader must be 0 or 1, not " + std::to_string(leader));
  return static_cast<u64>(leader);
}

int checked_bits(int bits) {
  if (bits < 0 || bits > 62) throw std::invalid_argument("bits must be between 0 and 62, not " + std::to_string(bits));
  return bits;
}

// Any Python integer, modulo 2^64.
u64 ring_element(nb::handle k) {
  const nb::object index = nb::steal(PyNumber_Index(k.ptr()));
  if (!index.is_valid()) throw nb::python_error();
  return PyLong_AsUnsignedLongLongMask(index.ptr());
}

void need_bits(const Flat& bits, size_t n) { bits.need_size((n + 63) / 64); }

// out = kernel(inputs...), all of one size; out may be an input.
template <class Kernel, class... Inputs>
void map(size_t weight, const Kernel& kernel, const Flat& out, const Inputs&... inputs) {
  (inputs.need_size(out.size()), ...);
  (out.need_apart(inputs, true), ...);
  run(out.size(), weight,
      [&](size_t begin, size_t end) { kernel((inputs.words() + begin)..., out.words() + begin, end - begin); });
}

using Unary = void (*)(In, Out, size_t);
using Binary = void (*)(In, In, Out, size_t);

template <Unary Kernels::*kernel>
void unary(nb::handle a, nb::handle out) {
  map(1, ring::kernels().*kernel, output(out, "out"), input(a, "a"));
}

template <Binary Kernels::*kernel>
void binary(nb::handle a, nb::handle b, nb::handle out) {
  map(1, ring::kernels().*kernel, output(out, "out"), input(a, "a"), input(b, "b"));
}

void mul_add(nb::handle a, nb::handle b, nb::handle c, nb::handle out) {
  map(1, ring::kernels().mul_add, output(out, "out"), input(a, "a"), input(b, "b"), input(c, "c"));
}

void scale(nb::handle a, nb::handle k, nb::handle out) {
  const u64 factor = ring_element(k);
  const auto kernel = ring::kernels().scale;
  map(1, [=](In a_, Out out_, size_t n) { kernel(a_, factor, out_, n); }, output(out, "out"), input(a, "a"));
}

void axpy(nb::handle k, nb::handle a, nb::handle out) {
  const u64 factor = ring_element(k);
  const auto kernel = ring::kernels().axpy;
  map(1, [=](In a_, Out out_, size_t n) { kernel(factor, a_, out_, n); }, output(out, "out"), input(a, "a"));
}

void product_close(nb::handle X, nb::handle Y, nb::handle rx, nb::handle ry, nb::handle t, int leader, nb::handle out) {
  const u64 lead = checked_leader(leader);
  const auto kernel = ring::kernels().product_close;
  map(2, [=](In X_, In Y_, In rx_, In ry_, In t_, Out out_, size_t n) { kernel(X_, Y_, rx_, ry_, t_, lead, out_, n); },
      output(out, "out"), input(X, "X"), input(Y, "Y"), input(rx, "rx"), input(ry, "ry"), input(t, "t"));
}

void truncate_close(nb::handle C0, nb::handle C1, nb::handle u, nb::handle m, int bits, int leader, nb::handle out) {
  const u64 lead = checked_leader(leader);
  const int shift = checked_bits(bits);
  const auto kernel = ring::kernels().truncate_close;
  map(2, [=](In C0_, In C1_, In u_, In m_, Out out_, size_t n) { kernel(C0_, C1_, u_, m_, shift, lead, out_, n); },
      output(out, "out"), input(C0, "C0"), input(C1, "C1"), input(u, "u"), input(m, "m"));
}

void truncate_deal(nb::handle s, nb::handle u0, nb::handle m0, int bits, nb::handle u1, nb::handle m1) {
  const int shift = checked_bits(bits);
  const Flat wrap = output(m1, "m1");
  const Flat in_s = input(s, "s"), in_u = input(u0, "u0"), in_m = input(m0, "m0"), out_u = output(u1, "u1");
  for (const Flat* each : {&in_s, &in_u, &in_m, &out_u}) each->need_size(wrap.size());
  for (const Flat* each : {&in_s, &in_u, &in_m}) {
    wrap.need_apart(*each, true);
    out_u.need_apart(*each, true);
  }
  out_u.need_apart(wrap);
  const auto kernel = ring::kernels().truncate_deal;
  run(wrap.size(), 2, [&](size_t begin, size_t end) {
    kernel(in_s.words() + begin, in_u.words() + begin, in_m.words() + begin, shift, out_u.words() + begin,
           wrap.words() + begin, end - begin);
  });
}

// Both parties do the same here; `leader` is taken so that every closing step has one form.
void select_close(nb::handle bits, nb::handle X, nb::handle rho, nb::handle sigma, nb::handle share, int leader,
                  nb::handle out) {
  checked_leader(leader);
  const Flat packed = input(bits, "bits"), to = output(out, "out");
  need_bits(packed, to.size());
  to.need_apart(packed);
  const u64* const origin = to.words();
  const auto kernel = ring::kernels().select_close;
  map(2, [&, origin](In X_, In rho_, In sigma_, In share_, Out out_, size_t n) {
        kernel(packed.words() + (out_ - origin) / 64, X_, rho_, sigma_, share_, out_, n);
      },
      to, input(X, "X"), input(rho, "rho"), input(sigma, "sigma"), input(share, "share"));
}

void select_deal(nb::handle beta, nb::handle r, nb::handle rho0, nb::handle sigma0, nb::handle rho1,
                 nb::handle sigma1) {
  const Flat packed = input(beta, "beta"), out_rho = output(rho1, "rho1"), out_sigma = output(sigma1, "sigma1");
  const Flat mask = input(r, "r"), in_rho = input(rho0, "rho0"), in_sigma = input(sigma0, "sigma0");
  const size_t n = mask.size();
  need_bits(packed, n);
  for (const Flat* each : {&in_rho, &in_sigma, &out_rho, &out_sigma}) each->need_size(n);
  for (const Flat* out : {&out_rho, &out_sigma}) {
    out->need_apart(packed);
    for (const Flat* each : {&mask, &in_rho, &in_sigma}) out->need_apart(*each, true);
  }
  out_rho.need_apart(out_sigma);
  const auto kernel = ring::kernels().select_deal;
  run(n, 2, [&](size_t begin, size_t end) {
    kernel(packed.words() + begin / 64, mask.words() + begin, in_rho.words() + begin, in_sigma.words() + begin,
           out_rho.words() + begin, out_sigma.words() + begin, end - begin);
  });
}

void bit_to_ring_close(nb::handle bits, nb::handle rho, int leader, nb::handle out) {
  const u64 lead = checked_leader(leader);
  const Flat packed = input(bits, "bits"), to = output(out, "out");
  need_bits(packed, to.size());
  to.need_apart(packed);
  const u64* const origin = to.words();
  const auto kernel = ring::kernels().bit_to_ring_close;
  map(1, [&, origin, lead](In rho_, Out out_, size_t n) {
        kernel(packed.words() + (out_ - origin) / 64, rho_, lead, out_, n);
      },
      to, input(rho, "rho"));
}

std::ptrdiff_t encode(nb::handle values, int bits, nb::handle out) {
  const int shift = checked_bits(bits);
  const Flat from("values", values, Access::read, "d", "float64"), to = output(out, "out");
  const size_t n = to.size();
  from.need_size(n);
  to.need_apart(from);
  std::atomic<size_t> first{n};
  const auto kernel = ring::kernels().encode;
  run(n, 1, [&](size_t begin, size_t end) {
    const size_t refused = begin + kernel(from.reals() + begin, shift, to.words() + begin, end - begin);
    if (refused == end) return;
    size_t known = first.load();
    while (refused < known && !first.compare_exchange_weak(known, refused)) {
    }
  });
  return first == n ? -1 : static_cast<std::ptrdiff_t>(first.load());
}

void decode(nb::handle a, int bits, nb::handle out) {
  const int shift = checked_bits(bits);
  const Flat from = input(a, "a"), to("out", out, Access::write, "d", "float64");
  from.need_size(to.size());
  to.need_apart(from, true);
  const auto kernel = ring::kernels().decode;
  run(to.size(), 1,
      [&](size_t begin, size_t end) { kernel(from.words() + begin, shift, to.reals() + begin, end - begin); });
}

}  // namespace

void bind_ring(nb::module_& m) {
  using nb::arg;
  m.def("add", &binary<&Kernels::add>, arg("a"), arg("b"), arg("out"));
  m.def("sub", &binary<&Kernels::sub>, arg("a"), arg("b"), arg("out"));
  m.def("mul", &binary<&Kernels::mul>, arg("a"), arg("b"), arg("out"));
  m.def("neg", &unary<&Kernels::neg>, arg("a"), arg("out"));
  m.def("mul_add", &mul_add, arg("a"), arg("b"), arg("c"), arg("out"));
  m.def("scale", &scale, arg("a"), arg("k"), arg("out"));
  m.def("axpy", &axpy, arg("k"), arg("a"), arg("out"));
  m.def("product_close", &product_close, arg("X"), arg("Y"), arg("rx"), arg("ry"), arg("t"), arg("leader"), arg("out"));
  m.def("truncate_close", &truncate_close, arg("C0"), arg("C1"), arg("u"), arg("m"), arg("bits"), arg("leader"),
        arg("out"));
  m.def("truncate_deal", &truncate_deal, arg("s"), arg("u0"), arg("m0"), arg("bits"), arg("u1"), arg("m1"));
  m.def("select_close", &select_close, arg("bits"), arg("X"), arg("rho"), arg("sigma"), arg("share"), arg("leader"),
        arg("out"));
  m.def("select_deal", &select_deal, arg("beta"), arg("r"), arg("rho0"), arg("sigma0"), arg("rho1"), arg("sigma1"));
  m.def("bit_to_ring_close", &bit_to_ring_close, arg("bits"), arg("rho"), arg("leader"), arg("out"));
  m.def("encode", &encode, arg("values"), arg("bits"), arg("out"));
  m.def("decode", &decode, arg("a"), arg("bits"), arg("out"));
}

}  // namespace tacit
