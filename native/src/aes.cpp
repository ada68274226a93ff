#include "aes.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string.h>

#include "cpu.hpp"
#include "parallel.hpp"

namespace tacit {
namespace {

constexpr std::size_t kBlock = 16;
constexpr std::size_t kStride = 512;        // what the widest path handles at a time
constexpr std::size_t kGrain = 256;         // strides per thread: 128 KiB, 10 us of work

void check(Combine combine, std::uint64_t counter, std::size_t bytes) {
  if ((combine == Combine::add || combine == Combine::sub) && bytes % 8 != 0)
    throw std::invalid_argument("out has " + std::to_string(bytes) + " bytes, not a whole number of 64-bit words");
  const std::uint64_t blocks = (bytes + kBlock - 1) / kBlock;
  if (blocks != 0 && counter > UINT64_MAX - (blocks - 1))
    throw std::invalid_argument("counter " + std::to_string(counter) + " leaves no room for " +
                                std::to_string(blocks) + " blocks below 2^64");
}

}  // namespace

#if defined(TACIT_X86)

Aes128::Aes128(const std::uint8_t* key) {
  if (!has_aes()) throw std::runtime_error("this processor has no AES instructions; use OpenSSL's AES instead");
  avx2::aes_expand_key(key, round_keys_);
}

void Aes128::apply(Combine combine, std::uint64_t nonce, std::uint64_t counter, std::uint8_t* out,
                   std::size_t bytes) const {
  check(combine, counter, bytes);
  const auto ctr = isa() == Isa::avx512 ? avx512::aes_ctr : avx2::aes_ctr;
  if (bytes <= kGrain * kStride) return ctr(combine, round_keys_, nonce, counter, out, bytes);
  parallel_for((bytes + kStride - 1) / kStride, kGrain, [&](std::size_t begin, std::size_t end) {
    const std::size_t from = begin * kStride, to = std::min(bytes, end * kStride);
    ctr(combine, round_keys_, nonce, counter + from / kBlock, out + from, to - from);
  });
}

#else

Aes128::Aes128(const std::uint8_t*) {
  throw std::runtime_error("this build has no AES instructions; use OpenSSL's AES instead");
}

void Aes128::apply(Combine combine, std::uint64_t, std::uint64_t counter, std::uint8_t*, std::size_t bytes) const {
  check(combine, counter, bytes);  // not reached: there is no object without a constructor that returned
}

#endif

Aes128::~Aes128() { explicit_bzero(round_keys_, sizeof round_keys_); }

}  // namespace tacit
