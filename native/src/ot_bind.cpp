// Python doors of ot.hpp. Blocks are the last axis of a uint64 array, two words each; shapes are checked here.
#include <nanobind/nanobind.h>

#include <new>
#include <stdexcept>
#include <string>

#include "buffer_view.hpp"
#include "ot.hpp"

namespace nb = nanobind;

namespace tacit {
namespace {

using Access = BufferView::Access;

struct BlockView : WordView {
  using WordView::WordView;
  Block* blocks() const { return data<Block>(); }
};

Block one_block(const char* name, nb::handle object) {
  const WordView view(name, object, Access::read);
  view.need_shape({2});
  return {view.words()[0], view.words()[1]};
}

int depth_of(std::size_t levels, std::size_t leaves) {
  if (levels < 1 || levels > static_cast<std::size_t>(kMaxDepth) || leaves != std::size_t{1} << levels)
    throw std::invalid_argument("a tree of " + std::to_string(levels) + " levels has 2**levels leaves, not " +
                                std::to_string(leaves) + "; levels lie between 1 and " + std::to_string(kMaxDepth));
  return static_cast<int>(levels);
}

void construct(FixedKey* self, const nb::bytes& key) {
  if (key.size() != 16)
    throw std::invalid_argument("an AES-128 key has 16 bytes, not " + std::to_string(key.size()));
  new (self) FixedKey(static_cast<const std::uint8_t*>(key.data()));
}

void hash_door(const FixedKey& self, nb::handle x_, std::uint64_t first, nb::handle out_) {
  const BlockView x("x", x_, Access::read), out("out", out_, Access::write);
  x.need_rank(2);
  x.need_shape({x.dim(0), 2});
  out.need_same_shape(x);
  out.need_apart(x, true);
  nb::gil_scoped_release release;
  self.hash(x.blocks(), x.dim(0), first, out.blocks());
}

void expand_door(const FixedKey& self, nb::handle roots_, nb::handle delta_, nb::handle leaves_, nb::handle sums_) {
  const BlockView roots("roots", roots_, Access::read), leaves("leaves", leaves_, Access::write),
      sums("sums", sums_, Access::write);
  const Block delta = one_block("delta", delta_);
  roots.need_rank(2);
  leaves.need_rank(3);
  sums.need_rank(3);
  const std::size_t trees = roots.dim(0);
  roots.need_shape({trees, 2});
  leaves.need_shape({trees, leaves.dim(1), 2});
  sums.need_shape({trees, sums.dim(1), 2});
  const int depth = depth_of(sums.dim(1), leaves.dim(1));
  leaves.need_apart(roots);
  leaves.need_apart(sums);
  sums.need_apart(roots);
  nb::gil_scoped_release release;
  self.expand(roots.blocks(), delta, trees, depth, leaves.blocks(), sums.blocks());
}

void complete_door(const FixedKey& self, nb::handle sums_, nb::handle paths_, nb::handle leaves_) {
  const BlockView sums("sums", sums_, Access::read), leaves("leaves", leaves_, Access::write);
  const WordView paths("paths", paths_, Access::read);
  sums.need_rank(3);
  leaves.need_rank(3);
  const std::size_t trees = sums.dim(0);
  sums.need_shape({trees, sums.dim(1), 2});
  leaves.need_shape({trees, leaves.dim(1), 2});
  paths.need_shape({trees});
  const int depth = depth_of(sums.dim(1), leaves.dim(1));
  leaves.need_apart(sums);
  leaves.need_apart(paths);
  nb::gil_scoped_release release;
  self.complete(sums.blocks(), paths.words(), trees, depth, leaves.blocks());
}

void encode_door(const FixedKey& self, std::uint64_t nonce, std::uint64_t first, nb::handle table_, nb::handle out_) {
  const BlockView table("table", table_, Access::read), out("out", out_, Access::write);
  table.need_rank(2);
  table.need_shape({table.dim(0), 2});
  out.need_rank(2);
  out.need_shape({out.dim(0), 2});
  if (table.dim(0) < 1 || table.dim(0) > std::size_t{1} << 30)
    throw std::invalid_argument("table has " + std::to_string(table.dim(0)) + " rows; between 1 and 2**30 are needed");
  if (first % kBatch != 0 || first >= std::uint64_t{1} << 60)
    throw std::invalid_argument("first is " + std::to_string(first) + ", not a multiple of 16 below 2**60");
  out.need_apart(table);
  nb::gil_scoped_release release;
  self.encode(nonce, first, table.blocks(), table.dim(0), out.blocks(), out.dim(0));
}

void field64_door(nb::handle x_, nb::handle weights_, nb::handle out_) {
  const WordView x("x", x_, Access::read), weights("weights", weights_, Access::read), out("out", out_, Access::write);
  x.need_rank(2);
  weights.need_shape({x.dim(1)});
  out.need_shape({x.dim(0)});
  out.need_apart(x);
  out.need_apart(weights);
  nb::gil_scoped_release release;
  field64_combine(x.words(), x.dim(0), x.dim(1), weights.words(), out.words());
}

void field128_door(nb::handle a_, nb::handle b_, nb::handle out_) {
  const BlockView a("a", a_, Access::read), b("b", b_, Access::read), out("out", out_, Access::write);
  a.need_rank(2);
  a.need_shape({a.dim(0), 2});
  b.need_same_shape(a);
  out.need_shape({2});
  nb::gil_scoped_release release;
  const Block sum = field128_dot(a.blocks(), b.blocks(), a.dim(0));
  out.words()[0] = sum.low;
  out.words()[1] = sum.high;
}

}  // namespace

void bind_ot(nb::module_& m) {
  nb::class_<FixedKey>(m, "FixedKey", "AES-128 under a public key, as a permutation; see the stub for the contract.")
      .def("__init__", &construct, nb::arg("key"))
      .def("hash", &hash_door, nb::arg("x"), nb::arg("first"), nb::arg("out"))
      .def("expand", &expand_door, nb::arg("roots"), nb::arg("delta"), nb::arg("leaves"), nb::arg("sums"))
      .def("complete", &complete_door, nb::arg("sums"), nb::arg("paths"), nb::arg("leaves"))
      .def("encode", &encode_door, nb::arg("nonce"), nb::arg("first"), nb::arg("table"), nb::arg("out"));
  m.def("field64_combine", field64_door, nb::arg("x"), nb::arg("weights"), nb::arg("out"));
  m.def("field128_dot", field128_door, nb::arg("a"), nb::arg("b"), nb::arg("out"));
}

}  // namespace tacit
