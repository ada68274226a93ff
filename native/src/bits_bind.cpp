// Python doors of bits.hpp, and through bind_compare of compare.hpp and boolean.hpp. Shapes are checked here.
#include <nanobind/nanobind.h>

#include "bits.hpp"
#include "buffer_view.hpp"

namespace nb = nanobind;

namespace tacit {

void bind_compare(nb::module_& m);

namespace {

using Access = BufferView::Access;

void pack_door(nb::handle bits_, nb::handle out_) {
  const ByteView bits("bits", bits_, Access::read);
  const WordView out("out", out_, Access::write);
  bits.need_rank(1);
  out.need_shape({words_for(bits.dim(0))});
  out.need_apart(bits);
  nb::gil_scoped_release release;
  pack(bits.octets(), bits.dim(0), out.words());
}

void unpack_door(nb::handle words_, nb::handle out_) {
  const WordView words("words", words_, Access::read);
  const ByteView out("out", out_, Access::write);
  out.need_rank(1);
  words.need_shape({words_for(out.dim(0))});
  out.need_apart(words);
  nb::gil_scoped_release release;
  unpack(words.words(), out.dim(0), out.octets());
}

void transpose64_door(nb::handle x_, nb::handle out_) {
  const WordView x("x", x_, Access::read), out("out", out_, Access::write);
  x.need_rank(2);
  x.need_shape({x.dim(0), 64});
  out.need_same_shape(x);
  out.need_apart(x, true);
  nb::gil_scoped_release release;
  transpose64(x.words(), x.dim(0), out.words());
}

void to_planes_door(nb::handle x_, nb::handle out_, int shift) {
  const WordView x("x", x_, Access::read), out("out", out_, Access::write);
  x.need_rank(1);
  out.need_rank(2);
  out.need_shape({out.dim(0), words_for(x.dim(0))});
  const std::size_t count = out.dim(0);
  if (shift < 0 || count < 1 || count + static_cast<std::size_t>(shift) > 64)
    throw std::invalid_argument("shift " + std::to_string(shift) + " and " + std::to_string(count) +
                                " planes must name at least one bit and none above 63");
  out.need_apart(x);
  nb::gil_scoped_release release;
  to_planes(x.words(), x.dim(0), shift, static_cast<int>(count), out.words());
}

void from_planes_door(nb::handle planes_, nb::handle out_) {
  const WordView planes("planes", planes_, Access::read), out("out", out_, Access::write);
  planes.need_rank(2);
  out.need_rank(1);
  planes.need_shape({planes.dim(0), words_for(out.dim(0))});
  if (planes.dim(0) > 64)
    throw std::invalid_argument("planes has " + std::to_string(planes.dim(0)) + " rows but a word has 64 bits");
  out.need_apart(planes);
  nb::gil_scoped_release release;
  from_planes(planes.words(), static_cast<int>(planes.dim(0)), out.dim(0), out.words());
}

std::size_t row_width(const WordView& x) {
  if (x.rank() == 1) return 1;
  x.need_rank(2);
  return x.dim(1);
}

void gather_door(nb::handle x_, nb::handle index_, nb::handle out_) {
  const WordView x("x", x_, Access::read), out("out", out_, Access::write);
  const IndexView index("index", index_);
  const std::size_t width = row_width(x);
  index.need_rank(1);
  if (x.rank() == 1)
    out.need_shape({index.dim(0)});
  else
    out.need_shape({index.dim(0), width});
  out.need_apart(x);
  out.need_apart(index);
  nb::gil_scoped_release release;
  gather(x.words(), x.dim(0), width, index.indices(), index.dim(0), out.words());
}

void permute_door(nb::handle x_, nb::handle perm_, nb::handle out_) {
  const WordView x("x", x_, Access::read), out("out", out_, Access::write);
  const IndexView perm("perm", perm_);
  const std::size_t width = row_width(x);
  perm.need_shape({x.dim(0)});
  out.need_same_shape(x);
  out.need_apart(x);
  out.need_apart(perm);
  nb::gil_scoped_release release;
  permute(x.words(), x.dim(0), width, perm.indices(), out.words());
}

template <void (*kernel)(const Word*, const Word*, Word*, std::size_t)>
void wordwise_door(nb::handle a_, nb::handle b_, nb::handle out_) {
  const WordView a("a", a_, Access::read), b("b", b_, Access::read), out("out", out_, Access::write);
  b.need_same_shape(a);
  out.need_same_shape(a);
  out.need_apart(a, true);
  out.need_apart(b, true);
  nb::gil_scoped_release release;
  kernel(a.words(), b.words(), out.words(), a.bytes() / sizeof(Word));
}

std::size_t popcount_door(nb::handle words_) {
  const WordView words("words", words_, Access::read);
  nb::gil_scoped_release release;
  return popcount(words.words(), words.bytes() / sizeof(Word));
}

}  // namespace

void bind_bits(nb::module_& m) {
  m.def("pack", pack_door, nb::arg("bits"), nb::arg("out"));
  m.def("unpack", unpack_door, nb::arg("words"), nb::arg("out"));
  m.def("transpose64", transpose64_door, nb::arg("x"), nb::arg("out"));
  m.def("to_planes", to_planes_door, nb::arg("x"), nb::arg("out"), nb::arg("shift") = 0);
  m.def("from_planes", from_planes_door, nb::arg("planes"), nb::arg("out"));
  m.def("gather", gather_door, nb::arg("x"), nb::arg("index"), nb::arg("out"));
  m.def("permute", permute_door, nb::arg("x"), nb::arg("perm"), nb::arg("out"));
  m.def("bit_xor", wordwise_door<bit_xor>, nb::arg("a"), nb::arg("b"), nb::arg("out"));
  m.def("bit_and", wordwise_door<bit_and>, nb::arg("a"), nb::arg("b"), nb::arg("out"));
  m.def("popcount", popcount_door, nb::arg("words"));
  bind_compare(m);
}

}  // namespace tacit
