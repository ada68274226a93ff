"""Rules for windows that slide: pooling by sum and by extremum, and the gradients of both.

Where a program also needs the gradient of max-pooling, an extremum over windows is a tournament written out in steps:
neighbours are compared, the larger goes on. The gradient follows the same comparisons back, so that the two share them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.compile.front.jax import ops
from tacit.compile.front.jax.builder import Builder, Operand
from tacit.compile.front.jax.indexing import scatter_flat
from tacit.compile.front.jax.lower import lowers, refusal
from tacit.compile.front.jax.reduction import reduce

MAX_SLICES = 64
"""Window elements up to which a sum is taken slice by slice; larger windows are gathered."""


@lowers("reduce_window_sum")
def window_sum(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The sum of each window."""
    p = eqn.params
    shape = eqn.outvars[0].aval.shape
    places = positions(x.shape, shape, p)
    if places.shape[-1] > MAX_SLICES:
        return ops.reduce(b, "sum", _gathered(b, x, places), [len(shape)])
    widths = [(lo, hi, d - 1) for (lo, hi), d in zip(p["padding"], p["base_dilation"], strict=True)]
    x = ops.pad(b, x, ops.number(0, x), widths)
    total: Operand | None = None
    for offset in np.ndindex(*p["window_dimensions"]):
        start = [o * d for o, d in zip(offset, p["window_dilation"], strict=True)]
        stop = [s + (n - 1) * t + 1 for s, n, t in zip(start, shape, p["window_strides"], strict=True)]
        part = ops.slice_(b, x, start, stop, p["window_strides"])
        total = part if total is None else ops.add(b, total, part)
    assert total is not None
    return total


@lowers("reduce_window_max", "reduce_window_min")
def window_extremum(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The largest or smallest of each window; padding never wins."""
    shape = eqn.outvars[0].aval.shape
    patches = _gathered(b, x, _padded_with_own(positions(x.shape, shape, eqn.params)))
    largest = eqn.primitive.name.endswith("max")
    if b.routes_pooling:
        return tournament(b, patches, "ge" if largest else "le")[0]
    return ops.reduce(b, "max" if largest else "min", patches, [patches.ndim - 1])


@lowers("select_and_scatter_add")
def window_gradient(b: Builder, eqn: Any, source: Operand, x: Operand) -> Operand:
    """The gradient of max-pooling: each window's cotangent goes to its (first) winner."""
    p = eqn.params
    relation = {"ge": "ge", "le": "le"}.get(p["select_prim"].name)
    if relation is None:
        raise refusal(b, "this selection over windows")
    ones = (1,) * x.ndim
    full = {**p, "base_dilation": ones, "window_dilation": ones}
    places = _padded_with_own(positions(x.shape, source.shape, full))
    patches = _gathered(b, x, places)
    won = tournament(b, patches, relation or "ge")[1]
    spread = ops.broadcast(b, source, patches.shape, range(source.ndim))
    routed = ops.select(b, won, spread, ops.number(0, source))
    zeros = np.zeros(x.shape, np.float64 if ops.kind(source) == "fixed" else np.int64)
    return scatter_flat(b, "add", zeros, places.reshape(-1), routed)


@lowers("select_and_gather_add")
def window_tangent(b: Builder, eqn: Any, tangents: Operand, x: Operand) -> Operand:
    """The forward derivative of max-pooling: the tangent at each window's winner."""
    p = eqn.params
    places = _padded_with_own(positions(x.shape, eqn.outvars[0].aval.shape, p))
    won = tournament(b, _gathered(b, x, places), p["select_prim"].name)[1]
    return ops.reduce(
        b, "sum", ops.select(b, won, _gathered(b, tangents, places), np.asarray(0.0)), [len(places.shape) - 1]
    )


@lowers("reduce_window")
def window_reduce(b: Builder, eqn: Any, *operands: Operand) -> Any:
    """Any associative reduction of windows."""
    half = len(operands) // 2
    shape = eqn.outvars[0].aval.shape
    places = positions(operands[0].shape, shape, eqn.params)
    values = []
    for x, start in zip(operands[:half], operands[half:], strict=True):
        flat = ops.concatenate(b, [ops.reshape(b, x, (x.size,)), ops.reshape(b, start, (1,))], 0)
        values.append(ops.take(b, flat, np.where(places < 0, x.size, places), 0))
    inner = eqn.replace(params={"jaxpr": eqn.params["jaxpr"], "dimensions": (len(shape),)})
    return reduce(b, inner, *values, *operands[half:])


# --- pieces ---------------------------------------------------------------------------------------------------------


def tournament(b: Builder, patches: Operand, relation: str) -> tuple[Operand, Operand]:
    """The winner along the last axis, and the truth values [.., K] of who won; ties go to the first.

    Costs: K - 1 comparisons and selections per window in log2 K levels; K - 1 ANDs where the winner's place is used.
    """
    axis = patches.ndim - 1
    levels: list[tuple[Operand, int]] = []
    values = patches
    while (count := values.shape[axis]) > 1:
        paired = count - count % 2
        left, right = (ops.slice_axis(b, values, axis, side, paired, 2) for side in (0, 1))
        first = ops.compare(b, relation, left, right)
        levels.append((first, count))
        winner = ops.select(b, first, left, right)
        left_over = ops.slice_axis(b, values, axis, paired, count)
        values = ops.concatenate(b, [winner, left_over], axis) if count % 2 else winner
    won: Operand = np.ones(values.shape, np.bool_)
    for first, count in reversed(levels):
        head = ops.slice_axis(b, won, axis, 0, count // 2)
        ahead = ops.logical(b, "logical_and", head, first)
        behind = ops.logical(b, "logical_xor", head, ahead)
        pairs = ops.reshape(b, ops.stack(b, [ahead, behind], axis + 1), (*patches.shape[:-1], count - count % 2))
        left_over = ops.slice_axis(b, won, axis, count // 2, count // 2 + count % 2)
        won = ops.concatenate(b, [pairs, left_over], axis) if count % 2 else pairs
    return ops.reshape(b, values, patches.shape[:-1]), won


def positions(source: tuple[int, ...], out: tuple[int, ...], p: Any) -> NDArray[np.int64]:
    """[*out, K]: the row-major position in `source` of each element of each window, -1 in the padding."""
    rank = len(source)
    flat: Any = np.zeros((1,) * (2 * rank), np.int64)
    inside: Any = np.ones((1,) * (2 * rank), np.bool_)
    for a in range(rank):
        base = p["base_dilation"][a]
        at = (np.arange(out[a]) * p["window_strides"][a])[:, None]
        at = at + (np.arange(p["window_dimensions"][a]) * p["window_dilation"][a])[None, :] - p["padding"][a][0]
        good = (at >= 0) & (at < (source[a] - 1) * base + 1) & (at % base == 0)
        shape = [1] * (2 * rank)
        shape[a], shape[rank + a] = at.shape
        flat = flat * source[a] + np.where(good, at // base, 0).reshape(shape)
        inside = inside & good.reshape(shape)
    return np.asarray(np.where(inside, flat, -1).reshape(*out, -1))


def _padded_with_own(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Padding replaced by an element of the same window: an extremum does not change."""
    return np.where(places < 0, places.max(axis=-1, keepdims=True), places)


def _gathered(b: Builder, x: Operand, places: NDArray[np.int64]) -> Operand:
    flat = ops.reshape(b, x, (x.size,))
    if places.size and places.min() < 0:
        flat = ops.pad(b, flat, ops.number(0, x), [(0, 1, 0)])
        places = np.where(places < 0, x.size, places)
    return ops.take(b, flat, places, 0)
