// VAES: four blocks per register, eight registers in flight.
#include "../aes.hpp"
#include "simd.hpp"

#include "../ot_loops.hpp"

namespace tacit {
namespace {

struct Four {
  using V = __m512i;
  static constexpr std::size_t lanes = 4;

  static V four_times(__m128i block) { return _mm512_maskz_broadcast_i32x4(0xffff, block); }

  static V load(const Block* p) { return _mm512_loadu_si512(p); }
  static void store(Block* p, V v) { _mm512_storeu_si512(p, v); }
  static V fill(Block b) {
    return four_times(_mm_set_epi64x(static_cast<long long>(b.high), static_cast<long long>(b.low)));
  }
  static V counters(std::uint64_t first) {
    return _mm512_add_epi64(_mm512_maskz_set1_epi64(0x55, static_cast<long long>(first)),
                            _mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0));
  }
  static V bxor(V a, V b) { return _mm512_xor_si512(a, b); }
  // (high ^ low, high): the halves swapped, with the high half added where it was.
  static V sigma(V x) {
    return _mm512_xor_si512(_mm512_maskz_shuffle_epi32(0xffff, x, _MM_PERM_BADC), _mm512_maskz_mov_epi64(0xaa, x));
  }
  static void pairs(V left, V right, V* out) {
    const V low = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0), high = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    out[0] = _mm512_permutex2var_epi64(left, low, right);
    out[1] = _mm512_permutex2var_epi64(left, high, right);
  }
  static Block fold(V v) {
    Block held[4];
    store(held, v);
    return held[0] ^ held[1] ^ held[2] ^ held[3];
  }
  static V round_key(const std::uint8_t* keys, int i) {
    return four_times(_mm_loadu_si128(reinterpret_cast<const __m128i*>(keys) + i));
  }
  static V enc(V v, V key) { return _mm512_aesenc_epi128(v, key); }
  static V last(V v, V key) { return _mm512_aesenclast_epi128(v, key); }
  static void ctr(const std::uint8_t* keys, std::uint64_t nonce, std::uint64_t counter, std::uint8_t* out,
                  std::size_t bytes) {
    avx512::aes_ctr(Combine::store, keys, nonce, counter, out, bytes);
  }
};

}  // namespace

const OtKernels avx512_ot = OtLoops<Four>::table();

}  // namespace tacit
