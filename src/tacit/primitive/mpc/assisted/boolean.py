"""Shared bits in `Assisted`: AND, bit to ring, bit times value, bits of a value and back."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from tacit.primitive.local import NativeLocal, words_for
from tacit.primitive.mpc.assisted.arithmetic import masked, open_masked
from tacit.primitive.mpc.assisted.context import Context, Deal
from tacit.primitive.mpc.assisted.share import Additive, Packed
from tacit.primitive.mpc.kernel import Ring


async def both(ctx: Context, a: Packed, b: Packed) -> Packed:
    """a AND b.

    Computes: opens both under bit masks; a b = A B + A m_b + B m_a + m_a m_b with the last term dealt.
    Reveals: nothing. Costs: 1 round, 2 bits per element and party; 1 bit per element from helper to follower.
    """
    words = words_for(a.size)
    local = ctx.local
    masks, deal = ctx.blind(2 * words, words, bits=True, onto=True)
    left, right = masks[:words], masks[words:]
    if ctx.helper:
        local.xor_into(local.conjoin(left, right), deal.own)
        await ctx.give(deal)
        return Packed(a.shape, None)
    assert a.words is not None
    assert b.words is not None
    own = local.xor(local.join([a.words, b.words]), masks)
    (theirs,) = await ctx.swap([own], deal)
    total = local.xor(own, theirs)
    return Packed(
        a.shape, local.masked_and_close(total[:words], total[words:], left, right, deal.own, leader=ctx.leader)
    )


async def lift(ctx: Context, a: Packed) -> Additive:
    """The bits as ring elements.

    Computes: opens b = a xor m; a = b + (1 - 2 b) m, with m dealt as ring shares.
    Reveals: nothing. Costs: 1 round, 1 bit per element and party; 8 bytes per element from helper to follower.
    """
    local, size = ctx.local, a.size
    mask, deal = ctx.blind(words_for(size), size, bits=True)
    if ctx.helper:
        local.bit_deal(mask, deal.leader, deal.own)
        await ctx.give(deal)
        return Additive(a.shape)
    assert a.words is not None
    own = local.xor(a.words, mask)
    (theirs,) = await ctx.swap([own], deal)
    bits = local.xor(own, theirs)
    return Additive(a.shape, local.bit_to_ring_close(bits, deal.own, leader=ctx.leader).reshape(a.shape))


async def lift_all(ctx: Context, bits: Sequence[Packed]) -> Additive:
    """Bits of one shape as ring elements, along a new first axis: `lift` in one exchange. Costs: as `lift`, for each."""
    local, shape, size = ctx.local, bits[0].shape, bits[0].size
    words, count = words_for(size), len(bits)
    mask, deal = ctx.blind(count * words, count * size, bits=True)
    if ctx.helper:
        for i in range(count):
            part = slice(i * size, (i + 1) * size)
            local.bit_deal(mask[i * words : (i + 1) * words], deal.leader[part], deal.own[part])
        await ctx.give(deal)
        return Additive((count, *shape))
    own = local.xor(local.join([a.words for a in bits if a.words is not None]), mask)
    (theirs,) = await ctx.swap([own], deal)
    opened, dealt = local.xor(own, theirs).reshape(count, words), deal.own.reshape(count, size)
    lifted = local.rows(count, size, _lifted, local, opened, dealt, leader=ctx.leader)
    return Additive((count, *shape), lifted.reshape(count, *shape))


def _lifted(local: NativeLocal, opened: Ring, dealt: Ring, *, leader: bool) -> Ring:
    out = np.empty_like(dealt)
    for bits, rho, row in zip(opened, dealt, out, strict=True):
        row[:] = local.bit_to_ring_close(bits, rho, leader=leader)
    return out


async def gate(ctx: Context, a: Packed, x: Additive) -> Additive:
    """x where the bit is 1, else 0.

    Computes: with b = a xor m open and X = x + r open, a x = b x + (1 - 2 b)(X m - m r); m and m r are dealt.
    Reveals: nothing. Costs: 1 round, 1 bit (and 8 bytes if x is not open) per element and party; 16 bytes per element from
        helper to follower.
    """
    local, size = ctx.local, a.size
    mask, deal = ctx.blind(words_for(size), 2 * size, bits=True)

    def fill(deal: Deal) -> None:
        known = local.flat(masked(x))
        own, leader = deal.own, deal.leader
        local.select_deal(mask, known, leader[:size], leader[size:], own[:size], own[size:])

    if ctx.helper:
        await open_masked(ctx, [x], [mask], deal, fill)
        return Additive(a.shape)
    assert a.words is not None
    (bits,) = await open_masked(ctx, [x], [local.xor(a.words, mask)], deal)
    assert x.opened is not None
    assert x.opened.value is not None
    share = x.share(ctx.leader, local)
    result = local.select_close(
        bits, local.flat(x.opened.value), deal.own[:size], deal.own[size:], local.flat(share), leader=ctx.leader
    )
    return Additive(a.shape, result.reshape(a.shape))


async def either(ctx: Context, a: Packed, x: Additive, b: Packed, value: int) -> Additive:
    """x where a is 1, plus a public value where b is.

    Computes: `gate` and `lift` in one exchange.
    Reveals: nothing. Costs: 1 round, 2 bits (and 8 bytes if x is not open) per element and party; 24 bytes per element from
        helper to follower.
    """
    local, size = ctx.local, a.size
    words = words_for(size)
    mask, deal = ctx.blind(2 * words, 3 * size, bits=True)
    rho, sigma, tau = (deal.own[i * size : (i + 1) * size] for i in range(3))

    def fill(deal: Deal) -> None:
        leader = deal.leader
        local.select_deal(mask[:words], local.flat(masked(x)), leader[:size], leader[size : 2 * size], rho, sigma)
        local.bit_deal(mask[words:], leader[2 * size :], tau)

    if ctx.helper:
        await open_masked(ctx, [x], [mask], deal, fill)
        return Additive(a.shape)
    assert a.words is not None
    assert b.words is not None
    (bits,) = await open_masked(ctx, [x], [local.xor(local.join([a.words, b.words]), mask)], deal)
    assert x.opened is not None
    assert x.opened.value is not None
    opened, share = local.flat(x.opened.value), local.flat(x.share(ctx.leader, local))
    gated = local.select_close(bits[:words], opened, rho, sigma, share, leader=ctx.leader)
    lifted = local.bit_to_ring_close(bits[words:], tau, leader=ctx.leader)
    return Additive(a.shape, local.add_multiple(gated, lifted, value).reshape(a.shape))


async def compose(ctx: Context, a: Packed) -> Additive:
    """sum over the last axis of 2**i * bit i: every bit lifted, then a local sum.

    Costs: as `lift`, for every bit.
    """
    lifted = await lift(ctx, a)
    shape = a.shape[:-1]
    if ctx.helper:
        return Additive(shape)
    weights = np.left_shift(np.uint64(1), np.arange(a.shape[-1], dtype=np.uint64))
    share = ctx.local.mul(lifted.share(ctx.leader, ctx.local), weights)
    return Additive(shape, ctx.local.linear(lambda s: s.sum(axis=-1, dtype=np.uint64), share))


async def decompose(ctx: Context, x: Additive, count: int) -> Packed:
    """The low `count` bits of x, by a public-minus-shared subtractor on X = x + r.

    Computes: d_i = X_i xor r_i xor borrow_i; borrows by a Sklansky prefix tree of generate/propagate planes, where
        g_i = (not X_i) and r_i and p_i = not (X_i xor r_i) are local because X is public.
    Reveals: nothing. Costs: the opening of x, then ceil(log2 count) rounds; at most 2 * count bits per element, level and
        party; from the helper `count` bits per element, and at most `count` more per level.
    """
    local = ctx.local
    size = prod(x.shape)
    words = words_for(size)
    await open_masked(ctx, [x])
    assert x.opened is not None
    deal = ctx.deal_bits(count * words)
    if ctx.helper:
        assert x.opened.mask.value is not None
        planes = local.to_planes(local.flat(x.opened.mask.value), count)
        local.xor_into(local.flat(planes), deal.own)
        await ctx.give(deal, silent=True)
        generate = propagate = bits = None
    else:
        await ctx.swap([], deal)
        mask = deal.own.reshape(count, words)
        assert x.opened.value is not None
        public = local.to_planes(local.flat(x.opened.value), count)
        generate = local.conjoin(local.invert(public), mask)
        bits = local.xor(public, mask) if ctx.leader else mask
        propagate = local.invert(bits) if ctx.leader else bits
    borrows = await _borrows(ctx, generate, propagate, count, words)
    if ctx.helper:
        return Packed((*x.shape, count), None)
    assert bits is not None
    assert borrows is not None
    result = local.join([bits[:1], local.xor(bits[1:], borrows[: count - 1])])
    return Packed((*x.shape, count), local.planes_to_packed(result, size))


async def _borrows(ctx: Context, generate: Ring | None, propagate: Ring | None, count: int, words: int) -> Ring | None:
    """borrow out of position i for every i, as planes: (g, p) o (g', p') = (g xor p g', p p')."""
    local = ctx.local
    span = 1
    while span < count:
        # Sklansky: the upper half of every block of 2 * span takes the last position of the lower half.
        targets = [i for i in range(count) if i // span % 2 == 1]
        sources = [i // span * span - 1 for i in targets]
        shape = (2 * len(targets), 64 * words)
        if ctx.helper:
            await both(ctx, Packed(shape, None), Packed(shape, None))
        else:
            assert generate is not None
            assert propagate is not None
            left = local.join([propagate[targets], propagate[targets]])
            right = local.join([generate[sources], propagate[sources]])
            gated = await both(ctx, Packed(shape, local.flat(left)), Packed(shape, local.flat(right)))
            assert gated.words is not None
            half = gated.words.reshape(2, len(targets), words)
            generate, propagate = local.update_planes(generate, propagate, targets, half)
        span *= 2
    return generate
