// What both paths share: everything above the reduction of digit products, written over a Lane.
//
// Include it from one file per instruction set, inside that set's namespace and after its `Lane`, which has
//   V, lanes, Mask                    a vector of 64-bit lanes, one number in each
//   zero, fill, add, sub, low, carry, borrow, equal, nonzero, select
//   load, store                       between rows in memory and V per digit
//   reduce<products, square>(...)     (a0 b0 + a1 b1 + init + q n) / R, below 2 n, and q
// Nothing from the standard library is called: see ring_loops.hpp.

using V = Lane::V;
constexpr size_t kLanes = Lane::lanes;

// Lane-wise arithmetic modulo one number, with the scratch it needs. Values are [width] vectors, below 2 n each half.
class Work {
 public:
  // `spare` vectors more than the arithmetic itself takes, at spare().
  Work(const Modulus& modulus, size_t spare)
      : m_(modulus), K_(modulus.digits), W_(modulus.width), memory_((4 * K_ + spare) * kLanes) {
    quotient_ = reinterpret_cast<V*>(memory_.words());
    first_ = quotient_ + K_;
    doubled_ = first_ + K_;
    difference_ = doubled_ + K_;
  }

  V* spare() const { return difference_ + K_; }

  // out may be x or y.
  void multiply(V* out, const V* x, const V* y) const {
    if (!m_.squared) return Lane::reduce<1, false>(m_, x, y, nullptr, nullptr, nullptr, out, quotient_);
    Lane::reduce<1, false>(m_, x, y, nullptr, nullptr, nullptr, first_, quotient_);
    turn_quotient();
    Lane::reduce<2, false>(m_, x, y + K_, x + K_, y, quotient_, out + K_, quotient_);
    copy(out, first_, K_);
  }

  void square(V* out, const V* x) const {
    if (!m_.squared) return Lane::reduce<1, true>(m_, x, x, nullptr, nullptr, nullptr, out, quotient_);
    Lane::reduce<1, true>(m_, x, x, nullptr, nullptr, nullptr, first_, quotient_);
    turn_quotient();
    V carry = Lane::zero();
    for (size_t i = 0; i < K_; ++i) {
      const V t = Lane::add(Lane::add(x[K_ + i], x[K_ + i]), carry);
      doubled_[i] = Lane::low(t);
      carry = Lane::carry(t);
    }
    Lane::reduce<1, false>(m_, x, doubled_, nullptr, nullptr, quotient_, out + K_, quotient_);
    copy(out, first_, K_);
  }

  // From below 2 n in each half to the one row of words that stands for the number.
  void canonical(V* x) const {
    const V above = subtract_once(x);
    if (!m_.squared) return;
    V carry = above;
    for (size_t i = 0; i < K_; ++i) {
      const V t = Lane::add(x[K_ + i], carry);
      x[K_ + i] = Lane::low(t);
      carry = Lane::carry(t);
    }
    subtract_once(x + K_);
    subtract_once(x + K_);
  }

  // x = x + y, canonical; both canonical.
  void add(V* x, const V* y) const {
    for (size_t half = 0; half < W_; half += K_) {
      V carry = Lane::zero();
      for (size_t i = half; i < half + K_; ++i) {
        const V t = Lane::add(Lane::add(x[i], y[i]), carry);
        x[i] = Lane::low(t);
        carry = Lane::carry(t);
      }
    }
    canonical(x);
  }

  void fill(V* out, const u64* row) const {
    for (size_t i = 0; i < W_; ++i) out[i] = Lane::fill(row[i]);
  }

  void copy(V* out, const V* from, size_t count) const {
    for (size_t i = 0; i < count; ++i) out[i] = from[i];
  }

 private:
  // The quotient enters the high half negated: a multiple of n with large digits, minus it, borrows nowhere.
  void turn_quotient() const {
    for (size_t i = 0; i < K_; ++i) quotient_[i] = Lane::sub(Lane::fill(m_.offset()[i]), quotient_[i]);
  }

