// The door of the convolution kernels: shapes are checked here and nowhere below.
#include <nanobind/nanobind.h>

#include "convolution.hpp"
#include "word_array.hpp"

namespace nb = nanobind;

namespace tacit {
namespace {

// Sizes, strides, paddings and dilations below this keep every index below 2^63.
constexpr std::int64_t kLargest = std::int64_t{1} << 31;

struct Geometry {
  std::int64_t stride_h, stride_w, pad_top, pad_bottom, pad_left, pad_right, dil_h, dil_w, groups;
};

void require_between(const char* name, std::int64_t value, std::int64_t low) {
  if (value < low || value >= kLargest)
    refuse(std::string(name) + " must be at least " + std::to_string(low) + " and below 2^31, not " +
           std::to_string(value));
}

void require_bounded(const ArrayInfo& array) {
  for (std::size_t i = 0; i < array.ndim; ++i) require_between(array.name, array.shape[i], 0);
}

Axis axis(const char* name, std::size_t image, std::size_t kernel, std::int64_t stride, std::int64_t before,
          std::int64_t after, std::int64_t dilation) {
  const auto length = static_cast<std::int64_t>(image) + before + after;
  const auto reach = (static_cast<std::int64_t>(kernel) - 1) * dilation + 1;
  if (kernel == 0) refuse(std::string("the kernel has no elements along its ") + name);
  if (length < reach)
    refuse(std::string("the kernel reaches over ") + std::to_string(reach) + " pixels along its " + name +
           ", but the padded image has " + std::to_string(length));
  return {image, kernel, static_cast<std::size_t>((length - reach) / stride + 1), static_cast<std::ptrdiff_t>(stride),
          static_cast<std::ptrdiff_t>(before), static_cast<std::ptrdiff_t>(dilation)};
}

// The convolution of an image with a kernel that give a result, whichever of the three is to be computed.
Convolution checked(const ArrayInfo& image, const ArrayInfo& kernel, const ArrayInfo& result, const Geometry& g) {
  for (const ArrayInfo* array : {&image, &kernel, &result}) {
    require_ndim(*array, 4);
    require_bounded(*array);
    require_aligned(*array);
    require_contiguous(*array);
  }
  require_between("stride_h", g.stride_h, 1);
  require_between("stride_w", g.stride_w, 1);
  require_between("pad_top", g.pad_top, -kLargest + 1);
  require_between("pad_bottom", g.pad_bottom, -kLargest + 1);
  require_between("pad_left", g.pad_left, -kLargest + 1);
  require_between("pad_right", g.pad_right, -kLargest + 1);
  require_between("dil_h", g.dil_h, 1);
  require_between("dil_w", g.dil_w, 1);
  require_between("groups", g.groups, 1);
  const auto groups = static_cast<std::size_t>(g.groups);
  if (kernel.size(2) * groups != image.size(3))
    refuse(described(kernel) + " in " + std::to_string(groups) + " group(s) needs " +
           std::to_string(kernel.size(2) * groups) + " channels; " + described(image) + " has " +
           std::to_string(image.size(3)));
  if (kernel.size(3) % groups != 0)
    refuse(std::to_string(kernel.size(3)) + " outputs do not divide into " + std::to_string(groups) + " groups");
  const Axis vertical = axis("height", image.size(1), kernel.size(0), g.stride_h, g.pad_top, g.pad_bottom, g.dil_h);
  const Axis horizontal = axis("width", image.size(2), kernel.size(1), g.stride_w, g.pad_left, g.pad_right, g.dil_w);
  require_shape(result, {image.size(0), vertical.result, horizontal.result, kernel.size(3)},
                "that is what image, kernel, stride, padding and dilation give");
  return {image.size(0), groups, kernel.size(2), kernel.size(3) / groups, vertical, horizontal};
}

using Compute = void (*)(const Convolution&, const std::uint64_t*, const std::uint64_t*, std::uint64_t*, Update);

void run(Compute compute, const Convolution& c, const Words& first, const Words& second, const OutWords& out,
         int accumulate) {
  require_accumulate(accumulate);
  const ArrayInfo to{"out", out};
  require_apart(to, {"the first operand", first});
  require_apart(to, {"the second operand", second});
  nb::gil_scoped_release release;
  compute(c, first.data(), second.data(), out.data(), {accumulate != 0, accumulate < 0});
}

void conv2d(const Words& x, const Words& k, const OutWords& out, std::int64_t stride_h, std::int64_t stride_w,
            std::int64_t pad_top, std::int64_t pad_bottom, std::int64_t pad_left, std::int64_t pad_right,
            std::int64_t dil_h, std::int64_t dil_w, std::int64_t groups, int accumulate) {
  const Geometry g{stride_h, stride_w, pad_top, pad_bottom, pad_left, pad_right, dil_h, dil_w, groups};
  run(convolve, checked({"x", x}, {"k", k}, {"out", out}, g), x, k, out, accumulate);
}

void conv2d_input_grad(const Words& g_, const Words& k, const OutWords& out, std::int64_t stride_h,
                       std::int64_t stride_w, std::int64_t pad_top, std::int64_t pad_bottom, std::int64_t pad_left,
                       std::int64_t pad_right, std::int64_t dil_h, std::int64_t dil_w, std::int64_t groups,
                       int accumulate) {
  const Geometry g{stride_h, stride_w, pad_top, pad_bottom, pad_left, pad_right, dil_h, dil_w, groups};
  run(convolve_image_gradient, checked({"out", out}, {"k", k}, {"g", g_}, g), g_, k, out, accumulate);
}

void conv2d_kernel_grad(const Words& x, const Words& g_, const OutWords& out, std::int64_t stride_h,
                        std::int64_t stride_w, std::int64_t pad_top, std::int64_t pad_bottom, std::int64_t pad_left,
                        std::int64_t pad_right, std::int64_t dil_h, std::int64_t dil_w, std::int64_t groups,
                        int accumulate) {
  const Geometry g{stride_h, stride_w, pad_top, pad_bottom, pad_left, pad_right, dil_h, dil_w, groups};
  run(convolve_kernel_gradient, checked({"x", x}, {"out", out}, {"g", g_}, g), x, g_, out, accumulate);
}

template <class Function>
void define(nb::module_& m, const char* name, Function function, const char* first, const char* second,
            const char* doc) {
  m.def(name, function, nb::arg(first).noconvert(), nb::arg(second).noconvert(), nb::arg("out").noconvert(),
        nb::arg("stride_h") = 1, nb::arg("stride_w") = 1, nb::arg("pad_top") = 0, nb::arg("pad_bottom") = 0,
        nb::arg("pad_left") = 0, nb::arg("pad_right") = 0, nb::arg("dil_h") = 1, nb::arg("dil_w") = 1,
        nb::arg("groups") = 1, nb::arg("accumulate") = 0, doc);
}

}  // namespace

void bind_convolution(nb::module_& m) {
  define(m, "conv2d", &conv2d, "x", "k",
         "Convolution modulo 2^64: x [N,H,W,C], k [KH,KW,C/groups,O], out [N,OH,OW,O]; accumulate as in matmul.");
  define(m, "conv2d_input_grad", &conv2d_input_grad, "g", "k",
         "Gradient of conv2d with respect to x: g [N,OH,OW,O], k [KH,KW,C/groups,O], out [N,H,W,C].");
  define(m, "conv2d_kernel_grad", &conv2d_kernel_grad, "x", "g",
         "Gradient of conv2d with respect to k: x [N,H,W,C], g [N,OH,OW,O], out [KH,KW,C/groups,O].");
}

}  // namespace tacit
