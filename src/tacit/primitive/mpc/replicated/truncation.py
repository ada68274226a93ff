"""Division by a power of two: fused with the product it follows, and never wrong by more than a unit.

It starts from additive shares z = z_left + z_right + z_dealer that carry a fresh sharing of zero, which a product makes
before anything is sent. Let s = -z_dealer. Then C = z + 2**62 + s = z_left + z_right + 2**62: left and right open it by
sending each other their share, and the dealer, without any message, knows the mask s of it. With 0 <= z + 2**62 < 2**63,

    floor(z / 2**f) + {0, 1} = (C >> f) - 2**(62 - f) - (s >> f) + [C wrapped] * 2**(64 - f),

and C wrapped iff the top bit of s is 1 and that of C is 0. The dealer deals u = s >> f and the top bit e of s. The
first two terms are known to left and right, which makes them component M of the result; left and the dealer know left's share
of u, which makes it component A, and right's share is component B. Only the wrap needs another exchange: left
and right know when to count e and hold shares of it, modulo 2**f, since nothing higher survives the factor 2**(64 - f).

What each party sees. Left: z_right, which hides behind the key of right and dealer; then right's share of the
wrap, behind a fresh mask of that key. Right: z_left and left's share of the wrap, likewise behind keys of left and dealer,
and its shares of u and e, behind left's. The dealer: nothing. All of it is uniform and independent of z, so a
simulator draws it at random.

Functionality: draw s uniform modulo 2**f, give it to the dealer and c = (z + s) mod 2**f to left and right; return shares of
floor(z / 2**f) + [c < s]. So the rounding is random, up with the probability of the fraction that is cut off, and each
party knows something that correlates with it. Whoever needs a result that depends on z alone takes the exact floor.
"""

from __future__ import annotations

from tacit.foundation.errors import DomainError
from tacit.primitive.mpc.kernel import VALUE_BITS, Ring
from tacit.primitive.mpc.replicated import compare
from tacit.primitive.mpc.replicated.context import Context, Seat
from tacit.primitive.mpc.replicated.convert import lift_shared, replicate
from tacit.primitive.mpc.replicated.share import RingShare


async def truncate(ctx: Context, x: RingShare, bits: int, *, exact: bool) -> RingShare:
    """x / 2**bits.

    Computes: x_i plus a sharing of zero are additive shares of x; then `close`.
    Reveals: nothing. Costs and Error: those of `close`; none for bits = 0.
    """
    check(bits)
    if not bits:
        return x
    return await close(ctx, ctx.local.add(x.own, ctx.zero(x.shape)), bits, exact=exact)


async def close(ctx: Context, z: Ring, bits: int, *, exact: bool) -> RingShare:
    """z / 2**bits from additive shares z that carry a fresh sharing of zero.

    Reveals: nothing. Source: eprint 2019/131, 2020/338 (masks and their top bits); the dealer's own share as mask is ours.
    Costs: 2 rounds; 8 + w bytes per element and party, w = 2, 4 or 8 for up to 16, 32 or 62 bits. With `exact` see `_floor`.
    Error: 0 or +1 unit, 0 with `exact`. Domain: |z| < 2**62.
    """
    flat = ctx.local.flat(z)
    result = await (_floor if exact else _round)(ctx, ctx.seat(flat.size), flat, bits)
    return RingShare(result.own.reshape(z.shape), result.next.reshape(z.shape))


async def _round(ctx: Context, seat: Seat, z: Ring, bits: int) -> RingShare:
    """floor(z / 2**bits) + {0, 1}, as the module says."""
    local, size = ctx.local, z.size
    stream = ctx.stream()
    if seat.dealer:
        u, e, r = local.left_words(ctx.next_prg, stream, size, bits)
        u_right, e_right = local.split_mask(z, u, e, bits)
        b = local.outer_component(u_right, local.right_words(ctx.own_prg, stream, size, bits), bits)
        await ctx.swap(seat, [], [u_right, e_right])
        await ctx.swap(seat, [])
        return RingShare(b, local.outer_component(u, r, bits))
    if seat.left:
        u, e, r = local.left_words(ctx.own_prg, stream, size, bits)
        (theirs,) = await ctx.swap(seat, [z := local.offset(z)])
    else:
        r = local.right_words(ctx.next_prg, stream, size, bits)
        u, e = local.empty(size), local.narrow_empty(size, bits)
        (theirs,) = await ctx.swap(seat, [z], [u, e])
    base, wrap = local.open_truncation(z, theirs, e, r, bits)
    (theirs,) = await ctx.swap(seat, [wrap])
    outer = local.outer_component(u, r, bits)
    return RingShare(*seat.held(outer, outer, local.close_truncation(base, wrap, theirs, bits)))


async def _floor(ctx: Context, seat: Seat, z: Ring, bits: int) -> RingShare:
    """floor(z / 2**bits).

    Computes: as `_round`, less the carry [C mod 2**bits < s mod 2**bits], compared as in `compare.py` and lifted.
    Reveals: nothing; the result depends on z alone.
    Costs: 3 rounds and one for each level of the comparison (5 rounds for 18 bits); 16 bytes per element from left and from right
        and 24 from the dealer, and the bits of the comparison.
    Error: none. Domain: |z| < 2**62. Source: eprint 2020/338.
    """
    local, size = ctx.local, z.size
    deal = ctx.deal(seat, 2 * size)
    known = local.neg(z) if seat.dealer else None
    digits = compare.deal(ctx, seat, known, bits, size)
    part = None
    if known is not None:
        first, second = deal.first, deal.second
        local.truncate_deal(known, first[:size], first[size:], bits, second[:size], second[size:])
        await ctx.swap(seat, [], [second, digits.deal.second])
        await compare.less_than_mask(ctx, seat, None, digits)
        await lift_shared(ctx, seat, None, size)
    else:
        own = local.offset(z) if seat.left else z
        (theirs,) = await ctx.swap(seat, [own], [deal.second, digits.deal.second])
        opened = local.to_planes(local.add(own, theirs), bits)
        carry = await lift_shared(ctx, seat, await compare.less_than_mask(ctx, seat, opened, digits), size)
        assert carry is not None
        dealt, rounded = deal.first if seat.left else deal.second, local.empty(size)
        local.truncate_close(own, theirs, dealt[:size], dealt[size:], bits, rounded, leader=seat.left)
        part = local.sub(rounded, carry)
    return await replicate(ctx, seat, part, (size,))


def check(bits: int) -> None:
    """Refuse a number of bits that no truncation can cut."""
    if not 0 <= bits <= VALUE_BITS:
        raise DomainError(f"a truncation cuts 0 to {VALUE_BITS} bits, not {bits}")