  // x -= n where x >= n; returns 1 in those lanes.
  V subtract_once(V* x) const {
    V borrow = Lane::zero();
    for (size_t i = 0; i < K_; ++i) {
      const V t = Lane::sub(Lane::sub(x[i], Lane::fill(m_.n()[i])), borrow);
      difference_[i] = Lane::low(t);
      borrow = Lane::borrow(t);
    }
    const auto below = Lane::nonzero(borrow);
    for (size_t i = 0; i < K_; ++i) x[i] = Lane::select(below, x[i], difference_[i]);
    return Lane::sub(Lane::fill(1), borrow);
  }

  const Modulus& m_;
  size_t K_, W_;
  Wiped memory_;
  V *quotient_, *first_, *doubled_, *difference_;
};

// The rows of one group of lanes; lanes beyond the end repeat the first and are not stored.
struct Group {
  const u64* rows[kLanes];
  size_t count;

  Group(Rows source, size_t first, size_t end) : count(end - first < kLanes ? end - first : kLanes) {
    for (size_t l = 0; l < kLanes; ++l) rows[l] = source.at(l < count ? first + l : first);
  }
};

void store(const V* x, u64* out, size_t width, size_t first, size_t count) {
  u64* rows[kLanes];
  for (size_t l = 0; l < count; ++l) rows[l] = out + (first + l) * width;
  Lane::store(x, rows, width, count);
}

void multiply(const Modulus& m, Rows a, Rows b, u64* out, size_t begin, size_t end) {
  const Work work(m, 2 * m.width);
  V *x = work.spare(), *y = x + m.width;
  if (b.stride == 0) work.fill(y, b.data);
  for (size_t first = begin; first < end; first += kLanes) {
    const Group left(a, first, end);
    Lane::load(x, left.rows, m.width);
    if (b.stride != 0) Lane::load(y, Group(b, first, end).rows, m.width);
    work.multiply(x, x, y);
    work.canonical(x);
    store(x, out, m.width, first, left.count);
  }
}

// `window` bits of an exponent from bit `position`, below 2**window; bits beyond the last word are 0.
inline u64 exponent_digit(const u64* words, size_t count, size_t position, size_t window) {
  const size_t word = position / 64, shift = position % 64;
  u64 value = word < count ? words[word] >> shift : 0;
  if (shift + window > 64 && word + 1 < count) value |= words[word + 1] << (64 - shift);
  return value & ((u64{1} << window) - 1);
}

V exponent_digits(const Group& exponents, size_t words, size_t position, size_t window) {
  alignas(64) u64 digit[kLanes];
  for (size_t l = 0; l < kLanes; ++l) digit[l] = exponent_digit(exponents.rows[l], words, position, window);
  const V out = *reinterpret_cast<const V*>(digit);
  for (size_t l = 0; l < kLanes; ++l) digit[l] = 0;
  return out;
}

void powers(const Modulus& m, Rows a, Rows exponents, size_t bits, u64* out, size_t begin, size_t end) {
  const size_t W = m.width, window = bits > 512 ? 5 : bits > 24 ? 4 : bits > 6 ? 3 : 2;
  const size_t entries = size_t{1} << window, windows = (bits + window - 1) / window, words = (bits + 63) / 64;
  const Work work(m, (entries + 2) * W);
  V *x = work.spare(), *chosen = x + W, *table = chosen + W;
  for (size_t first = begin; first < end; first += kLanes) {
    const Group bases(a, first, end), digits(exponents, first, end);
    work.fill(table, m.one());
    Lane::load(table + W, bases.rows, W);
    for (size_t e = 2; e < entries; ++e) {
      if (e % 2 == 0) work.square(table + e * W, table + e / 2 * W);
      else work.multiply(table + e * W, table + (e - 1) * W, table + W);
    }
    work.copy(x, table, W);
    for (size_t j = windows; j-- > 0;) {
      const V digit = exponent_digits(digits, words, j * window, window);
      typename Lane::Mask is[size_t{1} << kMaxWindow];
      for (size_t e = 0; e < entries; ++e) is[e] = Lane::equal(digit, e);
      for (size_t i = 0; i < W; ++i) {
        V value = table[i];
        for (size_t e = 1; e < entries; ++e) value = Lane::select(is[e], table[e * W + i], value);
        chosen[i] = value;
      }
      if (j + 1 == windows) {
        work.copy(x, chosen, W);
        continue;
      }
      for (size_t s = 0; s < window; ++s) work.square(x, x);
      work.multiply(x, x, chosen);
    }
    work.canonical(x);
    store(x, out, W, first, bases.count);
  }
}

