"""The `Replicated` protocol as a `Kernel`: local operations on both components, and the way to the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import ShapeError
from tacit.primitive.mpc.kernel import Bilinear, Kernel, Linear, Ring, Separable, Shape
from tacit.primitive.mpc.replicated import arithmetic, boolean, compare, convert, transfer, truncation
from tacit.primitive.mpc.replicated.context import Context
from tacit.primitive.mpc.replicated.share import BitShare, RingShare


@final
class ReplicatedKernel(Kernel):
    """One party's end; see the package's docstring for the model. `exact` makes every truncation an exact floor."""

    def __init__(self, context: Context, *, exact: bool = False) -> None:
        self.context = context
        self.exact = exact
        self.witness: Callable[[str, Shape], None] | None = None  # told of every value opened by design

    # --- local on ring elements ---------------------------------------------------------------------------------

    def public(self, values: Ring) -> RingShare:
        """Component 0 is the value, the others are zero."""
        values = np.asarray(values, np.uint64)
        zero = self.context.local.zeros(*values.shape)
        return RingShare(*self._first(values, zero, zero))

    def _first(self, changed: Any, own: Any, following: Any) -> tuple[Any, Any]:
        """(own, next) with `changed` in the place of component 0, where this party holds it."""
        index = self.context.index
        return changed if index == 0 else own, changed if index == 2 else following

    def add(self, x: RingShare, y: RingShare) -> RingShare:
        """x + y."""
        add = self.context.local.add
        return RingShare(add(x.own, y.own), add(x.next, y.next))

    def sub(self, x: RingShare, y: RingShare) -> RingShare:
        """x - y."""
        sub = self.context.local.sub
        return RingShare(sub(x.own, y.own), sub(x.next, y.next))

    def add_public(self, x: RingShare, values: Ring) -> RingShare:
        """x + values, in component 0."""
        local = self.context.local
        shape = x.shape if x.shape == values.shape else np.broadcast_shapes(x.shape, values.shape)
        own, following = (a if shape == x.shape else local.broadcast(a, shape) for a in (x.own, x.next))
        index = self.context.index
        if index == 1:
            return RingShare(own, following)
        changed = local.add(own if index == 0 else following, values)
        return RingShare(*self._first(changed, own, following))

    def scale(self, x: RingShare, values: Ring) -> RingShare:
        """x times public ring elements."""
        mul = self.context.local.mul
        return RingShare(mul(x.own, values), mul(x.next, values))

    def linear(self, function: Linear, *xs: RingShare) -> RingShare:
        """The map on each component."""
        linear = self.context.local.linear
        return RingShare(linear(function, *[x.own for x in xs]), linear(function, *[x.next for x in xs]))

    # --- local on bits ------------------------------------------------------------------------------------------

    def public_bits(self, values: NDArray[np.bool_]) -> BitShare:
        """Component 0 is the value, the others are zero."""
        local = self.context.local
        words = local.pack(values.astype(np.uint8))
        zero = local.zeros(words.size)
        return BitShare(values.shape, *self._first(words, zero, zero))

    def xor(self, a: BitShare, b: BitShare) -> BitShare:
        """a XOR b."""
        xor = self.context.local.xor
        return BitShare(_alike(a, b), xor(a.own, b.own), xor(a.next, b.next))

    def invert(self, a: BitShare) -> BitShare:
        """NOT a: component 0 is flipped."""
        index = self.context.index
        if index == 1:
            return a
        flipped = self.context.local.invert(a.own if index == 0 else a.next)
        return BitShare(a.shape, *self._first(flipped, a.own, a.next))

    def mask_bits(self, a: BitShare, values: NDArray[np.bool_]) -> BitShare:
        """a AND public bits."""
        local = self.context.local
        words = local.pack(values.astype(np.uint8))
        return BitShare(_alike(a, values), local.conjoin(a.own, words), local.conjoin(a.next, words))

    def rearrange(self, function: Callable[..., Any], *xs: BitShare) -> BitShare:
        """Move bits: on unpacked components."""
        local = self.context.local
        own = np.asarray(function(*[local.unpack(x.own, x.shape) for x in xs]))
        following = np.asarray(function(*[local.unpack(x.next, x.shape) for x in xs]))
        return BitShare(own.shape, local.pack(own), local.pack(following))

    # --- interactive --------------------------------------------------------------------------------------------

    async def product(self, form: Bilinear, x: RingShare, y: RingShare, *, truncate: int = 0) -> RingShare:
        """See `arithmetic.product`."""
        return await arithmetic.product(self.context, form, x, y, truncate, exact=self.exact)

    async def prepare(self, x: RingShare) -> None:
        """Nothing to do: shares are used as they are. Costs: none."""

    async def truncate(self, x: RingShare, bits: int) -> RingShare:
        """See `truncation.truncate`."""
        return await truncation.truncate(self.context, x, bits, exact=self.exact)

    async def separable(self, x: RingShare, function: Separable) -> RingShare:
        """See `arithmetic.separable`."""
        return await arithmetic.separable(self.context, x, function, exact=self.exact)

    async def negative(self, x: RingShare) -> BitShare:
        """See `compare.negative`."""
        return await compare.negative(self.context, x)

    async def both(self, a: BitShare, b: BitShare) -> BitShare:
        """See `boolean.both`."""
        _alike(a, b)
        return await boolean.both(self.context, a, b)

    async def lift(self, a: BitShare) -> RingShare:
        """See `convert.lift`."""
        return await convert.lift(self.context, a)

    async def gate(self, a: BitShare, x: RingShare) -> RingShare:
        """See `convert.gate`."""
        _alike(a, x)
        return await convert.gate(self.context, a, x)

    async def decompose(self, x: RingShare, count: int) -> BitShare:
        """See `boolean.decompose`."""
        return await boolean.decompose(self.context, x, count)

    async def compose(self, a: BitShare) -> RingShare:
        """See `convert.compose`."""
        return await convert.compose(self.context, a)

    async def shuffle(self, x: RingShare) -> RingShare:
        """See `transfer.shuffle`."""
        return await transfer.shuffle(self.context, x)

    async def open_bits(self, a: BitShare) -> NDArray[np.bool_]:
        """See `transfer.open_bits`."""
        if self.witness is not None:
            self.witness("bits that do not depend on the inputs", a.shape)
        return await transfer.open_bits(self.context, a)

    async def share(self, owner: str, shape: Shape, values: Ring | None) -> RingShare:
        """See `transfer.share`."""
        return await transfer.share(self.context, owner, shape, values)

    async def reveal(self, x: RingShare, to: Sequence[str]) -> Ring | None:
        """See `transfer.reveal`."""
        return await transfer.reveal(self.context, x, to)

    async def reveal_bits(self, a: BitShare, to: Sequence[str]) -> NDArray[np.bool_] | None:
        """See `transfer.reveal_bits`."""
        return await transfer.reveal_bits(self.context, a, to)

    # --- at rest ------------------------------------------------------------------------------------------------

    def dump(self, x: RingShare) -> list[Ring]:
        """Both components."""
        return [x.own, x.next]

    def restore(self, shape: Shape, arrays: Sequence[Ring]) -> RingShare:
        """A value from its components."""
        own, following = arrays
        return RingShare(own.reshape(shape), following.reshape(shape))


def _alike(a: BitShare, x: RingShare | BitShare | NDArray[np.bool_]) -> Shape:
    if a.shape != x.shape:
        raise ShapeError(
            f"bits of shape {a.shape} meet {x.shape}; shapes must be equal here. Broadcast with `rearrange`."
        )
    return a.shape
