// The door of the product kernels: shapes are checked here and nowhere below.
#include <nanobind/nanobind.h>

#include "product.hpp"
#include "word_array.hpp"

namespace nb = nanobind;

namespace tacit {

void bind_convolution(nb::module_& m);

namespace {

// The strides of a matrix, or of a stack of `batch` matrices; a single one serves for all.
Matrices stack(const ArrayInfo& x, const ArrayInfo& out) {
  require_aligned(x);
  require_apart(out, x);
  if (x.ndim != 2 && (x.ndim != 3 || out.ndim != 3))
    refuse(described(x) + " must have 2 axes, or 3 where out has 3; " + described(out));
  if (x.ndim == 3 && x.shape[0] != out.shape[0])
    refuse(described(x) + " must be a stack of " + std::to_string(out.shape[0]) + " matrices, as " + described(out) +
           " is");
  const std::size_t row = x.ndim - 2;
  return {x.data, row == 1 ? static_cast<std::ptrdiff_t>(x.stride[0]) : 0, static_cast<std::ptrdiff_t>(x.stride[row]),
          static_cast<std::ptrdiff_t>(x.stride[row + 1])};
}

// out = (keep ? out : 0) +- a @ b, all checked.
Product checked(const ArrayInfo& a, const ArrayInfo& b, const ArrayInfo& out, std::uint64_t* data, bool keep,
                bool negate) {
  if (out.ndim != 2 && out.ndim != 3)
    refuse(described(out) + " must have 2 or 3 axes, not " + std::to_string(out.ndim));
  require_aligned(out);
  require_contiguous(out);
  const Matrices left = stack(a, out), right = stack(b, out);
  const std::size_t m = a.size(a.ndim - 2), k = a.size(a.ndim - 1), n = b.size(b.ndim - 1);
  if (b.size(b.ndim - 2) != k)
    refuse(described(a) + " @ " + described(b) + ": " + std::to_string(k) + " columns on the left, " +
           std::to_string(b.size(b.ndim - 2)) + " rows on the right");
  if (out.size(out.ndim - 2) != m || out.size(out.ndim - 1) != n)
    refuse(described(out) + " must hold " + std::to_string(m) + " x " + std::to_string(n) +
           " results, the product of " + described(a) + " and " + described(b));
  return {out.ndim == 3 ? out.size(0) : 1, m, n, k, left, right, data, keep, negate};
}

void matmul(const Words& a, const Words& b, const OutWords& out, int accumulate) {
  require_accumulate(accumulate);
  const Product product = checked({"a", a}, {"b", b}, {"out", out}, out.data(), accumulate != 0, accumulate < 0);
  nb::gil_scoped_release release;
  multiply(product);
}

void matmul_pair(const Words& a, const Words& b, const Words& c, const Words& d, const OutWords& out, int accumulate,
                 int sign_ab, int sign_cd) {
  require_accumulate(accumulate);
  require_sign("sign_ab", sign_ab);
  require_sign("sign_cd", sign_cd);
  const int sign = accumulate < 0 ? -1 : 1;
  const Product first = checked({"a", a}, {"b", b}, {"out", out}, out.data(), accumulate != 0, sign * sign_ab < 0);
  const Product second = checked({"c", c}, {"d", d}, {"out", out}, out.data(), true, sign * sign_cd < 0);
  nb::gil_scoped_release release;
  multiply(first);
  multiply(second);
}

}  // namespace

void bind_product(nb::module_& m) {
  m.def("matmul", &matmul, nb::arg("a").noconvert(), nb::arg("b").noconvert(), nb::arg("out").noconvert(),
        nb::arg("accumulate") = 0,
        "out = a @ b modulo 2^64; accumulate 1 adds to out, -1 subtracts from it. a and b may have any strides.");
  m.def("matmul_pair", &matmul_pair, nb::arg("a").noconvert(), nb::arg("b").noconvert(), nb::arg("c").noconvert(),
        nb::arg("d").noconvert(), nb::arg("out").noconvert(), nb::arg("accumulate") = 0, nb::arg("sign_ab") = 1,
        nb::arg("sign_cd") = 1, "As matmul, of sign_ab * (a @ b) + sign_cd * (c @ d).");
  bind_convolution(m);
}

}  // namespace tacit
