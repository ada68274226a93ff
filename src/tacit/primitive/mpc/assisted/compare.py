"""The sign of a shared number, in `Assisted`: three rounds, 12.1 bytes per element and party.

With X = x + r open and r's bits known to the helper, x = X - r is negative iff
    X_63 xor r_63 xor [X mod 2**63 < r mod 2**63].
The comparison runs on digits of four bits. For each digit the helper deals boolean shares of the indicators [digit of r = j],
so "less" and "equal" of a digit are XORs of dealt shares selected by the public X: no round. Two levels of a 4-ary prefix
tree then combine 16 digits into one bit; a level opens masked bits and multiplies up to four of them locally, because the
helper also deals all products of their masks (ABY2.0). Everything is bit-sliced: 64 elements to a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tacit.primitive.driver import Deferred
from tacit.primitive.local import narrow_words, words_for
from tacit.primitive.mpc.assisted.arithmetic import masked, open_masked
from tacit.primitive.mpc.assisted.boolean import lift
from tacit.primitive.mpc.assisted.context import Context, Deal
from tacit.primitive.mpc.assisted.share import Additive, Digits, Packed
from tacit.primitive.mpc.kernel import Ring

SIGN = 63


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


async def below(ctx: Context, x: Additive, thresholds: Sequence[int]) -> list[Packed]:
    """[x < t] for each public threshold.

    Computes: as `negative` does on X - t, with the digits of the one mask and all thresholds in the same tree, side by side.
    Reveals: nothing. Domain: |x - t| < 2**62. Error: none.
    Costs: the opening of x if it is not open (1 round, 8 bytes), 2 rounds; 233 bits per element (once per mask) from helper to
        follower, and for each threshold 33 bits per element and party and 96 from the helper.
    """
    local, size = ctx.local, prod(x.shape)
    digits = await _sign_digits(ctx, x, size)
    count, words = len(thresholds), words_for(size)
    if ctx.helper:
        await _deal_tree(ctx, (SIGN + 3) // 4, count * words)
        return [Packed(x.shape, None) for _ in thresholds]
    assert x.opened is not None
    assert x.opened.value is not None
    assert digits.planes is not None
    value, pairs, tops = local.flat(x.opened.value), [], []
    for threshold in thresholds:
        planes = local.to_planes(local.shift(value, -threshold), SIGN + 1)
        pairs.append(local.digits_close(planes[:SIGN], digits.planes[:-1], leader=ctx.leader))
        tops.append(local.xor(planes[SIGN], digits.planes[-1]) if ctx.leader else digits.planes[-1])
    less, equal = (local.join([pair[i] for pair in pairs], axis=1) for i in range(2))
    found = await _climb(ctx, less, equal)
    return [Packed(x.shape, local.xor(found[i * words : (i + 1) * words], top)) for i, top in enumerate(tops)]


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

    Computes: as `arithmetic.product` truncates, on C = x + 2**62 + r, less the carry [C mod 2**bits < r mod 2**bits], which is
        compared as in `negative` and lifted.
    Reveals: nothing; unlike the stochastic rounding, the result depends on x alone.
    Costs: 2 + ceil(log4(bits / 4)) rounds with the opening; 8 bytes and about half a bit per compared bit per element and party.
    Error: none. Domain: |x| < 2**62. Source: eprint 2020/338.
    """
    if not bits:
        return x
    local, size = ctx.local, prod(x.shape)
    digits = await _deal_digits(ctx, x, bits, size)
    opened = x.opened
    assert opened is not None
    deal = ctx.deal(size + narrow_words(size, bits))
    if ctx.helper:
        leader, own = deal.leader, deal.own
        local.masked_truncation_deal(local.flat(masked(x)), leader[:size], leader[size:], bits, own[:size], own[size:])
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
    local.masked_truncation_close(public, zero, deal.own[:size], deal.own[size:], bits, floor, leader=ctx.leader)
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
    if ctx.helper:
        await _deal_tree(ctx, (bits + 3) // 4, words_for(size))
        return None
    assert digits.planes is not None
    assert public is not None
    return await _climb(ctx, *ctx.local.digits_close(public, digits.planes[:-1], leader=ctx.leader))


async def _deal_tree(ctx: Context, pairs: int, words: int) -> None:
    """The helper's side of the tree: products of the masks that each level opens under."""
    local = ctx.local
    while pairs > 1:
        opened, products, left = local.tree_plan(pairs)
        masks, deal = ctx.blind(opened * words, products * words, bits=True, onto=True)
        local.tree_deal(masks.reshape(opened, words), pairs, deal.own)
        await ctx.give(deal)
        pairs = left


async def _climb(ctx: Context, less: Ring, equal: Ring) -> Ring:
    """A compute party's side of the tree: from digits [pairs, words] to one row of shared bits."""
    local, words = ctx.local, less.shape[1]
    while less.shape[0] > 1:
        opened, products, _ = local.tree_plan(less.shape[0])
        drawn, deal = ctx.blind(opened * words, products * words, bits=True, onto=True)
        masks = drawn.reshape(opened, words)
        own = local.tree_open(less, equal, masks)
        (theirs,) = await ctx.swap([local.flat(own)], deal)
        total = local.xor(own, theirs.reshape(own.shape))
        dealt = deal.own.reshape(products, words)
        less, equal = local.tree_close(total, masks, dealt, less, equal, leader=ctx.leader)
    return less[0]