void fixed_powers(const Modulus& m, const u64* table, size_t windows, size_t window, Rows exponents, size_t words,
                  u64* out, size_t begin, size_t end) {
  const size_t W = m.width, entries = size_t{1} << window;
  const Work work(m, 2 * W);
  V *x = work.spare(), *chosen = x + W;
  for (size_t first = begin; first < end; first += kLanes) {
    const Group digits(exponents, first, end);
    for (size_t j = 0; j < windows; ++j) {
      const V digit = exponent_digits(digits, words, j * window, window);
      V* const target = j == 0 ? x : chosen;
      const u64* const rows = table + j * entries * W;
      typename Lane::Mask is[size_t{1} << kMaxWindow];
      for (size_t e = 0; e < entries; ++e) is[e] = Lane::equal(digit, e);
      for (size_t i = 0; i < W; i += kBlock) {
        V value[kBlock];
        for (size_t k = 0; k < kBlock; ++k) value[k] = Lane::fill(rows[i + k]);
        for (size_t e = 1; e < entries; ++e)
          for (size_t k = 0; k < kBlock; ++k) value[k] = Lane::select_fill(is[e], rows[e * W + i + k], value[k]);
        for (size_t k = 0; k < kBlock; ++k) target[i + k] = value[k];
      }
      if (j > 0) work.multiply(x, x, chosen);
    }
    work.canonical(x);
    store(x, out, W, first, digits.count);
  }
}

// Every lane works through one segment after another: the lanes stay busy whatever the segments' lengths.
void products(const Modulus& m, const u64* x, const std::int64_t* index, const std::int64_t* starts, u64* out,
              size_t begin, size_t end) {
  const size_t W = m.width;
  const Work work(m, 3 * W);
  V *total = work.spare(), *factor = total + W, *done = factor + W;
  u64* const totals = reinterpret_cast<u64*>(total);
  work.fill(total, m.one());
  struct {
    std::int64_t next, stop;
    size_t segment;
    bool busy;
  } lane[kLanes] = {};
  size_t upcoming = begin;
  for (;;) {
    const u64* rows[kLanes];
    bool work_left = false, finished = false;
    for (size_t l = 0; l < kLanes; ++l) {
      auto& mine = lane[l];
      while (!mine.busy && upcoming < end) {
        mine = {starts[upcoming], starts[upcoming + 1], upcoming, true};
        ++upcoming;
        const u64* const row = mine.next < mine.stop ? x + static_cast<size_t>(index[mine.next++]) * W : m.one();
        if (mine.next < mine.stop) {
          for (size_t i = 0; i < W; ++i) totals[i * kLanes + l] = row[i];
        } else {  // nothing to multiply: it is its own product, and canonical
          for (size_t i = 0; i < W; ++i) out[mine.segment * W + i] = row[i];
          mine.busy = false;
        }
      }
      rows[l] = mine.busy ? x + static_cast<size_t>(index[mine.next++]) * W : m.one();
      work_left |= mine.busy;
      finished |= mine.busy && mine.next == mine.stop;
    }
    if (!work_left) return;
    Lane::load(factor, rows, W);
    work.multiply(total, total, factor);
    if (!finished) continue;
    work.copy(done, total, W);
    work.canonical(done);
    const u64* const dones = reinterpret_cast<const u64*>(done);
    for (size_t l = 0; l < kLanes; ++l)
      if (lane[l].busy && lane[l].next == lane[l].stop) {
        for (size_t i = 0; i < W; ++i) out[lane[l].segment * W + i] = dones[i * kLanes + l];
        lane[l].busy = false;
      }
  }
}

