"""The `Assisted` protocol as a `Kernel`: bookkeeping of masks through local operations, and the way to the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from tacit.primitive.mpc.assisted import arithmetic, boolean, compare, octaves, transfer
from tacit.primitive.mpc.assisted.context import Context
from tacit.primitive.mpc.assisted.share import Additive, Mask, Opened, Packed
from tacit.primitive.mpc.kernel import Bilinear, Kernel, Linear, Ring, Separable, Shape

ONES = np.uint64(0xFFFFFFFFFFFFFFFF)


@final
class AssistedKernel(Kernel):
    """One party's end; see the package's docstring for the model. `exact` makes every truncation an exact floor."""

    def __init__(self, context: Context, *, exact: bool = False) -> None:
        self.context = context
        self.exact = exact
        self.witness: Callable[[str, Shape], None] | None = None  # told of every value opened by design

    # --- local on ring elements ---------------------------------------------------------------------------------

    def public(self, values: Ring) -> Additive:
        """The leader's share is the value, the follower's is zero; as an opened value its mask is zero."""
        ctx, values = self.context, np.asarray(values, np.uint64)
        zero = ctx.local.zeros(*values.shape) if ctx.helper else None
        return Additive(values.shape, None, Opened(None if ctx.helper else values, Mask(zero)))

    def add(self, x: Additive, y: Additive) -> Additive:
        """x + y."""
        return self._combine(self.context.local.add, x, y)

    def sub(self, x: Additive, y: Additive) -> Additive:
        """x - y."""
        return self._combine(self.context.local.sub, x, y)

    def _combine(self, operation: Callable[[Ring, Ring], Ring], x: Additive, y: Additive) -> Additive:
        ctx = self.context
        shape = x.shape if x.shape == y.shape else np.broadcast_shapes(x.shape, y.shape)
        a, b = x.opened, y.opened
        if a is not None and b is not None:
            mask = _combine_masks(ctx, operation, x, y)
            value = None if ctx.helper else operation(_present(a.value), _present(b.value))
            return Additive(shape, None, Opened(value, Mask(mask)))
        if ctx.helper:
            return Additive(shape)
        return Additive(shape, operation(x.share(ctx.leader, ctx.local), y.share(ctx.leader, ctx.local)))

    def add_public(self, x: Additive, values: Ring) -> Additive:
        """x + values: the mask, with all that was dealt for it, stays in use when the shape does."""
        ctx, local = self.context, self.context.local
        shape = x.shape if values.shape in ((), x.shape) else np.broadcast_shapes(x.shape, values.shape)
        opened = x.opened
        if opened is not None:
            mask = opened.mask
            if shape != x.shape:
                mask = Mask(None if mask.value is None else local.broadcast(mask.value, shape))
            value = None if ctx.helper else local.add(_present(opened.value), values)
            return Additive(shape, None, Opened(value, mask))
        base = None
        if shape == x.shape:
            root, shift = x.base or (x, None)
            base = (root, values if shift is None or ctx.helper else local.add(shift, values))
        if ctx.helper:
            return Additive(shape, base=base)
        share = x.share(ctx.leader, local)
        if ctx.leader:
            share = local.add(share, values)
        elif shape != x.shape:
            share = local.broadcast(share, shape)
        return Additive(shape, share, base=base)

    def scale(self, x: Additive, values: Ring) -> Additive:
        """x times public ring elements."""
        mul = self.context.local.mul
        return self.linear(lambda a: mul(a, values), x)

    def linear(self, function: Linear, *xs: Additive) -> Additive:
        """The map on shares, or on the opened value and its mask where all operands are open."""
        ctx, local = self.context, self.context.local
        if all(x.opened is not None for x in xs):
            opened = [x.opened for x in xs if x.opened is not None]
            masks = [o.mask.value for o in opened]
            mask: Ring | None = None
            if any(m is not None for m in masks):
                filled = [local.zeros(*x.shape) if m is None else m for m, x in zip(masks, xs, strict=True)]
                mask = local.linear(function, *filled)
            if ctx.helper:
                assert mask is not None
                return Additive(mask.shape, None, Opened(None, Mask(mask)))
            value = local.linear(function, *[_present(o.value) for o in opened])
            return Additive(value.shape, None, Opened(value, Mask(mask)))
        if ctx.helper:
            return Additive(np.shape(function(*[np.broadcast_to(np.uint64(0), x.shape) for x in xs])))
        share = local.linear(function, *[x.share(ctx.leader, local) for x in xs])
        return Additive(share.shape, share)

    # --- local on bits ------------------------------------------------------------------------------------------

    def public_bits(self, values: NDArray[np.bool_]) -> Packed:
        """The leader's share is the value, the follower's is zero."""
        ctx = self.context
        packed = Packed(values.shape, None)
        if not ctx.helper:
            words = ctx.local.pack(values.astype(np.uint8))
            packed.words = words if ctx.leader else ctx.local.zeros(words.size)
        return packed

    def xor(self, a: Packed, b: Packed) -> Packed:
        """a XOR b."""
        if self.context.helper:
            return Packed(a.shape, None)
        return Packed(a.shape, self.context.local.xor(_present(a.words), _present(b.words)))

    def invert(self, a: Packed) -> Packed:
        """NOT a: the leader flips its share."""
        if not self.context.leader:
            return a
        return Packed(a.shape, self.context.local.invert(_present(a.words)))

    def mask_bits(self, a: Packed, values: NDArray[np.bool_]) -> Packed:
        """a AND public bits."""
        local = self.context.local
        if self.context.helper:
            return Packed(a.shape, None)
        return Packed(a.shape, local.conjoin(_present(a.words), local.pack(values.astype(np.uint8))))

    def rearrange(self, function: Callable[..., Any], *xs: Packed) -> Packed:
        """Move bits: on unpacked shares."""
        local = self.context.local
        if self.context.helper:
            return Packed(np.shape(function(*[np.broadcast_to(np.uint8(0), x.shape) for x in xs])), None)
        moved = np.asarray(function(*[local.unpack(_present(x.words), x.shape) for x in xs]))
        return Packed(moved.shape, local.pack(moved))

    # --- interactive --------------------------------------------------------------------------------------------

    async def product(self, form: Bilinear, x: Additive, y: Additive, *, truncate: int = 0) -> Additive:
        """See `arithmetic.product`."""
        if self.exact and truncate:
            whole = await arithmetic.product(self.context, form, x, y, 0)
            return await compare.truncate_exactly(self.context, whole, truncate)
        return await arithmetic.product(self.context, form, x, y, truncate)

    async def prepare(self, x: Additive) -> None:
        """See `arithmetic.open_masked`: 1 round, 8 bytes per element and party; nothing if x is open."""
        await arithmetic.open_masked(self.context, [x])

    async def truncate(self, x: Additive, bits: int) -> Additive:
        """See `arithmetic.truncate` and `compare.truncate_exactly`."""
        if self.exact:
            return await compare.truncate_exactly(self.context, x, bits)
        return await arithmetic.truncate(self.context, x, bits)

    async def separable(self, x: Additive, function: Separable) -> Additive:
        """See `arithmetic.separable`."""
        return await arithmetic.separable(self.context, x, function)

    async def negative(self, x: Additive) -> Packed:
        """See `compare.negative`."""
        return await compare.negative(self.context, x)

    async def below(self, x: Additive, thresholds: Sequence[int]) -> list[Packed]:
        """See `compare.below`."""
        return await compare.below(self.context, x, thresholds)

    async def octaves(
        self, x: Additive, low: int, count: int, *, positive: bool = False, sharp: bool = True
    ) -> list[Packed]:
        """See `octaves.octaves`."""
        return await octaves.octaves(self.context, x, low, count, positive=positive, sharp=sharp)

    async def steps(self, x: Additive, thresholds: Sequence[int]) -> Additive:
        """All thresholds in one tree, all bits lifted in one exchange: nothing is gained by stacking."""
        return await self.lift_all(await self.below(x, thresholds))

    async def lift_all(self, bits: Sequence[Packed]) -> Additive:
        """See `boolean.lift_all`."""
        return await boolean.lift_all(self.context, bits)

    async def both(self, a: Packed, b: Packed) -> Packed:
        """See `boolean.both`."""
        return await boolean.both(self.context, a, b)

    async def lift(self, a: Packed) -> Additive:
        """See `boolean.lift`."""
        return await boolean.lift(self.context, a)

    async def gate(self, a: Packed, x: Additive) -> Additive:
        """See `boolean.gate`."""
        return await boolean.gate(self.context, a, x)

    async def either(self, a: Packed, x: Additive, b: Packed, value: int) -> Additive:
        """See `boolean.either`."""
        return await boolean.either(self.context, a, x, b, value)

    async def decompose(self, x: Additive, count: int) -> Packed:
        """See `boolean.decompose`."""
        return await boolean.decompose(self.context, x, count)

    async def compose(self, a: Packed) -> Additive:
        """See `boolean.compose`."""
        return await boolean.compose(self.context, a)

    async def shuffle(self, x: Additive) -> Additive:
        """See `transfer.shuffle`."""
        return await transfer.shuffle(self.context, x)

    async def open_bits(self, a: Packed) -> NDArray[np.bool_]:
        """See `transfer.open_bits`."""
        if self.witness is not None:
            self.witness("bits that do not depend on the inputs", a.shape)
        return await transfer.open_bits(self.context, a)

    async def share(self, owner: str, shape: Shape, values: Ring | None) -> Additive:
        """See `transfer.share`."""
        return await transfer.share(self.context, owner, shape, values)

    async def reveal(self, x: Additive, to: Sequence[str]) -> Ring | None:
        """See `transfer.reveal`."""
        return await transfer.reveal(self.context, x, to)

    async def reveal_bits(self, a: Packed, to: Sequence[str]) -> NDArray[np.bool_] | None:
        """See `transfer.reveal_bits`."""
        return await transfer.reveal_bits(self.context, a, to)

    # --- at rest ------------------------------------------------------------------------------------------------

    def dump(self, x: Additive) -> list[Ring]:
        """The additive share; nothing at the helper."""
        return [] if self.context.helper else [x.share(self.context.leader, self.context.local)]

    def restore(self, shape: Shape, arrays: Sequence[Ring]) -> Additive:
        """A value from its additive share."""
        if self.context.helper:
            return Additive(shape)
        (share,) = arrays
        return Additive(shape, share)


def _combine_masks(ctx: Context, operation: Callable[[Ring, Ring], Ring], x: Additive, y: Additive) -> Ring | None:
    """The mask of x op y, where None is a zero share."""
    assert x.opened is not None
    assert y.opened is not None
    a, b = x.opened.mask.value, y.opened.mask.value
    if a is None and b is None:
        return None
    zero = ctx.local.zeros()  # a row of one would not broadcast to a scalar
    return operation(
        ctx.local.broadcast(zero, x.shape) if a is None else a, ctx.local.broadcast(zero, y.shape) if b is None else b
    )


def _present(value: Any) -> Any:
    assert value is not None, "a compute party misses a share"
    return value
