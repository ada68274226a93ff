"""Comparison of what left and right know with what the dealer knows: the sign of a shared number, and carries.

x = X - r with X = M and r = -(A + B), so a replicated value is a visible one and a mask from the start. x is negative iff

    X_63 xor r_63 xor [X mod 2**63 < r mod 2**63].

The comparison runs on digits of four bits. For each digit the dealer deals boolean shares of the indicators [digit of r = j]
to left and right, so "less" and "equal" of a digit are XORs of dealt shares selected by the public X: no round. Two levels of a
4-ary prefix tree then combine 16 digits into one bit; a level opens masked bits to left and right and multiplies up to
four of them locally, because the dealer also deals all products of their masks (ABY2.0). The same kernels serve `Assisted`;
here nothing has to be opened first, and one message carries everything that is dealt.

What each party sees. Left: right's masked bits, behind masks of the key of right and dealer. Right: left's, behind
the key of left and dealer, and dealt shares, behind left's shares of the same key. The dealer: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tacit.primitive.local import words_for
from tacit.primitive.mpc.kernel import Ring
from tacit.primitive.mpc.replicated.context import Context, Deal, Seat
from tacit.primitive.mpc.replicated.convert import replicate_bits
from tacit.primitive.mpc.replicated.share import BitShare, RingShare

SIGN = 63


@dataclass(slots=True)
class Digits:
    """What is dealt for one comparison with r: indicators of its digits, the bit above them, products of opening masks.

    `masks` are the opening masks of all tree levels: this party's share, both XORed at the dealer.
    """

    deal: Deal
    masks: Ring
    indicators: int
    levels: list[tuple[int, int, int]]

    def top(self, seat: Seat, words: int) -> Ring:
        """This party's share of the bit of r above those compared."""
        return self.rows(seat, words)[self.indicators - 1]

    def rows(self, seat: Seat, words: int) -> Ring:
        """This party's shares of all that was dealt, as planes."""
        count = self.indicators + sum(level[1] for level in self.levels)
        return (self.deal.first if seat.left else self.deal.second).reshape(count, words)


async def negative(ctx: Context, x: RingShare) -> BitShare:
    """[x < 0].

    Reveals: nothing. Domain: |x| < 2**62. Error: none.
    Costs: 4 rounds; 34 bits per element from left and from right, 329 bits per element from the dealer to right.
    Source: eprint 2020/1225 (multi-input AND, masked values); digit indicators are ours.
    """
    local, size = ctx.local, prod(x.shape)
    seat = ctx.seat(size)
    words = words_for(size)
    known = local.flat(local.neg(local.add(x.own, x.next))) if seat.dealer else None
    digits = deal(ctx, seat, known, SIGN, size)
    await ctx.swap(seat, [], [digits.deal.second])
    if seat.dealer:
        await less_than_mask(ctx, seat, None, digits)
        return await replicate_bits(ctx, seat, None, x.shape)
    visible = local.to_planes(local.flat(seat.middle(x)), SIGN + 1)
    less = await less_than_mask(ctx, seat, visible[:SIGN], digits)
    assert less is not None
    bit = local.xor(less, digits.top(seat, words))
    return await replicate_bits(ctx, seat, local.xor(bit, visible[SIGN]) if seat.left else bit, x.shape)


def deal(ctx: Context, seat: Seat, known: Ring | None, bits: int, size: int) -> Digits:
    """Deal what comparing the low `bits` bits of r with a visible value takes; `known` is r (flat) at the dealer, else None.

    Local: the caller sends `deal.second` from the dealer to right before `less_than_mask`.
    """
    local, words = ctx.local, words_for(size)
    levels = []
    pairs = (bits + 3) // 4
    while pairs > 1:
        levels.append(local.tree_plan(pairs))
        pairs = levels[-1][2]
    indicators = local.digit_planes(bits) + 1
    dealt = ctx.deal_bits(seat, (indicators + sum(level[1] for level in levels)) * words)
    a, b = ctx.fresh(seat, (sum(level[0] for level in levels), words))
    if known is None:
        return Digits(dealt, a, indicators, levels)
    masks = local.xor(a, b)
    local.deal_digits(local.to_planes(known, bits + 1), dealt.second[: indicators * words])
    opened, at, pairs = 0, indicators * words, (bits + 3) // 4
    for count, products, left in levels:
        local.tree_deal(masks[opened : opened + count], pairs, dealt.second[at : at + products * words])
        opened, at, pairs = opened + count, at + products * words, left
    return Digits(dealt, masks, indicators, levels)


async def less_than_mask(ctx: Context, seat: Seat, visible: Ring | None, digits: Digits) -> Ring | None:
    """[C mod 2**bits < r mod 2**bits] as packed shares between left and right; None at the dealer.

    `visible` are the planes of C at left and right. Costs: a round for each level of the tree.
    """
    if seat.dealer:
        for _ in digits.levels:
            await ctx.swap(seat, [])
        return None
    assert visible is not None
    local = ctx.local
    words = visible.shape[1]
    rows = digits.rows(seat, words)
    less, equal = local.digits_close(visible, rows[: digits.indicators - 1], leader=seat.left)
    opened, at = 0, digits.indicators
    for count, products, _ in digits.levels:
        masks = digits.masks[opened : opened + count]
        own = local.tree_open(less, equal, masks)
        (theirs,) = await ctx.swap(seat, [local.flat(own)])
        total = local.xor(own, theirs.reshape(own.shape))
        less, equal = local.tree_close(total, masks, rows[at : at + products], less, equal, leader=seat.left)
        opened, at = opened + count, at + products
    return less[0]
