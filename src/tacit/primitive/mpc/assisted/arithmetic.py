"""Opening under a mask, products, truncation: the arithmetic of `Assisted`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from tacit.primitive.driver import Deferred, gather
from tacit.primitive.mpc.assisted.context import Context, Deal
from tacit.primitive.mpc.assisted.share import Additive, Mask, Opened
from tacit.primitive.mpc.form import Elementwise
from tacit.primitive.mpc.kernel import Bilinear, Ring, Separable, Shape

PIECE = 1 << 15
"""Elements that are truncated at a time."""
ELEMENTWISE = Elementwise()


async def open_masked(
    ctx: Context,
    xs: Sequence[Additive],
    bits: Sequence[Ring] = (),
    deal: Deal | None = None,
    fill: Callable[[Deal], None] | None = None,
) -> list[Ring]:
    """Open every x that is not open yet as X = x + r, in one exchange with the peer, along with packed `bits`.

    Computes: x.opened for each x; returns the XOR of both parties' `bits` (flat words; the masks at the helper). `deal` is
        a correlation that the helper makes of the masks by `fill`, and that travels in the same exchange.
    Reveals: nothing; each X is uniform, because r is fresh.
    Costs: 1 round, 8 bytes per element each way; none for values that are open already, if there are no `bits` either.
    """
    roots = [x.base[0] if x.base is not None and x.opened is None else x for x in xs]
    for root in roots:
        if root.opened is None and root.opening is not None:
            await root.opening
    todo: list[Additive] = []
    for root in roots:
        if root.opened is None and root.opening is None:
            root.opening = Deferred()
            todo.append(root)
    if not (todo or bits or deal is not None):
        _shift(ctx, xs)
        return []
    masks = [ctx.mask(x.shape) for x in todo]
    local = ctx.local
    if ctx.helper:
        if deal is not None:
            assert fill is not None
            _set_masks(ctx, xs, todo, masks)
            fill(deal)
            for x in (*todo, *[x for x in xs if x.base is not None and x.base[0] in todo]):
                x.opened = None  # it is open when the compute parties have it: the schedules must agree
        await ctx.give(deal, silent=not (todo or bits))
        _set_masks(ctx, xs, todo, masks)
        _publish(ctx, todo)
        return list(bits)
    own = [local.add(x.share(ctx.leader, local), mask) for x, mask in zip(todo, masks, strict=True)]
    theirs = await ctx.swap([*map(local.flat, own), *bits], deal)
    for x, mine, other, mask in zip(todo, own, theirs, masks, strict=False):
        x.opened = Opened(local.add(mine, other.reshape(mine.shape)), Mask(mask))
    _shift(ctx, xs)
    _publish(ctx, todo)
    return [local.xor(mine, other) for mine, other in zip(bits, theirs[len(own) :], strict=True)]


def _set_masks(ctx: Context, xs: Sequence[Additive], todo: Sequence[Additive], masks: Sequence[Ring]) -> None:
    """The helper's side of an opening."""
    for x, mask in zip(todo, masks, strict=True):
        x.opened = Opened(None, Mask(mask))
    _shift(ctx, xs)


def _shift(ctx: Context, xs: Sequence[Additive]) -> None:
    """Derive the opening of y + c from that of y: the same mask, and all that was dealt for it."""
    for x in xs:
        if x.opened is None and x.base is not None:
            root, shift = x.base
            opened = root.opened
            assert opened is not None
            value = opened.value
            x.opened = Opened(None if value is None else ctx.local.add(value, shift), opened.mask)


def _publish(ctx: Context, xs: Sequence[Additive]) -> None:
    """Let whoever waits for these openings go on."""
    for x in xs:
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
            correction = form.apply(local, masked(x), masked(y))
            local.sub_into(local.flat(correction), deal.leader, deal.own)
            await ctx.give(deal, silent=True)
            return Additive(shape)
        await ctx.swap([], deal)
        return Additive(
            shape, local.masked_product(form, x.opened, y.opened, deal.own.reshape(shape), leader=ctx.leader)
        )
    if type(form) is Elementwise and x.shape == y.shape:
        return await _truncated(ctx, shape, truncate, _elementwise(ctx, x, y))
    mask = ctx.mask(shape)
    if ctx.helper:
        whole = local.flat(local.sub(mask, form.apply(local, masked(x), masked(y))))
    else:
        whole = local.flat(local.masked_product(form, x.opened, y.opened, mask, leader=ctx.leader))
    return await _truncated(ctx, shape, truncate, lambda begin, end: whole[begin:end])


def _elementwise(ctx: Context, x: Additive, y: Additive) -> Callable[[int, int], Ring]:
    """Pieces of the masked product, each computed while the ones before it travel."""
    local = ctx.local
    assert x.opened is not None
    assert y.opened is not None
    X, Y = (_flat(local, opened) for opened in (x.opened, y.opened))

    def piece(begin: int, end: int) -> Ring:
        mask = ctx.mask(end - begin)
        left, right = _slice(X, begin, end), _slice(Y, begin, end)
        if ctx.helper:
            assert left.mask.value is not None
            assert right.mask.value is not None
            return local.sub(mask, local.mul(left.mask.value, right.mask.value))
        return local.masked_product(ELEMENTWISE, left, right, mask, leader=ctx.leader)

    return piece


