// The separable kernels of tacit._native: buffers are checked here, work is split here, the GIL is released here.
#include <nanobind/nanobind.h>

#include <cmath>
#include <stdexcept>
#include <string>

#include "buffer_view.hpp"
#include "parallel.hpp"
#include "separable.hpp"

namespace nb = nanobind;

namespace tacit {
namespace {

using Access = BufferView::Access;
using separable::kernels;
using separable::Series;
using separable::u64;
using separable::Window;
using std::size_t;

constexpr size_t kQuick = 2048;  // terms that take about a microsecond: not worth handing over the GIL
constexpr size_t kGroup = 128;   // ranges start on whole blocks
constexpr size_t kGrain = 16;    // groups per thread

// Calls body(begin, end) over [0, n), on several threads where it is much.
template <class Body>
void run(size_t n, size_t terms, const Body& body) {
  if (n * terms <= kQuick) return body(size_t{0}, n);
  nb::gil_scoped_release released;
  parallel_for((n + kGroup - 1) / kGroup, kGrain, [&](size_t begin, size_t end) {
    body(begin * kGroup, end * kGroup < n ? end * kGroup : n);
  });
}

struct Words : WordView {
  Words(const char* name, nb::handle object, Access access = Access::read) : WordView(name, object, access) {}
  size_t size() const { return bytes() / 8; }
  void need_size(const char* name, size_t count) const {
    if (size() != count)
      throw std::invalid_argument(std::string(name) + " has " + std::to_string(size()) + " words but needs " +
                                  std::to_string(count));
  }
};

Series series_of(u64 turn, int stride, size_t harmonics, int unit, bool slope, u64 rate) {
  if (stride != 1 && stride != 2) throw std::invalid_argument("stride must be 1 or 2, not " + std::to_string(stride));
  if (harmonics == 0) throw std::invalid_argument("a series needs a harmonic");
  if (unit < 0 || unit > 50) throw std::invalid_argument("unit must be between 0 and 50, not " + std::to_string(unit));
  return {turn, stride, harmonics, std::ldexp(1.0, unit), slope, rate};
}

Window window_of(u64 turn, u64 turned, int octaves, int exponent) {
  if (octaves < 1 || octaves > 12)
    throw std::invalid_argument("octaves must be between 1 and 12, not " + std::to_string(octaves));
  if (exponent < -50 || exponent > 50)
    throw std::invalid_argument("exponent must be between -50 and 50, not " + std::to_string(exponent));
  return {turn, turned, octaves, exponent};
}

void series_close(nb::handle u_, nb::handle dealt_, u64 turn, int stride, size_t harmonics, int unit, bool slope, u64 rate,
                  nb::handle out_) {
  const Series f = series_of(turn, stride, harmonics, unit, slope, rate);
  const Words u("u", u_), dealt("dealt", dealt_), out("out", out_, Access::write);
  const size_t n = u.size();
  dealt.need_size("dealt", f.terms() * n);
  out.need_size("out", n);
  out.need_apart(u);
  out.need_apart(dealt);
  const auto kernel = kernels().series_close;
  run(n, f.terms(), [&](size_t begin, size_t end) { kernel(f, u.words(), dealt.words(), out.words(), n, begin, end); });
}

void series_deal(nb::handle v_, nb::handle cosines_, nb::handle sines_, nb::handle minus_, u64 turn, int stride, int unit,
                 bool slope, u64 rate, nb::handle out_) {
  const BufferView cosines("cosines", cosines_, Access::read, "d", "float64");
  const BufferView sines("sines", sines_, Access::read, "d", "float64");
  cosines.need_rank(1);
  sines.need_same_shape(cosines);
  const Series f = series_of(turn, stride, cosines.dim(0), unit, slope, rate);
  const Words v("v", v_), minus("minus", minus_), out("out", out_, Access::write);
  const size_t n = v.size();
  minus.need_size("minus", f.terms() * n);
  out.need_size("out", f.terms() * n);
  out.need_apart(v);
  out.need_apart(minus, true);
  const auto kernel = kernels().series_deal;
  run(n, f.terms(), [&](size_t begin, size_t end) {
    kernel(f, cosines.data<double>(), sines.data<double>(), v.words(), minus.words(), out.words(), n, begin, end);
  });
}

void window_close(nb::handle u_, nb::handle dealt_, u64 turn, u64 turned, int octaves, int exponent, nb::handle out_) {
  const Window f = window_of(turn, turned, octaves, exponent);
  const Words u("u", u_), dealt("dealt", dealt_), out("out", out_, Access::write);
  const size_t n = u.size();
  dealt.need_size("dealt", Window::kDigits * n);
  out.need_size("out", n);
  out.need_apart(u);
  out.need_apart(dealt);
  const auto kernel = kernels().window_close;
  run(n, Window::kDigits,
      [&](size_t begin, size_t end) { kernel(f, u.words(), dealt.words(), out.words(), n, begin, end); });
}

void window_deal(nb::handle v_, nb::handle minus_, u64 turn, int octaves, int exponent, nb::handle out_) {
  const Window f = window_of(turn, 0, octaves, exponent);
  const Words v("v", v_), minus("minus", minus_), out("out", out_, Access::write);
  const size_t n = v.size();
  minus.need_size("minus", Window::kDigits * n);
  out.need_size("out", Window::kDigits * n);
  out.need_apart(v);
  out.need_apart(minus, true);
  const auto kernel = kernels().window_deal;
  run(n, Window::kDigits,
      [&](size_t begin, size_t end) { kernel(f, v.words(), minus.words(), out.words(), n, begin, end); });
}

}  // namespace

void bind_separable(nb::module_& m) {
  using nb::arg;
  m.def("series_close", series_close, arg("u"), arg("dealt"), arg("turn"), arg("stride"), arg("harmonics"), arg("unit"),
        arg("slope"), arg("rate"), arg("out"));
  m.def("series_deal", series_deal, arg("v"), arg("cosines"), arg("sines"), arg("minus"), arg("turn"), arg("stride"),
        arg("unit"), arg("slope"), arg("rate"), arg("out"));
  m.def("window_close", window_close, arg("u"), arg("dealt"), arg("turn"), arg("turned"), arg("octaves"),
        arg("exponent"), arg("out"));
  m.def("window_deal", window_deal, arg("v"), arg("minus"), arg("turn"), arg("octaves"), arg("exponent"), arg("out"));
}

}  // namespace tacit
