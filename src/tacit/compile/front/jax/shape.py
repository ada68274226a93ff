"""Rules that move elements without changing them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tacit.compile.front.jax import indexing, ops
from tacit.compile.front.jax.builder import Builder, Operand
from tacit.compile.front.jax.lower import lowers, refusal


@lowers("reshape")
def reshape(b: Builder, eqn: Any, x: Operand, *_: Operand) -> Operand:
    """The same elements in row-major order, after a permutation of the axes where `dimensions` gives one."""
    if eqn.params["dimensions"] is not None:
        x = ops.transpose(b, x, eqn.params["dimensions"])
    return ops.reshape(b, x, eqn.params["new_sizes"])


@lowers("squeeze", "expand_dims")
def squeeze(b: Builder, eqn: Any, x: Operand) -> Operand:
    """Drop or add axes of length one."""
    return ops.reshape(b, x, eqn.outvars[0].aval.shape)


@lowers("transpose")
def transpose(b: Builder, eqn: Any, x: Operand) -> Operand:
    """Permute the axes."""
    return ops.transpose(b, x, eqn.params["permutation"])


@lowers("broadcast_in_dim")
def broadcast_in_dim(b: Builder, eqn: Any, x: Operand, *_: Operand) -> Operand:
    """Repeat along new axes."""
    shape, axes = eqn.outvars[0].aval.shape, eqn.params["broadcast_dimensions"]
    return ops.broadcast(b, x, shape, axes)


@lowers("broadcast_to")
def broadcast_to(b: Builder, eqn: Any, x: Operand) -> Operand:
    """NumPy's broadcasting."""
    return ops.broadcast_to(b, x, eqn.outvars[0].aval.shape)


@lowers("slice")
def slice_(b: Builder, eqn: Any, x: Operand) -> Operand:
    """x[start:stop:stride] along every axis."""
    p = eqn.params
    return ops.slice_(b, x, p["start_indices"], p["limit_indices"], p["strides"])


@lowers("pad")
def pad(b: Builder, eqn: Any, x: Operand, value: Operand) -> Operand:
    """Edge and interior padding; negative edges cut."""
    if ops.known(value):
        return ops.pad(b, x, value, eqn.params["padding_config"])
    config = eqn.params["padding_config"]
    inside = ops.pad(b, np.ones(x.shape, np.bool_), np.asarray(False), config)
    padded = ops.pad(b, x, ops.number(0, x), config)
    return ops.select(b, inside, padded, value)


@lowers("concatenate")
def concatenate(b: Builder, eqn: Any, *xs: Operand) -> Operand:
    """Join along an axis."""
    return ops.concatenate(b, xs, eqn.params["dimension"])


@lowers("split")
def split(b: Builder, eqn: Any, x: Operand) -> list[Operand]:
    """Cut along an axis."""
    axis, parts, start = eqn.params["axis"], [], 0
    for size in eqn.params["sizes"]:
        parts.append(ops.slice_axis(b, x, axis, start, start + size))
        start += size
    return parts


@lowers("stack")
def stack(b: Builder, eqn: Any, *xs: Operand) -> Operand:
    """Join along a new axis."""
    return ops.stack(b, xs, eqn.params["axis"])


@lowers("unstack")
def unstack(b: Builder, eqn: Any, x: Operand) -> list[Operand]:
    """Cut an axis into its positions."""
    axis = eqn.params["axis"]
    return [ops.index(b, x, axis, position) for position in range(x.shape[axis])]


@lowers("tile")
def tile(b: Builder, eqn: Any, x: Operand) -> Operand:
    """Repeat whole copies along the axes."""
    for axis, count in enumerate(eqn.params["reps"]):
        x = ops.concatenate(b, [x] * count, axis) if count != 1 else x
    return x


@lowers("rev")
def rev(b: Builder, eqn: Any, x: Operand) -> Operand:
    """Flip along axes."""
    return ops.reverse(b, x, eqn.params["dimensions"])


@lowers("zeros_like")
def zeros_like(_b: Builder, eqn: Any, x: Operand) -> Operand:
    """Zeros of the shape of x."""
    return np.zeros(x.shape, eqn.outvars[0].aval.dtype)


@lowers("dynamic_slice")
def dynamic_slice(b: Builder, eqn: Any, x: Operand, *starts: Operand) -> Operand:
    """x[start : start + size] along every axis; starts are clamped so that the slice fits."""
    sizes = eqn.params["slice_sizes"]
    return indexing.window(b, x, list(starts), sizes)


@lowers("dynamic_update_slice")
def dynamic_update_slice(b: Builder, _eqn: Any, x: Operand, update: Operand, *starts: Operand) -> Operand:
    """x with x[start : start + size] replaced; starts are clamped so that the slice fits."""
    return indexing.overwrite(b, x, update, list(starts))


@lowers("dimension_size")
def dimension_size(b: Builder, _eqn: Any, *_: Operand) -> Operand:
    """Refused: shapes are static."""
    raise refusal(b, "a dynamic shape", "Use static shapes and mask the unused part.")
