// Montgomery arithmetic on eight numbers at once, by the 52-bit multiply-add of AVX-512-IFMA.
//
// Columns of digit products are summed in blocks of five digits: the low and the high halves of all 25 products of two
// blocks stay in 18 registers, and blocks of one diagonal add up there before anything is carried.
#include "simd.hpp"

#include "../montgomery.hpp"

namespace tacit::montgomery::avx512 {
namespace {

struct Lane {
  using V = __m512i;
  using Mask = __mmask8;
  static constexpr size_t lanes = 8;

  static TACIT_INLINE V zero() { return _mm512_setzero_si512(); }
  static TACIT_INLINE V fill(u64 w) { return _mm512_set1_epi64(static_cast<long long>(w)); }
  static TACIT_INLINE V add(V a, V b) { return _mm512_add_epi64(a, b); }
  static TACIT_INLINE V sub(V a, V b) { return _mm512_sub_epi64(a, b); }
  static TACIT_INLINE V low(V a) { return _mm512_and_si512(a, fill(kDigitMask)); }
  static TACIT_INLINE V carry(V a) { return _mm512_srli_epi64(a, kDigitBits); }
  static TACIT_INLINE V borrow(V a) { return _mm512_srli_epi64(a, 63); }
  static TACIT_INLINE Mask nonzero(V a) { return _mm512_test_epi64_mask(a, a); }
  static TACIT_INLINE Mask equal(V a, u64 w) { return _mm512_cmpeq_epi64_mask(a, fill(w)); }
  static TACIT_INLINE V select(Mask mask, V yes, V no) { return _mm512_mask_mov_epi64(no, mask, yes); }
  static TACIT_INLINE V select_fill(Mask mask, u64 yes, V no) {
    return _mm512_mask_set1_epi64(no, mask, static_cast<long long>(yes));
  }

  // Eight words of eight rows, turned: out[d] holds word d of every row.
  static TACIT_INLINE void turn(V r[8]) {
    V a[8], b[8];
    for (int i = 0; i < 4; ++i) {
      a[2 * i] = _mm512_unpacklo_epi64(r[2 * i], r[2 * i + 1]);
      a[2 * i + 1] = _mm512_unpackhi_epi64(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 2; ++j) {
        b[4 * i + j] = _mm512_shuffle_i64x2(a[4 * i + j], a[4 * i + j + 2], 0x88);
        b[4 * i + j + 2] = _mm512_shuffle_i64x2(a[4 * i + j], a[4 * i + j + 2], 0xdd);
      }
    for (int j = 0; j < 4; ++j) {
      r[j] = _mm512_shuffle_i64x2(b[j], b[j + 4], 0x88);
      r[j + 4] = _mm512_shuffle_i64x2(b[j], b[j + 4], 0xdd);
    }
  }

  static void load(V* x, const u64* const* rows, size_t width) {
    for (size_t i = 0; i < width; i += 8) {
      const size_t count = width - i < 8 ? width - i : 8;
      const Mask mask = static_cast<Mask>((1u << count) - 1);
      V r[8];
      for (int l = 0; l < 8; ++l) r[l] = _mm512_maskz_loadu_epi64(mask, rows[l] + i);
      turn(r);
      for (size_t d = 0; d < count; ++d) x[i + d] = r[d];
    }
  }

  static void store(const V* x, u64* const* rows, size_t width, size_t count) {
    for (size_t i = 0; i < width; i += 8) {
      const size_t words = width - i < 8 ? width - i : 8;
      const Mask mask = static_cast<Mask>((1u << words) - 1);
      V r[8];
      for (size_t d = 0; d < 8; ++d) r[d] = d < words ? x[i + d] : zero();
      turn(r);
      for (size_t l = 0; l < count; ++l) _mm512_mask_storeu_epi64(rows[l] + i, mask, r[l]);
    }
  }

  // Sums of digit products, by column: low halves belong to column c, high halves to c + 1.
  struct Columns {
    V low[9], high[9];

    TACIT_INLINE void clear() {
#pragma GCC unroll 9
      for (int c = 0; c < 9; ++c) low[c] = high[c] = zero();
    }
    TACIT_INLINE void twice() {
#pragma GCC unroll 9
      for (int c = 0; c < 9; ++c) {
        low[c] = add(low[c], low[c]);
        high[c] = add(high[c], high[c]);
      }
    }
    TACIT_INLINE void products(const V* a, const V* b) {
      const V a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3], a4 = a[4];
#pragma GCC unroll 5
      for (int j = 0; j < 5; ++j) row(a0, a1, a2, a3, a4, b[j], j);
    }
    TACIT_INLINE void products(const V* a, const u64* n) {
      const V a0 = a[0], a1 = a[1], a2 = a[2], a3 = a[3], a4 = a[4];
#pragma GCC unroll 5
      for (int j = 0; j < 5; ++j) row(a0, a1, a2, a3, a4, fill(n[j]), j);
    }
    TACIT_INLINE void row(V a0, V a1, V a2, V a3, V a4, V b, int j) {
      low[j] = _mm512_madd52lo_epu64(low[j], a0, b);
      low[j + 1] = _mm512_madd52lo_epu64(low[j + 1], a1, b);
      low[j + 2] = _mm512_madd52lo_epu64(low[j + 2], a2, b);
      low[j + 3] = _mm512_madd52lo_epu64(low[j + 3], a3, b);
      low[j + 4] = _mm512_madd52lo_epu64(low[j + 4], a4, b);
      high[j] = _mm512_madd52hi_epu64(high[j], a0, b);
      high[j + 1] = _mm512_madd52hi_epu64(high[j + 1], a1, b);
      high[j + 2] = _mm512_madd52hi_epu64(high[j + 2], a2, b);
      high[j + 3] = _mm512_madd52hi_epu64(high[j + 3], a3, b);
      high[j + 4] = _mm512_madd52hi_epu64(high[j + 4], a4, b);
    }
    // Column c of ten.
    TACIT_INLINE V at(int c) const {
      if (c == 0) return low[0];
      if (c == 9) return high[8];
      return add(low[c], high[c - 1]);
    }
  };

