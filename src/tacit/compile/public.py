"""The meaning of each step on public arrays: used where a step meets no secret, while tracing or inside a loop body.

The arrays are float64, int64 or bool and stay so. The parameters are those of the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import UnsupportedOperation

Array = NDArray[Any]


def knows(name: str) -> bool:
    """Say whether a step has a meaning on public arrays here."""
    return name in _MEANINGS


def evaluate(name: str, operands: Sequence[Array], params: Mapping[str, Any]) -> Array:
    """The step's result, canonical."""
    meaning = _MEANINGS.get(name)
    if meaning is None:
        raise UnsupportedOperation(f"{name} of public values alone has no rule")
    with np.errstate(all="ignore"):
        result = np.asarray(meaning(*operands, **params))
    if result.dtype.kind == "f":
        return result.astype(np.float64, copy=False)
    return result.astype(np.int64, copy=False) if result.dtype.kind in "iu" else result


def broadcast(x: Array, *, shape: Sequence[int], axes: Sequence[int]) -> Array:
    """Place the axes of x at `axes` of the result and repeat along the others."""
    extents = [1] * len(shape)
    for axis, extent in zip(axes, x.shape, strict=True):
        extents[axis] = extent
    return np.broadcast_to(x.reshape(extents), tuple(shape))


def slice_(x: Array, *, start: Sequence[int], stop: Sequence[int], stride: Sequence[int]) -> Array:
    """x[start:stop:stride] along every axis."""
    return x[tuple(slice(a, b, c) for a, b, c in zip(start, stop, stride, strict=True))]


def pad(x: Array, value: Array, *, widths: Sequence[tuple[int, int, int]]) -> Array:
    """Edges (low, high) and interior padding by `value`; negative edges cut."""
    extents = [max(0, n + (n - 1) * inside if n else 0) for n, (_, _, inside) in zip(x.shape, widths, strict=True)]
    spread = np.full(extents, value, x.dtype)
    spread[tuple(slice(None, None, inside + 1) for _, _, inside in widths)] = x
    grown = np.pad(spread, [(max(low, 0), max(high, 0)) for low, high, _ in widths], constant_values=value[()])
    cuts = [
        slice(max(-low, 0), extent - max(-high, 0)) for extent, (low, high, _) in zip(grown.shape, widths, strict=True)
    ]
    return grown[tuple(cuts)]


def take(x: Array, indices: Array, *, axis: int) -> Array:
    """x at public positions along an axis."""
    return np.take(x, indices, axis=axis)


def convert(x: Array, *, kind: str) -> Array:
    """Between kinds; a float becomes an integer by truncation towards zero."""
    if kind == "bool":
        return x != 0
    if kind == "int":
        return np.trunc(x).astype(np.int64) if x.dtype.kind == "f" else x.astype(np.int64)
    return x.astype(np.float64)


def gather_map(
    indices: Array, *, shape: Sequence[int], window: Sequence[int], offset_dims: Sequence[int],
    collapsed: Sequence[int], start_map: Sequence[int], operand_batch: Sequence[int], index_batch: Sequence[int], mode: str,
) -> Array:  # fmt: skip
    """Row-major positions that a gather reads, in the layout of its result; -1 where it reads out of bounds."""
    batch = indices.shape[:-1]
    start = np.zeros((*batch, len(shape)), np.int64)
    for number, axis in enumerate(start_map):
        start[..., axis] = indices[..., number]
    for axis, place in zip(operand_batch, index_batch, strict=True):
        start[..., axis] = np.arange(batch[place]).reshape([-1 if a == place else 1 for a in range(len(batch))])
    limit = np.asarray(shape) - np.asarray(window)
    inside = np.all((start >= 0) & (start <= limit), axis=-1)
    start = np.clip(start, 0, limit)
    strides = np.ones(len(shape), np.int64)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    kept = [axis for axis in range(len(shape)) if axis not in collapsed and axis not in operand_batch]
    offsets = np.zeros((), np.int64)
    for axis in kept:
        offsets = offsets[..., None] + np.arange(window[axis]) * strides[axis]
    tail = (1,) * len(kept)
    flat = np.reshape(start @ strides, (*batch, *tail)) + offsets
    if mode == "drop":
        flat = np.where(np.reshape(inside, (*batch, *tail)), flat, -1)
    batch_axes = [axis for axis in range(flat.ndim) if axis not in offset_dims]
    return np.moveaxis(flat, range(flat.ndim), [*batch_axes, *offset_dims])


def overwrite_map(positions: Array, *, size: int) -> Array:
    """Where each of `size` elements comes from after updates at `positions`: itself, or size + the last update's number."""
    source = np.arange(size)
    inside = np.flatnonzero(positions.reshape(-1) >= 0)
    source[positions.reshape(-1)[inside]] = size + inside
    return source


def scatter_add(x: Array, positions: Array, updates: Array) -> Array:
    """x with updates added at positions, -1 meaning nowhere."""
    result = x.copy()
    inside = positions >= 0
    np.add.at(result, positions[inside], updates[inside])
    return result


def dot_general(x: Array, y: Array, *, contract: Sequence[Sequence[int]], batch: Sequence[Sequence[int]]) -> Array:
    """The sum of products over the contracted axes; result axes: batch, rest of x, rest of y."""
    (cx, cy), (bx, by) = contract, batch
    free_x = [a for a in range(x.ndim) if a not in cx and a not in bx]
    free_y = [a for a in range(y.ndim) if a not in cy and a not in by]
    lead = [x.shape[a] for a in bx]
    inner = int(np.prod([x.shape[a] for a in cx]))
    left = x.transpose([*bx, *free_x, *cx]).reshape([*lead, -1, inner] if x.size else [*lead, 0, inner])
    right = y.transpose([*by, *cy, *free_y]).reshape([*lead, inner, -1] if y.size else [*lead, inner, 0])
    return (left @ right).reshape([*lead, *(x.shape[a] for a in free_x), *(y.shape[a] for a in free_y)])


def _axes(function: Callable[..., Array]) -> Callable[..., Array]:
    def reduce(x: Array, *, axes: Sequence[int]) -> Array:
        return np.asarray(function(x, axis=tuple(axes)))

    return reduce


_MEANINGS: Mapping[str, Callable[..., Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "neg": np.negative,
    "mul": np.multiply,
    "square": np.square,
    "divide": np.divide,
    "reciprocal": np.reciprocal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
    "select": np.where,
    "abs": np.abs,
    "sign": np.sign,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "clip": np.clip,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "logical_not": np.logical_not,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "bitwise_not": np.invert,
    "bitwise_and": np.bitwise_and,
    "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor,
    "sum": _axes(np.sum),
    "prod": _axes(np.prod),
    "max": _axes(np.max),
    "min": _axes(np.min),
    "any": _axes(np.any),
    "all": _axes(np.all),
    "mod": np.mod,
    "rem": np.fmod,
    "floor_divide": np.floor_divide,
    "shift_left": np.left_shift,
    "shift_right": np.right_shift,
    "reshape": lambda x, *, shape: x.reshape(shape),
    "transpose": lambda x, *, axes: x.transpose(axes),
    "reverse": lambda x, *, axes: np.flip(x, tuple(axes)),
    "concatenate": lambda *xs, axis: np.concatenate(xs, axis),
    "broadcast": broadcast,
    "slice": slice_,
    "pad": pad,
    "take": take,
    "convert": convert,
    "gather_map": gather_map,
    "overwrite_map": overwrite_map,
    "scatter_add": scatter_add,
    "dot_general": dot_general,
}
