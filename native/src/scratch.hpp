// Memory a kernel borrows: one growing, cache-line-aligned buffer per thread and purpose, kept between calls.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tacit {

enum class Scratch : int { left_panels, right_panels, vectors, count };

// At least `words` words, undefined at first; valid until this thread asks for the same purpose again.
std::uint64_t* scratch(Scratch purpose, std::size_t words);

}  // namespace tacit
