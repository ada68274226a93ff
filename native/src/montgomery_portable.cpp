// Montgomery arithmetic for any 64-bit processor: one number at a time, digit products summed in 128 bits by column.
#include "montgomery.hpp"

namespace tacit::montgomery::portable {
namespace {

using u128 = unsigned __int128;

struct Lane {
  using V = u64;
  using Mask = u64;  // all ones or nothing
  static constexpr size_t lanes = 1;

  static V zero() { return 0; }
  static V fill(u64 w) { return w; }
  static V add(V a, V b) { return a + b; }
  static V sub(V a, V b) { return a - b; }
  static V low(V a) { return a & kDigitMask; }
  static V carry(V a) { return a >> kDigitBits; }
  static V borrow(V a) { return a >> 63; }
  static Mask nonzero(V a) { return 0 - ((a | (0 - a)) >> 63); }
  static Mask equal(V a, u64 w) { return ~nonzero(a ^ w); }
  static V select(Mask mask, V yes, V no) { return no ^ (mask & (yes ^ no)); }
  static V select_fill(Mask mask, u64 yes, V no) { return select(mask, yes, no); }

  static void load(V* x, const u64* const* rows, size_t width) {
    for (size_t i = 0; i < width; ++i) x[i] = rows[0][i];
  }
  static void store(const V* x, u64* const* rows, size_t width, size_t) {
    for (size_t i = 0; i < width; ++i) rows[0][i] = x[i];
  }

  template <int products, bool square>
  static void reduce(const Modulus& m, const V* a0, const V* b0, const V* a1, const V* b1, const V* init, V* out,
                     V* quotient) {
    const size_t K = m.digits;
    const u64* const n = m.n();
    u128 sum = 0;
    for (size_t column = 0; column < 2 * K; ++column) {
      const size_t from = column < K ? 0 : column - K + 1, to = column < K ? column + 1 : K;
      if constexpr (square) {
        u128 cross = 0;
        for (size_t i = from; 2 * i < column; ++i) cross += static_cast<u128>(a0[i]) * a0[column - i];
        sum += cross << 1;
        if (column % 2 == 0) sum += static_cast<u128>(a0[column / 2]) * a0[column / 2];
      } else {
        for (size_t i = from; i < to; ++i) {
          sum += static_cast<u128>(a0[i]) * b0[column - i];
          if constexpr (products == 2) sum += static_cast<u128>(a1[i]) * b1[column - i];
        }
      }
      for (size_t i = from; i < (column < K ? column : K); ++i) sum += static_cast<u128>(quotient[i]) * n[column - i];
      if (column < K) {
        if (init != nullptr) sum += init[column];
        quotient[column] = (static_cast<u64>(sum) * m.inverse) & kDigitMask;
        sum += static_cast<u128>(quotient[column]) * n[0];
      } else {
        out[column - K] = static_cast<u64>(sum) & kDigitMask;
      }
      sum >>= kDigitBits;
    }
  }
};

#include "montgomery_loops.hpp"

// -1 / n modulo 2**52, by Newton's iteration from 3 correct bits.
u64 negated_inverse(u64 n) {
  u64 x = n;
  for (int i = 0; i < 5; ++i) x *= 2 - n * x;
  return (0 - x) & kDigitMask;
}

}  // namespace

const Kernels kKernels = table();

void prepare(Modulus& m, u64* n, const std::uint8_t* octets, size_t size) {
  const size_t K = m.digits, W = m.width;
  for (size_t i = 0; i < K; ++i) n[i] = octets_digit(octets, size, i);
  m.inverse = negated_inverse(n[0]);
  u64 *const offset = n + K, *const one = offset + K;
  const Work work(m, W);
  u64* const power = work.spare();
  // The offset is n * ceil(R / n) with 2**52 lent from each digit to the one below; here, ceil(R / n) n - R < n.
  // R modulo n by doubling; then n - R modulo n is that difference, because n is odd and does not divide R.
  for (size_t i = 0; i < W; ++i) power[i] = i == 0;
  for (size_t round = 0; round < 2 * kDigitBits * K; ++round) {
    work.add(power, power);
    if (round + 1 == kDigitBits * K) {
      for (size_t i = 0; i < W; ++i) one[i] = power[i];
      u64 borrow = 0;
      for (size_t i = 0; i < K; ++i) {
        const u64 t = n[i] - power[i] - borrow;
        offset[i] = (t & kDigitMask) + (u64{1} << kDigitBits) - (i > 0);
        borrow = t >> 63;
      }
    }
  }
  for (size_t i = 0; i < W; ++i) one[W + i] = power[i];
  for (size_t chunk = 1; chunk < kMaxChunks; ++chunk)
    m.multiply(m.entry(chunk - 1), m.entry(0), one + (chunk + 1) * W);
}

}  // namespace tacit::montgomery::portable
