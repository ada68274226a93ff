// VAES: four blocks per register, eight registers in flight; tails use masked loads and stores, so no buffer.
#include "aes.hpp"

#include <immintrin.h>

namespace tacit::avx512 {
namespace {

constexpr int kWide = 8;
constexpr std::size_t kRegister = 64;
constexpr std::size_t kWideBytes = kRegister * kWide;

// The masked form, because GCC 12 warns of its own header's undefined operand in the plain one (GCC bug 105593).
inline __m512i four_times(__m128i block) { return _mm512_maskz_broadcast_i32x4(0xffff, block); }

struct Key {
  __m512i round[11];
};

inline Key load(const std::uint8_t* round_keys) {
  Key key;
  for (int i = 0; i < 11; ++i)
    key.round[i] = four_times(_mm_load_si128(reinterpret_cast<const __m128i*>(round_keys) + i));
  return key;
}

// Four blocks nonce || counter + 0..3; counters are native integers in the high halves until they are encrypted.
inline __m512i first_blocks(std::uint64_t nonce, std::uint64_t counter) {
  const __m128i one = _mm_set_epi64x(static_cast<long long>(counter), static_cast<long long>(__builtin_bswap64(nonce)));
  return _mm512_add_epi64(four_times(one), _mm512_set_epi64(3, 0, 2, 0, 1, 0, 0, 0));
}

inline __m512i advanced(__m512i blocks, long long by) {
  return _mm512_add_epi64(blocks, _mm512_maskz_set1_epi64(0xaa, by));
}

template <int width>
inline void encrypt(const Key& key, __m512i blocks, __m512i* state) {
  const __m512i big_endian = four_times(
      _mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 7, 6, 5, 4, 3, 2, 1, 0));
  for (int i = 0; i < width; ++i) {
    state[i] = _mm512_xor_si512(_mm512_shuffle_epi8(blocks, big_endian), key.round[0]);
    blocks = advanced(blocks, 4);
  }
  for (int round = 1; round < 10; ++round)
    for (int i = 0; i < width; ++i) state[i] = _mm512_aesenc_epi128(state[i], key.round[round]);
  for (int i = 0; i < width; ++i) state[i] = _mm512_aesenclast_epi128(state[i], key.round[10]);
}

template <Combine combine>
inline __m512i combined(__m512i held, __m512i stream) {
  if constexpr (combine == Combine::add) return _mm512_add_epi64(held, stream);
  if constexpr (combine == Combine::sub) return _mm512_sub_epi64(held, stream);
  if constexpr (combine == Combine::exclusive_or) return _mm512_xor_si512(held, stream);
  return stream;
}

template <Combine combine>
inline void emit(std::uint8_t* out, __m512i stream) {
  if constexpr (combine == Combine::store)
    _mm512_storeu_si512(out, stream);
  else
    _mm512_storeu_si512(out, combined<combine>(_mm512_loadu_si512(out), stream));
}

template <Combine combine>
inline void emit_first(std::uint8_t* out, __m512i stream, std::size_t bytes) {
  const __mmask64 first = _bzhi_u64(~0ULL, static_cast<unsigned>(bytes));
  if constexpr (combine == Combine::store)
    _mm512_mask_storeu_epi8(out, first, stream);
  else
    _mm512_mask_storeu_epi8(out, first, combined<combine>(_mm512_maskz_loadu_epi8(first, out), stream));
}

template <Combine combine, int width>
inline void finish(const Key& key, __m512i blocks, std::uint8_t* out, std::size_t bytes) {
  __m512i state[width];
  encrypt<width>(key, blocks, state);
  for (int i = 0; i < width && bytes != 0; ++i) {
    const std::size_t here = bytes < kRegister ? bytes : kRegister;
    emit_first<combine>(out, state[i], here);
    out += here;
    bytes -= here;
  }
}

template <Combine combine>
void ctr(const std::uint8_t* round_keys, std::uint64_t nonce, std::uint64_t counter, std::uint8_t* out,
         std::size_t bytes) {
  const Key key = load(round_keys);
  __m512i blocks = first_blocks(nonce, counter);
  while (bytes >= kWideBytes) {
    __m512i state[kWide];
    encrypt<kWide>(key, blocks, state);
    for (int i = 0; i < kWide; ++i) emit<combine>(out + kRegister * i, state[i]);
    blocks = advanced(blocks, 4 * kWide);
    out += kWideBytes;
    bytes -= kWideBytes;
  }
  if (bytes > kRegister)
    finish<combine, kWide>(key, blocks, out, bytes);
  else if (bytes != 0)
    finish<combine, 1>(key, blocks, out, bytes);
}

}  // namespace

void aes_ctr(Combine combine, const std::uint8_t* round_keys, std::uint64_t nonce, std::uint64_t counter,
             std::uint8_t* out, std::size_t bytes) {
  switch (combine) {
    case Combine::store: return ctr<Combine::store>(round_keys, nonce, counter, out, bytes);
    case Combine::add: return ctr<Combine::add>(round_keys, nonce, counter, out, bytes);
    case Combine::sub: return ctr<Combine::sub>(round_keys, nonce, counter, out, bytes);
    case Combine::exclusive_or: return ctr<Combine::exclusive_or>(round_keys, nonce, counter, out, bytes);
  }
}

}  // namespace tacit::avx512
