"""Choices by a condition that nobody sees, and what is made of a comparison and a choice."""

from __future__ import annotations

from typing import Any

import numpy as np

from tacit.foundation.errors import TypeMismatch
from tacit.primitive.driver import gather
from tacit.primitive.mpc.function.arithmetic import spread, spread_bits
from tacit.primitive.mpc.function.chunk import broadcast_shape, chunked, large
from tacit.primitive.mpc.function.compare import DIFFERENCE, MINUS_ONE, signs
from tacit.primitive.mpc.function.contract import EXACT, contract, magnitude
from tacit.primitive.mpc.function.logic import logical_and, logical_or
from tacit.primitive.mpc.function.operand import (
    Number,
    aligned,
    at_scale,
    bits_of,
    common_bits,
    constant,
    is_secret,
    number,
    wrap,
)
from tacit.primitive.mpc.function.structure import unite
from tacit.primitive.mpc.kernel import Arith, Bits, Kernel
from tacit.primitive.mpc.value import Boolean, Fixed, Value


@contract(domain=DIFFERENCE, error=EXACT)
async def select(k: Kernel, condition: Value, x: Value, y: Value, *, bits: int | None = None) -> Value:
    """x where the condition holds, else y: y + condition * (x - y).

    Computes: numbers of one scale, or truth values where both branches are such; branches and condition broadcast.
    Reveals: nothing. Costs: one `gate` (for truth values one `both`); none where the condition is public.
    """
    if large(condition, x, y):
        return await chunked(k, select, condition, x, y, bits=bits)
    if type(condition) is not Boolean:
        chosen = np.asarray(condition)
        if chosen.dtype != np.bool_:
            raise TypeMismatch(f"a condition is a truth value, not {type(condition).__name__}. Compare with 0 first.")
        return await unite(k, lambda s, t: np.where(chosen, s, t), x, y)
    shape = broadcast_shape(condition.shape, x.shape, y.shape)
    c = spread_bits(k, condition.share, shape)
    if _is_truth(x) and _is_truth(y):
        return Boolean(await _select_bits(k, c, x, y))
    if not is_secret(x) and not is_secret(y):
        return await _select_public(k, c, x, y, bits)
    if not is_secret(y) and not np.any(y):
        value = await number(k, x)
        return wrap(await k.gate(c, spread(k, value.share, shape)), bits_of(value))
    a, b, scale = await aligned(k, x, y, bits)
    if type(b) is np.ndarray:
        gated = await k.gate(c, spread(k, k.add_public(a, np.negative(b)), shape))
        return wrap(k.add_public(gated, b), scale)
    margin = k.add_public(k.linear(np.negative, b), a) if type(a) is np.ndarray else k.sub(a, b)
    return wrap(k.add(await k.gate(c, spread(k, margin, shape)), b), scale)


def _is_truth(x: Value) -> bool:
    return type(x) is Boolean or (not is_secret(x) and np.asarray(x).dtype == np.bool_)


async def _select_bits(k: Kernel, c: Bits, x: Value, y: Value) -> Bits:
    a, b = _embedded(k, x, c.shape), _embedded(k, y, c.shape)
    return k.xor(await k.both(c, k.xor(a, b)), b)


def _embedded(k: Kernel, x: Value, shape: tuple[int, ...]) -> Bits:
    if type(x) is Boolean:
        return spread_bits(k, x.share, shape)
    return k.public_bits(np.broadcast_to(np.asarray(x, np.bool_), shape))


async def _select_public(k: Kernel, c: Bits, x: Any, y: Any, bits: int | None) -> Number:
    """Both branches public: a lift and a public factor."""
    scale = common_bits((x, y), bits)
    first, second = constant(x, scale), constant(y, scale)
    return wrap(k.add_public(k.scale(await k.lift(c), first - second), second), scale)


@contract(domain=magnitude(62, 1), error=EXACT)
async def relu(k: Kernel, x: Value) -> Number:
    """x where x > 0, else 0.

    Reveals: nothing. Costs: one `negative` and one `gate`. Error: none.
    """
    if large(x):
        return await chunked(k, relu, x)
    value = await number(k, x)
    share = value.share
    kept = await k.gate(k.invert(await k.negative(share)), share)
    return wrap(kept, bits_of(value))


