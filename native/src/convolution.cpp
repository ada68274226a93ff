#include "convolution.hpp"

#include <algorithm>
#include <vector>

#include "convolution_operand.hpp"
#include "parallel.hpp"

namespace tacit {
namespace {

using u64 = std::uint64_t;

// Kernel gradients of at most this many words are summed over the places in parts, one for each thread.
constexpr std::size_t kPartialWords = 1 << 17;

std::size_t image_pixels(const Convolution& c) { return c.vertical.image * c.horizontal.image; }
std::size_t result_pixels(const Convolution& c) { return c.vertical.result * c.horizontal.result; }
std::size_t taps_of(const Convolution& c) { return c.vertical.kernel * c.horizontal.kernel; }

double work(const Convolution& c) {
  return static_cast<double>(c.batch * result_pixels(c)) * static_cast<double>(taps_of(c) * c.channels) *
         static_cast<double>(c.outputs * c.groups);
}

std::vector<Tap> forward_taps(const Convolution& c) {
  std::vector<Tap> taps;
  for (std::size_t u = 0; u < c.vertical.kernel; ++u)
    for (std::size_t v = 0; v < c.horizontal.kernel; ++v)
      taps.push_back({static_cast<std::ptrdiff_t>(u) * c.vertical.dilation - c.vertical.pad_before,
                      static_cast<std::ptrdiff_t>(v) * c.horizontal.dilation - c.horizontal.pad_before});
  return taps;
}

// The image pixels first, first + stride, ... of an axis, and the kernel elements that ever meet them.
struct Residue {
  std::size_t first, count;
  std::vector<std::size_t> kernel;
  std::vector<std::ptrdiff_t> shift;  // pixel number i meets kernel[t] at result i + shift[t]
};

std::vector<Residue> residues(const Axis& axis) {
  std::vector<Residue> all;
  const auto stride = static_cast<std::size_t>(axis.stride);
  for (std::size_t first = 0; first < std::min(stride, axis.image); ++first) {
    Residue r{first, (axis.image - first + stride - 1) / stride, {}, {}};
    for (std::size_t u = 0; u < axis.kernel; ++u) {
      const std::ptrdiff_t distance =
          static_cast<std::ptrdiff_t>(first) + axis.pad_before - static_cast<std::ptrdiff_t>(u) * axis.dilation;
      if (distance % axis.stride != 0) continue;
      r.kernel.push_back(u);
      r.shift.push_back(distance / axis.stride);
    }
    all.push_back(std::move(r));
  }
  return all;
}

void clear_rows(const RowMap& map, const Extent& part, u64* out) {
  for (std::size_t i = 0; i < part.rows; ++i) {
    std::ptrdiff_t at = 0;
    map.locate(part.row + i, 1, &at);
    std::fill_n(out + at + part.column, part.columns, 0);
  }
}

void image_gradient_of(const Convolution& c, const Residue& rows, const Residue& columns, const u64* gradient,
                       const u64* kernel, u64* out, Update update) {
  const std::size_t channels = c.channels * c.groups, outputs = c.outputs * c.groups;
  std::vector<Tap> taps;
  std::vector<std::ptrdiff_t> offsets;
  for (std::size_t s = 0; s < rows.kernel.size(); ++s)
    for (std::size_t t = 0; t < columns.kernel.size(); ++t) {
      taps.push_back({rows.shift[s], columns.shift[t]});
      const std::size_t element = rows.kernel[s] * c.horizontal.kernel + columns.kernel[t];
      offsets.push_back(static_cast<std::ptrdiff_t>(element * c.channels * outputs));
    }
  const Places read{rows.count, columns.count, 1, 1};
  const Places written{rows.count, columns.count, c.vertical.stride, c.horizontal.stride};
  const PlaceRows map(written, c.vertical.image, c.horizontal.image, static_cast<std::ptrdiff_t>(channels), rows.first,
                      columns.first);
  const std::size_t depth = taps.size() * c.outputs, places = c.batch * rows.count * columns.count;
  const double total = static_cast<double>(places) * static_cast<double>(depth) * static_cast<double>(channels);
  share(c.groups, places, c.channels, total, [&](std::size_t group, const Extent& part) {
    const Sink sink{out + group * c.channels, update.keep, update.negate};
    if (depth == 0) {  // the stride passes over these pixels
      if (!update.keep) clear_rows(map, part, sink.data);
      return;
    }
    const Image image{gradient + group * c.outputs, c.vertical.result, c.horizontal.result,
                      static_cast<std::ptrdiff_t>(outputs), c.outputs};
    const KernelRows elements(kernel + group * c.outputs, offsets, static_cast<std::ptrdiff_t>(outputs), c.outputs);
    blocked_product(PatchRows(image, read, taps), elements, part, 0, depth, map, sink);
  });
}

}  // namespace

void convolve(const Convolution& c, const u64* image, const u64* kernel, u64* out, Update update) {
  const std::size_t outputs = c.outputs * c.groups, depth = taps_of(c) * c.channels;
  const std::size_t places = c.batch * result_pixels(c);
  if (places == 0 || outputs == 0) return;
  if (depth == 0) {
    if (!update.keep) std::fill_n(out, places * outputs, 0);
    return;
  }
  const std::vector<Tap> taps = forward_taps(c);
  const Places laid{c.vertical.result, c.horizontal.result, c.vertical.stride, c.horizontal.stride};
  const EvenRows map(static_cast<std::ptrdiff_t>(outputs));
  share(c.groups, places, c.outputs, work(c), [&](std::size_t group, const Extent& part) {
    const Image in{image + group * c.channels, c.vertical.image, c.horizontal.image,
                   static_cast<std::ptrdiff_t>(c.channels * c.groups), c.channels};
    const StridedOperand elements(kernel + group * c.outputs, 1, static_cast<std::ptrdiff_t>(outputs));
    const Sink sink{out + group * c.outputs, update.keep, update.negate};
    blocked_product(PatchRows(in, laid, taps), elements, part, 0, depth, map, sink);
  });
}

// A stride leaves gaps: pixels of each residue modulo the stride meet only some of the kernel's elements, and are a
// convolution of stride one with these.
void convolve_image_gradient(const Convolution& c, const u64* gradient, const u64* kernel, u64* out, Update update) {
  if (c.batch * image_pixels(c) * c.channels == 0) return;
  const std::vector<Residue> columns = residues(c.horizontal);
  for (const Residue& rows : residues(c.vertical))
    for (const Residue& column : columns) image_gradient_of(c, rows, column, gradient, kernel, out, update);
}

void convolve_kernel_gradient(const Convolution& c, const u64* image, const u64* gradient, u64* out, Update update) {
  const std::size_t outputs = c.outputs * c.groups, rows = taps_of(c) * c.channels;
  const std::size_t words = rows * outputs, places = c.batch * result_pixels(c);
  if (words == 0) return;
  if (places == 0) {
    if (!update.keep) std::fill_n(out, words, 0);
    return;
  }
  const std::vector<Tap> taps = forward_taps(c);
  const Places laid{c.vertical.result, c.horizontal.result, c.vertical.stride, c.horizontal.stride};
  const EvenRows map(static_cast<std::ptrdiff_t>(outputs));
  const auto block = [&](std::size_t group, const Extent& part, std::size_t from, std::size_t count, u64* to,
                         Update how) {
    const Image in{image + group * c.channels, c.vertical.image, c.horizontal.image,
                   static_cast<std::ptrdiff_t>(c.channels * c.groups), c.channels};
    const StridedOperand gradients(gradient + group * c.outputs, 1, static_cast<std::ptrdiff_t>(outputs));
    const Sink sink{to + group * c.outputs, how.keep, how.negate};
    blocked_product(PatchColumns(in, laid, taps), gradients, part, from, count, map, sink);
  };
  const std::size_t parts = std::min(worthwhile_threads(work(c)), places);
  if (parts == 1 || words > kPartialWords) {
    share(c.groups, rows, c.outputs, work(c), [&](std::size_t group, const Extent& part) {
      block(group, part, 0, places, out, update);
    });
    return;
  }
  std::vector<u64> partial(parts * words);
  parallel_for(parts, 1, [&](std::size_t begin, std::size_t end) {
    for (std::size_t p = begin; p < end; ++p) {
      const std::size_t from = places * p / parts, to = places * (p + 1) / parts;
      for (std::size_t group = 0; group < c.groups; ++group)
        block(group, {0, rows, 0, c.outputs}, from, to - from, partial.data() + p * words, {false, false});
    }
  });
  for (std::size_t i = 0; i < words; ++i) {
    u64 sum = 0;
    for (std::size_t p = 0; p < parts; ++p) sum += partial[p * words + i];
    if (update.negate) sum = ~sum + 1;
    out[i] = update.keep ? out[i] + sum : sum;
  }
}

}  // namespace tacit
