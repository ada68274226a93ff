// SHA-512 of eight messages at once.
#include "simd.hpp"

#include "../curve25519_hash.hpp"

namespace tacit::curve25519::avx512 {
namespace {

struct Lane {
  using V = __m512i;
  static constexpr size_t lanes = 8;
  static TACIT_INLINE V fill(u64 w) { return _mm512_set1_epi64(static_cast<long long>(w)); }
  static TACIT_INLINE V load(const u64* p) { return _mm512_load_si512(p); }
  static TACIT_INLINE void store(u64* p, V v) { _mm512_store_si512(p, v); }
  static TACIT_INLINE V add(V a, V b) { return _mm512_add_epi64(a, b); }
  template <int n> static TACIT_INLINE V rotate(V a) { return _mm512_ror_epi64(a, n); }
  template <int n> static TACIT_INLINE V shift(V a) { return _mm512_srli_epi64(a, n); }
  static TACIT_INLINE V exclusive(V a, V b, V c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
  static TACIT_INLINE V choose(V bit, V one, V zero) { return _mm512_ternarylogic_epi64(bit, one, zero, 0xca); }
  static TACIT_INLINE V majority(V a, V b, V c) { return _mm512_ternarylogic_epi64(a, b, c, 0xe8); }
  static TACIT_INLINE V keep(const u64* go, V yes, V no) { return choose(load(go), yes, no); }
};

}  // namespace

const HashKernel kHash = Sha512<Lane>::kernel();

}  // namespace tacit::curve25519::avx512
