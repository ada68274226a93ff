// Which way a product is computed, and how it is shared among threads.
#include "product.hpp"

#include <algorithm>

#include "partition.hpp"
#include "product_blocked.hpp"
#include "scratch.hpp"

namespace tacit {
namespace {

using u64 = std::uint64_t;

// Below this many rows packing the other operand costs more than it saves, unless the whole is small anyway.
constexpr std::size_t kFewRows = 12;
constexpr double kSmallWork = 1 << 14;
// Results with fewer columns than this are inner products where the operands allow it.
constexpr std::size_t kFewColumns = 4;
// Up to this many columns one or two registers hold a row of the result, and a is read once, in place.
constexpr std::size_t kNarrow = 16;
constexpr std::size_t kHandful = 8;
// So little depth is computed faster than it is packed.
constexpr std::size_t kShallow = 4;
// A product read in place goes over this many words of b at a time, so that its pages and lines stay at hand.
constexpr std::size_t kDirectWords = 1 << 17;

struct View {
  const u64* data;
  std::ptrdiff_t row, column;

  View transposed() const { return {data, column, row}; }
  View from(std::size_t i, std::size_t j) const {
    return {data + static_cast<std::ptrdiff_t>(i) * row + static_cast<std::ptrdiff_t>(j) * column, row, column};
  }
};

// One matrix product on one thread.
struct Task {
  std::size_t m, n, k;
  View a, b;
  u64* out;
  std::ptrdiff_t out_row, out_column;
  bool keep, negate;

  // out' = b' a'
  Task transposed() const { return {n, m, k, b.transposed(), a.transposed(), out, out_column, out_row, keep, negate}; }
};

double work(const Task& t) {
  return static_cast<double>(t.m) * static_cast<double>(t.n) * static_cast<double>(t.k);
}

// A stride that is never used may be taken to be the convenient one.
void normalise(Task& t) {
  if (t.m == 1) t.a.row = 1;
  if (t.n == 1) t.b.column = 1;
  if (t.k == 1) t.a.column = 1, t.b.row = 1;
}

void run_dots(const Task& t) {
  const u64* columns = t.b.data;
  std::ptrdiff_t stride = t.b.column;
  if (t.b.row != 1) {  // the few columns of b are copied, to be read along the depth
    u64* copy = scratch(Scratch::vectors, t.n * t.k);
    for (std::size_t j = 0; j < t.n; ++j)
      for (std::size_t d = 0; d < t.k; ++d) copy[j * t.k + d] = *t.b.from(d, j).data;
    columns = copy;
    stride = static_cast<std::ptrdiff_t>(t.k);
  }
  product_kernels().dots({t.m, t.n, t.k, t.a.data, t.a.row, columns, stride, t.out, t.out_row, t.out_column, t.keep,
                          t.negate});
}

void run_direct(const Task& t) {
  const auto& kernels = product_kernels();
  const bool whole = static_cast<double>(t.k) * static_cast<double>(t.n) <= static_cast<double>(kDirectWords);
  const std::size_t depth = whole ? t.k : std::clamp<std::size_t>(4 * t.m, 8, 32);
  for (std::size_t d = 0; d < t.k; d += depth)
    kernels.direct({t.m, t.n, std::min(depth, t.k - d), t.a.from(0, d).data, t.a.row, t.a.column, t.b.from(d, 0).data,
                    t.b.row, t.out, t.out_row, t.out_column, t.keep || d > 0, t.negate, whole ? 0 : static_cast<std::ptrdiff_t>(depth) * t.b.row});
}

void run_blocked(const Task& t) {
  const StridedOperand a(t.a.data, t.a.row, t.a.column), b(t.b.data, t.b.column, t.b.row);
  const Sink sink{t.out, t.keep, t.negate};
  blocked_product(a, b, {0, t.m, 0, t.n}, 0, t.k, EvenRows(t.out_row), &sink, 1);
}

bool suits_dots(const Task& t) { return t.n <= kFewColumns && t.a.column == 1; }

bool suits_direct(const Task& t) {
  return t.b.column == 1 && (t.m <= kFewRows || t.n <= kNarrow || t.k <= kShallow || work(t) <= kSmallWork);
}

void run(Task t) {
  normalise(t);
  if (t.k == 0) {
    for (std::size_t i = 0; i < t.m && !t.keep; ++i)
      std::fill_n(t.out + static_cast<std::ptrdiff_t>(i) * t.out_row, t.n, 0);
    return;
  }
  const Task turned = t.transposed();
  if (suits_dots(t)) return run_dots(t);
  if (suits_dots(turned)) return run_dots(turned);
  // In place the columns are the lanes of vectors: where both ways are open, not the one with a handful of them.
  const bool direct = suits_direct(t), direct_turned = suits_direct(turned);
  if (direct && (!direct_turned || t.n >= kHandful || t.n >= t.m)) return run_direct(t);
  if (direct_turned) return run_direct(turned);
  run_blocked(t);
}

}  // namespace

void multiply(const Product& product) {
  Product p = product;
  if (p.batch == 0 || p.m == 0 || p.n == 0) return;
  // A stack on a shared right side is one tall matrix.
  if (p.batch > 1 && p.b.batch == 0 && p.a.batch == static_cast<std::ptrdiff_t>(p.m) * p.a.row)
    p.m *= p.batch, p.batch = 1;
  const double total = static_cast<double>(p.batch) * static_cast<double>(p.m) * static_cast<double>(p.n) *
                       static_cast<double>(p.k);
  share(p.batch, p.m, p.n, total, [&p](std::size_t item, const Extent& part) {
    const auto at = static_cast<std::ptrdiff_t>(item);
    const View a{p.a.data + at * p.a.batch, p.a.row, p.a.column}, b{p.b.data + at * p.b.batch, p.b.row, p.b.column};
    run({part.rows, part.columns, p.k, a.from(part.row, 0), b.from(0, part.column),
         p.out + (item * p.m + part.row) * p.n + part.column, static_cast<std::ptrdiff_t>(p.n), 1, p.keep, p.negate});
  });
}

}  // namespace tacit
