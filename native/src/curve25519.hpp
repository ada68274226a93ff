// Curve25519 on many points at once: v**2 = u**3 + 486662 u**2 + u modulo p = 2**255 - 19.
//
// A number modulo p, a u-coordinate and a scalar are 32 little-endian octets. A point is the octets of u with the lowest
// bit of v as bit 255; where only u matters that bit is ignored, as RFC 7748 does. Results are canonical, so that every
// path gives the same octets. Time and memory accesses depend on the number of rows alone, never on what is in them.
//
// Three things are computed:
// - u(k P) from u(P) by the Montgomery ladder (RFC 7748); the curve and its twist serve alike.
// - the map from a number to a point by Elligator 2 and the multiplication by the cofactor 8 (RFC 9380,
//   map_to_curve_elligator2_curve25519 and clear_cofactor).
// - sums with multiples of a fixed point, on the birationally equivalent twisted Edwards curve (RFC 7748, edwards25519),
//   from a table of that point's multiples in place of a ladder.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tacit::curve25519 {

using u8 = std::uint8_t;
using u64 = std::uint64_t;
using std::size_t;

inline constexpr size_t kOctets = 32;

// A table for a fixed point B: window i holds m 64**i B for m = 1 .. 32, each as (y + x, y - x, 2 d x y) in five limbs of
// 51 bits, limb by limb: [window][coordinate][limb][m - 1].
inline constexpr size_t kWindowBits = 6;
inline constexpr size_t kWindows = 43;  // of scalars below 2**252
inline constexpr size_t kEntries = 32;
inline constexpr size_t kTableWords = kWindows * 3 * 5 * kEntries;

// On rows [begin, end). Where a row cannot be used (not on the curve, of low order) its result is zero octets, which are
// no result of a row that can.
struct Kernels {
  size_t lanes;
  // out = u(k P); scalars advance by `stride` octets, 0 where one serves for all. Bit 255 of a scalar is ignored.
  void (*multiply)(const u8* scalars, size_t stride, const u8* points, u8* out, size_t begin, size_t end);
  // out = u(8 map(number)), where map is Elligator 2
  void (*encode)(const u8* numbers, u8* out, size_t begin, size_t end);
  // (u, v) = 8 map(number) + s B, for scalars s below 2**252
  void (*blind)(const u8* numbers, const u8* scalars, const u64* table, u8* u, u8* v, size_t begin, size_t end);
  // out = u(k P), and in bit 255 the lowest bit of v(k P) v(P), which does not depend on the choice of v(P)
  void (*evaluate)(const u8* scalar, const u8* points, u8* out, size_t begin, size_t end);
  // out = u(k P + s B), for scalars s below 2**252, from what `evaluate` gave for P, and v(P)
  void (*unblind)(const u8* points, const u8* v, const u8* scalars, const u64* table, u8* out, size_t begin, size_t end);
};

// Those of the instruction set in use.
const Kernels& kernels() noexcept;

// Fills a table for a point. False where it is not on the curve or of low order. Not for secret points: the portable path.
bool fill_table(const u8* point, u64* table);

namespace portable {
extern const Kernels kKernels;
}
#if defined(TACIT_X86)
namespace avx2 {
extern const Kernels kKernels;
}
namespace avx512 {
extern const Kernels kKernels;
}
#endif

}  // namespace tacit::curve25519
