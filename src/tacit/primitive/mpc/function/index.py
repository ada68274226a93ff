"""Reading and writing at indices: public ones are local; shared ones go through a one-hot code.

A shared index i in 0 <= i < n becomes n bits of which bit i is set: its binary digits are decoded by a tree of ANDs, about n
of them. A product with the code then selects, and communicates the size of the result only. What happens to an index
outside is said by `mode`: "promise" (it does not occur; the result is undefined), "clip" (the nearest index), and for codes "zero"
(no bit is set).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, final

import numpy as np

from tacit.foundation.errors import ConfigError, ShapeError, TacitError, TypeMismatch
from tacit.primitive.driver import gather
from tacit.primitive.mpc.function.arithmetic import add, bilinear, spread_bits, sub
from tacit.primitive.mpc.function.compare import shift
from tacit.primitive.mpc.function.contract import EXACT, contract
from tacit.primitive.mpc.function.operand import at_scale, common_bits, is_secret, number, wrap
from tacit.primitive.mpc.function.product import Contraction
from tacit.primitive.mpc.function.reduce import normalised
from tacit.primitive.mpc.function.select import clip
from tacit.primitive.mpc.function.structure import move, moved, unite
from tacit.primitive.mpc.kernel import Arith, Bilinear, Bits, Kernel, Ring, Shape
from tacit.primitive.mpc.value import Boolean, Integer, Value

INSIDE = "0 <= index < n, or as `mode` says"


@contract(domain=INSIDE, error=EXACT)
async def take(k: Kernel, x: Value, indices: Value, *, axis: int = 0, mode: str = "promise") -> Value:
    """The slices of x at indices along an axis; public indices may be negative, to count from the end.

    Computes: for shared indices (x shared or public) the product of their one-hot codes with x.
    Reveals: nothing. Costs: none for public indices; else per index `decompose` of log2 n bits, about n `both`s in log2 log2 n
        rounds, n `lift`s, and one `product` of the result's size (none for a public x). Error: none.
    Errors: ShapeError where a public index lies outside.
    """
    if type(indices) is not Integer:
        if is_secret(indices):
            raise TypeMismatch(f"an index is an integer, not a shared {type(indices).__name__}")
        return moved(
            k,
            lambda s: np.take(s, np.asarray(indices), axis, mode="clip" if mode == "clip" else "raise"),
            x,
            "take from",
        )
    (along,) = normalised(axis, len(x.shape))
    code = Integer(await k.lift(await _code(k, indices, x.shape[along], mode)))
    rank = len(indices.shape)
    values = Integer(await k.lift(x.share)) if type(x) is Boolean else x
    if not is_secret(values) and np.asarray(values).dtype == np.bool_:
        values = np.asarray(values).astype(np.int64)
    picked = await bilinear(k, Contraction(((rank,), (along,))), code, values)
    order = [*range(rank, rank + along), *range(rank), *range(rank + along, rank + len(x.shape) - 1)]
    result = move(k, lambda s: np.transpose(s, order), picked)
    return await _as_given(k, result, x)


@contract(domain=INSIDE, error=EXACT)
async def one_hot(k: Kernel, index: Integer, count: int, *, mode: str = "zero") -> Boolean:
    """[index == 0], ..., [index == count - 1] as a new last axis.

    Reveals: nothing. Costs: `decompose` of log2 n bits and about n `both`s in log2 log2 n rounds; two comparisons for
        indices that may lie outside. Error: none.
    """
    return Boolean(await _code(k, index, count, mode))


async def _code(k: Kernel, index: Integer, count: int, mode: str) -> Bits:
    if mode not in {"promise", "clip", "zero"}:
        raise ConfigError(f"mode is 'promise', 'clip' or 'zero', not {mode!r}")
    if mode == "clip":
        share = (await number(k, await clip(k, index, np.asarray(0), np.asarray(count - 1)))).share
        return await one_hot_bits(k, share, count)
    if mode == "promise":
        return await one_hot_bits(k, index.share, count)
    share = index.share
    below, under, code = await gather(
        k.negative(share), k.negative(shift(k, share, -count)), one_hot_bits(k, share, count)
    )
    inside = k.rearrange(lambda b: b[..., None], k.xor(below, under))  # 0 <= index < count where the two differ
    return await k.both(code, spread_bits(k, inside, code.shape))


async def one_hot_bits(k: Kernel, index: Arith, count: int) -> Bits:
    """The one-hot code of 0 <= index < count, [..., count]: digits decoded by pairs of ever larger codes."""
    shape = index.shape
    if count <= 1:
        return k.public_bits(np.ones((*shape, count), np.bool_))
    digits = await k.decompose(index, (count - 1).bit_length())
    flipped = k.invert(digits)
    codes = [k.rearrange(_pair(i), flipped, digits) for i in range(digits.shape[-1])]
    while len(codes) > 1:
        last = len(codes) == 2
        pairs = [_joint(k, codes[i], codes[i + 1], count if last else None) for i in range(0, len(codes) - 1, 2)]
        codes = [*await gather(*pairs), *codes[len(codes) // 2 * 2 :]]
    return k.rearrange(lambda b: b[..., :count], codes[0])


async def _joint(k: Kernel, low: Bits, high: Bits, count: int | None) -> Bits:
    """The code of a number from the codes of its low and its high part."""
    size = low.shape[-1]
    values = np.arange(min(count or size * high.shape[-1], size * high.shape[-1]))
    return await k.both(k.rearrange(_last(values % size), low), k.rearrange(_last(values // size), high))


def _pair(i: int) -> Any:
    return lambda s, t: np.stack([s[..., i], t[..., i]], axis=-1)


def _last(indices: Any) -> Any:
    return lambda b: b[..., indices]


# --- slices at an offset ------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True, slots=True)
class Window(Bilinear):
    """code [m] and values [m + size - 1, rest] -> the `size` rows from the coded offset on."""

    size: int

    def shape(self, left: Shape, right: Shape) -> Shape:
        """[size, rest]."""
        if len(left) != 1 or len(right) != 2 or right[0] != left[0] + self.size - 1:
            raise ShapeError(f"{self.size} of {right} rows cannot start at one of {left} offsets")
        return (self.size, right[1])

    def apply(self, local: Any, left: Ring, right: Ring) -> Ring:
        """A banded matrix of the code, times the values."""
        return np.asarray(local.matmul(_band(left, self.size), right))


@final
@dataclass(frozen=True, slots=True)
class Place(Bilinear):
    """code [m] and values [size, rest] -> [m + size - 1, rest], the values from the coded offset on, zero elsewhere."""

    def shape(self, left: Shape, right: Shape) -> Shape:
        """[m + size - 1, rest]."""
        if len(left) != 1 or len(right) != 2:
            raise ShapeError(f"rows {right} cannot be placed at one of {left} offsets")
        return (left[0] + right[0] - 1, right[1])

    def apply(self, local: Any, left: Ring, right: Ring) -> Ring:
        """The transposed banded matrix, times the values."""
        return np.asarray(local.matmul(np.ascontiguousarray(_band(left, right.shape[0]).T), right))


def _band(code: Ring, size: int) -> Ring:
    """[size, m + size - 1] with code[i] at (j, i + j)."""
    band = np.zeros((size, code.shape[0] + size - 1), np.uint64)
    for row in range(size):
        band[row, row : row + code.shape[0]] = code
    return band


@contract(domain="every start; a start that does not fit is moved to the nearest that does", error=EXACT)
async def dynamic_slice(k: Kernel, x: Value, starts: Sequence[Value | int], sizes: Sequence[int]) -> Value:
    """The box of `sizes` from `starts` on, each a public or shared integer scalar (`jax.lax.dynamic_slice`).

    Reveals: nothing. Costs: for each shared start a one-hot code, its `lift`, and one `product` of the result's size. Error: none.
    Errors: ShapeError where the box is larger than x.
    """
    _check_box(x.shape, starts, sizes)
    result: Value = Integer(await k.lift(x.share)) if type(x) is Boolean else x
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        code = await _offset(k, start, x.shape[axis], size)
        if isinstance(code, int):
            result = move(k, _cut(axis, code, size), result)
        else:
            result = await _along(k, Window(size), code, result, axis)
    return await _as_given(k, result, x)


@contract(domain="every start; a start that does not fit is moved to the nearest that does", error=EXACT)
async def dynamic_update_slice(k: Kernel, x: Value, update: Value, starts: Sequence[Value | int]) -> Value:
    """x with the box from `starts` on replaced by `update` (`jax.lax.dynamic_update_slice`).

    Computes: x plus, placed at the starts, what the update differs by from the box that is there.
    Reveals: nothing. Costs: for each shared start a one-hot code, its `lift`, and two `product`s. Error: none.
    Errors: ShapeError where the update is larger than x.
    """
    sizes = update.shape
    _check_box(x.shape, starts, sizes)
    codes = [await _offset(k, s, n, size) for s, n, size in zip(starts, x.shape, sizes, strict=True)]
    scale = common_bits((x, update))
    whole = [await at_scale(k, v, scale) for v in (x, update)]
    base, new = [wrap(k.public(v) if type(v) is np.ndarray else v, scale) for v in whole]
    old: Value = base
    for axis, code in enumerate(codes):
        old = (
            move(k, _cut(axis, code, sizes[axis]), old)
            if isinstance(code, int)
            else await _along(k, Window(sizes[axis]), code, old, axis)
        )
    change: Value = await sub(k, new, old)
    for axis, code in enumerate(codes):
        if isinstance(code, int):
            change = move(k, _framed(axis, code, x.shape[axis]), change)
        else:
            change = await _along(k, Place(), code, change, axis)
    return await _as_given(k, await add(k, base, change), x)


def _check_box(shape: Shape, starts: Sequence[Any], sizes: Sequence[int]) -> None:
    if not len(starts) == len(sizes) == len(shape) or any(not 0 <= s <= n for s, n in zip(sizes, shape, strict=True)):
        raise ShapeError(f"a box of {tuple(sizes)} at {len(starts)} starts does not lie in a value of shape {shape}")


async def _offset(k: Kernel, start: Value | int, extent: int, size: int) -> int | Integer:
    """A public start in its range, or the code of a shared one."""
    if not is_secret(start):
        return int(np.clip(int(np.asarray(start)), 0, extent - size))
    if type(start) is not Integer or start.shape != ():
        raise TypeMismatch("a start is an integer scalar")
    return Integer(await k.lift(await _code(k, start, extent - size + 1, "clip")))


async def _along(k: Kernel, form: Bilinear, code: Integer, x: Value, axis: int) -> Value:
    """form(code, x) along one axis of x."""
    rest = x.shape[:axis] + x.shape[axis + 1 :]
    rows = move(k, lambda s: np.moveaxis(s, axis, 0).reshape(s.shape[axis], prod(rest)), x)
    result = await bilinear(k, form, code, rows)
    return move(k, lambda s: np.moveaxis(s.reshape(s.shape[0], *rest), 0, axis), result)


def _cut(axis: int, start: int, size: int) -> Any:
    return lambda s: s[(slice(None),) * axis + (slice(start, start + size),)]


def _framed(axis: int, start: int, extent: int) -> Any:
    def framed(s: Any) -> Any:
        out = np.zeros((*s.shape[:axis], extent, *s.shape[axis + 1 :]), s.dtype)
        out[(slice(None),) * axis + (slice(start, start + s.shape[axis]),)] = s
        return out

    return framed


async def _as_given(k: Kernel, result: Value, x: Value) -> Value:
    if type(x) is Boolean and type(result) is Integer:
        return Boolean(k.rearrange(lambda b: b[..., 0], await k.decompose(result.share, 1)))
    return result


# --- writing at public indices ------------------------------------------------------------------------------------


@contract(error=EXACT)
async def scatter(k: Kernel, x: Value, key: Any, updates: Value) -> Value:
    """x with x[key] = updates for any public NumPy index; of updates to one place the last stays.

    Reveals: nothing. Costs: none for values of one kind. Error: none. Errors: ShapeError.
    """

    def written(s: Any, u: Any) -> Any:
        out = s.copy()
        out[key] = u
        return out

    return await _written(k, written, x, updates)


@contract(error=EXACT)
async def scatter_add(k: Kernel, x: Value, key: Any, updates: Value) -> Value:
    """x with updates added at x[key] for any public NumPy index; updates to one place all count.

    Reveals: nothing. Costs: none for numbers; truth values are lifted. Error: none. Errors: ShapeError.
    """

    def added(s: Any, u: Any) -> Any:
        out = s.copy()
        np.add.at(out, key, u)
        return out

    numbers = [Integer(await k.lift(v.share)) if type(v) is Boolean else v for v in (x, updates)]
    return await _written(k, added, *numbers)


async def _written(k: Kernel, function: Any, x: Value, updates: Value) -> Value:
    try:
        return await unite(k, function, x, updates)
    except TacitError:
        raise
    except (ValueError, IndexError) as error:
        raise ShapeError(f"cannot write {updates.shape} into a value of shape {x.shape}: {error}") from None
