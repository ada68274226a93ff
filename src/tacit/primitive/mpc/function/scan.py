"""Running sums, products, extremes and truth along an axis, in log2(n) batches.

Sums are local. All else is Sklansky's parallel prefix: at level l every block of 2**(l + 1) elements combines its upper half
with the last of its lower half, n / 2 operations a level.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from tacit.primitive.mpc.function.arithmetic import mul
from tacit.primitive.mpc.function.compare import DIFFERENCE
from tacit.primitive.mpc.function.contract import EXACT, RANGE, bounded, contract
from tacit.primitive.mpc.function.logic import logical_and, logical_or
from tacit.primitive.mpc.function.operand import Number, bits_of, number, wrap
from tacit.primitive.mpc.function.reduce import normalised
from tacit.primitive.mpc.function.select import maximum, minimum
from tacit.primitive.mpc.function.structure import move, unite
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Boolean, Value

SOURCE = "Sklansky, Conditional-sum addition logic, 1960"


@contract(domain=RANGE, error=EXACT)
async def cumsum(k: Kernel, x: Value, *, axis: int = 0, reverse: bool = False) -> Number:
    """The sums of all elements up to each, along an axis; from the end where `reverse`.

    Reveals: nothing. Costs: none (truth values: one `lift`). Error: none.
    """
    value = await number(k, x)
    (along,) = normalised(axis, len(value.shape))

    def running(s: Any) -> Any:
        if reverse:
            return np.flip(np.cumsum(np.flip(s, along), along, dtype=np.uint64), along)
        return np.cumsum(s, along, dtype=np.uint64)

    return wrap(k.linear(running, value.share), bits_of(value))


@contract(
    domain="every partial product below 2**(62 - 2 bits)",
    error=bounded("n * 2**-bits times the largest partial product", lambda *_: np.inf),
    source=SOURCE,
)
async def cumprod(k: Kernel, x: Value, *, axis: int = 0, reverse: bool = False) -> Number:
    """The products of all elements up to each, along an axis.

    Reveals: nothing. Costs: log2(n) products one after the other, n / 2 elements each.
    """
    return await associative_scan(k, mul, await number(k, x), axis=axis, reverse=reverse)


@contract(domain=DIFFERENCE, error=EXACT, source=SOURCE)
async def cummax(k: Kernel, x: Value, *, axis: int = 0, reverse: bool = False) -> Value:
    """The largest element up to each, along an axis.

    Reveals: nothing. Costs: log2(n) levels of one `negative` and one `gate` of n / 2 elements. Error: none.
    """
    return await associative_scan(k, maximum, x, axis=axis, reverse=reverse)


@contract(domain=DIFFERENCE, error=EXACT, source=SOURCE)
async def cummin(k: Kernel, x: Value, *, axis: int = 0, reverse: bool = False) -> Value:
    """The smallest element up to each, along an axis.

    Reveals: nothing. Costs: those of `cummax`. Error: none.
    """
    return await associative_scan(k, minimum, x, axis=axis, reverse=reverse)


@contract(source=SOURCE)
async def cumall(k: Kernel, x: Boolean, *, axis: int = 0, reverse: bool = False) -> Boolean:
    """Whether all elements up to each are true, along an axis.

    Reveals: nothing. Costs: log2(n) `both`s of n / 2 elements. Error: none.
    """
    return await associative_scan(k, logical_and, x, axis=axis, reverse=reverse)


@contract(source=SOURCE)
async def cumany(k: Kernel, x: Boolean, *, axis: int = 0, reverse: bool = False) -> Boolean:
    """Whether one element up to each is true, along an axis.

    Reveals: nothing. Costs: log2(n) `both`s of n / 2 elements. Error: none.
    """
    return await associative_scan(k, logical_or, x, axis=axis, reverse=reverse)


async def associative_scan(
    k: Kernel, combine: Callable[..., Awaitable[Any]], x: Any, *, axis: int = 0, reverse: bool = False
) -> Any:
    """All prefixes of an associative function combine(k, earlier, later) of two values of one kind and scale."""
    (along,) = normalised(axis, len(x.shape))
    n = x.shape[along]
    items = move(k, lambda s: np.moveaxis(np.flip(s, along) if reverse else s, along, 0), x)
    places = np.arange(n)
    span = 1
    while span < n:
        upper = places[places // span % 2 == 1]
        source = upper // span * span - 1
        combined = await combine(k, move(k, _taken(source), items), move(k, _taken(upper), items))
        target = places.copy()
        target[upper] = n + np.arange(upper.size)
        items = await unite(k, _merged(target), items, combined)
        span *= 2
    return move(k, lambda s: np.flip(np.moveaxis(s, 0, along), along) if reverse else np.moveaxis(s, 0, along), items)


def _taken(indices: Any) -> Any:
    return lambda s: s[indices]


def _merged(indices: Any) -> Any:
    return lambda s, t: np.concatenate([s, t])[indices]
