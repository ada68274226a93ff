# The native kernels: one typed door.
#
# Every kernel works on C-contiguous buffers that the caller provides, writes only its `out` arguments, gives the same
# words on every instruction set and number of threads, and releases the GIL where the work outlasts the hand-over.
# A buffer of the wrong type, order or writability raises TypeError; sizes, ranges and overlaps that do not fit raise
# ValueError with the numbers. Arithmetic is modulo 2**64. Packed bits: bit e % 64 of word e // 64 is element e.

from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]
Indices: TypeAlias = NDArray[np.int64]
Octets: TypeAlias = NDArray[np.uint8] | NDArray[np.bool_]
Reals: TypeAlias = NDArray[np.float64]
Writable: TypeAlias = bytearray | memoryview | NDArray[Any]
Isa: TypeAlias = Literal["portable", "avx2", "avx512"]

# The processor. `isa` is the set in use: the best one, until `set_isa` lowers it.
def isa() -> Isa: ...
def best_isa() -> Isa: ...
def set_isa(name: Isa) -> None: ...
def has_aes() -> bool: ...
def threads() -> int: ...
def set_threads(count: int) -> None: ...

# AES-128 in counter mode: block i of the stream is AES_key(nonce || counter + i), each 8 big-endian bytes. The stream
# must end before block 2**64. RuntimeError where `has_aes()` is false. The key schedule is wiped on destruction.
@final
class Aes128:
    def __init__(self, key: bytes) -> None: ...
    def expand(self, nonce: int, counter: int, out: Writable) -> None: ...  # out = stream, of any length
    def add_into(self, nonce: int, counter: int, out: Writable) -> None: ...  # out += stream, by 64-bit words
    def sub_into(self, nonce: int, counter: int, out: Writable) -> None: ...  # out -= stream, by 64-bit words
    def xor_into(self, nonce: int, counter: int, out: Writable) -> None: ...  # out ^= stream, of any length

# Arithmetic modulo an odd N: N = modulus (little-endian octets, at most 6144 bits), or its square where `squared` (at
# most 3072 bits). A number is a row of `width` words, in Montgomery form and canonical, so that equal numbers have equal
# rows; rows come from `enter` and the other methods only. Time and memory accesses depend on shapes and `bits` alone,
# never on numbers, exponents or the modulus' digits. The constants are wiped on destruction.
@final
class Montgomery:
    def __init__(self, modulus: bytes, squared: bool = False) -> None: ...
    @property
    def width(self) -> int: ...  # words of a row
    @property
    def octets(self) -> int: ...  # of a number that leaves
    def one(self, out: Words) -> None: ...  # [width]
    def multiply(self, a: Words, b: Words, out: Words) -> None: ...  # [n, width]; b may have one row; out may be a or b

    # out = a**exponents: a [n or 1, width], exponents [n or 1, words] little-endian, of which the low `bits` count
    def powers(self, a: Words, exponents: Words, bits: int, out: Words) -> None: ...

    # out = base**exponents from table[j, e] = base**(e * 2**(w * j)), [windows, 2**w, width], w from 1 to 6
    def fixed_powers(self, table: Words, exponents: Words, out: Words) -> None: ...

    # out[s] = product of x[index[j]] over starts[s] <= j < starts[s + 1]; 1 where there is none
    def products(self, x: Words, index: Indices, starts: Indices, out: Words) -> None: ...

    # Into Montgomery form, from little-endian numbers below R**8, R = 2**(52 K), reduced modulo N; and out of it, to [n, octets]
    def enter(self, octets: NDArray[np.uint8], out: Words) -> None: ...
    def leave(self, a: Words, out: NDArray[np.uint8]) -> None: ...

# Curve25519, on rows of 32 octets: a number modulo p = 2**255 - 19, a scalar, or a coordinate, of which bit 255 is ignored.
# Time and memory accesses depend on the numbers of rows alone. Where an index is returned it is the first row of `points`
# that cannot be used, because it is of low order or, for unblind, not on the curve; or -1. Such rows give zeros. Scalars of
# blind and unblind are taken modulo 2**252. See native/src/curve25519.hpp.
CURVE25519_TABLE_WORDS: int

