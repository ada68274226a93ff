#include "convolution_operand.hpp"

#include <algorithm>
#include <cstring>

namespace tacit {
namespace {

using u64 = std::uint64_t;

// From this many channels on a pixel is a line worth transposing; below, neighbouring pixels are.
constexpr std::size_t kManyChannels = 8;

// Places side by side in one line: `count` of them from (n, y, x) on, the offset-th and following of those asked for.
struct Run {
  std::size_t n, y, x, offset, count;
};

template <class Body>
void for_each_run(const Places& places, std::size_t first, std::size_t count, const Body& body) {
  const std::size_t area = places.height * places.width;
  Run run{first / area, first % area / places.width, first % places.width, 0, 0};
  while (run.offset < count) {
    run.count = std::min(places.width - run.x, count - run.offset);
    body(run);
    run.offset += run.count;
    run.x = 0;
    if (++run.y == places.height) run.y = 0, ++run.n;
  }
}

// A part of one tap's channels: [start, start + count) of them, the offset-th and following of those asked for.
struct Segment {
  std::size_t tap, start, offset, count;
};

// Cuts the depths (or rows) [from, from + count) into taps of `length` channels.
template <class Body>
void for_each_segment(std::size_t length, std::size_t from, std::size_t count, const Body& body) {
  for (Segment s{from / length, from % length, 0, 0}; s.offset < count; ++s.tap) {
    s.count = std::min(length - s.start, count - s.offset);
    body(s);
    s.offset += s.count;
    s.start = 0;
  }
}

// The smallest i >= 0 with i * step >= distance.
std::size_t steps_to(std::ptrdiff_t distance, std::ptrdiff_t step) {
  if (distance <= 0) return 0;
  return static_cast<std::size_t>(step == 1 ? distance : (distance + step - 1) / step);
}

// The part of a run whose pixels under a tap lie in the image: places [begin, end) of it, the first at `data`.
struct Visible {
  std::size_t begin, end;
  const u64* data;
};

Visible visible(const Image& image, const Places& places, const Run& run, const Tap& tap) {
  const std::ptrdiff_t y = static_cast<std::ptrdiff_t>(run.y) * places.step_y + tap.y;
  if (y < 0 || y >= static_cast<std::ptrdiff_t>(image.height)) return {0, 0, nullptr};
  const std::ptrdiff_t x = static_cast<std::ptrdiff_t>(run.x) * places.step_x + tap.x;
  const std::size_t begin = std::min(run.count, steps_to(-x, places.step_x));
  const std::size_t end = std::min(run.count, steps_to(static_cast<std::ptrdiff_t>(image.width) - x, places.step_x));
  if (begin >= end) return {0, 0, nullptr};
  const auto line = static_cast<std::ptrdiff_t>(run.n * image.height + static_cast<std::size_t>(y));
  const std::ptrdiff_t pixel = line * static_cast<std::ptrdiff_t>(image.width) + x +
                               static_cast<std::ptrdiff_t>(begin) * places.step_x;
  return {begin, end, image.data + pixel * image.pixel};
}

}  // namespace

void PatchRows::pack(u64* to, std::size_t width, std::size_t row, std::size_t rows, std::size_t from,
                     std::size_t depth) const {
  if (image_.channels >= kManyChannels)
    pack_pixels(to, width, row, rows, from, depth);
  else
    pack_runs(to, width, row, rows, from, depth);
}

void PatchRows::pack_pixels(u64* to, std::size_t width, std::size_t row, std::size_t rows, std::size_t from,
                            std::size_t depth) const {
  struct {
    std::ptrdiff_t y, x;
    const u64* data;  // of the pixel, which may lie outside of the image before a tap moves it
  } at[kMaxWidth];
  const auto image_height = static_cast<std::ptrdiff_t>(image_.height);
  const auto image_width = static_cast<std::ptrdiff_t>(image_.width);
  std::ptrdiff_t line[kMaxWidth];  // pixels before the place's, counted from the first image
  for_each_run(places_, row, rows, [&](const Run& run) {
    for (std::size_t i = 0; i < run.count; ++i) {
      const auto y = static_cast<std::ptrdiff_t>(run.y) * places_.step_y;
      const auto x = static_cast<std::ptrdiff_t>(run.x + i) * places_.step_x;
      at[run.offset + i] = {y, x, nullptr};
      line[run.offset + i] = (static_cast<std::ptrdiff_t>(run.n) * image_height + y) * image_width + x;
    }
  });
  const u64* lines[kMaxWidth];
  std::fill(lines + rows, lines + width, kZeros);
  for_each_segment(image_.channels, from, depth, [&](const Segment& s) {
    const Tap& tap = taps_[s.tap];
    const std::ptrdiff_t move = tap.y * image_width + tap.x;
    for (std::size_t i = 0; i < rows; ++i) {
      const std::ptrdiff_t y = at[i].y + tap.y, x = at[i].x + tap.x;
      const bool inside = y >= 0 && y < image_height && x >= 0 && x < image_width;
      lines[i] = inside ? image_.data + (line[i] + move) * image_.pixel + s.start : kZeros;
    }
    product_kernels().gather(to + s.offset * width, width, lines, s.count);
  });
}

void PatchRows::pack_runs(u64* to, std::size_t width, std::size_t row, std::size_t rows, std::size_t from,
                          std::size_t depth) const {
  std::fill_n(to, depth * width, 0);
  const std::ptrdiff_t step = places_.step_x * image_.pixel;
  for_each_run(places_, row, rows, [&](const Run& run) {
    for_each_segment(image_.channels, from, depth, [&](const Segment& s) {
      const Visible seen = visible(image_, places_, run, taps_[s.tap]);
      for (std::size_t c = 0; seen.data != nullptr && c < s.count; ++c) {
        const u64* word = seen.data + s.start + c;
        u64* line = to + (s.offset + c) * width + run.offset;
        for (std::size_t i = seen.begin; i < seen.end; ++i, word += step) line[i] = *word;
      }
    });
  });
}

void PatchColumns::pack(u64* to, std::size_t width, std::size_t row, std::size_t rows, std::size_t from,
                        std::size_t depth) const {
  std::fill_n(to, depth * width, 0);
  const std::ptrdiff_t step = places_.step_x * image_.pixel;
  for_each_segment(image_.channels, row, rows, [&](const Segment& s) {
    for_each_run(places_, from, depth, [&](const Run& run) {
      const Visible seen = visible(image_, places_, run, taps_[s.tap]);
      if (seen.data == nullptr) return;
      const u64* words = seen.data + s.start;
      u64* line = to + (run.offset + seen.begin) * width + s.offset;
      for (std::size_t i = seen.begin; i < seen.end; ++i, words += step, line += width) {
        std::size_t c = 0;
        for (; c + 4 <= s.count; c += 4) std::memcpy(line + c, words + c, 4 * sizeof *line);
        for (; c < s.count; ++c) line[c] = words[c];
      }
    });
  });
}

void KernelRows::pack(u64* to, std::size_t width, std::size_t row, std::size_t rows, std::size_t from,
                      std::size_t depth) const {
  for_each_segment(outputs_, from, depth, [&](const Segment& s) {
    StridedOperand(data_ + offsets_[s.tap] + static_cast<std::ptrdiff_t>(s.start), channel_, 1)
        .pack(to + s.offset * width, width, row, rows, 0, s.count);
  });
}

void PlaceRows::locate(std::size_t first, std::size_t count, std::ptrdiff_t* offsets) const {
  for_each_run(places_, first, count, [&](const Run& run) {
    const std::size_t y = first_y_ + run.y * static_cast<std::size_t>(places_.step_y);
    for (std::size_t i = 0; i < run.count; ++i) {
      const std::size_t x = first_x_ + (run.x + i) * static_cast<std::size_t>(places_.step_x);
      offsets[run.offset + i] = static_cast<std::ptrdiff_t>((run.n * height_ + y) * width_ + x) * pixel_;
    }
  });
}

}  // namespace tacit
