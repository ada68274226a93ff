// A small persistent thread pool: parallel_for splits [0, n) into contiguous ranges.
#pragma once

#include <cstddef>
#include <functional>

namespace tacit {

// Threads a kernel may use, the caller's own included; 1 turns threading off.
int threads() noexcept;
void set_threads(int count);  // throws std::invalid_argument below 1 or above 256

// Calls body(begin, end) on disjoint ranges that cover [0, n); each range but the last has at least `grain` items.
// Runs on the caller alone when n <= grain or threads() == 1. Must not be nested.
void parallel_for(std::size_t n, std::size_t grain, const std::function<void(std::size_t, std::size_t)>& body);

}  // namespace tacit
