#include "montgomery.hpp"

#include <new>
#include <stdexcept>
#include <string>

#include "cpu.hpp"

namespace tacit::montgomery {

namespace portable {
void prepare(Modulus& m, u64* n, const std::uint8_t* octets, size_t size);
}

namespace {

size_t checked_bits(const std::uint8_t* n, size_t octets, bool squared) {
  while (octets > 0 && n[octets - 1] == 0) --octets;
  size_t bits = 8 * octets;
  while (bits > 0 && ((n[(bits - 1) / 8] >> ((bits - 1) % 8)) & 1) == 0) --bits;
  const size_t limit = squared ? kMaxBits / 2 : kMaxBits;
  if (bits < 2 || bits > limit || (n[0] & 1) == 0)
    throw std::invalid_argument("the modulus must be odd, above 1 and of at most " + std::to_string(limit) +
                                " bits, not of " + std::to_string(bits) + (bits > 0 && (n[0] & 1) == 0 ? ", even" : ""));
  return bits;
}

size_t digits_for(size_t bits) {
  const size_t block = kBlock * kDigitBits;
  return (bits + 4 + block - 1) / block * kBlock;
}

}  // namespace

Wiped::Wiped(size_t words) : size_((words + 7) / 8 * 8) {
  words_ = static_cast<u64*>(::operator new(size_ * sizeof(u64), std::align_val_t{64}));
}

Wiped::~Wiped() {
  volatile u64* const gone = words_;
  for (size_t i = 0; i < size_; ++i) gone[i] = 0;
  ::operator delete(words_, std::align_val_t{64});
}

Modulus::Modulus(const std::uint8_t* n, size_t octets_, bool squared_)
    : bits(checked_bits(n, octets_, squared_)),
      digits(digits_for(bits)),
      width(squared_ ? 2 * digits : digits),
      octets(((squared_ ? 2 * bits : bits) + 7) / 8),
      squared(squared_),
      inverse(0),
      store_(2 * digits + (kMaxChunks + 1) * width) {
  portable::prepare(*this, store_.words(), n, octets_);
}

void Modulus::multiply(const u64* a, const u64* b, u64* out) const {
  portable::kKernels.multiply(*this, {a, width}, {b, width}, out, 0, 1);
}

const Kernels& kernels() noexcept {
#if defined(TACIT_X86)
  if (isa() == Isa::avx512) return avx512::kKernels;
#endif
  return portable::kKernels;
}

}  // namespace tacit::montgomery
