// AES-128 in counter mode, as a stream of masks.
//
// Block i of stream `nonce` is AES_k(nonce as 8 big-endian bytes || (counter + i) as 8 big-endian bytes), which is what
// NIST SP 800-38A's CTR mode yields for the initial block nonce || counter. Read as words, the stream is little-endian.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tacit {

// What happens to the keystream: written, or combined with what `out` holds (add and sub on 64-bit words).
enum class Combine { store, add, sub, exclusive_or };

class Aes128 {
 public:
  // `key` has 16 bytes. Throws std::runtime_error where the processor has no AES instructions.
  explicit Aes128(const std::uint8_t* key);
  ~Aes128();  // wipes the key schedule
  Aes128(const Aes128&) = delete;
  Aes128& operator=(const Aes128&) = delete;

  // Throws std::invalid_argument when the block counter would pass 2^64 - 1, or when the length of add or sub is not
  // a multiple of 8. Multi-threaded above a size.
  void apply(Combine combine, std::uint64_t nonce, std::uint64_t counter, std::uint8_t* out, std::size_t bytes) const;

 private:
  alignas(16) std::uint8_t round_keys_[176];
};

namespace avx2 {
void aes_expand_key(const std::uint8_t* key, std::uint8_t* round_keys);
void aes_ctr(Combine combine, const std::uint8_t* round_keys, std::uint64_t nonce, std::uint64_t counter,
             std::uint8_t* out, std::size_t bytes);
}  // namespace avx2

namespace avx512 {
void aes_ctr(Combine combine, const std::uint8_t* round_keys, std::uint64_t nonce, std::uint64_t counter,
             std::uint8_t* out, std::size_t bytes);
}  // namespace avx512

}  // namespace tacit
