"""Moving elements: reshaping, slicing, padding, joining, indexing with public indices. All local and exact.

Every function takes a shared or public value of any kind and gives the same kind back; NumPy's rules for shapes and
indices hold. The functions are coroutines like all others, though they never wait (joining values of different kinds may).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tacit.foundation.errors import ShapeError, TacitError
from tacit.primitive.mpc.function.contract import contract
from tacit.primitive.mpc.function.operand import at_scale, common_bits, constant, is_secret, wrap
from tacit.primitive.mpc.kernel import Kernel, Shape
from tacit.primitive.mpc.value import Boolean, Fixed, Integer, Value


def move(k: Kernel, function: Callable[..., Any], x: Value) -> Value:
    """Apply a map that only moves, copies or drops elements."""
    if type(x) is Fixed:
        return Fixed(k.linear(function, x.share), x.bits)
    if type(x) is Integer:
        return Integer(k.linear(function, x.share))
    if type(x) is Boolean:
        return Boolean(k.rearrange(function, x.share))
    return np.asarray(function(np.asarray(x)))


async def unite(k: Kernel, function: Callable[..., Any], *xs: Value) -> Value:
    """Apply a map that moves elements of several values into one: truth values stay such, all else gets one scale.

    Costs: none for values of one kind and scale; else a lift or a truncation, see `operand.py`.
    """
    if not any(is_secret(x) for x in xs):
        return np.asarray(function(*map(np.asarray, xs)))
    if all(type(x) is Boolean or (not is_secret(x) and np.asarray(x).dtype == np.bool_) for x in xs):
        bits = [x.share if type(x) is Boolean else k.public_bits(np.asarray(x)) for x in xs]
        return Boolean(k.rearrange(function, *bits))
    scale = common_bits(xs)
    parts = [await at_scale(k, x, scale) for x in xs]
    shares = [k.public(part) if type(part) is np.ndarray else part for part in parts]
    return wrap(k.linear(function, *shares), scale)


def moved(k: Kernel, function: Callable[..., Any], x: Value, what: str) -> Value:
    """`move`, with NumPy's complaint about shapes as a ShapeError."""
    try:
        return move(k, function, x)
    except TacitError:
        raise
    except (ValueError, IndexError) as error:
        raise ShapeError(f"cannot {what} a value of shape {x.shape}: {error}") from None


@contract()
async def reshape(k: Kernel, x: Value, shape: Shape | int) -> Value:
    """The elements in another shape; one extent may be -1.

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    return moved(k, lambda s: np.reshape(s, shape), x, f"reshape to {shape}")


@contract()
async def transpose(k: Kernel, x: Value, axes: Sequence[int] | None = None) -> Value:
    """The axes in another order, by default reversed.

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    return moved(k, lambda s: np.transpose(s, axes), x, f"transpose by {axes}")


@contract()
async def moveaxis(k: Kernel, x: Value, source: int, destination: int) -> Value:
    """One axis at another place.

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    return moved(k, lambda s: np.moveaxis(s, source, destination), x, "move an axis of")


@contract()
async def broadcast_to(k: Kernel, x: Value, shape: Shape) -> Value:
    """The value repeated to a shape, as NumPy broadcasts.

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    if x.shape == tuple(shape):
        return x
    return moved(k, lambda s: np.broadcast_to(s, shape), x, f"broadcast to {shape}")


@contract()
async def broadcast_in_dim(k: Kernel, x: Value, shape: Shape, axes: Sequence[int]) -> Value:
    """The value repeated to a shape, its axis i becoming axis axes[i] (`jax.lax.broadcast_in_dim`).

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    middle = [1] * len(shape)
    for axis, extent in zip(axes, x.shape, strict=True):
        middle[axis] = extent
    return moved(k, lambda s: np.broadcast_to(np.reshape(s, middle), shape), x, f"broadcast to {shape}")


@contract()
async def expand_dims(k: Kernel, x: Value, axis: int | tuple[int, ...]) -> Value:
    """New axes of extent 1.

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    return moved(k, lambda s: np.expand_dims(s, axis), x, "expand")


@contract()
async def squeeze(k: Kernel, x: Value, axis: int | tuple[int, ...] | None = None) -> Value:
    """Without axes of extent 1: all, or those named.

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    return moved(k, lambda s: np.squeeze(s, axis), x, "squeeze")


@contract()
async def flip(k: Kernel, x: Value, axis: int | tuple[int, ...] | None = None) -> Value:
    """The elements in reverse order along all axes, or those named.

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    return moved(k, lambda s: np.flip(s, axis), x, "flip")


@contract()
async def roll(k: Kernel, x: Value, shift: int, axis: int | None = None) -> Value:
    """The elements shifted in a circle.

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    return moved(k, lambda s: np.roll(s, shift, axis), x, "roll")


@contract()
async def repeat(k: Kernel, x: Value, count: int, axis: int | None = None) -> Value:
    """Every element `count` times.

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    return moved(k, lambda s: np.repeat(s, count, axis), x, "repeat")


