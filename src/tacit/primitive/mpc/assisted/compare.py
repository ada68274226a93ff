"""The sign of a shared number, in `Assisted`: three rounds, 12.1 bytes per element and party.

With X = x + r open and r's bits known to the helper, x = X - r is negative iff
    X_63 xor r_63 xor [X mod 2**63 < r mod 2**63].
The comparison runs on digits of four bits. For each digit the helper deals boolean shares of the indicators [digit of r = j],
so "less" and "equal" of a digit are XORs of dealt shares selected by the public X: no round. Two levels of a 4-ary prefix
tree then combine 16 digits into one bit; a level opens masked bits and multiplies up to four of them locally, because the
helper also deals all products of their masks (ABY2.0). Everything is bit-sliced: 64 elements to a word.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tacit.primitive.driver import Deferred
from tacit.primitive.local import words_for
from tacit.primitive.mpc.assisted.arithmetic import masked, open_masked
from tacit.primitive.mpc.assisted.boolean import lift
from tacit.primitive.mpc.assisted.context import Context, Deal
from tacit.primitive.mpc.assisted.share import Additive, Digits, Mask, Opened, Packed
from tacit.primitive.mpc.kernel import Ring

SIGN = 63
OFFSET = np.uint64(1 << 62)


async def negative(ctx: Context, x: Additive) -> Packed:
    """[x < 0].

    Reveals: nothing. Domain: |x| < 2**62. Error: none.
    Costs: the opening of x if it is not open (1 round, 8 bytes), 2 rounds, 33 bits per element and party; 233 bits (once
        per mask) and 96 bits per element from helper to follower.
    Source: eprint 2020/1225 (multi-input AND), digit indicators ours; tested exhaustively at the digit boundaries.
    """
    local, size = ctx.local, prod(x.shape)
    digits = await _sign_digits(ctx, x, size)
    opened = x.opened
    assert opened is not None
    if ctx.helper:
        await less_than_mask(ctx, None, digits, SIGN, size)
        return Packed(x.shape, None)
    if opened.planes is None:
        assert opened.value is not None
        opened.planes = local.to_planes(local.flat(opened.value), SIGN + 1)
    less = await less_than_mask(ctx, opened.planes[:SIGN], digits, SIGN, size)
    assert less is not None
    assert digits.planes is not None
    bit = local.xor(less, digits.planes[-1])
    return Packed(x.shape, local.xor(bit, opened.planes[SIGN]) if ctx.leader else bit)


async def _sign_digits(ctx: Context, x: Additive, size: int) -> Digits:
    """Open x, and have the digits of its mask dealt: once, also when several comparisons ask at the same time."""
    root = x.base[0] if x.base is not None and x.opened is None else x
    if root.opened is None and root.opening is not None:
        await root.opening
    if root.opened is not None:
        await open_masked(ctx, [x])
        mask = root.opened.mask
        if mask.digits is None and mask.dealing is not None:
            await mask.dealing
        if mask.digits is not None:
            return mask.digits
        mask.dealing = Deferred()
        mask.digits = await _deal_digits(ctx, x, SIGN, size)
        ctx.driver.resolve(mask.dealing, None)
        return mask.digits
    digits = await _deal_digits(ctx, x, SIGN, size)
    assert x.opened is not None
    x.opened.mask.digits = digits
    return digits


async def truncate_exactly(ctx: Context, x: Additive, bits: int) -> Additive:
    """floor(x / 2**bits).

    Computes: as `arithmetic.truncate` on C = x + 2**62 + r, less the carry [C mod 2**bits < r mod 2**bits], which is
        compared as in `negative` and lifted.
    Reveals: nothing; unlike the stochastic rounding, the result depends on x alone.
    Costs: 2 + ceil(log4(bits / 4)) rounds with the opening; 8 bytes and about half a bit per compared bit per element and party.
    Error: none. Domain: |x| < 2**62. Source: eprint 2020/338.
    """
    local, size = ctx.local, prod(x.shape)
    shifted = Additive(x.shape)
    offset = local.constant(OFFSET, x.shape)
    if x.opened is not None:
        mask = x.opened.mask
        if mask.value is None:
            mask = Mask(local.zeros(*x.shape))
        value = None if x.opened.value is None else local.add(x.opened.value, offset)
        shifted.opened = Opened(value, mask)
    elif not ctx.helper:
        own = x.share(ctx.leader, local)
        shifted = Additive(x.shape, local.add(own, offset) if ctx.leader else own)
    digits = await _deal_digits(ctx, shifted, bits, size)
    opened = shifted.opened
    assert opened is not None
    deal = ctx.deal(2 * size)
    if ctx.helper:
        known = local.flat(masked(shifted))
        leader, own = deal.leader, deal.own
        local.truncate_deal(known, leader[:size], leader[size:], bits, own[:size], own[size:])
        await ctx.give(deal, silent=True)
        await less_than_mask(ctx, None, digits, bits, size)
        await lift(ctx, Packed(x.shape, None))
        return Additive(x.shape)
    await ctx.swap([], deal)
    assert opened.value is not None
    public = local.flat(opened.value)
    less = await less_than_mask(ctx, local.to_planes(public, bits), digits, bits, size)
    carry = await lift(ctx, Packed(x.shape, less))
    zero = local.zeros(size)
    floor = local.empty(size)
    local.truncate_close(public, zero, deal.own[:size], deal.own[size:], bits, floor, leader=ctx.leader)
    return Additive(x.shape, local.sub(floor.reshape(x.shape), carry.share(ctx.leader, local)))


async def _deal_digits(ctx: Context, x: Additive, bits: int, size: int) -> Digits:
    """Open x if it is not, and deal shares of the digit indicators of its mask's low `bits` bits and of the bit above."""
    local = ctx.local
    words = words_for(size)
    deal = ctx.deal_bits((local.digit_planes(bits) + 1) * words)

    def fill(deal: Deal) -> None:
        local.deal_digits(local.to_planes(local.flat(masked(x)), bits + 1), deal.own)

    await open_masked(ctx, [x], (), deal, fill)
    return Digits(None if ctx.helper else deal.own.reshape(local.digit_planes(bits) + 1, words))


