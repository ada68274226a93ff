"""Rules for reductions, cumulative operations and sorting."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.extend import core as jex

from tacit.compile.front.jax import ops
from tacit.compile.front.jax.builder import Builder, Operand, kind_of
from tacit.compile.front.jax.lower import lower_closed, lowers, refusal


@lowers("reduce_sum")
def reduce_sum(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The sum over axes."""
    return ops.reduce(b, "sum", x, eqn.params["axes"])


@lowers("reduce_prod")
def reduce_prod(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The product over axes."""
    return ops.reduce(b, "prod", x, eqn.params["axes"])


@lowers("reduce_max")
def reduce_max(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The largest over axes."""
    return ops.reduce(b, "any" if ops.kind(x) == "bool" else "max", x, eqn.params["axes"])


@lowers("reduce_min")
def reduce_min(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The smallest over axes."""
    return ops.reduce(b, "all" if ops.kind(x) == "bool" else "min", x, eqn.params["axes"])


@lowers("reduce_and", "reduce_or")
def reduce_logic(b: Builder, eqn: Any, x: Operand) -> Operand:
    """all or any over axes, of truth values."""
    conjunction = eqn.primitive.name == "reduce_and"
    if ops.kind(x) == "bool":
        return ops.reduce(b, "all" if conjunction else "any", x, eqn.params["axes"])
    name = "bitwise_and" if conjunction else "bitwise_or"
    return _fold(b, x, eqn.params["axes"], lambda p, q: b.emit(name, [p, q], p.shape, "int", ops.dtype(x)))


@lowers("reduce_xor")
def reduce_xor(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The parity over axes."""
    if ops.kind(x) == "bool":
        return _fold(b, x, eqn.params["axes"], lambda p, q: ops.logical(b, "logical_xor", p, q))
    return _fold(b, x, eqn.params["axes"], lambda p, q: b.emit("bitwise_xor", [p, q], p.shape, "int", ops.dtype(x)))


@lowers("argmax", "argmin")
def argmax(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The first position of the extremum along one axis."""
    (axis,) = eqn.params["axes"]
    shape = eqn.outvars[0].aval.shape
    x = ops.counted(b, x)
    return b.emit(eqn.primitive.name, [x], shape, "int", str(eqn.outvars[0].aval.dtype), axis=int(axis))


@lowers("reduce")
def reduce(b: Builder, eqn: Any, *operands: Operand) -> list[Operand]:
    """Any associative reduction: halves are combined until one element is left."""
    half = len(operands) // 2
    values, starts = list(operands[:half]), operands[half:]
    closed = eqn.params["jaxpr"]
    axes = sorted(eqn.params["dimensions"])
    kept = [a for a in range(values[0].ndim) if a not in axes]
    count = int(np.prod([values[0].shape[a] for a in axes]))
    shape = tuple(values[0].shape[a] for a in kept)
    values = [ops.reshape(b, ops.transpose(b, v, [*axes, *kept]), (count, *shape)) for v in values]
    while count > 1:
        even = count // 2
        left = [ops.slice_axis(b, v, 0, 0, even) for v in values]
        right = [ops.slice_axis(b, v, 0, even, 2 * even) for v in values]
        joined = combine(b, closed, left, right)
        rest = [ops.slice_axis(b, v, 0, 2 * even, count) for v in values]
        values = [ops.concatenate(b, [j, r], 0) if count % 2 else j for j, r in zip(joined, rest, strict=True)]
        count -= even
    values = [ops.reshape(b, v, shape) for v in values]
    return combine(b, closed, [ops.broadcast_to(b, s, shape) for s in starts], values)


def combine(b: Builder, closed: Any, left: list[Operand], right: list[Operand]) -> list[Operand]:
    """A scalar jaxpr of two halves, applied element-wise."""
    if not hasattr(closed, "consts"):
        closed = jex.ClosedJaxpr(closed, ())
    spec = [
        jax.ShapeDtypeStruct(x.shape, v.aval.dtype) for x, v in zip([*left, *right], closed.jaxpr.invars, strict=True)
    ]
    function = jex.jaxpr_as_fun(closed)
    for _ in range(left[0].ndim):
        function = jax.vmap(function)
    return lower_closed(b, jax.make_jaxpr(function)(*spec), [*left, *right], line=b.line)


@lowers("cumsum", "cumprod", "cummax", "cummin")
def cumulative(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The running sum, product or extremum along an axis."""
    axis, name = eqn.params["axis"], eqn.primitive.name
    if eqn.params["reverse"]:
        x = ops.reverse(b, x, [axis])
    result = b.emit(name, [x], x.shape, ops.kind(x), ops.dtype(x), axis=int(axis))
    return ops.reverse(b, result, [axis]) if eqn.params["reverse"] else result


@lowers("cumlogsumexp")
def cumlogsumexp(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The running log of sums of exponentials, relative to the largest of all."""
    axis = eqn.params["axis"]
    top = ops.reduce(b, "max", x, [axis])
    spread = ops.broadcast(b, top, x.shape, [a for a in range(x.ndim) if a != axis])
    part = ops.unary(b, "exp", ops.sub(b, x, spread))
    if eqn.params["reverse"]:
        part = ops.reverse(b, part, [axis])
    total = b.emit("cumsum", [part], x.shape, "fixed", ops.dtype(x), axis=int(axis))
    if eqn.params["reverse"]:
        total = ops.reverse(b, total, [axis])
    return ops.add(b, ops.unary(b, "log", total), spread)


@lowers("sort")
def sort(b: Builder, eqn: Any, *xs: Operand) -> Any:
    """Sort along an axis by the first `num_keys` operands, the others follow."""
    axis, keys = eqn.params["dimension"], eqn.params["num_keys"]
    xs = tuple(ops.counted(b, x) for x in xs)
    results = [(x.shape, ops.kind(x), ops.dtype(x)) for x in xs]
    if len(xs) == 1:
        return _restored(b, eqn, [b.emit("sort", xs, *results[0], axis=int(axis))])
    if (
        keys == 1
        and len(xs) == 2
        and _unread(eqn.outvars[0])
        and ops.known(xs[1])
        and _is_iota(np.asarray(xs[1]), axis)
    ):
        order = b.emit("argsort", [xs[0]], xs[0].shape, "int", ops.dtype(xs[1]), axis=int(axis))
        return _restored(b, eqn, [np.zeros(xs[0].shape, eqn.outvars[0].aval.dtype), order])
    return _restored(b, eqn, list(b.emit_many("sort", xs, results, axis=int(axis), keys=int(keys))))


@lowers("top_k", "approx_top_k")
def top_k(b: Builder, eqn: Any, x: Operand) -> list[Operand]:
    """The k largest along an axis, in descending order, and their positions."""
    p = eqn.params
    k = p.get("k", p.get("operand_k"))
    axis = p.get("axis", p.get("reduction_dimension", x.ndim - 1)) % x.ndim
    if eqn.primitive.name == "approx_top_k" and not p["is_max_k"]:
        raise refusal(b, "approx_min_k", "Use lax.top_k of the negated values.")
    last = x.ndim - 1
    moved = ops.transpose(b, x, [*(a for a in range(x.ndim) if a != axis), axis])
    shape = (*moved.shape[:-1], k)
    index_dtype = str(eqn.outvars[1].aval.dtype)
    values, order = b.emit_many(
        "top_k", [moved], [(shape, ops.kind(x), ops.dtype(x)), (shape, "int", index_dtype)], count=int(k)
    )
    back = [*range(axis), last, *range(axis, last)]
    return [ops.transpose(b, values, back), ops.transpose(b, order, back)]


# --- helpers --------------------------------------------------------------------------------------------------------


def _restored(b: Builder, eqn: Any, results: list[Operand]) -> list[Operand]:
    """Truth values were sorted as integers."""
    return [ops.convert(b, r, kind_of(v.aval.dtype), "bool") for r, v in zip(results, eqn.outvars, strict=True)]


def _unread(variable: Any) -> bool:
    return isinstance(variable, jex.DropVar)


def _is_iota(x: Any, axis: int) -> bool:
    along = np.arange(x.shape[axis]).reshape([-1 if a == axis else 1 for a in range(x.ndim)])
    return bool(np.all(x == along))


def _fold(b: Builder, x: Operand, axes: Any, join: Any) -> Operand:
    axes = sorted(axes)
    kept = [a for a in range(x.ndim) if a not in axes]
    count = int(np.prod([x.shape[a] for a in axes]))
    shape = tuple(x.shape[a] for a in kept)
    x = ops.reshape(b, ops.transpose(b, x, [*axes, *kept]), (count, *shape))
    while count > 1:
        even = count // 2
        joined = join(ops.slice_axis(b, x, 0, 0, even), ops.slice_axis(b, x, 0, even, 2 * even))
        x = ops.concatenate(b, [joined, ops.slice_axis(b, x, 0, 2 * even, count)], 0) if count % 2 else joined
        count -= even
    return ops.reshape(b, x, shape)
