"""Into and out of `Assisted`: sharing inputs, revealing results, and the secret shuffle."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from tacit.primitive.mpc.assisted.context import Context
from tacit.primitive.mpc.assisted.share import Additive, Mask, Opened, Packed
from tacit.primitive.mpc.kernel import Ring, Shape
from tacit.primitive.mpc.party import Message


async def share(ctx: Context, owner: str, shape: Shape, values: Ring | None) -> Additive:
    """Share the owner's ring elements.

    Computes: a compute party publishes X = x + r under a mask that it and the helper know, so the value arrives opened:
        products with it need no further opening. The helper shares additively.
    Reveals: nothing; X is uniform to the other compute party, which does not know r. The helper never sees X.
    Costs: 1 round, 8 bytes per element from the owner.
    """
    local = ctx.local
    index = ctx.names.index(owner)
    size = prod(shape)
    if index == 2:
        deal = ctx.deal(size)
        if ctx.helper:
            assert values is not None
            local.sub_into(local.flat(values), deal.leader, deal.own)
            await ctx.give(deal)
            return Additive(shape)
        receives: list[Message] = [(owner, deal.own)] if ctx.follower else []
        await ctx.exchange([], receives)
        return Additive(shape, deal.own.reshape(shape))
    mask = ctx.owned_mask(index, shape)
    if ctx.helper:
        await ctx.give(None)
        return Additive(shape, None, Opened(None, Mask(mask)))
    if ctx.index == index:
        assert values is not None
        assert mask is not None
        masked = local.add(values, mask)
        await ctx.exchange([(ctx.peer, local.flat(masked))])
        return Additive(shape, None, Opened(masked, Mask(mask)))
    masked = local.empty(*shape)
    await ctx.exchange([], [(owner, local.flat(masked))])
    return Additive(shape, None, Opened(masked, Mask(None)))


async def reveal(ctx: Context, x: Additive, to: Sequence[str]) -> Ring | None:
    """Open x to the parties in `to`.

    Reveals: x, to those parties. A compute party sees the other's share, which is x minus its own. The helper knows the
        correlations that shares are made of, so it gets them with a common mask of the compute parties added and subtracted.
    Costs: 1 round, 8 bytes per element to each receiver (from both compute parties to the helper).
    """
    local = ctx.local
    stream = ctx.stream()
    if ctx.helper:
        if ctx.me not in to:
            await ctx.give(None)
            return None
        first, second = local.empty(prod(x.shape)), local.empty(prod(x.shape))
        await ctx.exchange([], [(ctx.names[0], first), (ctx.names[1], second)])
        return local.add(first, second).reshape(x.shape)
    own = x.share(ctx.leader, local)
    hidden = local.flat(own)
    if ctx.helper_name in to:
        mask = ctx.common.words(stream, hidden.size)
        hidden = local.add(hidden, mask) if ctx.leader else local.sub(hidden, mask)
    theirs = await _receive_other(ctx, local.flat(own), hidden, to)
    return None if theirs is None else local.add(own, theirs.reshape(x.shape))


async def reveal_bits(ctx: Context, a: Packed, to: Sequence[str]) -> NDArray[np.bool_] | None:
    """Open bits to the parties in `to`.

    Reveals: the bits, to those parties. Costs: 1 round, 1 bit per element to each receiver.
    """
    local = ctx.local
    stream = ctx.stream()
    if ctx.helper:
        if ctx.me not in to:
            await ctx.give(None)
            return None
        first, second = local.empty(words_of(a)), local.empty(words_of(a))
        await ctx.exchange([], [(ctx.names[0], first), (ctx.names[1], second)])
        return local.unpack(local.xor(first, second), a.shape).astype(np.bool_)
    assert a.words is not None
    hidden = local.xor(a.words, ctx.common.words(stream, words_of(a))) if ctx.helper_name in to else a.words
    theirs = await _receive_other(ctx, a.words, hidden, to)
    return None if theirs is None else local.unpack(local.xor(a.words, theirs), a.shape).astype(np.bool_)


async def _receive_other(ctx: Context, own: Ring, hidden: Ring, to: Sequence[str]) -> Ring | None:
    """Send `own` to the other compute party and `hidden` to the helper, where they are in `to`."""
    sends: list[Message] = [(ctx.peer, own)] if ctx.peer in to else []
    if ctx.helper_name in to:
        sends.append((ctx.helper_name, hidden))
    if ctx.me not in to:
        await ctx.exchange(sends)
        return None
    theirs = ctx.local.empty(own.size)
    await ctx.exchange(sends, [(ctx.peer, theirs)])
    return theirs


async def open_bits(ctx: Context, a: Packed) -> NDArray[np.bool_]:
    """Open bits to all three parties.

    Reveals: the bits, to everyone; the caller must have made them independent of the inputs (a shuffle).
    Costs: 1 round, 1 bit per element and party, and to the helper.
    """
    bits = await reveal_bits(ctx, a, ctx.names)
    assert bits is not None
    return bits


async def shuffle(ctx: Context, x: Additive) -> Additive:
    """The rows in a uniformly random order that no party knows.

    Computes: first an order p that the compute parties draw from their common seed (hidden from the helper), applied
        locally; then two orders q_0, q_1, each known to one compute party and the helper. For q_i its owner receives the
        other's share under a mask a, applies q_i to all, and the helper deals q_i(a) - b, the other's new share being b.
        The composed order q_1 q_0 p is uniform to each single party.
    Reveals: nothing. Costs: 2 rounds, 8 bytes per element from each compute party (in turn), 16 bytes per element from the helper.
    Source: permutation correlations, eprint 2019/1340, with a dealer.
    """
    local = ctx.local
    rows = x.shape[0]
    first = ctx.stream()
    if ctx.helper:
        await _permute(ctx, None, 0, x.shape)
        await _permute(ctx, None, 1, x.shape)
        return Additive(x.shape)
    rest: Ring | None = local.permute_rows(x.share(ctx.leader, local), local.permutation(ctx.common, first, rows))
    rest = await _permute(ctx, rest, 0, x.shape)
    rest = await _permute(ctx, rest, 1, x.shape)
    return Additive(x.shape, rest)


async def _permute(ctx: Context, share: Ring | None, owner: int, shape: Shape) -> Ring | None:
    """Apply an order known to compute party `owner` and the helper; the new shares, None at the helper."""
    local = ctx.local
    size, rows = prod(shape), shape[0]
    order_stream, before_stream, after_stream = ctx.stream(), ctx.stream(), ctx.stream()
    owner_name, other = ctx.names[owner], ctx.names[1 - owner]
    if ctx.helper:
        order = local.permutation(ctx.prgs[owner_name], order_stream, rows)
        before = ctx.prgs[other].words(before_stream, shape)
        after = ctx.prgs[other].words(after_stream, shape)
        difference = local.sub(local.permute_rows(before, order), after)
        await ctx.exchange([(owner_name, local.flat(difference))])
        return None
    assert share is not None
    own_prg = ctx.prgs[ctx.helper_name]
    if ctx.index != owner:
        masked = local.sub(share, own_prg.words(before_stream, shape))
        renewed: Ring = own_prg.words(after_stream, shape)  # before the exchange: streams are expanded in rising order
        await ctx.exchange([(ctx.peer, local.flat(masked))])
        return renewed
    order = local.permutation(own_prg, order_stream, rows)
    masked, difference = local.empty(size), local.empty(size)
    await ctx.exchange([], [(ctx.peer, masked), (ctx.helper_name, difference)])
    moved = local.permute_rows(local.add(share, masked.reshape(shape)), order)
    return local.add(moved, difference.reshape(shape))


def words_of(a: Packed) -> int:
    """Packed words of a bit tensor."""
    return (a.size + 63) // 64
