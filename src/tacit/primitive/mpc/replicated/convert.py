"""From shares between left and right to replicated ones, from bits to ring elements, and bits times values.

The recurring step: left and right hold shares of a value (a sum or an XOR of two parts). Components A and B of the
result are fresh from the keys with the dealer, so the dealer already has its share, and left and right exchange the
rest. What they exchange is uniform to each of them, since each lacks the key of the other's component.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tacit.primitive.local import words_for
from tacit.primitive.mpc.kernel import Ring, Shape
from tacit.primitive.mpc.replicated.context import Context, Deal, Seat
from tacit.primitive.mpc.replicated.share import BitShare, RingShare


async def replicate(ctx: Context, seat: Seat, part: Ring | None, shape: Shape) -> RingShare:
    """The sum of left's and right's `part` (None at the dealer) as a replicated sharing.

    Reveals: nothing. Costs: 1 round, 8 bytes per element from left and from right.
    """
    local = ctx.local
    a, b = ctx.fresh(seat, shape)
    if seat.dealer:
        await ctx.swap(seat, [])
        return RingShare(b, a)
    assert part is not None
    mine = local.sub(part, a)  # left has component A here, right has B
    (theirs,) = await ctx.swap(seat, [local.flat(mine)])
    return RingShare(*seat.held(a, b, local.add(mine, theirs.reshape(shape))))


async def replicate_bits(ctx: Context, seat: Seat, part: Ring | None, shape: Shape) -> BitShare:
    """The XOR of left's and right's packed `part` (None at the dealer) as a replicated sharing.

    Reveals: nothing. Costs: 1 round, 1 bit per element from left and from right.
    """
    local = ctx.local
    a, b = ctx.fresh(seat, words_for(prod(shape)))
    if seat.dealer:
        await ctx.swap(seat, [])
        return BitShare(shape, b, a)
    assert part is not None
    mine = local.xor(part, a)
    (theirs,) = await ctx.swap(seat, [mine])
    return BitShare(shape, *seat.held(a, b, local.xor(mine, theirs)))


async def lift(ctx: Context, a: BitShare) -> RingShare:
    """The bits as ring elements.

    Computes: `_lift_between`, then `replicate`.
    Reveals: nothing. Costs: 2 rounds; 8 bytes per element and party.
    """
    seat = ctx.seat(a.size)
    part = await _lift_between(ctx, seat, a)
    return await replicate(ctx, seat, None if part is None else part.reshape(a.shape), a.shape)


async def compose(ctx: Context, a: BitShare) -> RingShare:
    """sum over the last axis of 2**i * bit i.

    Computes: as `lift`, but the weighted sum is taken before left and right exchange anything.
    Reveals: nothing. Costs: 2 rounds; 8 bytes per bit from the dealer, 8 bytes per result from left and from right.
    """
    local, shape = ctx.local, a.shape[:-1]
    seat = ctx.seat(a.size)
    part = await _lift_between(ctx, seat, a)
    if part is not None:
        weights = np.left_shift(np.uint64(1), np.arange(a.shape[-1], dtype=np.uint64))
        part = local.linear(lambda s: np.matmul(s, weights), part.reshape(a.shape))
    return await replicate(ctx, seat, part, shape)


async def _lift_between(ctx: Context, seat: Seat, a: BitShare) -> Ring | None:
    """The bits as flat ring shares between left and right; None at the dealer.

    With the bit M xor m, where left and right know M and the dealer knows m = A xor B: M + (1 - 2 M) m, with m dealt.
    Costs: 1 round, 8 bytes per element from the dealer to right.
    """
    local = ctx.local
    deal = ctx.deal(seat, a.size)
    if seat.dealer:
        local.bit_deal(local.xor(a.own, a.next), deal.first, deal.second)
    await ctx.swap(seat, [], [deal.second])
    if seat.dealer:
        return None
    return local.bit_to_ring_close(seat.middle(a), deal.first if seat.left else deal.second, leader=seat.left)


async def lift_shared(ctx: Context, seat: Seat, bits: Ring | None, size: int) -> Ring | None:
    """Bits that left and right share by XOR (None at the dealer) as flat ring shares between them.

    Computes: left and right open T = bits xor m under a mask m that the dealer knows; then T + (1 - 2 T) m, with m dealt.
    Reveals: nothing. Costs: 1 round; 1 bit per element from left and from right, 8 bytes per element from the dealer.
    """
    local = ctx.local
    a, b = ctx.fresh(seat, words_for(size))
    deal = ctx.deal(seat, size)
    if seat.dealer:
        local.bit_deal(local.xor(a, b), deal.first, deal.second)
        await ctx.swap(seat, [], [deal.second])
        return None
    assert bits is not None
    mine = local.xor(bits, a)
    (theirs,) = await ctx.swap(seat, [mine], [deal.second])
    opened = local.xor(mine, theirs)
    return local.bit_to_ring_close(opened, deal.first if seat.left else deal.second, leader=seat.left)


async def gate(ctx: Context, a: BitShare, x: RingShare) -> RingShare:
    """x where the bit is 1, else 0.

    Computes: with the bit M xor m and x = X - r, where left and right know M and X and the dealer knows m and r:
        M x + (1 - 2 M)(X m - m r); m and m r are dealt.
    Reveals: nothing. Costs: 2 rounds; 16 bytes per element from the dealer to right, 8 from left and from right.
    """
    local, size = ctx.local, a.size
    seat = ctx.seat(size)
    deal = ctx.deal(seat, 2 * size)
    part = None
    if seat.dealer:
        known = local.flat(local.neg(local.add(x.own, x.next)))
        m, first, second = local.xor(a.own, a.next), deal.first, deal.second
        local.select_deal(m, known, first[:size], first[size:], second[:size], second[size:])
        await ctx.swap(seat, [], [second])
    else:
        await ctx.swap(seat, [], [deal.second])
        part = _gate_between(ctx, seat, a, x, deal).reshape(a.shape)
    return await replicate(ctx, seat, part, a.shape)


def _gate_between(ctx: Context, seat: Seat, a: BitShare, x: RingShare, deal: Deal) -> Ring:
    local, size = ctx.local, a.size
    own = deal.first if seat.left else deal.second
    visible = local.flat(seat.middle(x))
    share = local.add(visible, local.flat(x.own)) if seat.left else local.flat(seat.outer(x))
    return local.select_close(seat.middle(a), visible, own[:size], own[size:], share, leader=seat.left)
