"""Into and out of `Replicated`: sharing inputs, revealing results, and the secret shuffle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tacit.primitive.mpc.kernel import Ring, Shape
from tacit.primitive.mpc.party import Message
from tacit.primitive.mpc.replicated.context import Context
from tacit.primitive.mpc.replicated.convert import replicate
from tacit.primitive.mpc.replicated.share import BitShare, RingShare


async def share(ctx: Context, owner: str, shape: Shape, values: Ring | None) -> RingShare:
    """Share the owner's ring elements.

    Computes: the component that the owner lacks is zero; one of its own is r, from the key with the party before it, and it
        sends x - r to the party after it.
    Reveals: nothing: the party before learns r, the party after x - r, and the owner knows x.
    Costs: 1 round, 8 bytes per element from the owner.
    """
    local = ctx.local
    role = (ctx.index - ctx.names.index(owner)) % 3
    stream = ctx.stream()
    if role == 0:
        assert values is not None
        mask: Ring = ctx.own_prg.words(stream, shape)
        rest = local.sub(values, mask)
        await ctx.exchange([(ctx.after, local.flat(rest))])
        return RingShare(mask, rest)
    if role == 1:
        rest = local.empty(*shape)
        await ctx.exchange([], [(owner, local.flat(rest))])
        return RingShare(rest, local.zeros(*shape))
    mask = ctx.next_prg.words(stream, shape)
    await ctx.exchange()
    return RingShare(local.zeros(*shape), mask)


async def reveal(ctx: Context, x: RingShare, to: Sequence[str]) -> Ring | None:
    """Open x to the parties in `to`.

    Reveals: x, to those parties. What a receiver gets, the component that it lacks, is x minus what it holds.
    Costs: 1 round, 8 bytes per element to each receiver, from the party before it.
    """
    local = ctx.local
    missing = await _receive_missing(ctx, local.flat(x.own), to)
    return None if missing is None else local.add(local.add(x.own, x.next), missing.reshape(x.shape))


async def reveal_bits(ctx: Context, a: BitShare, to: Sequence[str]) -> NDArray[np.bool_] | None:
    """Open bits to the parties in `to`.

    Reveals: the bits, to those parties. Costs: 1 round, 1 bit per element to each receiver, from the party before it.
    """
    local = ctx.local
    missing = await _receive_missing(ctx, a.own, to)
    if missing is None:
        return None
    return local.unpack(local.xor(local.xor(a.own, a.next), missing), a.shape).astype(np.bool_)


async def _receive_missing(ctx: Context, own: Ring, to: Sequence[str]) -> Ring | None:
    """Pass the own component to the party after, which lacks it; each party does so for a receiver."""
    sends: list[Message] = [(ctx.after, own)] if ctx.after in to else []
    if ctx.me not in to:
        await ctx.exchange(sends)
        return None
    missing = ctx.local.empty(own.size)
    await ctx.exchange(sends, [(ctx.before, missing)])
    return missing


async def open_bits(ctx: Context, a: BitShare) -> NDArray[np.bool_]:
    """Open bits to all three parties.

    Reveals: the bits, to everyone; the caller must have made them independent of the inputs (a shuffle).
    Costs: 1 round, 1 bit per element and party.
    """
    bits = await reveal_bits(ctx, a, ctx.names)
    assert bits is not None
    return bits


async def shuffle(ctx: Context, x: RingShare) -> RingShare:
    """The rows in a uniformly random order that no party knows.

    Computes: three orders in turn, each drawn by two parties from their common key. The two hold all components between them,
        permute their sum as shares between the two, and replicate it again with the third, which never sees the order. Every
        party lacks one of the three orders, and that one alone makes the composed order uniform to it.
    Reveals: nothing. Costs: 3 rounds, 16 bytes per element and party (8 in two of the rounds each).
    Source: resharing-based shuffles, Laur, Willemson and Zhang (ISC 2011).
    """
    local = ctx.local
    for seat in ctx.seats:
        stream = ctx.stream()
        part = None
        if not seat.dealer:
            common = ctx.next_prg if seat.left else ctx.own_prg
            order = local.permutation(common, stream, x.shape[0])
            held = local.add(x.own, x.next) if seat.left else seat.outer(x)
            part = local.permute_rows(held, order)
        x = await replicate(ctx, seat, part, x.shape)
    return x
