"""The largest and smallest elements along axes, and where they are: tournaments of log2(n) levels.

All pairs of a level are compared in one batch, and neighbours meet, so that of equal elements the first wins, as in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tacit.foundation.errors import ShapeError
from tacit.primitive.driver import gather
from tacit.primitive.mpc.function.chunk import CHUNK, chunked, large
from tacit.primitive.mpc.function.compare import DIFFERENCE
from tacit.primitive.mpc.function.contract import EXACT, contract
from tacit.primitive.mpc.function.operand import bits_of, number, wrap
from tacit.primitive.mpc.function.reduce import Axis, all_, any_, count, front, normalised, reduced_shape
from tacit.primitive.mpc.function.select import maximum
from tacit.primitive.mpc.function.structure import move, unite
from tacit.primitive.mpc.kernel import Arith, Bits, Kernel
from tacit.primitive.mpc.value import Boolean, Integer, Value


@contract(domain=DIFFERENCE, error=EXACT)
async def max_(k: Kernel, x: Value, *, axis: Axis = None, keepdims: bool = False) -> Value:
    """The largest element along axes; of truth values, whether one is true.

    Reveals: nothing. Costs: log2(n) levels of one `negative` and one `gate`, n - 1 elements in all. Error: none.
    Domain: differences below 2**(62 - bits). Errors: ShapeError for no elements.
    """
    if type(x) is Boolean:
        return await any_(k, x, axis=axis, keepdims=keepdims)
    return await _extreme(k, x, axis, keepdims=keepdims, largest=True)


@contract(domain=DIFFERENCE, error=EXACT)
async def min_(k: Kernel, x: Value, *, axis: Axis = None, keepdims: bool = False) -> Value:
    """The smallest element along axes; of truth values, whether all are true.

    Reveals: nothing. Costs: those of `max`. Error: none. Errors: ShapeError for no elements.
    """
    if type(x) is Boolean:
        return await all_(k, x, axis=axis, keepdims=keepdims)
    return await _extreme(k, x, axis, keepdims=keepdims, largest=False)


async def _extreme(k: Kernel, x: Value, axis: Axis, *, keepdims: bool, largest: bool) -> Value:
    items, shape = await _entrants(k, x, axis, keepdims=keepdims, largest=largest)
    (winner,) = await _by_columns(k, _tournament, items)
    share = k.linear(lambda s: (s if largest else np.negative(s)).reshape(shape), winner.share)
    return wrap(share, bits_of(x))


@contract(domain=DIFFERENCE, error=EXACT)
async def argmax(k: Kernel, x: Value, *, axis: int | None = None, keepdims: bool = False) -> Integer:
    """The index of the largest element along an axis, or in the flattened value; the first of equal ones.

    Reveals: nothing. Costs: log2(n) levels of one `negative` and two `gate`s side by side. Error: none.
    Domain: differences below 2**(62 - bits). Errors: ShapeError for no elements.
    """
    return (await _extreme_and_index(k, x, axis, keepdims=keepdims, largest=True))[1]


@contract(domain=DIFFERENCE, error=EXACT)
async def argmin(k: Kernel, x: Value, *, axis: int | None = None, keepdims: bool = False) -> Integer:
    """The index of the smallest element along an axis, or in the flattened value; the first of equal ones.

    Reveals: nothing. Costs: those of `argmax`. Error: none. Errors: ShapeError for no elements.
    """
    return (await _extreme_and_index(k, x, axis, keepdims=keepdims, largest=False))[1]


@contract(domain=DIFFERENCE, error=EXACT)
async def max_and_argmax(
    k: Kernel, x: Value, *, axis: int | None = None, keepdims: bool = False
) -> tuple[Value, Integer]:
    """The largest element along an axis and its index, by one tournament.

    Reveals: nothing. Costs: those of `argmax`. Error: none. Errors: ShapeError for no elements.
    """
    return await _extreme_and_index(k, x, axis, keepdims=keepdims, largest=True)


@contract(domain=DIFFERENCE, error=EXACT)
async def min_and_argmin(
    k: Kernel, x: Value, *, axis: int | None = None, keepdims: bool = False
) -> tuple[Value, Integer]:
    """The smallest element along an axis and its index, by one tournament.

    Reveals: nothing. Costs: those of `argmax`. Error: none. Errors: ShapeError for no elements.
    """
    return await _extreme_and_index(k, x, axis, keepdims=keepdims, largest=False)


async def _extreme_and_index(
    k: Kernel, x: Value, axis: int | None, *, keepdims: bool, largest: bool
) -> tuple[Value, Integer]:
    items, shape = await _entrants(k, x, axis, keepdims=keepdims, largest=largest)
    winner, where = await _by_columns(k, _tournament_with_index, items)
    share = k.linear(lambda s: (s if largest else np.negative(s)).reshape(shape), winner.share)
    place = where.share if type(where) is Integer else k.public(np.zeros(winner.shape, np.uint64))
    return wrap(share, bits_of(x)), Integer(k.linear(lambda s: s.reshape(shape), place))


async def _entrants(
    k: Kernel, x: Value, axis: Axis, *, keepdims: bool, largest: bool
) -> tuple[Integer, tuple[int, ...]]:
    """[n, rest] ring elements of which the largest is wanted, and the shape of the result."""
    value = await number(k, x)
    if not count(value.shape, axis):
        raise ShapeError(f"no elements to choose from: shape {value.shape}, axis {axis}")
    axes = normalised(axis, len(value.shape))
    items = k.linear(lambda s: front(s if largest else np.negative(s), axes), value.share)
    return Integer(items), reduced_shape(value.shape, axis, keepdims=keepdims)


async def _by_columns(k: Kernel, tournament: Any, items: Integer) -> tuple[Any, ...]:
    """Run wide tournaments in blocks of columns side by side; results [rest]."""
    rows, columns = items.shape
    block = max(1, 2 * CHUNK // rows)
    if columns <= block:
        return await tournament(k, items)
    results = await gather(
        *[tournament(k, move(k, _columns(begin, begin + block), items)) for begin in range(0, columns, block)]
    )
    return tuple([await unite(k, lambda *s: np.concatenate(s), *parts) for parts in zip(*results, strict=True)])


async def _tournament(k: Kernel, items: Value) -> tuple[Value]:
    while items.shape[0] > 1:
        even = items.shape[0] // 2 * 2
        winners = await maximum(k, move(k, _every(0, even), items), move(k, _every(1, even), items))
        items = await unite(k, _with_last, winners, items) if even < items.shape[0] else winners
    return (move(k, lambda s: s[0], items),)


async def _tournament_with_index(k: Kernel, items: Value) -> tuple[Value, Value]:
    places: Value = np.arange(items.shape[0])[:, None]
    while items.shape[0] > 1:
        even = items.shape[0] // 2 * 2
        sides = [move(k, _every(side, even), v) for v in (items, places) for side in (0, 1)]
        run = chunked if large(sides[0]) else _directly
        winners, where = await run(k, _duel, *sides)
        if even < items.shape[0]:
            last = np.broadcast_to(np.asarray(items.shape[0] - 1), (1, items.shape[1]))
            rest = last if type(places) is np.ndarray else move(k, lambda s: s[-1:], places)
            winners, where = await unite(k, _with_last, winners, items), await unite(k, _append, where, rest)
        items, places = winners, where
    return move(k, lambda s: s[0], items), move(k, lambda s: s[0], places)


async def _directly(k: Kernel, function: Any, *values: Value) -> Any:
    return await function(k, *values)


async def _duel(k: Kernel, a: Integer, b: Integer, i: Value, j: Value) -> tuple[Integer, Integer]:
    """The larger of a and b (a where equal) with its index."""
    margin = k.sub(a.share, b.share)
    less = await k.negative(margin)
    lost, place = await gather(k.gate(less, margin), _place(k, less, i, j))
    return Integer(k.sub(a.share, lost)), Integer(place)


async def _place(k: Kernel, less: Bits, i: Value, j: Value) -> Arith:
    """j where `less`, else i."""
    if type(i) is Integer and type(j) is Integer:
        return k.add(i.share, await k.gate(less, k.sub(j.share, i.share)))
    first, second = np.asarray(i).astype(np.uint64), np.asarray(j).astype(np.uint64)
    return k.add_public(k.scale(await k.lift(less), second - first), first)


def _every(start: int, limit: int) -> Any:
    return lambda s: s[start:limit:2]


def _columns(begin: int, end: int) -> Any:
    return lambda s: s[:, begin:end]


def _with_last(s: Any, t: Any) -> Any:
    return np.concatenate([s, t[-1:]])


def _append(s: Any, t: Any) -> Any:
    return np.concatenate([s, np.broadcast_to(t, (t.shape[0], *s.shape[1:]))])