# out = u(k P), for points of the curve or its twist; one scalar or one for each point, not clamped
def curve25519_multiply(scalars: NDArray[np.uint8], points: NDArray[np.uint8], out: NDArray[np.uint8]) -> int: ...

# out = u(8 map(number)), map being Elligator 2 (RFC 9380, map_to_curve_elligator2_curve25519)
def curve25519_encode(numbers: NDArray[np.uint8], out: NDArray[np.uint8]) -> None: ...

# Multiples of one point [32], u with the lowest bit of v as bit 255; False where it is not on the curve or of low order
def curve25519_table(point: NDArray[np.uint8], out: Words) -> bool: ...

# (u, v) = P = 8 map(number) + s B, by a table of B
def curve25519_blind(
    numbers: NDArray[np.uint8],
    scalars: NDArray[np.uint8],
    table: Words,
    u: NDArray[np.uint8],
    v: NDArray[np.uint8],
) -> None: ...

# out = u(k P), with the lowest bit of v(k P) v(P) as bit 255; one scalar [32]
def curve25519_evaluate(scalar: NDArray[np.uint8], points: NDArray[np.uint8], out: NDArray[np.uint8]) -> int: ...

# out = u(k P + s B), from what evaluate gave for P, and v(P)
def curve25519_unblind(
    points: NDArray[np.uint8],
    v: NDArray[np.uint8],
    scalars: NDArray[np.uint8],
    table: Words,
    out: NDArray[np.uint8],
) -> int: ...

# hash_to_field of curve25519_XMD:SHA-512_ELL2_NU_ (RFC 9380): message i is octets[offsets[i] : offsets[i + 1]]
def curve25519_hash(octets: NDArray[np.uint8], offsets: Indices, domain: bytes, out: NDArray[np.uint8]) -> None: ...

# Ring arithmetic, element by element on equally many elements; shapes are flattened. `out` may be an input.
def add(a: Words, b: Words, out: Words) -> None: ...
def sub(a: Words, b: Words, out: Words) -> None: ...
def neg(a: Words, out: Words) -> None: ...
def mul(a: Words, b: Words, out: Words) -> None: ...
def mul_add(a: Words, b: Words, c: Words, out: Words) -> None: ...  # a * b + c
def scale(a: Words, k: int, out: Words) -> None: ...  # k * a, for any integer k
def axpy(k: int, a: Words, out: Words) -> None: ...  # out += k * a

# Fused steps of the two-party masked protocol. X, Y are public masked values, other operands are this party's
# shares; leader is 1 (or True) for the party that adds public terms, 0 for the other. bits is 0 to 62.
# Closes a product: out = leader * X * Y - X * ry - Y * rx + t
def product_close(X: Words, Y: Words, rx: Words, ry: Words, t: Words, leader: int, out: Words) -> None: ...

# Closes a truncation, with C = C0 + C1: out = leader * ((C >> bits) - 2**(62 - bits)) - u + (0 if msb(C) else m)
def truncate_close(C0: Words, C1: Words, u: Words, m: Words, bits: int, leader: int, out: Words) -> None: ...

# Deals a truncation's follower part: u1 = (s >> bits) - u0; m1 = (s >> 63) * 2**(64 - bits) - m0
def truncate_deal(s: Words, u0: Words, m0: Words, bits: int, u1: Words, m1: Words) -> None: ...

# Truncations whose messages take few bytes; see native/src/truncation.hpp. bits is 1 to 62; narrow arrays are words.
def narrow_words(n: int, width: int) -> int: ...  # words that hold n numbers of ceil(width / 8) bytes
def masked_truncation_deal(s: Words, u0: Words, e0: Words, bits: int, u1: Words, e1: Words) -> None: ...
def masked_truncation_close(C0: Words, C1: Words, u: Words, e: Words, bits: int, leader: bool, out: Words) -> None: ...
def shared_truncation_open(x: Words, z: Words, t: Words, bits: int, leader: bool, out: Words) -> None: ...
def shared_truncation_deal(
    t0: Words, t1: Words, p0: Words, q0: Words, bits: int, n: int, p1: Words, q1: Words
) -> None: ...
def shared_truncation_close(
    H0: Words, H1: Words, t: Words, p: Words, q: Words, bits: int, leader: bool, out: Words
) -> None: ...

