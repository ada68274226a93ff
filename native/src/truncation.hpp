// Truncation in the two-party masked protocol, on numbers that are stored in as few bytes as they need.
//
// A narrow array of n numbers of `width` bits takes ceil(width / 8) bytes for each, one after the other, little-endian,
// rounded up to whole words. Whatever stands above `width` bits means nothing. f is 1 to 62, k = 64 - f.
//
// Masked: the parties hold summands of C = x + s whose mask s the helper knows; it deals u = s >> f and e = msb(s).
// Shared: the parties hold additive shares of x; each opens its share >> f under a mask t of k bits, and the helper deals
// how the masks carry: p = [t0 + t1 >= 2^k], q = p + msb((t0 + t1) mod 2^k). e, p, q matter modulo 2^f only.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tacit::truncation {

using std::size_t;
using std::uint64_t;
using Bytes = unsigned char;

constexpr size_t narrow_bytes(int width) { return static_cast<size_t>(width + 7) / 8; }
constexpr size_t narrow_words(size_t n, int width) { return (n * narrow_bytes(width) + 7) / 8; }

// A range of a computation: elements [begin, end).
struct Range {
  size_t begin, end;
};

// u1 = (s >> f) - u0; e1 = msb(s) - e0.
void masked_deal(const uint64_t* s, const uint64_t* u0, const Bytes* e0, int f, uint64_t* u1, Bytes* e1, Range at);

// With C = C0 + C1 + 2^62: out = leader * ((C >> f) - 2^(62 - f)) - u + (msb(C) ? 0 : e) * 2^k
void masked_close(const uint64_t* C0, const uint64_t* C1, const uint64_t* u, const Bytes* e, int f, uint64_t leader,
                  uint64_t* out, Range at);

// Leader: out = ((x + z + 2^62) >> f) + t; the other: out = t - ((z - x) >> f). x are words, z has f bits, t and out k.
void shared_open(const uint64_t* x, const Bytes* z, const Bytes* t, int f, bool leader, Bytes* out, Range at);

// p1 = p - p0; q1 = q - q0, for the masks t0 and t1.
void shared_deal(const Bytes* t0, const Bytes* t1, const Bytes* p0, const Bytes* q0, int f, Bytes* p1, Bytes* q1,
                 Range at);

// With H = (H0 + H1) mod 2^k: out = leader * (H - 2^(62 - f)) - (t mod 2^k) + (msb(H) ? p : q) * 2^k
void shared_close(const Bytes* H0, const Bytes* H1, const Bytes* t, const Bytes* p, const Bytes* q, int f,
                  uint64_t leader, uint64_t* out, Range at);

}  // namespace tacit::truncation
