"""Shared bits: AND, and the bits of a value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import DomainError
from tacit.primitive.local import words_for
from tacit.primitive.mpc.kernel import Ring
from tacit.primitive.mpc.replicated.context import Context
from tacit.primitive.mpc.replicated.convert import replicate_bits
from tacit.primitive.mpc.replicated.share import BitShare, RingShare

Pair = tuple[Ring, Ring]
"""Words of a party's two components."""
Positions = NDArray[np.intp]


async def both(ctx: Context, a: BitShare, b: BitShare) -> BitShare:
    """a AND b.

    Computes: the product of `arithmetic.product`, modulo 2.
    Reveals: nothing. Costs: 1 round, 1 bit per element and party. Source: eprint 2016/768.
    """
    return BitShare(a.shape, *await _both(ctx, (a.own, a.next), (b.own, b.next)))


async def _both(ctx: Context, a: Pair, b: Pair) -> Pair:
    """The AND of words of any shape."""
    z = ctx.local.cross_bits(a, b, ctx.zero_bits(a[0].shape))
    return z, await ctx.around(z)


async def decompose(ctx: Context, x: RingShare, count: int) -> BitShare:
    """The low `count` bits of x.

    Computes: x = M + t with M known to left and right and t = A + B to the dealer, who deals its bits; bit i is M_i xor t_i xor
        carry_i. The propagate bits M_i xor t_i are replicated as they are; the generate bits M_i t_i are local at left and right
        and are replicated; carries come from a Sklansky prefix tree. The lowest bit alone is the XOR of the components' lowest
        bits.
    Reveals: nothing. Source: eprint 2018/403 (one adder, since two components have a common holder).
    Costs: for one bit nothing; else 2 + ceil(log2(count - 1)) rounds; count bits per element from the dealer, count - 1 from left and
        from right, and at most count bits per element, party and level of the tree.
    """
    if not 1 <= count <= 64:
        raise DomainError(f"a ring element has 1 to 64 bits, not {count}")
    local, size = ctx.local, prod(x.shape)
    if count == 1:
        return BitShare((*x.shape, 1), local.low_bits(x.own), local.low_bits(x.next))
    seat = ctx.seat(size)
    words = words_for(size)
    deal = ctx.deal_bits(seat, count * words)
    if seat.dealer:
        left = local.duplicate(deal.first).reshape(count, words)
        known = local.flat(local.add(x.own, x.next))
        local.xor_into(local.flat(local.to_planes(known, count)), deal.second)
        await ctx.swap(seat, [], [deal.second])
        propagate = deal.second.reshape(count, words), left
        part = None
    else:
        await ctx.swap(seat, [], [deal.second])
        mask = (deal.first if seat.left else deal.second).reshape(count, words)
        visible = local.to_planes(local.flat(seat.middle(x)), count)
        propagate = seat.held(mask, mask, visible)
        part = local.flat(local.conjoin(visible[:-1], mask[:-1]))
    generate = await replicate_bits(ctx, seat, part, (count - 1, 64 * words))
    carries = await _carries(
        ctx,
        local.pair(generate.own.reshape(count - 1, words), generate.next.reshape(count - 1, words)),
        local.pair(propagate[0][:-1], propagate[1][:-1]),
    )
    own, following = (
        local.planes_to_packed(local.join([p[:1], local.xor(p[1:], c)]), size)
        for p, c in zip(propagate, (carries[0], carries[1]), strict=True)
    )
    return BitShare((*x.shape, count), own, following)


async def _carries(ctx: Context, generate: Ring, propagate: Ring) -> Ring:
    """The carry out of every position, from planes [2, count, words] of both components.

    Combines by (g, p) o (g', p') = (g xor p g', p p').
    """
    local = ctx.local
    for level in _sklansky(generate.shape[1]):
        left = local.choose(propagate, level.targets, propagate, level.later)
        right = local.choose(generate, level.sources, propagate, level.below)
        own, following = await _both(ctx, (left[0], left[1]), (right[0], right[1]))
        gated = local.pair(own, following)
        generate, propagate = local.update_carries(generate, propagate, level.targets, level.later, gated)
    return generate


@dataclass(frozen=True, slots=True)
class _Level:
    """Positions of one prefix level: `targets` take g from `sources`; `later`, those of them still to be used, p from `below`."""

    targets: Positions
    sources: Positions
    later: Positions
    below: Positions


@cache
def _sklansky(count: int) -> tuple[_Level, ...]:
    """The upper half of every block of 2 * span takes the last position of the lower half, for span = 1, 2, 4, ...

    The first block starts at position 0, where nothing comes in, so its propagate bits are not needed again.
    """
    levels = []
    span = 1
    while span < count:
        targets = np.flatnonzero(np.arange(count) // span % 2 == 1)
        later = targets[targets >= 2 * span]
        levels.append(_Level(targets, targets // span * span - 1, later, later // span * span - 1))
        span *= 2
    return tuple(levels)
