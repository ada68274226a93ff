// Matrix products over the ring of integers modulo 2^64.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tacit {

// A stack of matrices in memory; strides in words, of any sign, zero to repeat.
struct Matrices {
  const std::uint64_t* data;
  std::ptrdiff_t batch, row, column;
};

// out[i] = (keep ? out[i] : 0) + (negate ? -1 : 1) * a[i] @ b[i] for i < batch.
struct Product {
  std::size_t batch, m, n, k;
  Matrices a, b;        // batch x m x k and batch x k x n
  std::uint64_t* out;   // batch x m x n, contiguous, apart from a and b
  bool keep, negate;
};

// Uses up to threads() threads where the work is worth it.
void multiply(const Product& product);

}  // namespace tacit
