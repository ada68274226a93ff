// The truncation kernels of tacit._native: buffers are checked here, work is split here, the GIL is released here.
#include <nanobind/nanobind.h>

#include <stdexcept>
#include <string>

#include "buffer_view.hpp"
#include "parallel.hpp"
#include "truncation.hpp"

namespace nb = nanobind;

namespace tacit {
namespace {

using Access = BufferView::Access;
using truncation::Bytes;
using truncation::narrow_words;
using truncation::Range;
using std::size_t;
using std::uint64_t;

constexpr size_t kQuick = 1024;  // elements that take about a microsecond: not worth handing over the GIL
constexpr size_t kGroup = 64;    // ranges start on whole words of narrow arrays
constexpr size_t kGrain = 16384 / kGroup;

// Calls body(Range) over [0, n), on several threads where it is much.
template <class Body>
void run(size_t n, const Body& body) {
  if (n <= kQuick) return body(Range{0, n});
  nb::gil_scoped_release released;
  parallel_for((n + kGroup - 1) / kGroup, kGrain, [&](size_t begin, size_t end) {
    body(Range{begin * kGroup, end * kGroup < n ? end * kGroup : n});
  });
}

int checked(int bits) {
  if (bits < 1 || bits > 62) throw std::invalid_argument("bits must be between 1 and 62, not " + std::to_string(bits));
  return bits;
}

struct Words : WordView {
  Words(const char* name, nb::handle object, size_t count, Access access = Access::read)
      : WordView(name, object, access) {
    if (bytes() != 8 * count)
      throw std::invalid_argument(std::string(name) + " has " + std::to_string(bytes() / 8) + " words but needs " +
                                  std::to_string(count));
  }
  Bytes* narrow() const { return data<Bytes>(); }
  // What rounds an output up to whole words must not be what lay in memory before.
  void clear_end() const {
    if (bytes() != 0) words()[bytes() / 8 - 1] = 0;
  }
};

size_t size_of(nb::handle array) { return WordView("array", array, Access::read).bytes() / 8; }

void masked_deal(nb::handle s_, nb::handle u0_, nb::handle e0_, int bits, nb::handle u1_, nb::handle e1_) {
  const int f = checked(bits);
  const size_t n = size_of(s_);
  const Words s("s", s_, n), u0("u0", u0_, n), e0("e0", e0_, narrow_words(n, f));
  const Words u1("u1", u1_, n, Access::write), e1("e1", e1_, narrow_words(n, f), Access::write);
  for (const Words* out : {&u1, &e1})
    for (const Words* in : {&s, &u0, &e0}) out->need_apart(*in);
  u1.need_apart(e1);
  e1.clear_end();
  run(n, [&](Range at) {
    truncation::masked_deal(s.words(), u0.words(), e0.narrow(), f, u1.words(), e1.narrow(), at);
  });
}

void masked_close(nb::handle C0_, nb::handle C1_, nb::handle u_, nb::handle e_, int bits, bool leader,
                  nb::handle out_) {
  const int f = checked(bits);
  const size_t n = size_of(out_);
  const Words C0("C0", C0_, n), C1("C1", C1_, n), u("u", u_, n), e("e", e_, narrow_words(n, f));
  const Words out("out", out_, n, Access::write);
  for (const Words* in : {&C0, &C1, &u}) out.need_apart(*in, true);
  out.need_apart(e);
  run(n, [&](Range at) {
    truncation::masked_close(C0.words(), C1.words(), u.words(), e.narrow(), f, leader, out.words(), at);
  });
}

void shared_open(nb::handle x_, nb::handle z_, nb::handle t_, int bits, bool leader, nb::handle out_) {
  const int f = checked(bits);
  const size_t n = size_of(x_), high = narrow_words(n, 64 - f);
  const Words x("x", x_, n), z("z", z_, narrow_words(n, f)), t("t", t_, high), out("out", out_, high, Access::write);
  for (const Words* in : {&x, &z, &t}) out.need_apart(*in);
  out.clear_end();
  run(n, [&](Range at) { truncation::shared_open(x.words(), z.narrow(), t.narrow(), f, leader, out.narrow(), at); });
}

void shared_deal(nb::handle t0_, nb::handle t1_, nb::handle p0_, nb::handle q0_, int bits, size_t n, nb::handle p1_,
                 nb::handle q1_) {
  const int f = checked(bits);
  const size_t low = narrow_words(n, f), high = narrow_words(n, 64 - f);
  const Words t0("t0", t0_, high), t1("t1", t1_, high), p0("p0", p0_, low), q0("q0", q0_, low);
  const Words p1("p1", p1_, low, Access::write), q1("q1", q1_, low, Access::write);
  for (const Words* out : {&p1, &q1})
    for (const Words* in : {&t0, &t1, &p0, &q0}) out->need_apart(*in);
  p1.need_apart(q1);
  p1.clear_end();
  q1.clear_end();
  run(n, [&](Range at) {
    truncation::shared_deal(t0.narrow(), t1.narrow(), p0.narrow(), q0.narrow(), f, p1.narrow(), q1.narrow(), at);
  });
}

void shared_close(nb::handle H0_, nb::handle H1_, nb::handle t_, nb::handle p_, nb::handle q_, int bits, bool leader,
                  nb::handle out_) {
  const int f = checked(bits);
  const size_t n = size_of(out_), low = narrow_words(n, f), high = narrow_words(n, 64 - f);
  const Words H0("H0", H0_, high), H1("H1", H1_, high), t("t", t_, high), p("p", p_, low), q("q", q_, low);
  const Words out("out", out_, n, Access::write);
  for (const Words* in : {&H0, &H1, &t, &p, &q}) out.need_apart(*in);
  run(n, [&](Range at) {
    truncation::shared_close(H0.narrow(), H1.narrow(), t.narrow(), p.narrow(), q.narrow(), f, leader, out.words(), at);
  });
}

}  // namespace

void bind_truncation(nb::module_& m) {
  using nb::arg;
  m.def("narrow_words", [](size_t n, int width) { return narrow_words(n, width); }, arg("n"), arg("width"));
  m.def("masked_truncation_deal", masked_deal, arg("s"), arg("u0"), arg("e0"), arg("bits"), arg("u1"), arg("e1"));
  m.def("masked_truncation_close", masked_close, arg("C0"), arg("C1"), arg("u"), arg("e"), arg("bits"), arg("leader"),
        arg("out"));
  m.def("shared_truncation_open", shared_open, arg("x"), arg("z"), arg("t"), arg("bits"), arg("leader"), arg("out"));
  m.def("shared_truncation_deal", shared_deal, arg("t0"), arg("t1"), arg("p0"), arg("q0"), arg("bits"), arg("n"),
        arg("p1"), arg("q1"));
  m.def("shared_truncation_close", shared_close, arg("H0"), arg("H1"), arg("t"), arg("p"), arg("q"), arg("bits"),
        arg("leader"), arg("out"));
}

}  // namespace tacit
