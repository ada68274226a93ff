"""The one interface between protocols and functions: about twenty operations on shares of ring elements and of bits.

A `Kernel` is one party's end of a protocol session. Protocols implement it; functions (`exp`, `sort`, ...) are written
once over it. Conventions:

- `Arith` is a tensor of shared elements of Z_2^64 (two's complement); `Bits` is a tensor of shared bits. Both are opaque:
  functions see their `shape` only. A helper that holds no shares runs the same functions on the same handles.
- Methods that are not `async` are local: no message, no round. An `async` method states its cost in its docstring
  per protocol; all of them must be awaited at the same point of the program by every party.
- Nothing here knows fractions: a fixed-point number is a ring element and a scale that the caller keeps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from math import prod
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from tacit.primitive.driver import gather

Ring = NDArray[np.uint64]
Shape = tuple[int, ...]
Linear = Callable[..., Any]
"""A function of ring arrays that is linear over Z_2^64 and the same for every share, such as a reshape or a sum."""

VALUE_BITS = 62
"""Every shared number x must satisfy |x| < 2**62: comparison and truncation rely on it."""


STACKED = 1024
"""Comparisons of up to so many elements with many thresholds are stacked into one: fewer operations."""


class Arith(Protocol):
    """A tensor of shared ring elements."""

    @property
    def shape(self) -> Shape:
        """The shape, public."""


class Bits(Protocol):
    """A tensor of shared bits."""

    @property
    def shape(self) -> Shape:
        """The shape, public."""


A = TypeVar("A", bound=Arith)
B = TypeVar("B", bound=Bits)


class Bilinear(ABC):
    """A bilinear map on ring arrays: what `Kernel.product` multiplies by (see `form.py`)."""

    @abstractmethod
    def shape(self, left: Shape, right: Shape) -> Shape:
        """The shape of the result; ShapeError where the operands do not fit."""

    @abstractmethod
    def apply(self, local: Any, left: Ring, right: Ring) -> Ring:
        """The map itself, on plain ring arrays of one party, computed by the door `local`."""


class Separable(ABC):
    """A function that splits over a difference: f(u - v) = 2**-scale * sum_j left_j(u) * right_j(v) modulo 2**64.

    Powers, exponentials and sines are of this kind, and it is why they cost one opening: `u` is a masked value that
    the compute parties see, `v` is the mask, and whoever knows the mask deals shares of `right(v)`. See `separable.py`.
    """

    terms: int
    scale: int

    @abstractmethod
    def close(self, u: Ring, dealt: Ring) -> Ring:
        """sum_j left_j(u) * dealt[j]: [n] and [terms, n] or as many flat words -> [n]."""

    @abstractmethod
    def deal(self, v: Ring, minus: Ring, out: Ring) -> None:
        """out[j] = right_j(v) - minus[j]: [n], and twice [terms, n] or as many flat words, which may be one array."""


class AbstractKernel(ABC, Generic[A, B]):
    """One party's end of a protocol session."""

    # --- local on ring elements ---------------------------------------------------------------------------------

    @abstractmethod
    def public(self, values: Ring) -> A:
        """Embed public ring elements."""

    @abstractmethod
    def add(self, x: A, y: A) -> A:
        """x + y, broadcasting as NumPy does."""

    @abstractmethod
    def sub(self, x: A, y: A) -> A:
        """x - y, broadcasting."""

    @abstractmethod
    def add_public(self, x: A, values: Ring) -> A:
        """x + public values, broadcasting."""

    @abstractmethod
    def scale(self, x: A, values: Ring) -> A:
        """x times public ring elements, element-wise, broadcasting. No truncation."""

    @abstractmethod
    def linear(self, function: Linear, *xs: A) -> A:
        """A linear map of one or several tensors: reshape, transpose, slice, sum, concatenate, pad with zeros,
        a product with a public matrix, ... `function` receives uint64 arrays and returns one.
        """

    # --- local on bits ------------------------------------------------------------------------------------------

    @abstractmethod
    def public_bits(self, values: NDArray[np.bool_]) -> B:
        """Embed public bits."""

    @abstractmethod
    def xor(self, a: B, b: B) -> B:
        """a XOR b, equal shapes (broadcast first with `rearrange`)."""

    @abstractmethod
    def invert(self, a: B) -> B:
        """NOT a."""

    @abstractmethod
    def mask_bits(self, a: B, values: NDArray[np.bool_]) -> B:
        """a AND public bits of the same shape."""

    @abstractmethod
    def rearrange(self, function: Callable[..., Any], *xs: B) -> B:
        """A view-like map of bit tensors: reshape, transpose, slice, take, concatenate, broadcast. `function` receives
        and returns uint8 arrays of 0 and 1 and must only move elements.
        """

    # --- interactive --------------------------------------------------------------------------------------------

    @abstractmethod
    async def product(self, form: Bilinear, x: A, y: A, *, truncate: int = 0) -> A:
        """form(x, y), then divided by 2**truncate (floor, or floor + 1; error in {0, +1} ulp, never a wrap).

        Communicates the size of the result only, beside the once-per-value masking of x and y.
        """

    @abstractmethod
    async def prepare(self, x: A) -> None:
        """Make x ready for several uses: opened under its mask, where the protocol works that way and it is not yet.

        What follows then saves that opening, also for linear maps of x that are of other shapes.
        """

    @abstractmethod
    async def truncate(self, x: A, bits: int) -> A:
        """x / 2**bits with error in {0, +1} ulp (exact floor when the protocol was made with exact truncation)."""

    @abstractmethod
    async def separable(self, x: A, function: Separable) -> A:
        """function(x), truncated by `function.scale`; element-wise. The error is the function's own, plus one ulp."""

    @abstractmethod
    async def negative(self, x: A) -> B:
        """[x < 0], exact for |x| < 2**62."""

    async def below(self, x: A, thresholds: Sequence[int]) -> list[B]:
        """[x < t] for each public ring element t, exact for |x - t| < 2**62.

        Costs: one `negative` for each threshold, side by side on one opening of x.
        """
        shifts = [np.asarray(np.uint64(-t % 2**64)) for t in thresholds]
        return await gather(*[self.negative(self.add_public(x, shift)) for shift in shifts])

    async def octaves(
        self,
        x: A,
        low: int,
        count: int,
        *,
        positive: bool = False,  # noqa: ARG002 a protocol may need less
        sharp: bool = True,  # noqa: ARG002
    ) -> list[B]:
        """[x < 2**(low + 3 i)] for i < count, roughly: 1 up to 63/64 of the power, 0 from it on, either between.

        With `sharp` the last is exact. Negative numbers are below all powers; with `positive` there must be none.
        Costs: those of `below` at most.
        """
        return await self.below(x, [1 << (low + 3 * i) for i in range(count)])

    @abstractmethod
    async def both(self, a: B, b: B) -> B:
        """a AND b, equal shapes."""

    @abstractmethod
    async def lift(self, a: B) -> A:
        """The bits as ring elements 0 and 1."""

    async def lift_all(self, bits: Sequence[B]) -> A:
        """Bits of one shape as ring elements, along a new first axis. Costs: one `lift` each, side by side."""
        lifted = await gather(*[self.lift(a) for a in bits])
        return self.linear(lambda *s: np.stack(s), *lifted)

    async def steps(self, x: A, thresholds: Sequence[int]) -> A:
        """[x < t] as ring elements, thresholds along a new first axis. Costs: `below` and `lift_all`."""
        if prod(x.shape) > STACKED:
            return await self.lift_all(await self.below(x, thresholds))
        values = np.array([-t % 2**64 for t in thresholds], np.uint64)
        return await self.lift(await self.negative(self.add_public(x, values.reshape(-1, *[1] * len(x.shape)))))

    @abstractmethod
    async def gate(self, a: B, x: A) -> A:
        """x where the bit is 1, else 0; `a.shape` must equal `x.shape`."""

    async def either(self, a: B, x: A, b: B, value: int) -> A:
        """x where a is 1, plus a public ring element where b is; all shapes equal.

        Costs: one `gate` and one `lift`, side by side.
        """
        part, rest = await gather(self.gate(a, x), self.lift(b))
        weight = np.uint64(value % 2**64)
        return self.linear(lambda s, t: s + t * weight, part, rest)

    @abstractmethod
    async def decompose(self, x: A, count: int) -> B:
        """The low `count` bits of x in two's complement as shared bits; result shape = x.shape + (count,), low bit first."""

    @abstractmethod
    async def compose(self, a: B) -> A:
        """The inverse: sum over the last axis of 2**i * bit i."""

    @abstractmethod
    async def shuffle(self, x: A) -> A:
        """The rows (first axis) in a uniformly random order that no party knows."""

    @abstractmethod
    async def open_bits(self, a: B) -> NDArray[np.bool_]:
        """Open bits to every party, helper included. Only for bits whose distribution is independent of the inputs;
        every caller states why in its `Reveals` line.
        """

    # --- in and out ---------------------------------------------------------------------------------------------

    @abstractmethod
    async def share(self, owner: str, shape: Shape, values: Ring | None) -> A:
        """Share the owner's ring elements (`values` is None at everybody else)."""

    @abstractmethod
    async def reveal(self, x: A, to: Sequence[str]) -> Ring | None:
        """Open x to the parties named; None at everybody else."""

    @abstractmethod
    async def reveal_bits(self, a: B, to: Sequence[str]) -> NDArray[np.bool_] | None:
        """Open bits to the parties named; None at everybody else."""

    # --- at rest ------------------------------------------------------------------------------------------------

    @abstractmethod
    def dump(self, x: A) -> list[Ring]:
        """This party's share as arrays, to be kept by this party alone; a helper has none."""

    @abstractmethod
    def restore(self, shape: Shape, arrays: Sequence[Ring]) -> A:
        """The inverse of `dump` at the same party."""


Kernel: TypeAlias = AbstractKernel[Any, Any]
"""A kernel of any protocol: what functions are written over."""
