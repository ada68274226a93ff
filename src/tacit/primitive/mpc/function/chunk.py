"""Large element-wise work in pieces: they share rounds, stay in the cache, and one is sent while the next is computed."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tacit.foundation.errors import ShapeError
from tacit.primitive.driver import gather
from tacit.primitive.mpc.function.contract import Function
from tacit.primitive.mpc.function.structure import move, unite
from tacit.primitive.mpc.kernel import Kernel, Shape
from tacit.primitive.mpc.value import Value

CHUNK = 2**15
"""Elements of a piece: what a handful of 64-bit temporaries may have in a second-level cache."""


def large(*values: Value) -> bool:
    """Say whether element-wise work on these operands is worth cutting into pieces."""
    shape = values[0].shape
    for value in values:
        if value.shape != shape:
            shape = broadcast_shape(*[v.shape for v in values])
            break
    return prod(shape) > CHUNK


def broadcast_shape(*shapes: Shape) -> Shape:
    """The shape that NumPy broadcasts these to; ShapeError where there is none."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return first
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ShapeError(f"shapes {', '.join(map(str, shapes))} do not broadcast together") from None


async def chunked(k: Kernel, function: Function, *values: Value, size: int = CHUNK, **params: Any) -> Any:
    """function(k, *values, **params) for an element-wise function, computed on pieces of `size` elements side by side.

    Computes: the function's result or results (`Value`s of the operands' broadcast shape).
    Costs: the function's rounds once, its bytes for all elements.
    """
    shape = broadcast_shape(*[value.shape for value in values])
    count = prod(shape)
    if count <= size:
        return await function(k, *values, **params)
    flat = [
        move(k, lambda s: np.reshape(s, ()), v)
        if prod(v.shape) == 1
        else move(k, lambda s: np.broadcast_to(s, shape).reshape(-1), v)
        for v in values
    ]
    pieces = [
        function(k, *[v if v.shape == () else move(k, _cut(begin, size), v) for v in flat], **params)
        for begin in range(0, count, size)
    ]
    results = await gather(*pieces)
    if isinstance(results[0], tuple):
        return tuple([await _joined(k, shape, list(parts)) for parts in zip(*results, strict=True)])
    return await _joined(k, shape, results)


def _cut(begin: int, size: int) -> Any:
    return lambda s: s[begin : begin + size]


async def _joined(k: Kernel, shape: Shape, parts: list[Value]) -> Value:
    return await unite(k, lambda *s: np.concatenate(s).reshape(shape), *parts)
