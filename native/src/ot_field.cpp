// Sums of products in GF(2^64) and GF(2^128): portable, by shifts and masks in constant time, and the dispatch.
#include <algorithm>

#include "cpu.hpp"
#include "ot.hpp"
#include "parallel.hpp"

namespace tacit {
namespace {

struct Product {
  std::uint64_t low = 0, high = 0;
};

Product multiply(std::uint64_t a, std::uint64_t b) {
  Product p;
  for (int i = 0; i < 64; ++i) {
    const std::uint64_t mask = std::uint64_t{0} - ((b >> i) & 1);
    p.low ^= (a << i) & mask;
    p.high ^= i == 0 ? 0 : (a >> (64 - i)) & mask;
  }
  return p;
}

// x^64 = x^4 + x^3 + x + 1.
std::uint64_t reduce(Product p) {
  const auto times = [](std::uint64_t h) { return h ^ (h << 1) ^ (h << 3) ^ (h << 4); };
  const std::uint64_t above = (p.high >> 63) ^ (p.high >> 61) ^ (p.high >> 60);
  return p.low ^ times(p.high) ^ times(above);
}

void combine(const std::uint64_t* x, std::size_t rows, std::size_t columns, const std::uint64_t* weights,
             std::uint64_t* out) {
  for (std::size_t r = 0; r < rows; ++r) {
    Product sum;
    for (std::size_t c = 0; c < columns; ++c) {
      const Product p = multiply(x[r * columns + c], weights[c]);
      sum.low ^= p.low;
      sum.high ^= p.high;
    }
    out[r] = reduce(sum);
  }
}

// x^128 = x^7 + x^2 + x + 1, for a polynomial of 256 bits in four words.
Block reduce(const std::uint64_t* w) {
  const auto low = [](std::uint64_t h) { return h ^ (h << 1) ^ (h << 2) ^ (h << 7); };
  const auto carry = [](std::uint64_t h) { return (h >> 63) ^ (h >> 62) ^ (h >> 57); };
  const std::uint64_t above = w[2] ^ carry(w[3]);
  return {w[0] ^ low(above), w[1] ^ low(w[3]) ^ carry(above)};
}

Block dot(const Block* a, const Block* b, std::size_t n) {
  std::uint64_t sum[4] = {};
  for (std::size_t i = 0; i < n; ++i) {
    const Product low = multiply(a[i].low, b[i].low), high = multiply(a[i].high, b[i].high);
    const Product cross = multiply(a[i].low, b[i].high), other = multiply(a[i].high, b[i].low);
    sum[0] ^= low.low;
    sum[1] ^= low.high ^ cross.low ^ other.low;
    sum[2] ^= high.low ^ cross.high ^ other.high;
    sum[3] ^= high.high;
  }
  return reduce(sum);
}

}  // namespace

void field64_combine(const std::uint64_t* x, std::size_t rows, std::size_t columns, const std::uint64_t* weights,
                     std::uint64_t* out) {
  auto kernel = combine;
#if defined(TACIT_X86)
  if (isa() != Isa::portable) kernel = avx2::field64_combine;
#endif
  const std::size_t grain = 1 + (std::size_t{1} << 14) / std::max<std::size_t>(columns, 1);
  parallel_for(rows, grain, [&](std::size_t begin, std::size_t end) {
    kernel(x + begin * columns, end - begin, columns, weights, out + begin);
  });
}

Block field128_dot(const Block* a, const Block* b, std::size_t n) {
#if defined(TACIT_X86)
  if (isa() != Isa::portable) return avx2::field128_dot(a, b, n);
#endif
  return dot(a, b, n);
}

}  // namespace tacit
