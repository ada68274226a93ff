"""Opening under a mask, products, truncation: the arithmetic of `Assisted`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tacit.primitive.driver import Deferred
from tacit.primitive.mpc.assisted.context import Context, Deal
from tacit.primitive.mpc.assisted.share import Additive, Mask, Opened
from tacit.primitive.mpc.kernel import Bilinear, Ring, Separable, Shape


async def open_masked(ctx: Context, xs: Sequence[Additive], bits: Sequence[Ring] = (), deal: Deal | None = None) -> list[Ring]:
    """Open every x that is not open yet as X = x + r, in one exchange with the peer, along with packed `bits`.

    Computes: x.opened for each x; returns the XOR of both parties' `bits` (flat words).
    Reveals: nothing; each X is uniform, because r is fresh.
    Costs: 1 round, 8 bytes per element each way (none for values that are open already). The helper sends `deal`.
    """
    pending = [x.opening for x in xs if x.opened is None and x.opening is not None]
    todo: list[Additive] = []
    for x in xs:
        if x.opened is None and x.opening is None:
            x.opening = Deferred()
            todo.append(x)
    masks = [ctx.mask(x.shape) for x in todo]
    if ctx.helper:
        if todo or bits or deal is not None:
            await ctx.give(deal, silent=not (todo or bits))
        _publish(ctx, todo, [None] * len(todo), masks)
        opened_bits = list(bits)
    else:
        local = ctx.local
        own = [local.add(x.share(ctx.leader, local), mask) for x, mask in zip(todo, masks, strict=True)]
        theirs: list[Ring] = []
        if own or bits or deal is not None:
            theirs = await ctx.swap([*map(local.flat, own), *bits], deal)
        values = [local.add(mine, other.reshape(mine.shape)) for mine, other in zip(own, theirs, strict=False)]
        _publish(ctx, todo, values, masks)
        opened_bits = [local.xor(mine, other) for mine, other in zip(bits, theirs[len(own) :], strict=True)]
    for opening in pending:
        await opening
    return opened_bits


def _publish(ctx: Context, xs: Sequence[Additive], values: Sequence[Ring | None], masks: Sequence[Ring]) -> None:
    for x, value, mask in zip(xs, values, masks, strict=True):
        x.opened = Opened(value, Mask(mask))
        opening, x.opening = x.opening, None
        assert opening is not None
        ctx.driver.resolve(opening, None)


async def product(ctx: Context, form: Bilinear, x: Additive, y: Additive, truncate: int) -> Additive:
    """form(x, y) / 2**truncate.

    Computes: with X = x + r and Y = y + s open, B(x, y) = B(X, Y) - B(X, s) - B(r, Y) + B(r, s). Truncation opens the
        product under t = t_0 + t_1 - B(r, s), which is uniform, so that nothing is dealt for the product itself.
    Reveals: nothing. Source: eprint 2020/1225; truncation as in `truncate`.
    Costs: the openings of x and y if they are not open; then with truncation 1 round, 8 bytes per result and party,
        16 bytes per result from helper to follower; without it no round, 8 bytes per result from the helper.
    Error: 0 or +1 ulp with truncation, else exact.
    """
    shape = form.shape(x.shape, y.shape)
    await open_masked(ctx, [x] if x is y else [x, y])
    assert x.opened is not None
    assert y.opened is not None
    local, size = ctx.local, prod(shape)
    if not truncate:
        deal = ctx.deal(size)
        if ctx.helper:
            correction = form.apply(local, _known(x), _known(y))
            local.sub_into(local.flat(correction), deal.leader, deal.own)
            await ctx.give(deal, silent=True)
            return Additive(shape)
        await ctx.swap([], deal)
        return Additive(shape, local.masked_product(form, x.opened, y.opened, deal.own.reshape(shape), leader=ctx.leader))
    mask = ctx.mask(shape)
    if ctx.helper:
        total = local.sub(mask, form.apply(local, _known(x), _known(y)))
        return await _deal_truncation(ctx, total, truncate)
    share = local.masked_product(form, x.opened, y.opened, mask, leader=ctx.leader)
    return await _close_truncation(ctx, share, shape, truncate)


async def truncate(ctx: Context, x: Additive, bits: int) -> Additive:
    """x / 2**bits.

    Computes: opens C = x + 2**62 + s; with u = s >> bits and m = msb(s) * 2**(64 - bits) dealt,
        y = (C >> bits) - 2**(62 - bits) - u + (msb(C) ? 0 : m). The wrap C < s happens iff msb(s) and not msb(C), because
        0 <= x + 2**62 < 2**63; so there is no catastrophic case.
    Functionality: draw c uniform in [0, 2**bits), hand it to the compute parties (it is C's low part), return shares of
        floor(x / 2**bits) + [c < x mod 2**bits]. So the rounding is stochastic, and correlated with a value the compute
        parties see; whoever needs a result that depends on x alone takes the exact truncation.
    Reveals: nothing. Costs: 1 round, 8 bytes per element and party, 16 bytes per element from helper to follower.
    Error: 0 or +1 ulp. Domain: |x| < 2**62. Source: eprint 2019/131 and 2020/338.
    """
    mask = ctx.mask(x.shape)
    if ctx.helper:
        return await _deal_truncation(ctx, mask, bits)
    return await _close_truncation(ctx, ctx.local.add(x.share(ctx.leader, ctx.local), mask), x.shape, bits)


async def _deal_truncation(ctx: Context, total: Ring, bits: int) -> Additive:
    size = total.size
    deal = ctx.deal(2 * size)
    ctx.local.truncate_deal(
        ctx.local.flat(total), deal.leader[:size], deal.leader[size:], bits, deal.own[:size], deal.own[size:]
    )
    await ctx.give(deal)
    return Additive(total.shape)


async def _close_truncation(ctx: Context, share: Ring, shape: Shape, bits: int) -> Additive:
    local = ctx.local
    flat = local.flat(share)
    size = flat.size
    deal = ctx.deal(2 * size)
    own = local.offset(flat) if ctx.leader else flat
    (theirs,) = await ctx.swap([own], deal)
    result = local.truncate_close(own, theirs, deal.own[:size], deal.own[size:], bits, leader=ctx.leader)
    return Additive(shape, result.reshape(shape))


async def separable(ctx: Context, x: Additive, function: Separable) -> Additive:
    """function(x), for f(X - r) = sum_j left_j(X) * right_j(r): the helper deals shares of right(r).

    Reveals: nothing. Costs: the opening of x if it is not open, then 1 round, 8 bytes per element and party;
        8 * terms + 16 bytes per element from helper to follower.
    Error: the function's own, and 0 or +1 ulp of the truncation.
    """
    size = prod(x.shape)
    terms = function.terms
    await open_masked(ctx, [x])
    assert x.opened is not None
    local = ctx.local
    deal = ctx.deal(terms * size)
    if ctx.helper:
        factors = local.linear(function.right, local.flat(_known(x)))
        local.sub_into(local.flat(factors), deal.leader, deal.own)
        await ctx.give(deal, silent=True)
        return await truncate(ctx, Additive(x.shape), function.scale)
    assert x.opened.value is not None
    await ctx.swap([], deal)
    left = local.linear(function.left, local.flat(x.opened.value))
    share = local.dot_terms(left, deal.own.reshape(terms, size))
    return await truncate(ctx, Additive(x.shape, share.reshape(x.shape)), function.scale)


def _known(x: Additive) -> Ring:
    """The mask of an opened value, at the helper."""
    assert x.opened is not None
    value = x.opened.mask.value
    assert value is not None
    return value
