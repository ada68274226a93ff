"""The door to local computation on replicated shares: what `NativeLocal` lacks, and its twin for dry runs."""

from __future__ import annotations

from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tacit import _native
from tacit.primitive.local import NativeLocal
from tacit.primitive.mpc.form import Elementwise, MatMul
from tacit.primitive.mpc.kernel import Bilinear, Ring, Shape
from tacit.primitive.mpc.replicated.share import RingShare
from tacit.primitive.phantom import PhantomLocal, phantom

Narrow: TypeAlias = NDArray[np.unsignedinteger[Any]]
"""Integers just wide enough for the bits that matter: uint16, uint32 or uint64."""


def narrow_type(bits: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest unsigned type from 16 bits that holds `bits` bits."""
    return np.dtype(np.uint16 if bits <= 16 else np.uint32 if bits <= 32 else np.uint64)


@final
class ReplicatedLocal(NativeLocal):
    """Real arithmetic by the native kernels. Arrays that are passed in are not changed unless the method says so."""

    def empty_like(self, a: Any) -> Any:
        """An uninitialised flat array of as many elements of the same type."""
        return np.empty(a.size, a.dtype)

    # --- zero shares ---

    def zero_share(self, own: Any, following: Any, stream: int, shape: int | Shape) -> Ring:
        """F(own key) - F(following key)."""
        out: Ring = own.words(stream, shape)
        following.sub_into(stream, out)
        return out

    def zero_bits(self, own: Any, following: Any, stream: int, shape: int | Shape) -> Ring:
        """F(own key) XOR F(following key)."""
        out: Ring = own.words(stream, shape)
        following.xor_into(stream, out)
        return out

    # --- products ---

    def cross(self, form: Bilinear, x: RingShare, y: RingShare, zero: Ring) -> Ring:
        """zero + B(x_i, y_i) + B(x_i, y_(i+1)) + B(x_(i+1), y_i), in the memory of `zero`: two products, not three.

        The smaller operand's components are added first: B(x_i, y_i + y_(i+1)) + B(x_(i+1), y_i), or the mirror of it.
        """
        if x.own.size < y.own.size:
            left, right, other_left, other_right = self.add(x.own, x.next), y.own, x.own, y.next
        else:
            left, right, other_left, other_right = x.own, self.add(y.own, y.next), x.next, y.own
        if isinstance(form, MatMul) and left.ndim <= 3:
            _native.matmul_pair(left, right, other_left, other_right, zero, 1)
        elif isinstance(form, Elementwise) and left.shape == right.shape:
            flat, out = self.flat, zero.reshape(-1)
            _native.mul_add(flat(left), flat(right), out, out)
            _native.mul_add(flat(other_left), flat(other_right), out, out)
        else:
            np.add(zero, form.apply(self, left, right), out=zero)
            np.add(zero, form.apply(self, other_left, other_right), out=zero)
        return zero

    def cross_bits(self, a: Any, b: Any, zero: Ring) -> Ring:
        """zero XOR a_i b_i XOR a_i b_(i+1) XOR a_(i+1) b_i on (own, next) pairs of words, in the memory of `zero`."""
        _native.replicated_and(a[0], a[1], b[0], b[1], zero, zero)
        return zero

    # --- truncation (see `truncation.py` for the names) ---

    def left_words(self, prg: Any, stream: int, size: int, bits: int) -> tuple[Ring, Narrow, Narrow]:
        """Uniform u, e and r, the latter two of `narrow_type(bits)`, from one stream."""
        kind = narrow_type(bits)
        out = np.empty(size * (8 + 2 * kind.itemsize), np.uint8)
        prg.fill(stream, out)
        narrow = out[8 * size :].view(kind)
        return out[: 8 * size].view(np.uint64), narrow[:size], narrow[size:]

    def right_words(self, prg: Any, stream: int, size: int, bits: int) -> Narrow:
        """Uniform r of `narrow_type(bits)`."""
        out = np.empty(size, narrow_type(bits))
        prg.fill(stream, out)
        return out

    def narrow_empty(self, size: int, bits: int) -> Narrow:
        """An uninitialised array of `narrow_type(bits)`."""
        return np.empty(size, narrow_type(bits))

    def split_mask(self, z: Ring, u: Ring, e: Narrow, bits: int) -> tuple[Ring, Narrow]:
        """Right's shares of (s >> bits) and of the top bit of s, for s = -z and left's shares u and e."""
        s = np.negative(z)
        top = np.right_shift(s, np.uint64(63)).astype(e.dtype)
        np.subtract(top, e, out=top)
        np.right_shift(s, np.uint64(bits), out=s)
        np.subtract(s, u, out=s)
        return s, top

    def outer_component(self, u: Ring, r: Narrow, bits: int) -> Ring:
        """r * 2**(64 - bits) - u."""
        out = np.left_shift(r, np.uint64(64 - bits), dtype=np.uint64)
        np.subtract(out, u, out=out)
        return out

    def open_truncation(self, own: Ring, theirs: Ring, e: Narrow, r: Narrow, bits: int) -> tuple[Ring, Narrow]:
        """With C = own + theirs: (C >> bits) - 2**(62 - bits), and (0 if msb(C) else e) - r."""
        c = np.add(own, theirs)
        wrap = np.multiply(e, c.view(np.int64) >= 0)
        np.subtract(wrap, r, out=wrap)
        np.right_shift(c, np.uint64(bits), out=c)
        np.subtract(c, np.uint64(1 << (62 - bits)), out=c)
        return c, wrap

    def close_truncation(self, base: Ring, mine: Narrow, theirs: Narrow, bits: int) -> Ring:
        """base + (mine + theirs) * 2**(64 - bits), in the memory of `base`."""
        wrap = np.left_shift(np.add(mine, theirs), np.uint64(64 - bits), dtype=np.uint64)
        np.add(base, wrap, out=base)
        return base

    # --- bits ---

    def low_bits(self, x: Ring) -> Ring:
        """Bit 0 of each element, packed."""
        return self.to_planes(self.flat(x), 1).reshape(-1)

    def duplicate(self, a: Ring) -> Ring:
        """A copy."""
        return a.copy()

    def pair(self, own: Ring, following: Ring) -> Ring:
        """Both components in one new array [2, ...]."""
        return np.stack([own, following])

    def choose(self, a: Ring, first: Any, b: Ring, second: Any) -> Ring:
        """Planes `first` of a, then planes `second` of b, of [2, count, words] arrays."""
        return np.concatenate([np.take(a, first, axis=1), np.take(b, second, axis=1)], axis=1)

    def update_carries(
        self, generate: Ring, propagate: Ring, targets: Any, later: Any, gated: Ring
    ) -> tuple[Ring, Ring]:
        """One prefix level on [2, count, words], in place: generate[targets] ^= the first of gated, propagate[later] = the rest."""
        generate[:, targets] ^= gated[:, : len(targets)]
        propagate[:, later] = gated[:, len(targets) :]
        return generate, propagate


@final
class ReplicatedPhantom(PhantomLocal):
    """`ReplicatedLocal` with shapes only."""

    def empty_like(self, a: Any) -> Any:
        """A phantom of as many elements of the same type."""
        return np.broadcast_to(a.dtype.type(0), a.size)

    def zero_share(self, own: Any, following: Any, stream: int, shape: int | Shape) -> Ring:
        """A phantom of that shape."""
        return phantom(shape)

    zero_bits = zero_share

    def cross(self, form: Bilinear, x: RingShare, y: RingShare, zero: Ring) -> Ring:
        """A phantom of the result."""
        return zero

    def cross_bits(self, a: Any, b: Any, zero: Ring) -> Ring:
        """A phantom of the result."""
        return zero

    def left_words(self, prg: Any, stream: int, size: int, bits: int) -> tuple[Ring, Narrow, Narrow]:
        """Phantoms of that size."""
        narrow = self.narrow_empty(size, bits)
        return phantom(size), narrow, narrow

    def right_words(self, prg: Any, stream: int, size: int, bits: int) -> Narrow:
        """A phantom of that size."""
        return self.narrow_empty(size, bits)

    def narrow_empty(self, size: int, bits: int) -> Narrow:
        """A phantom of that size and type."""
        return np.broadcast_to(narrow_type(bits).type(0), size)

    def split_mask(self, z: Ring, u: Ring, e: Narrow, bits: int) -> tuple[Ring, Narrow]:
        """Phantoms of both shares."""
        return u, e

    def outer_component(self, u: Ring, r: Narrow, bits: int) -> Ring:
        """A phantom of that size."""
        return u

    def open_truncation(self, own: Ring, theirs: Ring, e: Narrow, r: Narrow, bits: int) -> tuple[Ring, Narrow]:
        """Phantoms of both results."""
        return own, e

    def close_truncation(self, base: Ring, mine: Narrow, theirs: Narrow, bits: int) -> Ring:
        """A phantom of that size."""
        return base

    def low_bits(self, x: Ring) -> Ring:
        """A phantom of the packed bits."""
        return self.to_planes(x, 1)[0]

    def duplicate(self, a: Ring) -> Ring:
        """The same phantom."""
        return a

    def pair(self, own: Ring, following: Ring) -> Ring:
        """A phantom of that shape."""
        return phantom((2, *own.shape))

    def choose(self, a: Ring, first: Any, b: Ring, second: Any) -> Ring:
        """A phantom of that many planes."""
        return phantom((2, len(first) + len(second), a.shape[2]))

    def update_carries(
        self, generate: Ring, propagate: Ring, targets: Any, later: Any, gated: Ring
    ) -> tuple[Ring, Ring]:
        """Phantoms of both results."""
        return generate, propagate


Door: TypeAlias = ReplicatedLocal | ReplicatedPhantom