  template <int count, bool square>
  static void reduce(const Modulus& m, const V* a0, const V* b0, const V* a1, const V* b1, const V* init, V* out,
                     V* quotient) {
    const size_t G = m.digits / kBlock;
    const u64* const n = m.n();
    const V inverse = fill(m.inverse);
    V carried[5] = {zero(), zero(), zero(), zero(), zero()};
    for (size_t D = 0; D < 2 * G; ++D) {
      const size_t from = D < G ? 0 : D - G + 1, to = D < G ? D + 1 : G, solved = D < G ? D : G;
      Columns sum;
      sum.clear();
      if constexpr (square) {
        for (size_t I = from; 2 * I < D; ++I) sum.products(a0 + 5 * I, a0 + 5 * (D - I));
        sum.twice();
        if (D % 2 == 0) sum.products(a0 + 5 * (D / 2), a0 + 5 * (D / 2));
      } else {
        for (size_t I = from; I < to; ++I) sum.products(a0 + 5 * I, b0 + 5 * (D - I));
        if constexpr (count == 2)
          for (size_t I = from; I < to; ++I) sum.products(a1 + 5 * I, b1 + 5 * (D - I));
      }
      for (size_t I = from; I < solved; ++I) sum.products(quotient + 5 * I, n + 5 * (D - I));
      V column[10];
#pragma GCC unroll 10
      for (int c = 0; c < 10; ++c) column[c] = sum.at(c);
#pragma GCC unroll 5
      for (int c = 0; c < 5; ++c) column[c] = add(column[c], carried[c]);
      if (D < G) {
        if (init != nullptr) {
#pragma GCC unroll 5
          for (int c = 0; c < 5; ++c) column[c] = add(column[c], init[5 * D + c]);
        }
        V n_[5];
#pragma GCC unroll 5
        for (int c = 0; c < 5; ++c) n_[c] = fill(n[c]);
#pragma GCC unroll 5
        for (int i = 0; i < 5; ++i) {
          const V q = _mm512_madd52lo_epu64(zero(), column[i], inverse);
          quotient[5 * D + i] = q;
          column[i] = _mm512_madd52lo_epu64(column[i], q, n_[0]);
          column[i + 1] = add(column[i + 1], carry(column[i]));
#pragma GCC unroll 5
          for (int j = 1; j < 5; ++j) column[i + j] = _mm512_madd52lo_epu64(column[i + j], q, n_[j]);
#pragma GCC unroll 5
          for (int j = 0; j < 5; ++j) column[i + j + 1] = _mm512_madd52hi_epu64(column[i + j + 1], q, n_[j]);
        }
      } else {
#pragma GCC unroll 5
        for (int c = 0; c < 5; ++c) {
          out[5 * (D - G) + c] = low(column[c]);
          column[c + 1] = add(column[c + 1], carry(column[c]));
        }
      }
#pragma GCC unroll 5
      for (int c = 0; c < 5; ++c) carried[c] = column[5 + c];
    }
  }
};

#include "../montgomery_loops.hpp"

}  // namespace

const Kernels kKernels = table();

}  // namespace tacit::montgomery::avx512
