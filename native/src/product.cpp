// Which way a product is computed, and how it is shared among threads.
#include "product.hpp"

#include <algorithm>

#include "partition.hpp"
#include "product_blocked.hpp"
#include "scratch.hpp"

namespace tacit {
namespace {

using u64 = std::uint64_t;

// Results with up to this many columns are inner products, where a lies along its rows. A right side that does not lie
// along its columns is copied in pieces of kCopyDepth.
constexpr std::size_t kFewColumns = 4, kCopyDepth = 1 << 13;
// Up to this many rows the other operand is used too seldom to pay for packing it; likewise in a small product.
constexpr std::size_t kFewRows = 12;
constexpr double kSmallWork = 1 << 14;
// Up to this many columns one or two registers hold a row of the result, and a is read once, in place.
constexpr std::size_t kNarrow = 16;
// So little depth is computed faster than it is packed.
constexpr std::size_t kShallow = 4;
// Columns that fill a vector.
constexpr std::size_t kHandful = 8;
// The second-level cache. A product read in place goes over a right side larger than it a few lines at a time, so that
// memory is read along its lines; more of them the more results wait for each.
constexpr std::size_t kCacheWords = 1 << 17;
// Several rows side by side are several streams, and ones as short as this end before the processor notices them.
constexpr std::size_t kShortRow = 1 << 10;

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
  const bool streams = t.k <= kShortRow && work(t) > static_cast<double>(t.n * kCacheWords);
  Dots dots{t.m,   t.n,       t.k,          t.a.data, t.a.row,  t.b.data, t.b.column,
            t.out, t.out_row, t.out_column, t.keep,   t.negate, streams};
  if (t.b.row == 1) {
    product_kernels().dots(dots);
    return;
  }
  // The few columns of b are copied, piece by piece, to be read along the depth.
  u64* copy = scratch(Scratch::vectors, kFewColumns * kCopyDepth);
  for (std::size_t from = 0; from < t.k; from += kCopyDepth) {
    dots.k = std::min(kCopyDepth, t.k - from);
    for (std::size_t j = 0; j < t.n; ++j)
      for (std::size_t d = 0; d < dots.k; ++d) copy[j * dots.k + d] = *t.b.from(from + d, j).data;
    dots.a = t.a.from(0, from).data;
    dots.b = copy;
    dots.b_row = static_cast<std::ptrdiff_t>(dots.k);
    dots.keep = t.keep || from > 0;
    product_kernels().dots(dots);
  }
}

void run_direct(const Task& t) {
  const bool whole = static_cast<double>(t.k) * static_cast<double>(t.n) <= static_cast<double>(kCacheWords);
  const std::size_t depth = whole ? t.k : std::clamp<std::size_t>(4 * t.m, 8, 32);
  Direct direct{t.m,     t.n,     depth,        t.a.data, t.a.row,  t.a.column, t.b.data, t.b.row,
                t.out, t.out_row, t.out_column, t.keep,   t.negate, 0};
  if (!whole) direct.ahead = static_cast<std::ptrdiff_t>(depth) * t.b.row;
  for (std::size_t from = 0; from < t.k; from += depth) {
    direct.k = std::min(depth, t.k - from);
    direct.a = t.a.from(0, from).data;
    direct.b = t.b.from(from, 0).data;
    direct.keep = t.keep || from > 0;
    product_kernels().direct(direct);
  }
}

void run_blocked(const Task& t) {
  const StridedOperand a(t.a.data, t.a.row, t.a.column), b(t.b.data, t.b.column, t.b.row);
  blocked_product(a, b, {0, t.m, 0, t.n}, 0, t.k, EvenRows(t.out_row), {t.out, t.keep, t.negate});
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
