// AES-NI: eight blocks in flight hide the four-cycle latency of a round.
#include "aes.hpp"

#include <immintrin.h>
#include <string.h>

namespace tacit::avx2 {
namespace {

constexpr int kWide = 8;
constexpr std::size_t kWideBytes = 16 * kWide;

// FIPS 197 section 5.2: one round key from the one before it; `assist` is SubWord(RotWord()) xor Rcon of its last word.
inline __m128i next_round_key(__m128i key, __m128i assist) {
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 8));
  return _mm_xor_si128(key, _mm_shuffle_epi32(assist, 0xff));
}

// Counters are kept as native integers in the high half; this turns the high half big-endian.
inline __m128i big_endian_counter(__m128i block) {
  return _mm_shuffle_epi8(block, _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 4, 3, 2, 1, 0));
}

inline __m128i first_block(std::uint64_t nonce, std::uint64_t counter) {
  return _mm_set_epi64x(static_cast<long long>(counter), static_cast<long long>(__builtin_bswap64(nonce)));
}

template <int width>
inline void encrypt(const __m128i* key, __m128i block, __m128i* state) {
  const __m128i one = _mm_set_epi64x(1, 0);
  for (int i = 0; i < width; ++i) {
    state[i] = _mm_xor_si128(big_endian_counter(block), _mm_load_si128(key));
    block = _mm_add_epi64(block, one);
  }
  for (int round = 1; round < 10; ++round) {
    const __m128i round_key = _mm_load_si128(key + round);
    for (int i = 0; i < width; ++i) state[i] = _mm_aesenc_si128(state[i], round_key);
  }
  const __m128i last = _mm_load_si128(key + 10);
  for (int i = 0; i < width; ++i) state[i] = _mm_aesenclast_si128(state[i], last);
}

template <Combine combine>
inline __m128i combined(__m128i held, __m128i stream) {
  if constexpr (combine == Combine::add) return _mm_add_epi64(held, stream);
  if constexpr (combine == Combine::sub) return _mm_sub_epi64(held, stream);
  if constexpr (combine == Combine::exclusive_or) return _mm_xor_si128(held, stream);
  return stream;
}

template <Combine combine>
inline void emit(std::uint8_t* out, __m128i stream) {
  __m128i* at = reinterpret_cast<__m128i*>(out);
  if constexpr (combine == Combine::store)
    _mm_storeu_si128(at, stream);
  else
    _mm_storeu_si128(at, combined<combine>(_mm_loadu_si128(at), stream));
}

// Fewer than kWideBytes bytes: through a buffer that is wiped, because a pad must not outlive its use.
template <Combine combine>
void finish(const __m128i* key, __m128i block, std::uint8_t* out, std::size_t bytes) {
  alignas(16) std::uint8_t held[kWideBytes];
  __m128i state[kWide];
  memcpy(held, out, bytes);
  memset(held + bytes, 0, kWideBytes - bytes);
  if (bytes <= 16)
    encrypt<1>(key, block, state);
  else
    encrypt<kWide>(key, block, state);
  for (std::size_t at = 0; at < bytes; at += 16) emit<combine>(held + at, state[at / 16]);
  memcpy(out, held, bytes);
  explicit_bzero(held, sizeof held);
  explicit_bzero(state, sizeof state);
}

template <Combine combine>
void ctr(const std::uint8_t* round_keys, std::uint64_t nonce, std::uint64_t counter, std::uint8_t* out,
         std::size_t bytes) {
  const __m128i* key = reinterpret_cast<const __m128i*>(round_keys);
  __m128i block = first_block(nonce, counter);
  const __m128i step = _mm_set_epi64x(kWide, 0);
  while (bytes >= kWideBytes) {
    __m128i state[kWide];
    encrypt<kWide>(key, block, state);
    for (int i = 0; i < kWide; ++i) emit<combine>(out + 16 * i, state[i]);
    block = _mm_add_epi64(block, step);
    out += kWideBytes;
    bytes -= kWideBytes;
  }
  if (bytes != 0) finish<combine>(key, block, out, bytes);
}

}  // namespace

void aes_expand_key(const std::uint8_t* key, std::uint8_t* round_keys) {
  __m128i* to = reinterpret_cast<__m128i*>(round_keys);
  __m128i k = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key));
  _mm_store_si128(to, k);
  // The instruction takes the round constant as an immediate, so the ten rounds are spelled out.
  _mm_store_si128(to + 1, k = next_round_key(k, _mm_aeskeygenassist_si128(k, 0x01)));
  _mm_store_si128(to + 2, k = next_round_key(k, _mm_aeskeygenassist_si128(k, 0x02)));
  _mm_store_si128(to + 3, k = next_round_key(k, _mm_aeskeygenassist_si128(k, 0x04)));
  _mm_store_si128(to + 4, k = next_round_key(k, _mm_aeskeygenassist_si128(k, 0x08)));
  _mm_store_si128(to + 5, k = next_round_key(k, _mm_aeskeygenassist_si128(k, 0x10)));
  _mm_store_si128(to + 6, k = next_round_key(k, _mm_aeskeygenassist_si128(k, 0x20)));
  _mm_store_si128(to + 7, k = next_round_key(k, _mm_aeskeygenassist_si128(k, 0x40)));
  _mm_store_si128(to + 8, k = next_round_key(k, _mm_aeskeygenassist_si128(k, 0x80)));
  _mm_store_si128(to + 9, k = next_round_key(k, _mm_aeskeygenassist_si128(k, 0x1b)));
  _mm_store_si128(to + 10, next_round_key(k, _mm_aeskeygenassist_si128(k, 0x36)));
}

void aes_ctr(Combine combine, const std::uint8_t* round_keys, std::uint64_t nonce, std::uint64_t counter,
             std::uint8_t* out, std::size_t bytes) {
  switch (combine) {
    case Combine::store: return ctr<Combine::store>(round_keys, nonce, counter, out, bytes);
    case Combine::add: return ctr<Combine::add>(round_keys, nonce, counter, out, bytes);
    case Combine::sub: return ctr<Combine::sub>(round_keys, nonce, counter, out, bytes);
    case Combine::exclusive_or: return ctr<Combine::exclusive_or>(round_keys, nonce, counter, out, bytes);
  }
}

}  // namespace tacit::avx2
