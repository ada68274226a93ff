#include "partition.hpp"

#include <algorithm>

#include "parallel.hpp"

namespace tacit {
namespace {

// Multiply-adds below which waking another thread costs more than it saves.
constexpr double kThreadWork = 1 << 20;

struct Grid {
  std::size_t rows, columns;  // blocks
  std::size_t high, wide;     // of each block but the last
};

std::size_t side(std::size_t total, std::size_t parts, std::size_t unit) {
  const std::size_t part = (total + parts - 1) / parts;
  return std::max<std::size_t>(1, (part + unit - 1) / unit * unit);
}

// The largest block decides when all are done; besides, each thread reads high + wide lines, and squares read least.
Grid divide(std::size_t m, std::size_t n, std::size_t parts) {
  constexpr std::size_t kRowUnit = 8, kColumnUnit = 24;
  constexpr double kLineCost = 16;  // reading a line, in results computed meanwhile
  Grid best{1, 1, m, n};
  double best_cost = -1;
  for (std::size_t rows = 1; rows <= parts; ++rows) {
    const std::size_t high = side(m, rows, kRowUnit), wide = side(n, (parts + rows - 1) / rows, kColumnUnit);
    const double area = static_cast<double>(high) * static_cast<double>(wide);
    const double cost = area + kLineCost * static_cast<double>(high + wide);
    if (best_cost >= 0 && cost >= best_cost) continue;
    best_cost = cost;
    best = {(m + high - 1) / high, (n + wide - 1) / wide, high, wide};
  }
  return best;
}

}  // namespace

std::size_t worthwhile_threads(double multiply_adds) noexcept {
  return static_cast<std::size_t>(std::clamp(multiply_adds / kThreadWork, 1.0, static_cast<double>(threads())));
}

void share(std::size_t items, std::size_t m, std::size_t n, double work,
           const std::function<void(std::size_t, const Extent&)>& body) {
  const std::size_t parts = worthwhile_threads(work);
  if (items == 0 || m == 0 || n == 0) return;
  const Grid grid = parts > items ? divide(m, n, (parts + items - 1) / items) : Grid{1, 1, m, n};
  const std::size_t blocks = grid.rows * grid.columns, tasks = items * blocks;
  const struct {
    const Grid& grid;
    std::size_t m, n;
    const std::function<void(std::size_t, const Extent&)>& body;
  } job{grid, m, n, body};
  const auto run = [&job, blocks](std::size_t begin, std::size_t end) {  // two words: std::function does not allocate
    for (std::size_t task = begin; task < end; ++task) {
      const std::size_t i = task % blocks / job.grid.columns * job.grid.high;
      const std::size_t j = task % blocks % job.grid.columns * job.grid.wide;
      job.body(task / blocks, {i, std::min(job.grid.high, job.m - i), j, std::min(job.grid.wide, job.n - j)});
    }
  };
  if (parts == 1)
    run(0, tasks);
  else
    parallel_for(tasks, (tasks + parts - 1) / parts, run);
}

}  // namespace tacit