async def truncate(ctx: Context, x: Additive, bits: int) -> Additive:
    """x / 2**bits.

    Computes: opens C = x + 2**62 + s; with u = s >> bits and m = msb(s) * 2**(64 - bits) dealt,
        y = (C >> bits) - 2**(62 - bits) - u + (msb(C) ? 0 : m). The wrap C < s happens iff msb(s) and not msb(C), because
        0 <= x + 2**62 < 2**63; so there is no catastrophic case.
    Functionality: draw s uniform in [0, 2**bits) and let c = (x + s) mod 2**bits; hand c to the compute parties (the low
        part of C) and s to the helper (the low part of its mask); return shares of floor(x / 2**bits) + [c < s]. So the
        rounding is stochastic, unbiased, and correlated with a uniform value that each party sees; whoever needs a result
        that depends on x alone takes the exact truncation.
    Reveals: nothing. Costs: 1 round, 8 bytes per element and party, 16 bytes per element from helper to follower.
    Error: 0 or +1 ulp. Domain: |x| < 2**62. Source: eprint 2019/131 and 2020/338.
    """
    local = ctx.local
    if ctx.helper:
        return await _truncated(ctx, x.shape, bits, lambda begin, end: ctx.mask(end - begin))
    share = local.flat(x.share(ctx.leader, local))
    return await _truncated(ctx, x.shape, bits, lambda begin, end: local.add(share[begin:end], ctx.mask(end - begin)))


async def _truncated(ctx: Context, shape: Shape, bits: int, masked_share: Callable[[int, int], Ring]) -> Additive:
    """Truncate the value of which masked_share(begin, end) is a compute party's share of C, or the helper's mask.

    Large values go in pieces: they stay in the cache, and one travels while the next is computed.
    """
    size = prod(shape)
    out = None if ctx.helper else ctx.local.empty(size)
    await gather(
        *[
            _truncated_piece(ctx, bits, masked_share, out, begin, min(begin + PIECE, size))
            for begin in range(0, size, PIECE)
        ]
    )
    return Additive(shape, None if out is None else out.reshape(shape))


async def _truncated_piece(
    ctx: Context, bits: int, masked_share: Callable[[int, int], Ring], out: Ring | None, begin: int, end: int
) -> None:
    local = ctx.local
    flat = masked_share(begin, end)
    size = end - begin
    deal = ctx.deal(2 * size)
    u, m = deal.own[:size], deal.own[size:]
    if out is None:
        local.truncate_deal(flat, deal.leader[:size], deal.leader[size:], bits, u, m)
        await ctx.give(deal)
        return
    own = local.offset(flat) if ctx.leader else flat
    (theirs,) = await ctx.swap([own], deal)
    local.truncate_close(own, theirs, u, m, bits, out[begin:end], leader=ctx.leader)


def _flat(local: Any, opened: Opened) -> Opened:
    value, mask = opened.value, opened.mask.value
    return Opened(None if value is None else local.flat(value), Mask(None if mask is None else local.flat(mask)))


def _slice(opened: Opened, begin: int, end: int) -> Opened:
    value, mask = opened.value, opened.mask.value
    return Opened(None if value is None else value[begin:end], Mask(None if mask is None else mask[begin:end]))


async def separable(ctx: Context, x: Additive, function: Separable) -> Additive:
    """function(x), for f(X - r) = sum_j left_j(X) * right_j(r): the helper deals shares of right(r).

    Reveals: nothing. Costs: the opening of x if it is not open, then 1 round, 8 bytes per element and party;
        8 * terms + 16 bytes per element from helper to follower.
    Error: the function's own, and 0 or +1 ulp of the truncation.
    """
    size = prod(x.shape)
    terms = function.terms
    local = ctx.local
    deal = ctx.deal(terms * size)

    def fill(deal: Deal) -> None:
        factors = local.linear(function.right, local.flat(masked(x)))
        local.sub_into(local.flat(factors), deal.leader, deal.own)

    await open_masked(ctx, [x], (), deal, fill)
    if ctx.helper:
        return await truncate(ctx, Additive(x.shape), function.scale)
    assert x.opened is not None
    assert x.opened.value is not None
    left = local.linear(function.left, local.flat(x.opened.value))
    share = local.dot_terms(left, deal.own.reshape(terms, size))
    return await truncate(ctx, Additive(x.shape, share.reshape(x.shape)), function.scale)


def masked(x: Additive) -> Ring:
    """The mask of an opened value, at the helper."""
    assert x.opened is not None
    value = x.opened.mask.value
    assert value is not None
    return value
