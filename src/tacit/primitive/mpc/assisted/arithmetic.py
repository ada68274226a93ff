"""Opening under a mask, products, truncation: the arithmetic of `Assisted`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from tacit.primitive.driver import Deferred, gather
from tacit.primitive.local import narrow_words
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
    if deal is None and not bits and all(x.opened is not None for x in xs):
        return []
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
    Functionality: with truncation, draw s uniform modulo 2**truncate; hand it to the helper (the low part of its mask) and
        c = (z + s) mod 2**truncate, z the product, to the compute parties (the low part of what they open); return shares of
        floor(z / 2**truncate) + [c < s].
    Reveals: nothing. Source: eprint 2020/1225; truncation eprint 2019/131 and 2020/338, see `_truncated`.
    Costs: the openings of x and y if they are not open; then with truncation 1 round, 8 bytes per result and party,
        8 + ceil(truncate / 8) bytes per result from helper to follower (11 at 18 bits); without it no round, 8 bytes per
        result from the helper.
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
    X, Y = x.opened, y.opened

    def whole(mask: Ring) -> Ring:
        if ctx.helper:
            return local.flat(local.sub(mask, form.apply(local, masked(x), masked(y))))
        return local.flat(local.masked_product(form, X, Y, mask, leader=ctx.leader))

    if size <= PIECE:
        return await _truncated(ctx, shape, truncate, lambda _begin, _end, mask: whole(mask.reshape(shape)))
    share = whole(ctx.mask(shape))
    return await _truncated(ctx, shape, truncate, lambda begin, end, _: share[begin:end], masks=False)


Piece = Callable[[int, int, Ring], Ring]
"""(begin, end, mask) to a compute party's summand of C for these elements, or at the helper to the mask s of C."""


def _elementwise(ctx: Context, x: Additive, y: Additive) -> Piece:
    """Pieces of the masked product, each computed while the ones before it travel."""
    local = ctx.local
    assert x.opened is not None
    assert y.opened is not None
    X, Y = (_flat(local, opened) for opened in (x.opened, y.opened))

    def piece(begin: int, end: int, mask: Ring) -> Ring:
        left, right = _slice(X, begin, end), _slice(Y, begin, end)
        if ctx.helper:
            assert left.mask.value is not None
            assert right.mask.value is not None
            return local.sub(mask, local.mul(left.mask.value, right.mask.value))
        return local.masked_product(ELEMENTWISE, left, right, mask, leader=ctx.leader)

    return piece


def _flat(local: Any, opened: Opened) -> Opened:
    value, mask = opened.value, opened.mask.value
    return Opened(None if value is None else local.flat(value), Mask(None if mask is None else local.flat(mask)))


def _slice(opened: Opened, begin: int, end: int) -> Opened:
    value, mask = opened.value, opened.mask.value
    return Opened(None if value is None else value[begin:end], Mask(None if mask is None else mask[begin:end]))


async def _truncated(ctx: Context, shape: Shape, bits: int, piece: Piece, *, masks: bool = True) -> Additive:
    """Truncate C - s - 2**62 with C = (its summands at the compute parties) + 2**62 and s the helper's.

    Computes: with u = s >> bits and e = msb(s) dealt,
        y = (C >> bits) - 2**(62 - bits) - u + (msb(C) ? 0 : e) * 2**(64 - bits). The wrap C < s happens iff msb(s) and not
        msb(C), because 0 <= C - s < 2**63; so there is no catastrophic case.
    Security: u and e are shared additively, u modulo 2**64 and e modulo 2**bits: nothing above it survives the factor. The
        leader's shares are uniform words and bytes of its stream, the follower's the differences, so each alone is uniform.
    Costs: 1 round, 8 bytes per element and party, 8 + ceil(bits / 8) bytes per element from helper to follower.

    Large values go in pieces: they stay in the cache, and one travels while the next is computed.
    """
    size = prod(shape)
    out = None if ctx.helper else ctx.local.empty(size)
    if size <= PIECE:
        await _truncated_piece(ctx, bits, piece, out, 0, size, masks=masks)
    else:
        ends = [(begin, min(begin + PIECE, size)) for begin in range(0, size, PIECE)]
        await gather(*[_truncated_piece(ctx, bits, piece, out, begin, end, masks=masks) for begin, end in ends])
    return Additive(shape, None if out is None else out.reshape(shape))


async def _truncated_piece(
    ctx: Context, bits: int, piece: Piece, out: Ring | None, begin: int, end: int, *, masks: bool
) -> None:
    local, size = ctx.local, end - begin
    drawn, deal = ctx.blind(size if masks else 0, size + narrow_words(size, bits))
    own = piece(begin, end, drawn)
    u, e = deal.own[:size], deal.own[size:]
    if out is None:
        local.masked_truncation_deal(own, deal.leader[:size], deal.leader[size:], bits, u, e)
        await ctx.give(deal)
        return
    (theirs,) = await ctx.swap([own], deal)
    local.masked_truncation_close(own, theirs, u, e, bits, out[begin:end], leader=ctx.leader)


