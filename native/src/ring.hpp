// Element-wise kernels on the ring of integers modulo 2^64, fused for the two-party masked protocol.
//
// X, Y are public masked values (x + r), small letters are this party's additive shares; `leader` is 1 for the party
// that adds public terms and 0 for the other. Every kernel works on `n` elements; outputs may be the same memory as
// an input of equal element size, never a shifted overlap. Packed bits: bit e % 64 of word e / 64 is element e.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tacit::ring {

using u64 = std::uint64_t;
using In = const u64*;
using Out = u64*;

struct Kernels {
  void (*add)(In a, In b, Out out, std::size_t n);
  void (*sub)(In a, In b, Out out, std::size_t n);
  void (*neg)(In a, Out out, std::size_t n);
  void (*mul)(In a, In b, Out out, std::size_t n);
  void (*mul_add)(In a, In b, In c, Out out, std::size_t n);  // a * b + c
  void (*scale)(In a, u64 k, Out out, std::size_t n);
  void (*axpy)(u64 k, In a, Out out, std::size_t n);  // out += k * a

  // leader * X * Y - X * ry - Y * rx + t
  void (*product_close)(In X, In Y, In rx, In ry, In t, u64 leader, Out out, std::size_t n);

  // With C = C0 + C1: leader * ((C >> bits) - 2^(62 - bits)) - u + (msb(C) ? 0 : m)
  void (*truncate_close)(In C0, In C1, In u, In m, int bits, u64 leader, Out out, std::size_t n);
  // u1 = (s >> bits) - u0 and m1 = (s >> 63) * 2^(64 - bits) - m0
  void (*truncate_deal)(In s, In u0, In m0, int bits, Out u1, Out m1, std::size_t n);

  // b * share + (1 - 2 b) * (X * rho - sigma)
  void (*select_close)(In bits, In X, In rho, In sigma, In share, Out out, std::size_t n);
  // rho1 = beta - rho0 and sigma1 = beta * r - sigma0
  void (*select_deal)(In beta, In r, In rho0, In sigma0, Out rho1, Out sigma1, std::size_t n);
  // leader * b + (1 - 2 b) * rho
  void (*bit_to_ring_close)(In bits, In rho, u64 leader, Out out, std::size_t n);

  // out = round half to even of values * 2^bits; returns the first index whose value is not finite or is at least
  // 2^(62 - bits) in magnitude (out is 0 there), or n.
  std::size_t (*encode)(const double* values, int bits, Out out, std::size_t n);
  // out = a * 2^-bits, a taken as signed
  void (*decode)(In a, int bits, double* out, std::size_t n);
};

// The kernels of the instruction set in use.
const Kernels& kernels() noexcept;

namespace portable { extern const Kernels kernels; }
namespace avx2 { extern const Kernels kernels; }
namespace avx512 { extern const Kernels kernels; }

}  // namespace tacit::ring