@contract()
async def tile(k: Kernel, x: Value, counts: int | Sequence[int]) -> Value:
    """The whole value `counts` times along each axis.

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    return moved(k, lambda s: np.tile(s, counts), x, "tile")


@contract()
async def diagonal(k: Kernel, x: Value, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Value:
    """The diagonal of the matrices that two axes span, as the last axis.

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    return moved(k, lambda s: np.diagonal(s, offset, axis1, axis2), x, "take the diagonal of")


@contract()
async def slice_(
    k: Kernel, x: Value, start: Sequence[int], limit: Sequence[int], strides: Sequence[int] | None = None
) -> Value:
    """The box from `start` to `limit`, every strides[i]-th element of axis i (`jax.lax.slice`).

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    if not len(start) == len(limit) == len(x.shape) or any(
        not 0 <= a <= b <= n for a, b, n in zip(start, limit, x.shape, strict=True)
    ):
        raise ShapeError(f"the box from {tuple(start)} to {tuple(limit)} does not lie in a value of shape {x.shape}")
    key = tuple(slice(a, b, c) for a, b, c in zip(start, limit, strides or [1] * len(start), strict=True))
    return move(k, lambda s: s[key], x)


@contract()
async def index(k: Kernel, x: Value, key: Any) -> Value:
    """x[key] for any NumPy index made of public integers, slices, ellipses, new axes, integer and boolean arrays.

    Reveals: nothing. Costs: none. Errors: ShapeError where the index lies outside.
    """
    return moved(k, lambda s: s[key], x, "index")


@contract()
async def take_along_axis(k: Kernel, x: Value, indices: Any, *, axis: int = -1) -> Value:
    """Public indices that differ along the other axes (`numpy.take_along_axis`).

    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    return moved(k, lambda s: np.take_along_axis(s, np.asarray(indices), axis), x, "take along an axis of")


@contract()
async def concatenate(k: Kernel, *xs: Value, axis: int = 0) -> Value:
    """The values one after the other along an axis; shared and public ones, of one kind or made so.

    Reveals: nothing. Costs: none for values of one kind. Errors: ShapeError.
    """
    return await _joined(k, lambda *s: np.concatenate(s, axis), xs)


@contract()
async def stack(k: Kernel, *xs: Value, axis: int = 0) -> Value:
    """The values along a new axis; shared and public ones, of one kind or made so.

    Reveals: nothing. Costs: none for values of one kind. Errors: ShapeError.
    """
    return await _joined(k, lambda *s: np.stack(s, axis), xs)


async def _joined(k: Kernel, function: Callable[..., Any], xs: Sequence[Value]) -> Value:
    try:
        return await unite(k, function, *xs)
    except TacitError:
        raise
    except ValueError as error:
        raise ShapeError(f"cannot join values of shapes {[x.shape for x in xs]}: {error}") from None


@contract()
async def pad(k: Kernel, x: Value, widths: Sequence[tuple[int, int, int]], value: Any = 0) -> Value:
    """The value in a larger frame filled with a public scalar (`jax.lax.pad`).

    widths[i] = (low, high, interior): elements before, after and between those of axis i; negative ones crop.
    Reveals: nothing. Costs: none. Errors: ShapeError.
    """
    if len(widths) != len(x.shape):
        raise ShapeError(f"{len(widths)} padding widths were given for a value of shape {x.shape}")
    inner, outer, crop = _frame(x.shape, widths)
    if min(outer, default=0) < 0 or any(w[2] < 0 for w in widths):
        raise ShapeError(f"padding {list(widths)} leaves nothing of a value of shape {x.shape}")

    def framed(s: Any) -> Any:
        out = np.zeros(outer, s.dtype)
        out[inner] = s[crop]
        return out

    padded = move(k, framed, x)
    if not np.any(value):
        return padded
    border = np.ones(outer, np.bool_)
    border[inner] = False
    if type(padded) is Boolean:
        return Boolean(k.xor(padded.share, k.public_bits(border)))
    if not is_secret(padded):
        return np.where(border, np.asarray(value).astype(padded.dtype), padded)
    bits = padded.bits if type(padded) is Fixed else None
    fill = constant(np.where(border, value, np.zeros_like(value)), bits)
    return wrap(k.add_public(padded.share, fill), bits)


def _frame(shape: Shape, widths: Sequence[tuple[int, int, int]]) -> tuple[tuple[slice, ...], Shape, tuple[slice, ...]]:
    """Where the elements land, the outer shape, and which elements stay."""
    inner, outer, crop = [], [], []
    for n, (low, high, between) in zip(shape, widths, strict=True):
        step = between + 1
        span = n + max(n - 1, 0) * between
        extent = span + low + high
        first = max(0, -(low // step))  # the first and the last element that stay in the frame
        last = min(n - 1, (extent - 1 - low) // step)
        if last < first:
            inner.append(slice(0, 0))
            crop.append(slice(0, 0))
        else:
            inner.append(slice(low + first * step, low + last * step + 1, step))
            crop.append(slice(first, last + 1))
        outer.append(extent)
    return tuple(inner), tuple(outer), tuple(crop)