async def truncate(ctx: Context, x: Additive, bits: int) -> Additive:
    """x / 2**bits, from additive shares.

    Computes: with k = 64 - bits, the compute parties re-share x = a - b by a common random number, and open
        H = (a' >> bits) - (b >> bits) + t_0 + t_1 mod 2**k for a' = a + 2**62 under masks t_i of k bits each. As
        (a' >> bits) - (b >> bits) = floor((x + 2**62) / 2**bits) + [a mod 2**bits < x mod 2**bits], and is at most
        2**(k - 1), H wrapped around t = (t_0 + t_1) mod 2**k iff msb(t) and not msb(H), so with p = [t_0 + t_1 >= 2**k] and
        q = p + msb(t) dealt, y = H - 2**(62 - bits) - t_0 - t_1 + (msb(H) ? p : q) * 2**k. There is no catastrophic case.
    Functionality: draw a uniform modulo 2**bits; hand it to the leader and a - x mod 2**bits to the follower; return shares of
        floor(x / 2**bits) + [a < x mod 2**bits]. So the rounding is stochastic, unbiased, and correlated with a uniform value
        that each compute party sees; whoever needs a result that depends on x alone takes the exact truncation.
    Security: H is uniform modulo 2**k to each compute party because of the other's t_i. p and q are shared additively modulo
        2**bits, more of them does not survive the factor 2**k; the leader's shares are bytes of its stream, the follower's the
        differences. What fills the last byte of a narrow number is masked as its bits are.
    Reveals: nothing. Costs: 1 round, ceil(k / 8) bytes per element and party, 2 * ceil(bits / 8) bytes per element from helper
        to follower: 6 and 6 at 18 bits.
    Error: 0 or +1 ulp. Domain: |x| < 2**62. Source: local truncation of eprint 2017/396, its wrap corrected as in 2020/338; ours.
    """
    if not bits:
        return x
    local, size = ctx.local, prod(x.shape)
    share = out = None
    if not ctx.helper:
        share, out = local.flat(x.share(ctx.leader, local)), local.empty(size)
    if size <= PIECE:
        await _shared_piece(ctx, bits, share, out, 0, size)
    else:
        ends = [(begin, min(begin + PIECE, size)) for begin in range(0, size, PIECE)]
        await gather(*[_shared_piece(ctx, bits, share, out, begin, end) for begin, end in ends])
    return Additive(x.shape, None if out is None else out.reshape(x.shape))


async def _shared_piece(ctx: Context, bits: int, share: Ring | None, out: Ring | None, begin: int, end: int) -> None:
    local, size = ctx.local, end - begin
    low = narrow_words(size, bits)
    zero = ctx.zero(low)
    masks, deal = ctx.blind_apart(narrow_words(size, 64 - bits), 2 * low)
    p, q = deal.own[:low], deal.own[low:]
    if share is None or out is None:
        local.shared_truncation_deal(masks, deal.leader[:low], deal.leader[low:], bits, size, p, q)
        await ctx.give(deal)
        return
    own = local.shared_truncation_open(share[begin:end], zero, masks[0], bits, leader=ctx.leader)
    (theirs,) = await ctx.swap([own], deal)
    local.shared_truncation_close((own, theirs), masks[0], p, q, bits, out[begin:end], leader=ctx.leader)


async def separable(ctx: Context, x: Additive, function: Separable) -> Additive:
    """function(x), for f(X - r) = sum_j left_j(X) * right_j(r): the helper deals shares of right(r).

    Reveals: nothing. Costs: the opening of x if it is not open, then 1 round;
        8 * terms bytes per element from helper to follower; and those of a truncation by the function's scale.
    Error: the function's own, and 0 or +1 ulp of the truncation.
    """
    size = prod(x.shape)
    local = ctx.local
    deal = ctx.deal(function.terms * size)

    def fill(deal: Deal) -> None:
        local.separable_deal(function, local.flat(masked(x)), deal.leader, deal.own)

    await open_masked(ctx, [x], (), deal, fill)
    if ctx.helper:
        return await truncate(ctx, Additive(x.shape), function.scale)
    assert x.opened is not None
    assert x.opened.value is not None
    share = local.separable_close(function, local.flat(x.opened.value), deal.own)
    return await truncate(ctx, Additive(x.shape, share.reshape(x.shape)), function.scale)


def masked(x: Additive) -> Ring:
    """The mask of an opened value, at the helper."""
    assert x.opened is not None
    value = x.opened.mask.value
    assert value is not None
    return value
