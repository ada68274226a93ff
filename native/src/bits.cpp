#include "bits.hpp"

#include <atomic>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <string>

#include "bits_kernels.hpp"
#include "columns.hpp"
#include "cpu.hpp"

namespace tacit {
namespace {

static_assert(std::endian::native == std::endian::little, "packed bytes and words share memory order");

struct PortableBits : Portable {
  static constexpr Word ones = 0x0101010101010101;

  static Word pack_word(const std::uint8_t* bits) {
    Word packed = 0;
    for (int i = 0; i < 8; ++i) {
      Word bytes;
      std::memcpy(&bytes, bits + 8 * i, 8);
      const Word low = ones * 0x7f;
      const Word bit = ((((bytes & low) + low) | bytes) >> 7) & ones;  // one in each byte that is not zero
      packed |= (bit * 0x0102040810204080) >> 56 << (8 * i);
    }
    return packed;
  }

  static void unpack_word(Word word, std::uint8_t* bits) {
    for (int i = 0; i < 8; ++i) {
      const Word spread = ((word >> (8 * i)) & 0xff) * ones & 0x8040201008040201;
      const Word bytes = ((spread + ones * 0x7f) >> 7) & ones;
      std::memcpy(bits + 8 * i, &bytes, 8);
    }
  }

  static void load_blocks(const Word* x, Word* row) { std::memcpy(row, x, 64 * sizeof(Word)); }
  static void store_blocks(const Word* row, Word* x) { std::memcpy(x, row, 64 * sizeof(Word)); }
};

constexpr BitKernels kPortable = Bits<PortableBits>::table();

const BitKernels& kernels() noexcept {
#if defined(TACIT_X86)
  if (isa() == Isa::avx512) return avx512_bits;
  if (isa() == Isa::avx2) return avx2_bits;
#endif
  return kPortable;
}

constexpr std::size_t kElementGrain = 512;   // words of 64 elements of eight bytes, or of 64 bytes
constexpr std::size_t kWordGrain = 1 << 14;  // words of the word-wise forms

// Remembers the lowest position that was out of bounds, from any thread.
class Bounds {
 public:
  explicit Bounds(const char* name, std::size_t rows) : name_(name), rows_(rows) {}

  void fail(std::size_t position) noexcept {
    std::size_t seen = first_.load();
    while (position < seen && !first_.compare_exchange_weak(seen, position)) {
    }
  }

  void check() const {
    const std::size_t first = first_.load();
    if (first != kNone)
      throw std::out_of_range(std::string(name_) + " is out of bounds at position " + std::to_string(first) +
                              ": it must lie in [0, " + std::to_string(rows_) + ")");
  }

 private:
  static constexpr std::size_t kNone = ~std::size_t{0};
  const char* name_;
  std::size_t rows_;
  std::atomic<std::size_t> first_{kNone};
};

enum class Indexed { source, target };

// The positions [begin, end) of gather or permute; returns the first one out of bounds, or `end`. Each index is read
// once, so that its bound holds for the value used; arguments by value, so that stores through `out` leave them alone.
template <Indexed side>
std::size_t move_rows(const Word* x, std::size_t rows, std::size_t width, const std::int64_t* index,
                      Word* __restrict out, std::size_t begin, std::size_t end) {
  for (std::size_t i = begin; i < end; ++i) {
    const auto at = static_cast<std::size_t>(index[i]);  // a negative index becomes a huge one
    if (at >= rows) [[unlikely]]
      return i;
    const std::size_t from = side == Indexed::source ? at : i, to = side == Indexed::source ? i : at;
    if (width == 1)
      out[to] = x[from];
    else
      std::memcpy(out + to * width, x + from * width, width * sizeof(Word));
  }
  return end;
}

template <Indexed side>
void move_all(const char* name, const Word* x, std::size_t rows, std::size_t width, const std::int64_t* index,
              std::size_t m, Word* out) {
  Bounds bounds(name, rows);
  const auto part = [&](std::size_t begin, std::size_t end) {
    const std::size_t stop = move_rows<side>(x, rows, width, index, out, begin, end);
    if (stop < end) bounds.fail(stop);
  };
  parallel_for(m, std::max<std::size_t>(1, kWordGrain / std::max<std::size_t>(width, 1)), std::cref(part));
  bounds.check();
}

}  // namespace

void pack(const std::uint8_t* bits, std::size_t n, Word* words) {
  over_columns(words_for(n), kElementGrain, [&](Columns at) { kernels().pack(bits, n, words, at.begin, at.end); });
}

void unpack(const Word* words, std::size_t n, std::uint8_t* bits) {
  over_columns(words_for(n), kElementGrain, [&](Columns at) { kernels().unpack(words, n, bits, at.begin, at.end); });
}

void transpose64(const Word* in, std::size_t blocks, Word* out) {
  over_columns(blocks, kElementGrain, [&](Columns at) { kernels().transpose64(in, out, at.begin, at.end); });
}

void to_planes(const Word* x, std::size_t n, int shift, int count, Word* planes) {
  over_columns(words_for(n), kElementGrain, [&](Columns at) { kernels().to_planes(x, n, shift, count, planes, at); });
}

void from_planes(const Word* planes, int count, std::size_t n, Word* x) {
  over_columns(words_for(n), kElementGrain, [&](Columns at) { kernels().from_planes(planes, count, n, x, at); });
}

void bit_xor(const Word* a, const Word* b, Word* out, std::size_t words) {
  over_columns(words, kWordGrain, [&](Columns at) { kernels().bit_xor(a, b, out, at.begin, at.end); });
}

void bit_and(const Word* a, const Word* b, Word* out, std::size_t words) {
  over_columns(words, kWordGrain, [&](Columns at) { kernels().bit_and(a, b, out, at.begin, at.end); });
}

std::size_t popcount(const Word* words, std::size_t count) {
  std::atomic<std::size_t> total{0};
  over_columns(count, kWordGrain, [&](Columns at) { total += kernels().popcount(words, at.begin, at.end); });
  return total;
}

void gather(const Word* x, std::size_t rows, std::size_t width, const std::int64_t* index, std::size_t m, Word* out) {
  move_all<Indexed::source>("index", x, rows, width, index, m, out);
}

void permute(const Word* x, std::size_t rows, std::size_t width, const std::int64_t* perm, Word* out) {
  move_all<Indexed::target>("perm", x, rows, width, perm, rows, out);
}

}  // namespace tacit
