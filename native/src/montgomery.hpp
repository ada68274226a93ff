// Montgomery arithmetic modulo an odd number N, on many numbers at once.
//
// Digits have 52 bits on every path, because that is what AVX-512-IFMA multiplies; so R = 2**(52 K) and every result
// is the same. A number is a row of `width` words, digit by digit from the lowest, always canonical at this door.
//
// Where N = n**2, a number is the pair (x0, x1) for x0 + x1 n, and a product needs 5 K**2 digit products instead of
// 8 K**2. Montgomery reduction of the low parts is exact: x0 y0 = r R - q n, so that
//     x y / R = r + n ((x0 y1 + x1 y0 - q) / R)  modulo n**2,
// where the quotient q, usually thrown away, is carried into the high part. Reduced only to [0, 2 n) in between.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tacit::montgomery {

using u64 = std::uint64_t;
using std::size_t;

inline constexpr int kDigitBits = 52;
inline constexpr u64 kDigitMask = (u64{1} << kDigitBits) - 1;
inline constexpr size_t kBlock = 5;         // digits come in fives: 1024, 1536, 2048 and 3072 bits waste none
inline constexpr size_t kMaxBits = 6144;    // of N
inline constexpr size_t kMaxChunks = 8;     // a number to convert has at most this many times K digits
inline constexpr size_t kMaxWindow = 6;     // bits of an exponent that one table look-up covers

// Memory that is wiped when it is given back; 64-byte aligned.
class Wiped {
 public:
  explicit Wiped(size_t words);
  ~Wiped();
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
  u64* words() const { return words_; }

 private:
  u64* words_;
  size_t size_;
};

struct Modulus {
  // n: little-endian octets of an odd number above 1. Throws std::invalid_argument.
  Modulus(const std::uint8_t* n, size_t octets, bool squared);

  // The product of two canonical rows, by the portable path.
  void multiply(const u64* a, const u64* b, u64* out) const;

  const u64* n() const { return store_.words(); }
  const u64* offset() const { return n() + digits; }  // digits of a multiple of n, each at least 2**52 - 1
  const u64* one() const { return offset() + digits; }               // R
  const u64* entry(size_t chunk) const { return one() + (chunk + 1) * width; }  // R**(chunk + 2)

  size_t bits;      // of n
  size_t digits;    // K: 52 K >= bits + 4
  size_t width;     // words of a row: K, or 2 K when squared
  size_t octets;    // of a converted number: enough for N
  bool squared;
  u64 inverse;      // -1 / n modulo 2**52

 private:
  Wiped store_;
};

struct Rows {
  const u64* data;
  size_t stride;  // words to the next row; 0 where one row serves for all
  const u64* at(size_t row) const { return data + row * stride; }
};

// All on elements [begin, end). Exponents are little-endian words; tables are read in full, so that time and memory
// accesses depend on sizes only.
struct Kernels {
  void (*multiply)(const Modulus&, Rows a, Rows b, u64* out, size_t begin, size_t end);
  void (*powers)(const Modulus&, Rows a, Rows exponents, size_t bits, u64* out, size_t begin, size_t end);
  // table[j][e] = base**(e * 2**(window * j)), rows of [windows, 2**window, width]
  void (*fixed_powers)(const Modulus&, const u64* table, size_t windows, size_t window, Rows exponents,
                       size_t exponent_words, u64* out, size_t begin, size_t end);
  // out[s] = product of x[index[j]] over starts[s] <= j < starts[s + 1]; 1 where there is none
  void (*products)(const Modulus&, const u64* x, const std::int64_t* index, const std::int64_t* starts, u64* out,
                   size_t begin, size_t end);
  void (*enter)(const Modulus&, const std::uint8_t* octets, size_t size, u64* out, size_t begin, size_t end);
  void (*leave)(const Modulus&, Rows a, std::uint8_t* octets, size_t begin, size_t end);
};

// Those of the instruction set in use.
const Kernels& kernels() noexcept;

namespace portable {
extern const Kernels kKernels;
}
#if defined(TACIT_X86)
namespace avx512 {
extern const Kernels kKernels;
}
#endif

}  // namespace tacit::montgomery
