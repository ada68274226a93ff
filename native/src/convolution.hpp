// Two-dimensional convolution over the ring of integers modulo 2^64, and its two gradients.
//
// Images are batch x height x width x channels, kernels height x width x (channels of a group) x outputs, contiguous.
// With s, d and p the stride, dilation and padding of an axis, and zero outside of the image,
//     out(n, y, x, o) = sum over u, v, c of image(n, y s + u d - p, x s + v d - p, c) kernel(u, v, c, o).
// As is usual in machine learning, the kernel is not reversed.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tacit {

// One spatial axis. The result's length must follow from the others: see output_length().
struct Axis {
  std::size_t image, kernel, result;
  std::ptrdiff_t stride, pad_before, dilation;
};

struct Convolution {
  std::size_t batch, groups;
  std::size_t channels, outputs;  // of one group
  Axis vertical, horizontal;
};

// Where results go: out = (keep ? out : 0) + (negate ? -result : result).
struct Update {
  bool keep, negate;
};

void convolve(const Convolution& c, const std::uint64_t* image, const std::uint64_t* kernel, std::uint64_t* out,
              Update update);

// The gradient with respect to the image, of the image's shape, from one with respect to the result.
void convolve_image_gradient(const Convolution& c, const std::uint64_t* gradient, const std::uint64_t* kernel,
                             std::uint64_t* out, Update update);

// The gradient with respect to the kernel, of the kernel's shape.
void convolve_kernel_gradient(const Convolution& c, const std::uint64_t* image, const std::uint64_t* gradient,
                              std::uint64_t* out, Update update);

}  // namespace tacit
