"""softmax, log_softmax, logsumexp: a tournament for the largest element, then exponentials of what is never positive.

The exponentials keep 26 fraction bits until the end, so that a long row's sum is as exact as a short one's; one logarithm or
reciprocal per row finishes, with comparisons for the row's length only.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tacit.primitive.mpc.form import Elementwise
from tacit.primitive.mpc.function.arithmetic import add, sub
from tacit.primitive.mpc.function.contract import Domain, absolute, contract
from tacit.primitive.mpc.function.elementary.exponential import decay
from tacit.primitive.mpc.function.elementary.logarithm import logarithm
from tacit.primitive.mpc.function.elementary.quotient import inverse
from tacit.primitive.mpc.function.elementary.series import elementwise, real
from tacit.primitive.mpc.function.extremum import max_
from tacit.primitive.mpc.function.operand import Number
from tacit.primitive.mpc.function.reduce import Axis, sum_
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Fixed, Value

SOURCE = "exponential window and Fourier extension; ours"
ROWS = Domain("differences below 2**(61 - bits), at most 2**20 elements to a row")
_BITS = 26


@contract(domain=ROWS, error=absolute(2**-14, 2), source=SOURCE)
async def softmax(k: Kernel, x: Value, *, axis: Axis = -1) -> Fixed:
    """exp(x - max x) / sum exp(x - max x) along axes.

    Reveals: nothing. Costs: those of `max`, then 4 + 11 rounds: per element one comparison, 4 dealt terms and a product; per row
        a reciprocal. Error: 2**-14 + 2 ulps.
    """
    value = await real(k, x)
    weights, total, _ = await _weights(k, value, axis)
    share = await inverse(k, total.share, _BITS, _BITS, _length(value, axis))
    result = await k.product(Elementwise(), weights.share, share, truncate=2 * _BITS - value.bits)
    return Fixed(result, value.bits)


@contract(domain=ROWS, error=absolute(2**-14, 2), source=SOURCE)
async def log_softmax(k: Kernel, x: Value, *, axis: Axis = -1) -> Number:
    """X - logsumexp(x) along axes.

    Reveals: nothing. Costs: those of `max`, then 11 rounds. Error: 2**-14 + 2 ulps.
    """
    value = await real(k, x)
    _, total, margin = await _weights(k, value, axis)
    return await sub(k, margin, await _log_total(k, total, out=value.bits, length=_length(value, axis)))


@contract(domain=ROWS, error=absolute(2**-14, 2), source=SOURCE)
async def logsumexp(k: Kernel, x: Value, *, axis: Axis = None, keepdims: bool = False) -> Number:
    """log(sum exp(x)) along axes.

    Reveals: nothing. Costs: those of `max`, then 11 rounds. Error: 2**-14 + 2 ulps.
    """
    value = await real(k, x)
    largest = await max_(k, value, axis=axis, keepdims=True)
    _, total, _ = await _weights(k, value, axis, largest)
    result = await add(k, largest, await _log_total(k, total, out=value.bits, length=_length(value, axis)))
    if keepdims:
        return result
    shape = tuple(np.empty(value.shape, np.bool_).sum(axis=axis).shape)
    return Fixed(k.linear(lambda s: s.reshape(shape), result.share), value.bits)


async def _weights(k: Kernel, x: Fixed, axis: Axis, largest: Value | None = None) -> tuple[Fixed, Number, Number]:
    """exp(x - max) with `_BITS` fraction bits, its sum along the axes, and x - max."""
    if largest is None:
        largest = await max_(k, x, axis=axis, keepdims=True)
    margin = await sub(k, x, largest)
    weights = await decay(k, margin, out=_BITS)
    return weights, await sum_(k, weights, axis=axis, keepdims=True), margin


@elementwise
async def _log_total(k: Kernel, total: Fixed, *, out: int, length: int) -> Fixed:
    return await logarithm(k, total, 1.0, out, low=_BITS - 1, top=_BITS + length.bit_length())


def _length(x: Fixed, axis: Axis) -> int:
    """How many elements a row has."""
    axes = range(len(x.shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    return prod(x.shape[a] for a in axes)
