// Patches of an image as operands of a packed product: the patch matrix is read in place and never stored.
#pragma once

#include <vector>

#include "product_blocked.hpp"

namespace tacit {

// The channels of one group, in images one after the other.
struct Image {
  const std::uint64_t* data;
  std::size_t height, width;
  std::ptrdiff_t pixel;  // words from one pixel to the next: all groups' channels
  std::size_t channels;
};

// The places a kernel is laid on: (n, y, x) with 0 <= y < height and 0 <= x < width, numbered in that order.
// Place (n, y, x) lies on the pixel (n, y * step_y, x * step_x).
struct Places {
  std::size_t height, width;
  std::ptrdiff_t step_y, step_x;
};

// A kernel element, as the displacement of the pixel it is multiplied with.
struct Tap {
  std::ptrdiff_t y, x;
};

// Rows are places, depth is (tap, channel).
class PatchRows final : public Operand {
 public:
  PatchRows(const Image& image, const Places& places, const std::vector<Tap>& taps)
      : image_(image), places_(places), taps_(taps) {}

  void pack(std::uint64_t* to, std::size_t width, std::size_t row, std::size_t rows, std::size_t from,
            std::size_t depth) const override;

 private:
  void pack_pixels(std::uint64_t* to, std::size_t width, std::size_t row, std::size_t rows, std::size_t from,
                   std::size_t depth) const;
  void pack_runs(std::uint64_t* to, std::size_t width, std::size_t row, std::size_t rows, std::size_t from,
                 std::size_t depth) const;

  const Image& image_;
  const Places& places_;
  const std::vector<Tap>& taps_;
};

// The transpose: rows are (tap, channel), depth is places.
class PatchColumns final : public Operand {
 public:
  PatchColumns(const Image& image, const Places& places, const std::vector<Tap>& taps)
      : image_(image), places_(places), taps_(taps) {}

  void pack(std::uint64_t* to, std::size_t width, std::size_t row, std::size_t rows, std::size_t from,
            std::size_t depth) const override;

 private:
  const Image& image_;
  const Places& places_;
  const std::vector<Tap>& taps_;
};

// A kernel with channels and outputs exchanged: rows are channels, depth is (tap, output) over some of the taps.
class KernelRows final : public Operand {
 public:
  // offsets[t] is where tap t starts; channel c of it is c * channel words further.
  KernelRows(const std::uint64_t* data, const std::vector<std::ptrdiff_t>& offsets, std::ptrdiff_t channel,
             std::size_t outputs)
      : data_(data), offsets_(offsets), channel_(channel), outputs_(outputs) {}

  void pack(std::uint64_t* to, std::size_t width, std::size_t row, std::size_t rows, std::size_t from,
            std::size_t depth) const override;

 private:
  const std::uint64_t* data_;
  const std::vector<std::ptrdiff_t>& offsets_;
  std::ptrdiff_t channel_;
  std::size_t outputs_;
};

// Results at places of a larger picture: place (n, y, x) is the pixel (n, first_y + y step_y, first_x + x step_x).
class PlaceRows final : public RowMap {
 public:
  PlaceRows(const Places& places, std::size_t height, std::size_t width, std::ptrdiff_t pixel, std::size_t first_y,
            std::size_t first_x)
      : places_(places), height_(height), width_(width), first_y_(first_y), first_x_(first_x), pixel_(pixel) {}

  void locate(std::size_t first, std::size_t count, std::ptrdiff_t* offsets) const override;

 private:
  const Places& places_;
  std::size_t height_, width_, first_y_, first_x_;
  std::ptrdiff_t pixel_;
};

}  // namespace tacit