@contract(domain=magnitude(62, 1), error=EXACT)
async def abs_(k: Kernel, x: Value) -> Number:
    """|x|, as x - 2 [x < 0] x.

    Reveals: nothing. Costs: one `negative` and one `gate`. Error: none.
    """
    if large(x):
        return await chunked(k, abs_, x)
    value = await number(k, x)
    share = value.share
    gated = await k.gate(await k.negative(share), share)
    return wrap(k.linear(lambda s, t: s - t - t, share, gated), bits_of(value))


@contract(domain=DIFFERENCE, error=EXACT)
async def maximum(k: Kernel, x: Value, y: Value) -> Value:
    """The larger of x and y, element-wise: x - [x < y] (x - y).

    Reveals: nothing. Costs: one `negative` and one `gate`; for truth values one `both`. Error: none.
    """
    if large(x, y):
        return await chunked(k, maximum, x, y)
    if _is_truth(x) and _is_truth(y):
        return await logical_or(k, x, y)
    a, d, scale = await _margin(k, x, y)
    share = k.sub(a, await k.gate(await k.negative(d), d))
    return wrap(share, scale)


@contract(domain=DIFFERENCE, error=EXACT)
async def minimum(k: Kernel, x: Value, y: Value) -> Value:
    """The smaller of x and y, element-wise: y + [x < y] (x - y).

    Reveals: nothing. Costs: one `negative` and one `gate`; for truth values one `both`. Error: none.
    """
    if large(x, y):
        return await chunked(k, minimum, x, y)
    if _is_truth(x) and _is_truth(y):
        return await logical_and(k, x, y)
    a, d, scale = await _margin(k, x, y)
    gated = await k.gate(await k.negative(d), d)
    return wrap(k.linear(lambda s, t, g: s - t + g, a, d, gated), scale)


async def _margin(k: Kernel, x: Value, y: Value) -> tuple[Arith, Arith, int | None]:
    """One operand, it minus the other, and their scale."""
    if type(x) is Fixed and type(y) is Fixed and x.bits == y.bits:
        return x.share, k.sub(x.share, y.share), x.bits
    if not is_secret(x):
        x, y = y, x
    a, b, scale = await aligned(k, x, y)
    if type(b) is np.ndarray:
        return a, k.add_public(a, np.negative(b)), scale
    return a, k.sub(a, b), scale


@contract(domain=DIFFERENCE, error=EXACT)
async def clip(k: Kernel, x: Value, low: Value | None = None, high: Value | None = None) -> Value:
    """x, but at least `low` and at most `high`; each bound shared, public, infinite or absent, with low <= high.

    Computes: x - [x < low] (x - low) - [high < x] (x - high), both comparisons side by side.
    Reveals: nothing. Costs: two `negative`s, then two `gate`s, side by side. Error: none.
    """
    low, high = _bound(low), _bound(high)
    if low is None:
        return x if high is None else await minimum(k, x, high)
    if high is None:
        return await maximum(k, x, low)
    if large(x, low, high):
        return await chunked(k, clip, x, low, high)
    scale = common_bits((x, low, high))
    shape = broadcast_shape(x.shape, low.shape, high.shape)
    operands = [await at_scale(k, v, scale) for v in (x, low, high)]
    a = spread(k, k.public(operands[0]) if type(operands[0]) is np.ndarray else operands[0], shape)
    over_low, over_high = [
        k.add_public(a, np.negative(v)) if type(v) is np.ndarray else k.sub(a, v) for v in operands[1:]
    ]
    below, not_above = await signs(k, over_low, k.add_public(over_high, MINUS_ONE))
    first, second = await gather(k.gate(below, over_low), k.gate(k.invert(not_above), over_high))
    return wrap(k.linear(lambda s, t, u: s - t - u, a, first, second), scale)


def _bound(value: Any) -> Value | None:
    """A bound that binds: None for an infinite one."""
    if value is None or is_secret(value):
        return value
    bound = np.asarray(value)
    return None if bound.dtype.kind == "f" and bool(np.all(np.isinf(bound))) else bound
