"""Dry runs: the door, the random streams and the channel of a party that computes nothing and counts everything.

Protocol code runs unchanged on arrays that have a shape and no memory (all strides zero), so the rounds and bytes that a
dry run reports are those of the real run, not those of a formula.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.primitive.channel import Traffic
from tacit.primitive.driver import Driver
from tacit.primitive.local import NativeLocal, words_for
from tacit.primitive.mpc.kernel import Bilinear, Linear, Ring, Separable, Shape

ZERO = np.uint64(0)


def phantom(shape: int | Shape) -> Ring:
    """A zero array of a shape that occupies eight bytes."""
    return np.broadcast_to(ZERO, shape)


def _broadcast(a: Ring, b: Ring) -> Ring:
    return phantom(a.shape if a.shape == b.shape else np.broadcast_shapes(a.shape, b.shape))


class PhantomLocal(NativeLocal):
    """`NativeLocal` with shapes only. Every method that would compute or allocate is overridden."""

    phantom = True

    def empty(self, *shape: int) -> Ring:
        return phantom(shape)

    zeros = empty

    def add(self, a: Ring, b: Ring) -> Ring:
        return _broadcast(a, b)

    sub = mul = xor = conjoin = add

    def shift(self, a: Ring, value: int) -> Ring:
        return a

    def add_multiple(self, a: Ring, b: Ring, factor: int) -> Ring:
        return a

    def neg(self, a: Ring) -> Ring:
        return phantom(a.shape)

    def invert(self, a: Ring) -> Ring:
        return phantom(a.shape)

    def offset(self, share: Ring) -> Ring:
        return phantom(share.shape)

    def shift_right(self, a: Ring, bits: int) -> Ring:
        return phantom(a.shape)

    def flat(self, a: Ring) -> Ring:
        return phantom(a.size)

    def rows(self, count: int, words: int, function: Callable[..., Ring], *arguments: Any, **options: Any) -> Ring:
        return phantom((count, words))

    def run(self, function: Callable[..., None], *arguments: Any) -> None:
        return

    def linear(self, function: Linear, *arrays: Ring) -> Ring:
        return phantom(np.shape(function(*arrays)))

    def join(self, parts: list[Ring], axis: int = 0) -> Ring:
        shape = list(parts[0].shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        return phantom(tuple(shape))

    def matmul(self, a: Ring, b: Ring) -> Ring:
        return phantom((*a.shape[:-1], b.shape[-1]))

    def separable_close(self, function: Separable, u: Ring, dealt: Ring) -> Ring:
        return phantom(u.size)

    def separable_deal(self, function: Separable, v: Ring, minus: Ring, out: Ring) -> None:
        return

    def pack(self, bits: NDArray[np.uint8]) -> Ring:
        return phantom(words_for(bits.size))

    def unpack(self, words: Ring, shape: Shape) -> NDArray[np.uint8]:
        return np.broadcast_to(np.uint8(0), shape)

    def to_planes(self, x: Ring, count: int, shift: int = 0) -> Ring:
        return phantom((count, words_for(x.size)))

    def from_planes(self, planes: Ring, n: int) -> Ring:
        return phantom(n)

    def planes_to_packed(self, planes: Ring, size: int) -> Ring:
        return phantom(words_for(planes.shape[0] * size))

    def update_planes(self, generate: Ring, propagate: Ring, targets: list[int], gated: Ring) -> tuple[Ring, Ring]:
        return generate, propagate

    def sub_into(self, values: Ring, minus: Ring, out: Ring) -> None:
        return

    def bit_deal(self, mask: Ring, minus: Ring, out: Ring) -> None:
        return

    def xor_into(self, values: Ring, out: Ring) -> None:
        return

    def deal_digits(self, planes: Ring, out: Ring) -> None:
        return

    def truncate_deal(self, mask: Ring, u0: Ring, m0: Ring, bits: int, u1: Ring, m1: Ring) -> None:
        return

    def select_deal(self, mask: Ring, r: Ring, rho0: Ring, sigma0: Ring, rho1: Ring, sigma1: Ring) -> None:
        return

    def truncate_close(self, c0: Ring, c1: Ring, u: Ring, m: Ring, bits: int, out: Ring, *, leader: bool) -> None:
        return

    def masked_truncation_deal(self, s: Ring, u0: Ring, e0: Ring, bits: int, u1: Ring, e1: Ring) -> None:
        return

    def masked_truncation_close(
        self, c0: Ring, c1: Ring, u: Ring, e: Ring, bits: int, out: Ring, *, leader: bool
    ) -> None:
        return

    def shared_truncation_open(self, x: Ring, z: Ring, t: Ring, bits: int, *, leader: bool) -> Ring:
        return phantom(t.size)

    def shared_truncation_deal(self, t: Any, p0: Ring, q0: Ring, bits: int, size: int, p1: Ring, q1: Ring) -> None:
        return

    def shared_truncation_close(self, h: Any, t: Ring, p: Ring, q: Ring, bits: int, out: Ring, *, leader: bool) -> None:
        return

    def masked_product(self, form: Bilinear, x: Any, y: Any, t: Ring, *, leader: bool) -> Ring:
        return phantom(t.shape)

    def select_close(self, bits: Ring, X: Ring, rho: Ring, sigma: Ring, share: Ring, *, leader: bool) -> Ring:
        return phantom(X.size)

    def bit_to_ring_close(self, bits: Ring, rho: Ring, *, leader: bool) -> Ring:
        return phantom(rho.size)

    def masked_and_close(self, a: Ring, b: Ring, ma: Ring, mb: Ring, mab: Ring, *, leader: bool) -> Ring:
        return phantom(a.size)

    def digits_close(self, public: Ring, hot: Ring, *, leader: bool) -> tuple[Ring, Ring]:
        shape = ((public.shape[0] + 3) // 4, public.shape[1])
        return phantom(shape), phantom(shape)

    def tree_open(self, less: Ring, equal: Ring, masks: Ring) -> Ring:
        return phantom(masks.shape)

    def tree_deal(self, masks: Ring, pairs: int, out: Ring) -> None:
        return

    def tree_close(
        self, opened: Ring, masks: Ring, products: Ring, less: Ring, equal: Ring, *, leader: bool
    ) -> tuple[Ring, Ring]:
        _, _, left = self.tree_plan(less.shape[0])
        return phantom((left, less.shape[1])), phantom((left, less.shape[1]))

    def permutation(self, prg: Any, stream: int, rows: int) -> NDArray[np.int64]:
        return np.broadcast_to(np.int64(0), (rows,))

    def permute_rows(self, x: Ring, permutation: NDArray[np.int64]) -> Ring:
        return phantom(x.shape)


def dry_party(names: Sequence[str], me: str) -> tuple[Driver, dict[str, PhantomPrg]]:
    """The driver and the pairwise streams of a party in a dry run."""
    peers = [name for name in names if name != me]
    return Driver(me, {peer: PhantomChannel(peer) for peer in peers}), {peer: PhantomPrg() for peer in peers}


class PhantomPrg:
    """Streams of the right shape."""

    def words(self, stream: int, shape: int | Shape) -> Ring:
        """A phantom of that shape."""
        return phantom(shape)

    def add_into(self, stream: int, out: Ring) -> None:
        """Nothing to add."""

    xor_into = add_into


class PhantomChannel:
    """A channel that counts what is posted and finds everything arrived."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.traffic = Traffic()

    def post(self, operation: int, payload: Any) -> None:
        """Count one message."""
        self.traffic.messages_sent += 1
        self.traffic.payload_sent += memoryview(payload).nbytes

    def flush(self) -> None:
        """Nothing is queued."""

    def take(self, operation: int, into: memoryview) -> bool:
        """Everything has arrived."""
        self.traffic.messages_received += 1
        return True

    def wait(self, seconds: float) -> None:
        """Never called: nothing is ever missing."""

    def abort(self, reason: str) -> None:
        """Nobody to tell."""

    def close(self) -> None:
        """Nothing to close."""
