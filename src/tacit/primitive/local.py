"""The one Python door to local computation on shares: native kernels, or shapes only.

Protocols call `Local` for everything they compute on ring elements and bits. `NativeLocal` does the work with the
kernels of `tacit._native`; `PhantomLocal` returns arrays of the right shape that occupy no memory, so that a dry run
executes the very same protocol code and counts its exact rounds and bytes.

Ring elements are uint64 arrays; element-wise methods broadcast as NumPy does; `planes` are uint64 [count, words] arrays
in which bit e % 64 of word e // 64 belongs to element e.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit import _native
from tacit.foundation.errors import DomainError, FixedPointOverflow
from tacit.primitive.mpc.form import Elementwise, Geometry, MatMul
from tacit.primitive.mpc.kernel import Bilinear, Linear, Ring, Separable, Shape

U64 = np.uint64
OFFSET = U64(1 << 62)


def words_for(count: int) -> int:
    """Words that hold `count` packed bits."""
    return (count + 63) // 64


def narrow_words(count: int, width: int) -> int:
    """Words that hold `count` numbers of `width` bits, in whole bytes each."""
    return (count * ((width + 7) // 8) + 7) // 8


def encode(values: Any, bits: int) -> Ring:
    """Real numbers to ring elements: round half to even of value * 2**bits.

    Error: 2**-(bits + 1) absolute.
    Raises: FixedPointOverflow when |value| >= 2**(62 - bits); DomainError for NaN or infinity.
    """
    reals = np.asarray(values, dtype=np.float64, order="C")
    ring = np.empty(reals.shape, U64)
    bad = _native.encode(reals.reshape(-1), bits, ring.reshape(-1))
    if bad >= 0:
        value = float(reals.reshape(-1)[bad])
        if not np.isfinite(value):
            raise DomainError(
                f"element {bad} is {value}; a share has no NaN or infinity. Fill or drop missing values first."
            )
        raise FixedPointOverflow(observed=abs(value), limit=2.0 ** (62 - bits), fraction_bits=bits)
    return ring


def decode(ring: Ring, bits: int) -> NDArray[np.float64]:
    """Ring elements to real numbers: the signed value divided by 2**bits, exact to float64."""
    flat = np.asarray(ring, dtype=U64, order="C")
    reals = np.empty(flat.shape, np.float64)
    _native.decode(flat.reshape(-1), bits, reals.reshape(-1))
    return reals


def set_threads(count: int) -> None:
    """Threads that the kernels of this process may use."""
    _native.set_threads(count)


class NativeLocal:
    """Real arithmetic by the native kernels."""

    phantom = False

    def empty(self, *shape: int) -> Ring:
        """An uninitialised array."""
        return np.empty(shape, U64)

    def zeros(self, *shape: int) -> Ring:
        """A zero array."""
        return np.zeros(shape, U64)

    # --- element-wise, broadcasting ---

    def add(self, a: Ring, b: Ring) -> Ring:
        """a + b."""
        return np.asarray(np.add(a, b))

    def sub(self, a: Ring, b: Ring) -> Ring:
        """a - b."""
        return np.asarray(np.subtract(a, b))

    def shift(self, a: Ring, value: int) -> Ring:
        """a + a public integer."""
        return np.add(a, U64(value % 2**64))

    def add_multiple(self, a: Ring, b: Ring, factor: int) -> Ring:
        """a + factor * b, in the memory of a, for a public integer."""
        _native.axpy(factor, b, a)
        return a

    def neg(self, a: Ring) -> Ring:
        """-a."""
        return np.asarray(np.negative(a))

    def mul(self, a: Ring, b: Ring) -> Ring:
        """a * b."""
        return np.asarray(np.multiply(a, b))

    def xor(self, a: Ring, b: Ring) -> Ring:
        """a XOR b."""
        return np.asarray(np.bitwise_xor(a, b))

    def conjoin(self, a: Ring, b: Ring) -> Ring:
        """a AND b."""
        return np.asarray(np.bitwise_and(a, b))

    def shift_right(self, a: Ring, bits: int) -> Ring:
        """a >> bits, unsigned."""
        return np.asarray(np.right_shift(a, U64(bits)))

    def invert(self, a: Ring) -> Ring:
        """NOT a."""
        return np.asarray(np.invert(a))

    def flat(self, a: Ring) -> Ring:
        """One-dimensional and contiguous; a view where possible."""
        return np.ascontiguousarray(a).reshape(-1)

    def rows(
        self,
        count: int,  # noqa: ARG002 a dry run needs the shape
        words: int,  # noqa: ARG002
        function: Callable[..., Ring],
        *arguments: Any,
        **options: Any,
    ) -> Ring:
        """What a caller's function makes: [count, words]."""
        return function(*arguments, **options)

    def run(self, function: Callable[..., None], *arguments: Any) -> None:
        """A caller's function that changes an array in place."""
        function(*arguments)

    def linear(self, function: Linear, *arrays: Ring) -> Ring:
        """A caller's linear function."""
        return np.asarray(function(*arrays))

    def join(self, parts: list[Ring], axis: int = 0) -> Ring:
        """Concatenate."""
        return np.concatenate(parts, axis=axis)

    # --- products ---

    def matmul(self, a: Ring, b: Ring) -> Ring:
        """[..., m, k] @ [..., k, n], equal leading axes."""
        out = np.empty((*a.shape[:-1], b.shape[-1]), U64)
        if a.ndim > 3:
            _native.matmul(
                a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:]), out.reshape(-1, *out.shape[-2:]), 0
            )
        else:
            _native.matmul(a, b, out, 0)
        return out

    def conv2d(self, x: Ring, k: Ring, g: Geometry) -> Ring:
        """The convolution of images and kernels."""
        out = np.empty(
            (x.shape[0], g.extent(0, x.shape[1], k.shape[0]), g.extent(1, x.shape[2], k.shape[1]), k.shape[3]), U64
        )
        x, k = np.ascontiguousarray(x), np.ascontiguousarray(k)
        _native.conv2d(x, k, out, *g.strides, *g.padding, *g.dilation, g.groups, 0)
        return out

    def conv2d_image_gradient(self, c: Ring, k: Ring, g: Geometry, image: tuple[int, int]) -> Ring:
        """The gradient of a convolution with respect to its images."""
        out = np.empty((c.shape[0], *image, k.shape[2] * g.groups), U64)
        c, k = np.ascontiguousarray(c), np.ascontiguousarray(k)
        _native.conv2d_input_grad(c, k, out, *g.strides, *g.padding, *g.dilation, g.groups, 0)
        return out

    def conv2d_kernel_gradient(self, x: Ring, c: Ring, g: Geometry, kernel: tuple[int, int]) -> Ring:
        """The gradient of a convolution with respect to its kernels."""
        out = np.empty((*kernel, x.shape[3] // g.groups, c.shape[3]), U64)
        x, c = np.ascontiguousarray(x), np.ascontiguousarray(c)
        _native.conv2d_kernel_grad(x, c, out, *g.strides, *g.padding, *g.dilation, g.groups, 0)
        return out

    def separable_close(self, function: Separable, u: Ring, dealt: Ring) -> Ring:
        """See `Separable.close`."""
        return function.close(u, dealt)

    def separable_deal(self, function: Separable, v: Ring, minus: Ring, out: Ring) -> None:
        """See `Separable.deal`."""
        function.deal(v, minus, out)

    # --- packed bits ---

    def pack(self, bits: NDArray[np.uint8]) -> Ring:
        """0/1 bytes of any shape to packed words."""
        flat = np.ascontiguousarray(bits, dtype=np.uint8).reshape(-1)
        words = np.empty(words_for(flat.size), U64)
        _native.pack(flat, words)
        return words

    def unpack(self, words: Ring, shape: Shape) -> NDArray[np.uint8]:
        """Packed words to 0/1 bytes."""
        bits = np.empty(shape, np.uint8)
        _native.unpack(words, bits.reshape(-1))
        return bits

    def to_planes(self, x: Ring, count: int, shift: int = 0) -> Ring:
        """Bits shift .. shift + count - 1 of n elements: [n] -> [count, words]."""
        planes = np.empty((count, words_for(x.size)), U64)
        _native.to_planes(x, planes, shift)
        return planes

    def from_planes(self, planes: Ring, n: int) -> Ring:
        """[count, words] -> [n] with bits 0 .. count - 1."""
        x = np.empty(n, U64)
        _native.from_planes(planes, x)
        return x

    def planes_to_packed(self, planes: Ring, size: int) -> Ring:
        """[count, words] planes to packed bits in element order: bit i of element e at index e * count + i."""
        count = planes.shape[0]
        elements = self.from_planes(planes, size)
        if count in (8, 16, 32, 64):  # whole elements of a NumPy type are in place already
            words = np.zeros(words_for(count * size), U64)
            kind = np.dtype(f"u{count // 8}")
            words.view(kind)[:size] = elements.astype(kind, copy=False)
            return words
        bits = np.unpackbits(elements.view(np.uint8).reshape(size, 8), axis=1, count=count, bitorder="little")
        return self.pack(bits)

    def update_planes(self, generate: Ring, propagate: Ring, targets: list[int], gated: Ring) -> tuple[Ring, Ring]:
        """One prefix level: generate[targets] ^= gated[0], propagate[targets] = gated[1]; copies."""
        generate, propagate = generate.copy(), propagate.copy()
        generate[targets] ^= gated[0]
        propagate[targets] = gated[1]
        return generate, propagate

    # --- dealt correlations: the helper writes the follower's part into `out`, the leader's part is `minus`,
    # or already there where bits are dealt ---

    def sub_into(self, values: Ring, minus: Ring, out: Ring) -> None:
        """out = values - minus."""
        np.subtract(values, minus, out=out)

    def xor_into(self, values: Ring, out: Ring) -> None:
        """out ^= values."""
        np.bitwise_xor(out, values, out=out)

    def truncate_deal(self, mask: Ring, u0: Ring, m0: Ring, bits: int, u1: Ring, m1: Ring) -> None:
        """u1 = (mask >> bits) - u0; m1 = msb(mask) * 2**(64 - bits) - m0."""
        _native.truncate_deal(mask, u0, m0, bits, u1, m1)

    def masked_truncation_deal(self, s: Ring, u0: Ring, e0: Ring, bits: int, u1: Ring, e1: Ring) -> None:
        """u1 = (s >> bits) - u0; e1 = msb(s) - e0, narrow."""
        _native.masked_truncation_deal(s, u0, e0, bits, u1, e1)

    def shared_truncation_deal(self, t: Any, p0: Ring, q0: Ring, bits: int, size: int, p1: Ring, q1: Ring) -> None:
        """With k = 64 - bits: p1 = [t[0] + t[1] >= 2**k] - p0; q1 = that + msb((t[0] + t[1]) mod 2**k) - q0; all narrow."""
        _native.shared_truncation_deal(t[0], t[1], p0, q0, bits, size, p1, q1)

    def bit_deal(self, mask: Ring, minus: Ring, out: Ring) -> None:
        """out = (bits of mask as ring elements) - minus."""
        np.subtract(self.unpack(mask, (out.size,)), minus, out=out)

    def select_deal(self, mask: Ring, r: Ring, rho0: Ring, sigma0: Ring, rho1: Ring, sigma1: Ring) -> None:
        """rho1 = bits - rho0; sigma1 = bits * r - sigma0."""
        _native.select_deal(mask, r, rho0, sigma0, rho1, sigma1)

    def deal_digits(self, planes: Ring, out: Ring) -> None:
        """out ^= (digit planes of all but the last plane, then the last plane)."""
        grid = out.reshape(_native.digit_planes(planes.shape[0] - 1) + 1, planes.shape[1])
        _native.digits_deal(planes[:-1], grid[:-1], True)
        grid[-1] ^= planes[-1]

    def deal_digit(self, planes: Ring, out: Ring) -> None:
        """out ^= the indicators of one digit of 1 to 4 bits."""
        _native.digits_deal(planes, out, True)

    # --- closing masked operations ---

    def offset(self, share: Ring) -> Ring:
        """share + 2**62, which makes a value in (-2**62, 2**62) non-negative."""
        return np.add(share, OFFSET)

    def constant(self, value: np.uint64, shape: Shape) -> Ring:
        """A constant of a shape, without memory."""
        return np.broadcast_to(value, shape)

    def broadcast(self, a: Ring, shape: Shape) -> Ring:
        """A read-only broadcast view."""
        return np.broadcast_to(a, shape)

    def truncate_close(self, c0: Ring, c1: Ring, u: Ring, m: Ring, bits: int, out: Ring, *, leader: bool) -> None:
        """With C = c0 + c1: out = leader * ((C >> bits) - 2**(62 - bits)) - u + (msb(C) ? 0 : m)."""
        _native.truncate_close(c0, c1, u, m, bits, leader, out)

    def masked_truncation_close(
        self, c0: Ring, c1: Ring, u: Ring, e: Ring, bits: int, out: Ring, *, leader: bool
    ) -> None:
        """With C = c0 + c1 + 2**62: out = leader * ((C >> bits) - 2**(62 - bits)) - u + (msb(C) ? 0 : e) * 2**(64 - bits)."""
        _native.masked_truncation_close(c0, c1, u, e, bits, leader, out)

    def shared_truncation_open(self, x: Ring, z: Ring, t: Ring, bits: int, *, leader: bool) -> Ring:
        """Narrow: ((x + z + 2**62) >> bits) + t at the leader, t - ((z - x) >> bits) at the other."""
        out = np.empty(t.size, U64)
        _native.shared_truncation_open(x, z, t, bits, leader, out)
        return out

    def shared_truncation_close(self, h: Any, t: Ring, p: Ring, q: Ring, bits: int, out: Ring, *, leader: bool) -> None:
        """With k = 64 - bits, H = (h[0] + h[1]) mod 2**k: out = leader * (H - 2**(k - 2)) - t + (msb(H) ? p : q) * 2**k."""
        _native.shared_truncation_close(h[0], h[1], t, p, q, bits, leader, out)

    def masked_product(self, form: Bilinear, x: Any, y: Any, t: Ring, *, leader: bool) -> Ring:
        """leader * B(X, Y) - B(X, s) - B(r, Y) + t for opened x = (X, r), y = (Y, s); a mask of None is zero."""
        X, Y, r, s = x.value, y.value, x.mask.value, y.mask.value
        if r is not None and s is not None and isinstance(form, Elementwise) and X.shape == Y.shape == t.shape:
            out = np.empty(t.shape, U64)
            flat = self.flat
            _native.product_close(flat(X), flat(Y), flat(r), flat(s), flat(t), leader, out.reshape(-1))
            return out
        if leader:
            if s is None or r is None:
                left = X if r is None else X - r
                right = Y if s is None else Y - s
                return self._accumulate(form, left, right, t, 1)
            return self._accumulate(form, r, Y, self._accumulate(form, X, Y - s, t, 1), -1)
        if s is not None:
            t = self._accumulate(form, X, s, t, -1)
        return t if r is None else self._accumulate(form, r, Y, t, -1)

    def _accumulate(self, form: Bilinear, left: Ring, right: Ring, t: Ring, sign: int) -> Ring:
        """t + sign * form(left, right); t is this operation's own scratch."""
        if isinstance(form, MatMul) and left.ndim <= 3:
            _native.matmul(left, right, t, sign)
            return t
        term = form.apply(self, left, right)
        return np.add(t, term, out=t) if sign > 0 else np.subtract(t, term, out=t)

    def select_close(self, bits: Ring, X: Ring, rho: Ring, sigma: Ring, share: Ring, *, leader: bool) -> Ring:
        """b * share + (1 - 2 b)(X * rho - sigma), b the public packed bits."""
        out = np.empty(X.size, U64)
        _native.select_close(bits, X, rho, sigma, share, leader, out)
        return out

    def bit_to_ring_close(self, bits: Ring, rho: Ring, *, leader: bool) -> Ring:
        """leader * b + (1 - 2 b) * rho."""
        out = np.empty(rho.size, U64)
        _native.bit_to_ring_close(bits, rho, leader, out)
        return out

    def masked_and_close(self, a: Ring, b: Ring, ma: Ring, mb: Ring, mab: Ring, *, leader: bool) -> Ring:
        """leader & a & b ^ a & mb ^ b & ma ^ mab."""
        out = np.empty(a.size, U64)
        _native.masked_and_close(a, b, ma, mb, mab, leader, out)
        return out

    # --- comparison ---

    def digit_planes(self, bits: int) -> int:
        """Planes that the digit indicators of `bits` bits take."""
        return _native.digit_planes(bits)

    def digits_close(self, public: Ring, hot: Ring, *, leader: bool) -> tuple[Ring, Ring]:
        """Shares of [digit of C < digit of r] and of equality, for every digit."""
        digits = (public.shape[0] + 3) // 4
        less, equal = np.empty((2, digits, public.shape[1]), U64)
        _native.digits_close(np.ascontiguousarray(public), np.ascontiguousarray(hot), leader, less, equal)
        return less, equal

    def tree_plan(self, pairs: int) -> tuple[int, int, int]:
        """(planes opened, planes of mask products, pairs left) of one level."""
        return _native.tree_plan(pairs)

    def tree_open(self, less: Ring, equal: Ring, masks: Ring) -> Ring:
        """The planes to open at one level, masked."""
        out = np.empty(masks.shape, U64)
        _native.tree_open(less, equal, masks, out)
        return out

    def tree_deal(self, masks: Ring, pairs: int, out: Ring) -> None:
        """out ^= the products of the masks of one level."""
        _native.tree_deal(masks, pairs, out.reshape(_native.tree_plan(pairs)[1], masks.shape[1]), True)

    def tree_close(
        self, opened: Ring, masks: Ring, products: Ring, less: Ring, equal: Ring, *, leader: bool
    ) -> tuple[Ring, Ring]:
        """The next level's shares."""
        _, _, left = _native.tree_plan(less.shape[0])
        less_next, equal_next = np.empty((2, left, less.shape[1]), U64)
        _native.tree_close(opened, masks, products, less, equal, leader, less_next, equal_next)
        return less_next, equal_next

    # --- permutations ---

    def permutation(self, prg: Any, stream: int, rows: int) -> NDArray[np.int64]:
        """A uniformly random order of `rows` rows."""
        return prg.permutation(stream, rows)

    def permute_rows(self, x: Ring, permutation: NDArray[np.int64]) -> Ring:
        """Row i of the result is row permutation[i] of x."""
        return np.ascontiguousarray(np.take(x, permutation, axis=0))
