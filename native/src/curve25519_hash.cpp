#include "curve25519_hash.hpp"

#include "cpu.hpp"

namespace tacit::curve25519 {
namespace portable {
namespace {

struct Lane {
  using V = u64;
  static constexpr size_t lanes = 1;
  static TACIT_INLINE V fill(u64 w) { return w; }
  static TACIT_INLINE V load(const u64* p) { return *p; }
  static TACIT_INLINE void store(u64* p, V v) { *p = v; }
  static TACIT_INLINE V add(V a, V b) { return a + b; }
  template <int n> static TACIT_INLINE V rotate(V a) { return a >> n | a << (64 - n); }
  template <int n> static TACIT_INLINE V shift(V a) { return a >> n; }
  static TACIT_INLINE V exclusive(V a, V b, V c) { return a ^ b ^ c; }
  static TACIT_INLINE V choose(V bit, V one, V zero) { return zero ^ (bit & (one ^ zero)); }
  static TACIT_INLINE V majority(V a, V b, V c) { return (a & b) | (c & (a | b)); }
  static TACIT_INLINE V keep(const u64* go, V yes, V no) { return choose(*go, yes, no); }
};

}  // namespace

const HashKernel kHash = Sha512<Lane>::kernel();

}  // namespace portable

const HashKernel& hash_kernel() noexcept {
#if defined(TACIT_X86)
  if (isa() == Isa::avx512) return avx512::kHash;
#endif
  return portable::kHash;
}

}  // namespace tacit::curve25519
