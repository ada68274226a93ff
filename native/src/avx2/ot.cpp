// AES-NI: one block per register, eight in flight.
#include <immintrin.h>

#include "../aes.hpp"
#include "../ot_loops.hpp"

namespace tacit {
namespace {

struct Single {
  using V = __m128i;
  static constexpr std::size_t lanes = 1;

  static V load(const Block* p) { return _mm_loadu_si128(reinterpret_cast<const V*>(p)); }
  static void store(Block* p, V v) { _mm_storeu_si128(reinterpret_cast<V*>(p), v); }
  static V fill(Block b) { return _mm_set_epi64x(static_cast<long long>(b.high), static_cast<long long>(b.low)); }
  static V counters(std::uint64_t first) { return _mm_set_epi64x(0, static_cast<long long>(first)); }
  static V bxor(V a, V b) { return _mm_xor_si128(a, b); }
  static V sigma(V x) { return _mm_xor_si128(_mm_shuffle_epi32(x, 0x4e), _mm_unpackhi_epi64(_mm_setzero_si128(), x)); }
  static void pairs(V left, V right, V* out) {
    out[0] = left;
    out[1] = right;
  }
  static Block fold(V v) {
    Block out;
    store(&out, v);
    return out;
  }
  static V round_key(const std::uint8_t* keys, int i) {
    return _mm_loadu_si128(reinterpret_cast<const V*>(keys) + i);
  }
  static V enc(V v, V key) { return _mm_aesenc_si128(v, key); }
  static V last(V v, V key) { return _mm_aesenclast_si128(v, key); }
  static void ctr(const std::uint8_t* keys, std::uint64_t nonce, std::uint64_t counter, std::uint8_t* out,
                  std::size_t bytes) {
    avx2::aes_ctr(Combine::store, keys, nonce, counter, out, bytes);
  }
};

}  // namespace

const OtKernels avx2_ot = OtLoops<Single>::table();

}  // namespace tacit
