"""Products on replicated shares."""

from __future__ import annotations

from math import prod

from tacit.primitive.mpc.kernel import Bilinear, Ring, Separable
from tacit.primitive.mpc.replicated import truncation
from tacit.primitive.mpc.replicated.context import Context
from tacit.primitive.mpc.replicated.share import RingShare


async def product(ctx: Context, form: Bilinear, x: RingShare, y: RingShare, bits: int, *, exact: bool) -> RingShare:
    """form(x, y) / 2**bits.

    Computes: z_i = zero_i + B(x_i, y_i) + B(x_i, y_(i+1)) + B(x_(i+1), y_i) at party i, two local products; the z_i sum to B(x, y).
        Without truncation party i sends z_i to the party before it; else they enter `truncation.close` as they are.
    Reveals: nothing: the sharing of zero makes every z_i uniform to whoever receives it.
    Costs: 1 round, 8 bytes per result and party; with truncation 2 rounds, see `truncation.close`. Independent of the operands'
        sizes.
    Error: none; with truncation 0 or +1 unit, 0 with `exact`. Source: eprint 2016/768; bilinear maps, eprint 2018/403.
    """
    truncation.check(bits)
    z = ctx.local.cross(form, x, y, ctx.zero(form.shape(x.shape, y.shape)))
    return await _closed(ctx, z, bits, exact=exact)


async def _closed(ctx: Context, z: Ring, bits: int, *, exact: bool) -> RingShare:
    """z / 2**bits from additive shares that carry a sharing of zero."""
    if not bits:
        return RingShare(z, await ctx.around(z))
    return await truncation.close(ctx, z, bits, exact=exact)


async def separable(ctx: Context, x: RingShare, function: Separable, *, exact: bool) -> RingShare:
    """function(x), for f(u - v) = 2**-scale * sum_j left_j(u) * right_j(v).

    Computes: u = M is known to left and right, v = -(A + B) to the dealer, who deals shares of right(v). The sum of products
        with left(u) is local at left and right, and is truncated under a sharing of zero.
    Reveals: nothing. Costs: 1 round, 8 * terms bytes per element from the dealer to right; then those of `truncation.close`.
    Error: the function's own, and 0 or +1 unit of the truncation.
    """
    local, size = ctx.local, prod(x.shape)
    seat = ctx.seat(size)
    deal = ctx.deal(seat, function.terms * size)
    z = ctx.zero(x.shape)
    if seat.dealer:
        known = local.flat(local.neg(local.add(x.own, x.next)))
        local.separable_deal(function, known, deal.first, deal.second)
        await ctx.swap(seat, [], [deal.second])
    else:
        await ctx.swap(seat, [], [deal.second])
        dealt = deal.first if seat.left else deal.second
        share = local.separable_close(function, local.flat(seat.middle(x)), dealt)
        z = local.add(z, share.reshape(x.shape))
    return await _closed(ctx, z, function.scale, exact=exact)
