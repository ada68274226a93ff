// Python doors of compare.hpp and boolean.hpp. The last axis of every array counts words; shapes are checked here.
#include <nanobind/nanobind.h>

#include "boolean.hpp"
#include "buffer_view.hpp"
#include "compare.hpp"

namespace nb = nanobind;

namespace tacit {
namespace {

using Access = BufferView::Access;

constexpr std::size_t kMaxPairs = 1 << 20;  // keeps plane counts far from overflow

int checked_bits(std::size_t bits) {
  if (bits < 1 || bits > 63)
    throw std::invalid_argument("a comparison takes 1 to 63 bits, not " + std::to_string(bits));
  return static_cast<int>(bits);
}

std::size_t checked_pairs(std::size_t pairs) {
  if (pairs < 1 || pairs > kMaxPairs)
    throw std::invalid_argument("a tree level takes 1 to " + std::to_string(kMaxPairs) + " pairs, not " +
                                std::to_string(pairs));
  return pairs;
}

std::size_t digit_planes_door(std::size_t bits) { return digit_planes(checked_bits(bits)); }

nb::tuple tree_plan_door(std::size_t pairs) {
  const TreePlan plan = tree_plan(checked_pairs(pairs));
  return nb::make_tuple(plan.opened, plan.products, plan.next_pairs);
}

void digits_deal_door(nb::handle r_, nb::handle out_, bool accumulate) {
  const WordView r("r", r_, Access::read), out("out", out_, Access::write);
  r.need_rank(2);
  const int bits = checked_bits(r.dim(0));
  out.need_shape({digit_planes(bits), r.dim(1)});
  out.need_apart(r);
  nb::gil_scoped_release release;
  digits_deal(r.words(), bits, out.words(), accumulate, r.dim(1));
}

void digits_close_door(nb::handle c_, nb::handle hot_, bool leader, nb::handle g_, nb::handle p_) {
  const WordView c("c", c_, Access::read), hot("hot", hot_, Access::read);
  const WordView g("g", g_, Access::write), p("p", p_, Access::write);
  c.need_rank(2);
  const int bits = checked_bits(c.dim(0));
  const std::size_t words = c.dim(1), digits = static_cast<std::size_t>(bits + 3) / 4;
  hot.need_shape({digit_planes(bits), words});
  g.need_shape({digits, words});
  p.need_shape({digits, words});
  for (const WordView* out : {&g, &p}) {
    out->need_apart(c);
    out->need_apart(hot);
  }
  g.need_apart(p);
  nb::gil_scoped_release release;
  digits_close(c.words(), hot.words(), bits, leader, g.words(), p.words(), words);
}

void tree_open_door(nb::handle g_, nb::handle p_, nb::handle lam_, nb::handle out_) {
  const WordView g("g", g_, Access::read), p("p", p_, Access::read), lam("lam", lam_, Access::read);
  const WordView out("out", out_, Access::write);
  g.need_rank(2);
  p.need_same_shape(g);
  const std::size_t pairs = checked_pairs(g.dim(0)), words = g.dim(1);
  lam.need_shape({tree_plan(pairs).opened, words});
  out.need_same_shape(lam);
  out.need_apart(g);
  out.need_apart(p);
  out.need_apart(lam, true);
  nb::gil_scoped_release release;
  tree_open(g.words(), p.words(), lam.words(), out.words(), pairs, words);
}

void tree_deal_door(nb::handle lam_, std::size_t pairs, nb::handle out_, bool accumulate) {
  const WordView lam("lam", lam_, Access::read), out("out", out_, Access::write);
  lam.need_rank(2);
  const TreePlan plan = tree_plan(checked_pairs(pairs));
  lam.need_shape({plan.opened, lam.dim(1)});
  out.need_shape({plan.products, lam.dim(1)});
  out.need_apart(lam);
  nb::gil_scoped_release release;
  tree_deal(lam.words(), pairs, out.words(), accumulate, lam.dim(1));
}

void tree_close_door(nb::handle opened_, nb::handle lam_, nb::handle products_, nb::handle g_, nb::handle p_,
                     bool leader, nb::handle g2_, nb::handle p2_) {
  const WordView opened("opened", opened_, Access::read), lam("lam", lam_, Access::read);
  const WordView products("products", products_, Access::read);
  const WordView g("g", g_, Access::read), p("p", p_, Access::read);
  const WordView g2("g2", g2_, Access::write), p2("p2", p2_, Access::write);
  g.need_rank(2);
  p.need_same_shape(g);
  const std::size_t pairs = checked_pairs(g.dim(0)), words = g.dim(1);
  const TreePlan plan = tree_plan(pairs);
  opened.need_shape({plan.opened, words});
  lam.need_same_shape(opened);
  products.need_shape({plan.products, words});
  g2.need_shape({plan.next_pairs, words});
  p2.need_same_shape(g2);
  for (const WordView* out : {&g2, &p2})
    for (const WordView* in : {&opened, &lam, &products, &g, &p}) out->need_apart(*in);
  g2.need_apart(p2);
  nb::gil_scoped_release release;
  tree_close(opened.words(), lam.words(), products.words(), g.words(), p.words(), leader, g2.words(), p2.words(),
             pairs, words);
}

void replicated_and_door(nb::handle x0_, nb::handle x1_, nb::handle y0_, nb::handle y1_, nb::handle alpha_,
                         nb::handle out_) {
  const WordView x0("x0", x0_, Access::read), x1("x1", x1_, Access::read);
  const WordView y0("y0", y0_, Access::read), y1("y1", y1_, Access::read);
  const WordView alpha("alpha", alpha_, Access::read), out("out", out_, Access::write);
  for (const WordView* each : {&x1, &y0, &y1, &alpha, &out}) each->need_same_shape(x0);
  for (const WordView* in : {&x0, &x1, &y0, &y1, &alpha}) out.need_apart(*in, true);
  nb::gil_scoped_release release;
  replicated_and({x0.words(), x1.words()}, {y0.words(), y1.words()}, alpha.words(), out.words(),
                 out.bytes() / sizeof(Word));
}

void masked_and_close_door(nb::handle x_, nb::handle y_, nb::handle lx_, nb::handle ly_, nb::handle lxy_, bool leader,
                           nb::handle out_) {
  const WordView x("x", x_, Access::read), y("y", y_, Access::read);
  const WordView lx("lx", lx_, Access::read), ly("ly", ly_, Access::read), lxy("lxy", lxy_, Access::read);
  const WordView out("out", out_, Access::write);
  for (const WordView* each : {&y, &lx, &ly, &lxy, &out}) each->need_same_shape(x);
  for (const WordView* in : {&x, &y, &lx, &ly, &lxy}) out.need_apart(*in, true);
  nb::gil_scoped_release release;
  masked_and_close(x.words(), y.words(), lx.words(), ly.words(), lxy.words(), leader, out.words(),
                   out.bytes() / sizeof(Word));
}

}  // namespace

void bind_compare(nb::module_& m) {
  m.def("digit_planes", digit_planes_door, nb::arg("bits"));
  m.def("digits_deal", digits_deal_door, nb::arg("r"), nb::arg("out"), nb::arg("accumulate") = false);
  m.def("digits_close", digits_close_door, nb::arg("c"), nb::arg("hot"), nb::arg("leader"), nb::arg("g"),
        nb::arg("p"));
  m.def("tree_plan", tree_plan_door, nb::arg("pairs"));
  m.def("tree_open", tree_open_door, nb::arg("g"), nb::arg("p"), nb::arg("lam"), nb::arg("out"));
  m.def("tree_deal", tree_deal_door, nb::arg("lam"), nb::arg("pairs"), nb::arg("out"), nb::arg("accumulate") = false);
  m.def("tree_close", tree_close_door, nb::arg("opened"), nb::arg("lam"), nb::arg("products"), nb::arg("g"),
        nb::arg("p"), nb::arg("leader"), nb::arg("g2"), nb::arg("p2"));
  m.def("replicated_and", replicated_and_door, nb::arg("x0"), nb::arg("x1"), nb::arg("y0"), nb::arg("y1"),
        nb::arg("alpha"), nb::arg("out"));
  m.def("masked_and_close", masked_and_close_door, nb::arg("x"), nb::arg("y"), nb::arg("lx"), nb::arg("ly"),
        nb::arg("lxy"), nb::arg("leader"), nb::arg("out"));
}

}  // namespace tacit