async def less_than_mask(ctx: Context, public: Ring | None, digits: Digits, bits: int, size: int) -> Ring | None:
    """Packed shares of [C mod 2**bits < r mod 2**bits] from the planes of C and the digits of r; None at the helper."""
    words = words_for(size)
    if ctx.helper:
        pairs = (bits + 3) // 4
        while pairs > 1:
            _, _, pairs = await _deal_level(ctx, pairs, words)
        return None
    assert digits.planes is not None
    assert public is not None
    less, equal = ctx.local.digits_close(public, digits.planes[:-1], leader=ctx.leader)
    while less.shape[0] > 1:
        less, equal = await _level(ctx, less, equal)
    return less[0]


async def _deal_level(ctx: Context, pairs: int, words: int) -> tuple[int, int, int]:
    """The helper's side of one tree level: products of the opening masks."""
    plan = ctx.local.tree_plan(pairs)
    opened, products, _ = plan
    masks = ctx.bit_mask((opened, words))
    deal = ctx.deal_bits(products * words)
    ctx.local.tree_deal(masks, pairs, deal.own)
    await ctx.give(deal)
    return plan


async def _level(ctx: Context, less: Ring, equal: Ring) -> tuple[Ring, Ring]:
    """A compute party's side of one tree level."""
    local = ctx.local
    opened, products, _ = local.tree_plan(less.shape[0])
    words = less.shape[1]
    masks = ctx.bit_mask((opened, words))
    deal = ctx.deal_bits(products * words)
    own = local.tree_open(less, equal, masks)
    (theirs,) = await ctx.swap([local.flat(own)], deal)
    total = local.xor(own, theirs.reshape(own.shape))
    return local.tree_close(total, masks, deal.own.reshape(products, words), less, equal, leader=ctx.leader)
