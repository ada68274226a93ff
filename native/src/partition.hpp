// How the rows and columns of results are shared among threads.
#pragma once

#include <cstddef>
#include <functional>

namespace tacit {

// A block of one result.
struct Extent {
  std::size_t row, rows, column, columns;
};

// Threads worth waking for so many multiply-adds; at least one.
std::size_t worthwhile_threads(double multiply_adds) noexcept;

// Calls body(item, extent) on blocks that cover each of `items` results of m x n, on up to worthwhile_threads(work).
void share(std::size_t items, std::size_t m, std::size_t n, double work,
           const std::function<void(std::size_t, const Extent&)>& body);

}  // namespace tacit
