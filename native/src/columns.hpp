// Splits the words of plane rows between threads on cache-line boundaries. For baseline files only (std:: templates).
#pragma once

#include <algorithm>
#include <functional>

#include "parallel.hpp"
#include "simd.hpp"

namespace tacit {

// Calls body(Columns) on ranges that cover [0, words) of rows `words` apart; a range has at least `grain` words.
template <class Body>
void over_columns(std::size_t words, std::size_t grain, const Body& body) {
  constexpr std::size_t line = 8;
  const auto part = [&](std::size_t begin, std::size_t end) {
    body(Columns{words, begin * line, std::min(end * line, words)});
  };
  // A reference wrapper fits inside std::function, which then allocates nothing.
  parallel_for((words + line - 1) / line, std::max<std::size_t>(grain / line, 1), std::cref(part));
}

}  // namespace tacit