// Digit `digit` of a little-endian number of `size` octets.
inline u64 octets_digit(const std::uint8_t* octets, size_t size, size_t digit) {
  const size_t bit = digit * kDigitBits, octet = bit / 8;
  u64 value = 0;
  for (size_t i = 0; i < 8 && octet + i < size; ++i) value |= static_cast<u64>(octets[octet + i]) << (8 * i);
  return (value >> (bit % 8)) & kDigitMask;
}

// A number of c K digits is the sum over chunks i of chunk_i R**i; each enters as chunk_i R**(i + 2) / R.
void enter(const Modulus& m, const std::uint8_t* octets, size_t size, u64* out, size_t begin, size_t end) {
  const size_t W = m.width, K = m.digits, chunks = (8 * size + kDigitBits * K - 1) / (kDigitBits * K);
  const Work work(m, 3 * W);
  V *x = work.spare(), *sum = x + W, *constant = sum + W;
  u64* const digits = reinterpret_cast<u64*>(x);
  for (size_t first = begin; first < end; first += kLanes) {
    const size_t count = end - first < kLanes ? end - first : kLanes;
    for (size_t chunk = 0; chunk < chunks || chunk == 0; ++chunk) {
      for (size_t i = 0; i < W; ++i)
        for (size_t l = 0; l < kLanes; ++l)
          digits[i * kLanes + l] =
              i < K && l < count ? octets_digit(octets + (first + l) * size, size, chunk * K + i) : 0;
      work.fill(constant, m.entry(chunk));
      work.multiply(x, x, constant);
      work.canonical(x);
      if (chunk == 0) work.copy(sum, x, W);
      else work.add(sum, x);
    }
    store(sum, out, W, first, count);
  }
}

// row[0 .. 2 K) = x0 + x1 n, in place.
inline void join(const Modulus& m, u64* row, u64* room) {
  const size_t K = m.digits;
  for (size_t i = 0; i < 2 * K; ++i) room[i] = i < K ? row[i] : 0;
  for (size_t i = 0; i < K; ++i) {
    unsigned __int128 t = 0;
    for (size_t j = 0; j < K; ++j) {
      t += static_cast<unsigned __int128>(row[K + i]) * m.n()[j] + room[i + j];
      room[i + j] = static_cast<u64>(t) & kDigitMask;
      t >>= kDigitBits;
    }
    room[i + K] = static_cast<u64>(t);
  }
  for (size_t i = 0; i < 2 * K; ++i) row[i] = room[i];
}

inline void digits_to_octets(const u64* digits, size_t count, std::uint8_t* octets, size_t size) {
  size_t at = 0, held = 0;
  unsigned __int128 bits = 0;
  for (size_t i = 0; i < size; ++i) {
    if (held < 8 && at < count) {
      bits |= static_cast<unsigned __int128>(digits[at++]) << held;
      held += kDigitBits;
    }
    octets[i] = static_cast<std::uint8_t>(bits);
    bits >>= 8;
    held = held < 8 ? 0 : held - 8;
  }
}

void leave(const Modulus& m, Rows a, std::uint8_t* octets, size_t begin, size_t end) {
  const size_t W = m.width;
  const Work work(m, 2 * W);
  const Wiped room((kLanes + 1) * W);
  V *x = work.spare(), *one = x + W;
  for (size_t i = 0; i < W; ++i) one[i] = Lane::fill(i == 0);
  for (size_t first = begin; first < end; first += kLanes) {
    const Group rows(a, first, end);
    Lane::load(x, rows.rows, W);
    work.multiply(x, x, one);
    work.canonical(x);
    store(x, room.words(), W, 0, rows.count);
    for (size_t l = 0; l < rows.count; ++l) {
      u64* const row = room.words() + l * W;
      if (m.squared) join(m, row, room.words() + kLanes * W);
      digits_to_octets(row, W, octets + (first + l) * m.octets, m.octets);
    }
  }
}

constexpr Kernels table() { return {multiply, powers, fixed_powers, products, enter, leave}; }
