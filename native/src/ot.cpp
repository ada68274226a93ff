#include "ot.hpp"

#include <algorithm>
#include <stdexcept>

#include "aes.hpp"
#include "cpu.hpp"
#include "parallel.hpp"

namespace tacit {

#if defined(TACIT_X86)

namespace {

constexpr std::size_t kHashGrain = 1 << 13;  // blocks per thread: some 10 us of work
constexpr std::size_t kLeafGrain = 1 << 13;  // leaves per thread
constexpr std::size_t kCodeGrain = 128;      // batches per thread

const OtKernels& kernels() noexcept { return isa() == Isa::avx512 ? avx512_ot : avx2_ot; }

std::size_t tree_grain(int depth) { return std::max<std::size_t>(1, kLeafGrain >> depth); }

}  // namespace

FixedKey::FixedKey(const std::uint8_t* key) {
  if (!has_aes()) throw std::runtime_error("this processor has no AES instructions; use OpenSSL's AES instead");
  avx2::aes_expand_key(key, round_keys_);
}

void FixedKey::hash(const Block* x, std::size_t n, std::uint64_t first, Block* out) const {
  const auto kernel = kernels().hash;
  parallel_for(n, kHashGrain, [&](std::size_t begin, std::size_t end) {
    kernel(round_keys_, x + begin, end - begin, first + begin, out + begin);
  });
}

void FixedKey::expand(const Block* roots, Block delta, std::size_t trees, int depth, Block* leaves, Block* sums) const {
  const auto kernel = kernels().expand;
  parallel_for(trees, tree_grain(depth), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      kernel(round_keys_, roots[i], delta, depth, leaves + (i << depth), sums + i * static_cast<std::size_t>(depth));
  });
}

void FixedKey::complete(const Block* sums, const std::uint64_t* paths, std::size_t trees, int depth,
                        Block* leaves) const {
  const auto kernel = kernels().complete;
  parallel_for(trees, tree_grain(depth), [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      kernel(round_keys_, sums + i * static_cast<std::size_t>(depth), paths[i], depth, leaves + (i << depth));
  });
}

void FixedKey::encode(std::uint64_t nonce, std::uint64_t first, const Block* table, std::size_t rows, Block* out,
                      std::size_t n) const {
  const auto kernel = kernels().encode;
  parallel_for((n + kBatch - 1) / kBatch, kCodeGrain, [&](std::size_t begin, std::size_t end) {
    const std::size_t from = begin * kBatch, to = std::min(n, end * kBatch);
    kernel(round_keys_, nonce, first + from, table, rows, out + from, to - from);
  });
}

#else

FixedKey::FixedKey(const std::uint8_t*) {
  throw std::runtime_error("this build has no AES instructions; use OpenSSL's AES instead");
}

// Not reached: there is no object without a constructor that returned.
void FixedKey::hash(const Block*, std::size_t, std::uint64_t, Block*) const {}
void FixedKey::expand(const Block*, Block, std::size_t, int, Block*, Block*) const {}
void FixedKey::complete(const Block*, const std::uint64_t*, std::size_t, int, Block*) const {}
void FixedKey::encode(std::uint64_t, std::uint64_t, const Block*, std::size_t, Block*, std::size_t) const {}

#endif

}  // namespace tacit