# b = packed bits: out = b * share + (1 - 2 * b) * (X * rho - sigma), the same for both parties
def select_close(bits: Words, X: Words, rho: Words, sigma: Words, share: Words, leader: int, out: Words) -> None: ...

# beta = packed bits: rho1 = beta - rho0; sigma1 = beta * r - sigma0
def select_deal(beta: Words, r: Words, rho0: Words, sigma0: Words, rho1: Words, sigma1: Words) -> None: ...

# b = packed bits: out = leader * b + (1 - 2 * b) * rho
def bit_to_ring_close(bits: Words, rho: Words, leader: int, out: Words) -> None: ...

# Both sides of functions that split over a difference; see native/src/separable.hpp. `unit` and `exponent` are binary.
# close: out[i] = sum over j of left_j(u[i]) * dealt[j, i]; deal: out[j, i] = right_j(v[i]) - minus[j, i].
def series_close(
    u: Words, dealt: Words, turn: int, stride: int, harmonics: int, unit: int, slope: bool, rate: int, out: Words
) -> None: ...
def series_deal(
    v: Words,
    cosines: Reals,
    sines: Reals,
    minus: Words,
    turn: int,
    stride: int,
    unit: int,
    slope: bool,
    rate: int,
    out: Words,
) -> None: ...
def window_close(u: Words, dealt: Words, turn: int, turned: int, octaves: int, exponent: int, out: Words) -> None: ...
def window_deal(v: Words, minus: Words, turn: int, octaves: int, exponent: int, out: Words) -> None: ...

# Oblivious transfer; see native/src/ot.hpp. Blocks of 128 bits are the last axis of a uint64 array, two words each, the low
# one first. AES-128 under a public 16-byte key as a permutation; RuntimeError where `has_aes()` is false.
@final
class FixedKey:
    def __init__(self, key: bytes) -> None: ...
    # out[i] = pi(pi(x[i]) ^ (first + i)) ^ pi(x[i]): [n, 2] -> [n, 2]; out may be x
    def hash(self, x: Words, first: int, out: Words) -> None: ...
    # Trees with children roots, roots ^ delta: [t, 2] -> leaves [t, 2**d, 2], sums of the left nodes [t, d, 2], d <= 24.
    # Lowest bits of leaves are cleared.
    def expand(self, roots: Words, delta: Words, leaves: Words, sums: Words) -> None: ...
    # The same leaves from the sums [t, d, 2] of the sides that paths [t] do not take; leaf paths[i] is off by delta,
    # and its lowest bit is set.
    def complete(self, sums: Words, paths: Words, leaves: Words) -> None: ...
    # out[i] ^= ten entries of table [k, 2], k <= 2**30, at positions from AES-CTR; out [n, 2] is rows first, first + 1,
    # ... of the code `nonce`; first is a multiple of 16
    def encode(self, nonce: int, first: int, table: Words, out: Words) -> None: ...

# Sums of products in GF(2**64) mod x^64 + x^4 + x^3 + x + 1 and GF(2**128) mod x^128 + x^7 + x^2 + x + 1.
def field64_combine(x: Words, weights: Words, out: Words) -> None: ...  # [r, c], [c] -> [r]
def field128_dot(a: Words, b: Words, out: Words) -> None: ...  # [n, 2], [n, 2] -> [2]

# Fixed point. encode: out = round half to even of values * 2**bits; returns the first index whose value is not finite
# or reaches 2**(62 - bits) in magnitude (out is 0 at all such), or -1. decode: out = signed(a) / 2**bits, rounded once.
def encode(values: Reals, bits: int, out: Words) -> int: ...
def decode(a: Words, bits: int, out: Reals) -> None: ...

