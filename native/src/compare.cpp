#include "compare.hpp"

#include "columns.hpp"
#include "compare_kernels.hpp"
#include "cpu.hpp"

namespace tacit {
namespace {

constexpr CompareKernels kPortable = Compare<Portable>::table();

const CompareKernels& kernels() noexcept {
#if defined(TACIT_X86)
  if (isa() == Isa::avx512) return avx512_compare;
  if (isa() == Isa::avx2) return avx2_compare;
#endif
  return kPortable;
}

// Words of each row that are worth a thread's wake-up, for a kernel that touches `rows` rows.
std::size_t grain(std::size_t rows) {
  constexpr std::size_t enough = std::size_t{1} << 16;
  return std::max<std::size_t>(8, enough / std::max<std::size_t>(rows, 1));
}

}  // namespace

std::size_t digit_planes(int bits) noexcept {
  std::size_t rows = 0;
  for (int low = 0; low < bits; low += kDigit) rows += (std::size_t{1} << digit_width(bits, low)) - 1;
  return rows;
}

TreePlan tree_plan(std::size_t pairs) noexcept {
  TreePlan plan{0, 0, 0};
  for (std::size_t low = 0; low < pairs; low += kFan, ++plan.next_pairs) {
    const std::size_t size = group_size(pairs, low), ps = low > 0 ? size : size - 1;
    if (size == 1) continue;
    plan.opened += ps + size - 1;
    plan.products += (std::size_t{1} << ps) - 1 - ps;      // sets of two or more P
    plan.products += (std::size_t{1} << size) - 1 - size;  // each G_i with each non-empty set above it
  }
  return plan;
}

void digits_deal(const Word* r, int bits, Word* out, bool accumulate, std::size_t words) {
  over_columns(words, grain(digit_planes(bits)),
               [&](Columns at) { kernels().digits_deal(r, bits, out, accumulate, at); });
}

void digits_close(const Word* c, const Word* hot, int bits, bool leader, Word* g, Word* p, std::size_t words) {
  over_columns(words, grain(digit_planes(bits)),
               [&](Columns at) { kernels().digits_close(c, hot, bits, leader, g, p, at); });
}

void tree_open(const Word* g, const Word* p, const Word* lam, Word* out, std::size_t pairs, std::size_t words) {
  over_columns(words, grain(3 * tree_plan(pairs).opened),
               [&](Columns at) { kernels().tree_open(g, p, lam, out, pairs, at); });
}

void tree_deal(const Word* lam, std::size_t pairs, Word* out, bool accumulate, std::size_t words) {
  const TreePlan plan = tree_plan(pairs);
  over_columns(words, grain(plan.opened + plan.products),
               [&](Columns at) { kernels().tree_deal(lam, pairs, out, accumulate, at); });
}

void tree_close(const Word* opened, const Word* lam, const Word* products, const Word* g, const Word* p, bool leader,
                Word* g2, Word* p2, std::size_t pairs, std::size_t words) {
  const TreePlan plan = tree_plan(pairs);
  over_columns(words, grain(2 * plan.opened + plan.products), [&](Columns at) {
    kernels().tree_close(opened, lam, products, g, p, leader, g2, p2, pairs, at);
  });
}

}  // namespace tacit
