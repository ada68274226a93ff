// hash_to_field of the suite curve25519_XMD:SHA-512_ELL2_NU_ (RFC 9380, section 5.2): one number modulo p for each message.
//
// SHA-512 runs on several messages side by side; lanes whose message is over keep their state. Time and memory accesses
// depend on the lengths of the messages alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "simd.hpp"

namespace tacit::curve25519 {

using u8 = std::uint8_t;
using u64 = std::uint64_t;
using std::size_t;

inline constexpr size_t kMaxDomain = 255;

struct Messages {
  const u8* octets;
  const std::int64_t* offsets;  // message i is octets [offsets[i], offsets[i + 1])
  const u8* domain;             // the domain separation tag
  size_t domain_size;           // 1 to kMaxDomain
};

struct HashKernel {
  size_t lanes;
  // out = a number below p as 32 little-endian octets, for messages [begin, end)
  void (*to_field)(const Messages&, u8* out, size_t begin, size_t end);
};

const HashKernel& hash_kernel() noexcept;

namespace portable {
extern const HashKernel kHash;
}
#if defined(TACIT_X86)
namespace avx512 {
extern const HashKernel kHash;
}
#endif

inline constexpr u64 kSha512Start[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
inline constexpr u64 kSha512Rounds[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817};

// S: a vector V of `lanes` words.
template <class S>
struct Sha512 {
  using V = typename S::V;
  static constexpr size_t lanes = S::lanes;
  static constexpr size_t kBlock = 128, kDigest = 64;

  struct State {
    V h[8];
  };

  static State start() {
    State s;
    for (int i = 0; i < 8; ++i) s.h[i] = S::fill(kSha512Start[i]);
    return s;
  }

  // One block in every lane; the words of lane l are w[0 .. 15][l]. Lanes whose `go` is 0 keep their state.
  static void compress(State& s, const u64 (*block)[lanes], const u64* go) {
    V w[16];
    for (int i = 0; i < 16; ++i) w[i] = S::load(block[i]);
    V a = s.h[0], b = s.h[1], c = s.h[2], d = s.h[3], e = s.h[4], f = s.h[5], g = s.h[6], h = s.h[7];
    for (int t = 0; t < 80; t += 16) {
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) {
        if (t > 0) {
          const V x = w[(i + 1) & 15], y = w[(i + 14) & 15];
          const V s0 = S::exclusive(S::template rotate<1>(x), S::template rotate<8>(x), S::template shift<7>(x));
          const V s1 = S::exclusive(S::template rotate<19>(y), S::template rotate<61>(y), S::template shift<6>(y));
          w[i] = S::add(S::add(w[i], s0), S::add(w[(i + 9) & 15], s1));
        }
        const V e1 = S::exclusive(S::template rotate<14>(e), S::template rotate<18>(e), S::template rotate<41>(e));
        const V t1 = S::add(S::add(S::add(h, e1), S::choose(e, f, g)), S::add(S::fill(kSha512Rounds[t + i]), w[i]));
        const V a0 = S::exclusive(S::template rotate<28>(a), S::template rotate<34>(a), S::template rotate<39>(a));
        const V t2 = S::add(a0, S::majority(a, b, c));
        h = g;
        g = f;
        f = e;
        e = S::add(d, t1);
        d = c;
        c = b;
        b = a;
        a = S::add(t1, t2);
      }
    }
    const V next[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; ++i) s.h[i] = S::keep(go, S::add(s.h[i], next[i]), s.h[i]);
  }

  // The digest of (before octets absorbed already) || rows[l] || suffix, in every lane.
  static State digest(State s, size_t before, const u8* const* rows, const size_t* sizes, const u8* suffix,
                      size_t suffix_size) {
    alignas(64) u64 block[16][lanes], go[lanes];
    size_t blocks[lanes], most = 0;
    for (size_t l = 0; l < lanes; ++l) {
      blocks[l] = (sizes[l] + suffix_size + 17 + kBlock - 1) / kBlock;
      most = blocks[l] > most ? blocks[l] : most;
    }
    for (size_t number = 0; number < most; ++number) {
      for (size_t l = 0; l < lanes; ++l) {
        go[l] = number < blocks[l] ? ~u64{0} : 0;
        if (go[l] == 0) continue;
        u8 octets[kBlock] = {};
        const size_t total = sizes[l] + suffix_size;
        copy(octets, number, rows[l], sizes[l], 0);
        copy(octets, number, suffix, suffix_size, sizes[l]);
        if (total / kBlock == number) octets[total % kBlock] = 0x80;
        u64 words[16];
        std::memcpy(words, octets, kBlock);
        for (int i = 0; i < 16; ++i) block[i][l] = __builtin_bswap64(words[i]);
        if (number + 1 == blocks[l]) block[15][l] = 8 * (before + total);
      }
      compress(s, block, go);
    }
    return s;
  }

  // The part of `from`, which begins `at` octets into the message, that lies in a block.
  static void copy(u8* block, size_t number, const u8* from, size_t size, size_t at) {
    const size_t begin = number * kBlock, end = begin + kBlock;
    const size_t first = at > begin ? at : begin, last = at + size < end ? at + size : end;
    if (first < last) std::memcpy(block + (first - begin), from + (first - at), last - first);
  }

  static void write(const State& s, u8 (*digests)[kDigest]) {
    alignas(64) u64 words[lanes];
    for (size_t i = 0; i < 8; ++i) {
      S::store(words, s.h[i]);
      for (size_t l = 0; l < lanes; ++l) {
        const u64 word = __builtin_bswap64(words[l]);
        std::memcpy(digests[l] + 8 * i, &word, 8);
      }
    }
  }

  // The first 48 octets, a big-endian number, modulo p = 2**255 - 19.
  static void reduce(const u8* digest, u8* out) {
    u64 w[6], r[4];
    std::memcpy(w, digest, 48);
    for (u64& word : w) word = __builtin_bswap64(word);
    const u64 high[4] = {w[1], w[0], 0, 0}, low[4] = {w[5], w[4], w[3], w[2]};
    unsigned __int128 c = 0;
    for (int i = 0; i < 4; ++i) {  // 2**256 = 38
      c += static_cast<unsigned __int128>(high[i]) * 38 + low[i];
      r[i] = static_cast<u64>(c);
      c >>= 64;
    }
    for (int pass = 0; pass < 2; ++pass) {  // 2**255 = 19
      c = (static_cast<u64>(c) * 2 + (r[3] >> 63)) * 19;
      r[3] &= ~u64{0} >> 1;
      for (int i = 0; i < 4; ++i) {
        c += r[i];
        r[i] = static_cast<u64>(c);
        c >>= 64;
      }
    }
    u64 more[4];
    c = 19;
    for (int i = 0; i < 4; ++i) {
      c += r[i];
      more[i] = static_cast<u64>(c);
      c >>= 64;
    }
    const u64 over = 0 - (more[3] >> 63);  // r + 19 reaches 2**255 exactly where r is not below p
    for (int i = 0; i < 4; ++i) r[i] = (more[i] & over) | (r[i] & ~over);
    r[3] &= ~u64{0} >> 1;
    std::memcpy(out, r, 32);
  }

  // expand_message_xmd to 48 octets: b0 = H(0**128 || m || 0, 48 || 0 || D), b1 = H(b0 || 1 || D), D = domain || its size.
  static void to_field(const Messages& m, u8* out, size_t begin, size_t end) {
    u8 suffix[3 + kMaxDomain + 1] = {0, 48, 0};
    std::memcpy(suffix + 3, m.domain, m.domain_size);
    suffix[3 + m.domain_size] = static_cast<u8>(m.domain_size);
    u8 second[1 + kMaxDomain + 1] = {1};
    std::memcpy(second + 1, suffix + 3, m.domain_size + 1);
    alignas(64) u64 zeros[16][lanes] = {}, all[lanes];
    for (u64& go : all) go = ~u64{0};
    State padded = start();
    compress(padded, zeros, all);
    for (size_t at = begin; at < end; at += lanes) {
      const u8* rows[lanes];
      size_t sizes[lanes];
      for (size_t l = 0; l < lanes; ++l) {
        const size_t i = at + l < end ? at + l : end - 1;
        rows[l] = m.octets + m.offsets[i];
        sizes[l] = static_cast<size_t>(m.offsets[i + 1] - m.offsets[i]);
      }
      u8 digests[lanes][kDigest];
      write(digest(padded, kBlock, rows, sizes, suffix, 3 + m.domain_size + 1), digests);
      for (size_t l = 0; l < lanes; ++l) {
        rows[l] = digests[l];
        sizes[l] = kDigest;
      }
      u8 uniform[lanes][kDigest];
      write(digest(start(), 0, rows, sizes, second, 1 + m.domain_size + 1), uniform);
      for (size_t l = 0; l < lanes && at + l < end; ++l) reduce(uniform[l], out + (at + l) * 32);
    }
  }

  static constexpr HashKernel kernel() { return {lanes, &to_field}; }
};

}  // namespace tacit::curve25519