# Bits. n elements take W = ceil(n / 64) words; plane i of an array holds bit i of every element.
def pack(bits: Octets, out: Words) -> None: ...  # [n] -> [W]
def unpack(words: Words, out: Octets) -> None: ...  # [W] -> [n]
def transpose64(x: Words, out: Words) -> None: ...  # [m, 64] -> [m, 64], every 64 x 64 bit block
def to_planes(x: Words, out: Words, shift: int = 0) -> None: ...  # [n] -> [count, W]: bits shift .. shift + count - 1
def from_planes(planes: Words, out: Words) -> None: ...  # [count, W] -> [n]
def gather(x: Words, index: Indices, out: Words) -> None: ...  # out[i] = x[index[i]], rows of [n] or [n, width]
def permute(x: Words, perm: Indices, out: Words) -> None: ...  # out[i] = x[perm[i]], perm a permutation
def bit_xor(a: Words, b: Words, out: Words) -> None: ...
def bit_and(a: Words, b: Words, out: Words) -> None: ...
def popcount(words: Words) -> int: ...

# Comparison of a public masked value with dealt bits, on planes [count, W]; see native/src/compare.hpp.
def digit_planes(bits: int) -> int: ...
def digits_deal(r: Words, out: Words, accumulate: bool = False) -> None: ...
def digits_close(c: Words, hot: Words, leader: bool, g: Words, p: Words) -> None: ...
def tree_plan(pairs: int) -> tuple[int, int, int]: ...  # opened, products, next_pairs
def tree_open(g: Words, p: Words, lam: Words, out: Words) -> None: ...
def tree_deal(lam: Words, pairs: int, out: Words, accumulate: bool = False) -> None: ...
def tree_close(
    opened: Words, lam: Words, products: Words, g: Words, p: Words, leader: bool, g2: Words, p2: Words
) -> None: ...

# Boolean products on packed words; see native/src/boolean.hpp.
def replicated_and(x0: Words, x1: Words, y0: Words, y1: Words, alpha: Words, out: Words) -> None: ...
def masked_and_close(x: Words, y: Words, lx: Words, ly: Words, lxy: Words, leader: bool, out: Words) -> None: ...

# Products. accumulate: 0 writes out, 1 adds to it, -1 subtracts from it; out is contiguous and apart from the inputs.
# a [m, k] or [batch, m, k], b likewise, of any strides; out [m, n], or [batch, m, n] where a single a or b serves for all
def matmul(a: Words, b: Words, out: Words, accumulate: int = 0) -> None: ...

# As matmul, of sign_ab * (a @ b) + sign_cd * (c @ d); signs are 1 or -1
def matmul_pair(
    a: Words, b: Words, c: Words, d: Words, out: Words, accumulate: int = 0, sign_ab: int = 1, sign_cd: int = 1
) -> None: ...

# Convolution of images x [N, H, W, C] with k [KH, KW, C / groups, O] to [N, OH, OW, O], and its gradients with respect
# to x and k from one g [N, OH, OW, O]; contiguous, the kernel is not reversed.
def conv2d(
    x: Words,
    k: Words,
    out: Words,
    stride_h: int = 1,
    stride_w: int = 1,
    pad_top: int = 0,
    pad_bottom: int = 0,
    pad_left: int = 0,
    pad_right: int = 0,
    dil_h: int = 1,
    dil_w: int = 1,
    groups: int = 1,
    accumulate: int = 0,
) -> None: ...
def conv2d_input_grad(
    g: Words,
    k: Words,
    out: Words,
    stride_h: int = 1,
    stride_w: int = 1,
    pad_top: int = 0,
    pad_bottom: int = 0,
    pad_left: int = 0,
    pad_right: int = 0,
    dil_h: int = 1,
    dil_w: int = 1,
    groups: int = 1,
    accumulate: int = 0,
) -> None: ...
def conv2d_kernel_grad(
    x: Words,
    g: Words,
    out: Words,
    stride_h: int = 1,
    stride_w: int = 1,
    pad_top: int = 0,
    pad_bottom: int = 0,
    pad_left: int = 0,
    pad_right: int = 0,
    dil_h: int = 1,
    dil_w: int = 1,
    groups: int = 1,
    accumulate: int = 0,
) -> None: ...
