// tacit._native: the kernels on Curve25519.
#include <nanobind/nanobind.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <string>

#include "buffer_view.hpp"
#include "curve25519.hpp"
#include "curve25519_hash.hpp"
#include "parallel.hpp"

namespace nb = nanobind;

namespace tacit {
namespace {

using namespace curve25519;
using Access = BufferView::Access;

constexpr size_t kGrain = 32;  // groups of lanes that are worth a thread: a millisecond of ladders

// The first row of zeros, or -1.
std::int64_t first_refused(const u8* rows, size_t count) {
  std::int64_t found = -1;
  for (size_t i = count; i-- > 0;) {
    u8 any = 0;
    for (size_t j = 0; j < kOctets; ++j) any |= rows[i * kOctets + j];
    if (any == 0) found = static_cast<std::int64_t>(i);
  }
  return found;
}

template <class Body>
void split(size_t count, size_t lanes, const Body& body) {
  parallel_for((count + lanes - 1) / lanes, kGrain, [&](size_t begin, size_t end) {
    body(begin * lanes, std::min(end * lanes, count));
  });
}

// [rows, 32] octets; as many rows as `out` has.
struct Rows : ByteView {
  Rows(const char* name, nb::handle object, Access access) : ByteView(name, object, access) { need_rank(2); }
  void need(size_t count) const { need_shape({count, kOctets}); }
};

struct Table : WordView {
  Table(nb::handle object, Access access) : WordView("table", object, access) { need_shape({kTableWords}); }
};

std::int64_t multiply(nb::handle scalars, nb::handle points, nb::handle out) {
  const Rows k("scalars", scalars, Access::read), p("points", points, Access::read), to("out", out, Access::write);
  const size_t count = p.dim(0);
  p.need(count);
  to.need(count);
  k.need(k.dim(0) == 1 ? 1 : count);
  to.need_apart(p);
  to.need_apart(k);
  const size_t stride = k.dim(0) == 1 ? 0 : kOctets;
  const Kernels& use = kernels();
  nb::gil_scoped_release released;
  split(count, use.lanes, [&](size_t begin, size_t end) {
    use.multiply(k.octets(), stride, p.octets(), to.octets(), begin, end);
  });
  return first_refused(to.octets(), count);
}

void encode(nb::handle numbers, nb::handle out) {
  const Rows from("numbers", numbers, Access::read), to("out", out, Access::write);
  from.need(from.dim(0));
  to.need(from.dim(0));
  to.need_apart(from);
  const Kernels& use = kernels();
  const size_t count = from.dim(0);
  nb::gil_scoped_release released;
  split(count, use.lanes, [&](size_t begin, size_t end) { use.encode(from.octets(), to.octets(), begin, end); });
}

bool table(nb::handle point, nb::handle out) {
  const ByteView p("point", point, Access::read);
  p.need_shape({kOctets});
  const Table to(out, Access::write);
  nb::gil_scoped_release released;
  return fill_table(p.octets(), to.words());
}

void blind(nb::handle numbers, nb::handle scalars, nb::handle base, nb::handle u, nb::handle v) {
  const Rows from("numbers", numbers, Access::read), s("scalars", scalars, Access::read);
  const Rows to("u", u, Access::write), other("v", v, Access::write);
  const Table entries(base, Access::read);
  const size_t count = from.dim(0);
  for (const Rows* rows : {&from, &s, &to, &other}) rows->need(count);
  for (const Rows* rows : {&to, &other}) {
    rows->need_apart(from);
    rows->need_apart(s);
  }
  to.need_apart(other);
  const Kernels& use = kernels();
  nb::gil_scoped_release released;
  split(count, use.lanes, [&](size_t begin, size_t end) {
    use.blind(from.octets(), s.octets(), entries.words(), to.octets(), other.octets(), begin, end);
  });
}

std::int64_t evaluate(nb::handle scalar, nb::handle points, nb::handle out) {
  const ByteView k("scalar", scalar, Access::read);
  k.need_shape({kOctets});
  const Rows p("points", points, Access::read), to("out", out, Access::write);
  const size_t count = p.dim(0);
  p.need(count);
  to.need(count);
  to.need_apart(p);
  const Kernels& use = kernels();
  nb::gil_scoped_release released;
  split(count, use.lanes, [&](size_t begin, size_t end) {
    use.evaluate(k.octets(), p.octets(), to.octets(), begin, end);
  });
  return first_refused(to.octets(), count);
}

std::int64_t unblind(nb::handle points, nb::handle v, nb::handle scalars, nb::handle base, nb::handle out) {
  const Rows p("points", points, Access::read), other("v", v, Access::read), s("scalars", scalars, Access::read);
  const Rows to("out", out, Access::write);
  const Table entries(base, Access::read);
  const size_t count = p.dim(0);
  for (const Rows* rows : {&p, &other, &s, &to}) rows->need(count);
  for (const Rows* rows : {&p, &other, &s}) to.need_apart(*rows);
  const Kernels& use = kernels();
  nb::gil_scoped_release released;
  split(count, use.lanes, [&](size_t begin, size_t end) {
    use.unblind(p.octets(), other.octets(), s.octets(), entries.words(), to.octets(), begin, end);
  });
  return first_refused(to.octets(), count);
}

void hash_to_field(nb::handle octets, nb::handle offsets, const nb::bytes& domain, nb::handle out) {
  const ByteView data("octets", octets, Access::read);
  const IndexView bounds("offsets", offsets);
  const Rows to("out", out, Access::write);
  data.need_rank(1);
  const size_t count = to.dim(0);
  to.need(count);
  bounds.need_shape({count + 1});
  to.need_apart(data);
  if (domain.size() < 1 || domain.size() > kMaxDomain)
    throw std::invalid_argument("domain has " + std::to_string(domain.size()) + " octets, but needs 1 to " +
                                std::to_string(kMaxDomain));
  const std::int64_t total = static_cast<std::int64_t>(data.dim(0));
  std::int64_t before = 0;
  for (size_t i = 0; i <= count; ++i) {
    const std::int64_t at = bounds.indices()[i];
    if (at < before || at > total)
      throw std::invalid_argument("offsets[" + std::to_string(i) + "] is " + std::to_string(at) +
                                  ": it must rise from 0 to at most " + std::to_string(total));
    before = at;
  }
  const Messages messages{data.octets(), bounds.indices(), reinterpret_cast<const u8*>(domain.c_str()), domain.size()};
  const HashKernel& use = hash_kernel();
  nb::gil_scoped_release released;
  parallel_for((count + use.lanes - 1) / use.lanes, 512, [&](size_t begin, size_t end) {
    use.to_field(messages, to.octets(), begin * use.lanes, std::min(end * use.lanes, count));
  });
}

}  // namespace

void bind_curve25519(nb::module_& m) {
  m.attr("CURVE25519_TABLE_WORDS") = kTableWords;
  m.def("curve25519_multiply", &multiply, nb::arg("scalars"), nb::arg("points"), nb::arg("out"));
  m.def("curve25519_encode", &encode, nb::arg("numbers"), nb::arg("out"));
  m.def("curve25519_table", &table, nb::arg("point"), nb::arg("out"));
  m.def("curve25519_blind", &blind, nb::arg("numbers"), nb::arg("scalars"), nb::arg("table"), nb::arg("u"),
        nb::arg("v"));
  m.def("curve25519_evaluate", &evaluate, nb::arg("scalar"), nb::arg("points"), nb::arg("out"));
  m.def("curve25519_unblind", &unblind, nb::arg("points"), nb::arg("v"), nb::arg("scalars"), nb::arg("table"),
        nb::arg("out"));
  m.def("curve25519_hash", &hash_to_field, nb::arg("octets"), nb::arg("offsets"), nb::arg("domain"), nb::arg("out"));
}

}  // namespace tacit
