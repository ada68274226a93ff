"""Elementary functions as a series inside an interval and something simple outside: the common frame.

`elementwise` prepares operands and cuts large work; `evaluate` is a series alone; `saturating` and `ramp` add what lies
outside. All use one opening of x for the series and for both comparisons.
"""

from __future__ import annotations

from functools import wraps
from math import ceil, floor
from typing import Any

import numpy as np

from tacit.primitive.driver import gather
from tacit.primitive.mpc.function.chunk import CHUNK, broadcast_shape, chunked
from tacit.primitive.mpc.function.contract import Function
from tacit.primitive.mpc.function.elementary.opening import offset
from tacit.primitive.mpc.function.elementary.table import Series, separable
from tacit.primitive.mpc.function.operand import DEFAULT_BITS, is_secret, number, rescaled
from tacit.primitive.mpc.kernel import Arith, Kernel
from tacit.primitive.mpc.value import Fixed, Value


async def real(k: Kernel, x: Value, bits: int = DEFAULT_BITS) -> Fixed:
    """The operand as a real: as it is, or an integer or truth value at so many fraction bits."""
    value = await number(k, x)
    return value if type(value) is Fixed else Fixed(await rescaled(k, value.share, 0, bits), bits)


def elementwise(function: Function) -> Function:
    """Let a function of reals take any shared numbers, and cut large ones into pieces that share rounds."""

    @wraps(function)
    async def prepared(k: Kernel, *xs: Value, **params: Any) -> Any:
        bits = next((x.bits for x in xs if type(x) is Fixed), DEFAULT_BITS)
        shape = broadcast_shape(*[x.shape for x in xs])
        if 0 in shape:
            return Fixed(k.public(np.zeros(shape, np.uint64)), params.get("out", bits))
        reals = [await real(k, x, bits) if is_secret(x) else x for x in xs]
        return await chunked(k, function, *reals, size=CHUNK, **params)

    return prepared


async def evaluate(k: Kernel, x: Arith, series: Series, bits: int, out: int) -> Arith:
    """The series at ring elements of `bits` fraction bits inside its interval; the result has `out`.

    Costs: one `separable` of two terms per harmonic.
    """
    share = await k.separable(x, separable(series, bits, out))
    return offset(k, share, ring(series.constant, out))


async def saturating(k: Kernel, x: Fixed, series: Series, below: float, above: float) -> Fixed:
    """The series inside its interval, constants outside.

    Reveals: nothing. Costs: 4 rounds: one opening, two `negative` beside one `separable`, one `either`.
    """
    body, under, inside = await _cut(k, x, series)
    floor_ring, rise = ring(below, x.bits), ring(above, x.bits) - ring(below, x.bits)
    share = await k.either(inside, offset(k, body, -floor_ring), under, -rise)
    return Fixed(offset(k, share, floor_ring + rise), x.bits)


async def ramp(k: Kernel, x: Fixed, series: Series) -> Fixed:
    """The series inside its interval, 0 below it, x above it.

    Reveals: nothing. Costs: 4 rounds: one opening, two `negative` beside one `separable`, two `gate`s.
    """
    body, under, inside = await _cut(k, x, series)
    part, tail = await gather(k.gate(inside, body), k.gate(k.invert(under), x.share))
    return Fixed(k.add(part, tail), x.bits)


async def _cut(k: Kernel, x: Fixed, series: Series) -> tuple[Arith, Any, Any]:
    """The series, [x <= high], and [low <= x <= high]."""
    ends = [ceil(series.low * 2**x.bits), floor(series.high * 2**x.bits) + 1]
    body, (low, high) = await gather(evaluate(k, x.share, series, x.bits, x.bits), k.below(x.share, ends))
    return body, high, k.xor(low, high)


def ring(value: float, bits: int) -> int:
    """A public real as a signed ring element."""
    return round(value * 2**bits)
