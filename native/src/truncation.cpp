#include "truncation.hpp"

#include <cstring>

namespace tacit::truncation {
namespace {

constexpr uint64_t kOffset = uint64_t{1} << 62;
constexpr size_t kTail = 8;  // so many elements before the end of an array, a whole word may reach beyond it

constexpr uint64_t low_bits(int width) { return ~uint64_t{0} >> (64 - width); }

// Whole: words at byte offsets, of which the upper bytes belong to the next element. Exact: the element's bytes alone.
struct Whole {
  static uint64_t load(const Bytes* from, size_t) {
    uint64_t word;
    std::memcpy(&word, from, sizeof word);
    return word;
  }
  static void store(Bytes* to, uint64_t word, size_t) { std::memcpy(to, &word, sizeof word); }
};

struct Exact {
  static uint64_t load(const Bytes* from, size_t bytes) {
    uint64_t word = 0;
    for (size_t i = 0; i < bytes; ++i) word |= static_cast<uint64_t>(from[i]) << (8 * i);
    return word;
  }
  static void store(Bytes* to, uint64_t word, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) to[i] = static_cast<Bytes>(word >> (8 * i));
  }
};

// body(Whole{}, i) for the elements from which a whole word stays inside the range, body(Exact{}, i) for the last ones:
// stores go upwards, so what a whole word writes too much is overwritten by the elements that follow.
template <class Body>
inline void each(Range at, Body body) {
  const size_t tail = at.end - at.begin > kTail ? at.end - kTail : at.begin;
  for (size_t i = at.begin; i < tail; ++i) body(Whole{}, i);
  for (size_t i = tail; i < at.end; ++i) body(Exact{}, i);
}

}  // namespace

void masked_deal(const uint64_t* s, const uint64_t* u0, const Bytes* e0, int f, uint64_t* u1, Bytes* e1, Range at) {
  const size_t low = narrow_bytes(f);
  for (size_t i = at.begin; i < at.end; ++i) u1[i] = (s[i] >> f) - u0[i];
  each(at, [=](auto io, size_t i) { io.store(e1 + i * low, (s[i] >> 63) - io.load(e0 + i * low, low), low); });
}

void masked_close(const uint64_t* C0, const uint64_t* C1, const uint64_t* u, const Bytes* e, int f, uint64_t leader,
                  uint64_t* out, Range at) {
  const size_t low = narrow_bytes(f);
  const uint64_t mask = 0 - leader, offset = (uint64_t{1} << (62 - f)) & mask;
  each(at, [=](auto io, size_t i) {
    const uint64_t C = C0[i] + C1[i] + kOffset;
    const uint64_t wrap = (C >> 63) - 1;  // all ones when the most significant bit is clear
    out[i] = ((C >> f) & mask) - offset - u[i] + ((io.load(e + i * low, low) & wrap) << (64 - f));
  });
}

void shared_open(const uint64_t* x, const Bytes* z, const Bytes* t, int f, bool leader, Bytes* out, Range at) {
  const size_t low = narrow_bytes(f), high = narrow_bytes(64 - f);
  const uint64_t kept = low_bits(f);
  if (leader) {
    each(at, [=](auto io, size_t i) {
      const uint64_t share = (x[i] + (io.load(z + i * low, low) & kept) + kOffset) >> f;
      io.store(out + i * high, share + io.load(t + i * high, high), high);
    });
  } else {
    each(at, [=](auto io, size_t i) {
      const uint64_t share = ((io.load(z + i * low, low) & kept) - x[i]) >> f;
      io.store(out + i * high, io.load(t + i * high, high) - share, high);
    });
  }
}

void shared_deal(const Bytes* t0, const Bytes* t1, const Bytes* p0, const Bytes* q0, int f, Bytes* p1, Bytes* q1,
                 Range at) {
  const int k = 64 - f;
  const size_t low = narrow_bytes(f), high = narrow_bytes(k);
  const uint64_t kept = low_bits(k);
  each(at, [=](auto io, size_t i) {
    const uint64_t sum = (io.load(t0 + i * high, high) & kept) + (io.load(t1 + i * high, high) & kept);
    const uint64_t carry = sum >> k, top = sum >> (k - 1) & 1;
    io.store(p1 + i * low, carry - io.load(p0 + i * low, low), low);
    io.store(q1 + i * low, carry + top - io.load(q0 + i * low, low), low);
  });
}

void shared_close(const Bytes* H0, const Bytes* H1, const Bytes* t, const Bytes* p, const Bytes* q, int f,
                  uint64_t leader, uint64_t* out, Range at) {
  const int k = 64 - f;
  const size_t low = narrow_bytes(f), high = narrow_bytes(k);
  const uint64_t kept = low_bits(k), mask = 0 - leader, offset = (uint64_t{1} << (62 - f)) & mask;
  each(at, [=](auto io, size_t i) {
    const uint64_t H = (io.load(H0 + i * high, high) + io.load(H1 + i * high, high)) & kept;
    const uint64_t upper = 0 - (H >> (k - 1));  // all ones when the most significant of the k bits is set
    const uint64_t without = io.load(p + i * low, low), with = io.load(q + i * low, low);
    const uint64_t wrap = with ^ ((with ^ without) & upper);
    out[i] = (H & mask) - offset - (io.load(t + i * high, high) & kept) + (wrap << k);
  });
}

}  // namespace tacit::truncation
