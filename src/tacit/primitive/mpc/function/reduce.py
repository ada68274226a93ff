"""Sums, means, products and truth along axes.

`axis` is an integer, a tuple, or None for all axes; `keepdims` leaves them with extent 1, as in NumPy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import prod as extent_of
from typing import Any, TypeAlias

import numpy as np

from tacit.foundation.errors import ShapeError
from tacit.primitive.mpc.function.arithmetic import ELEMENTWISE, difference, mul, rescale
from tacit.primitive.mpc.function.contract import EXACT, RANGE, bounded, contract, magnitude
from tacit.primitive.mpc.function.logic import conjunction
from tacit.primitive.mpc.function.operand import DEFAULT_BITS, Number, bits_of, number, rescaled, wrap
from tacit.primitive.mpc.function.product import Contraction
from tacit.primitive.mpc.kernel import Arith, Bits, Kernel, Shape
from tacit.primitive.mpc.value import Boolean, Fixed, Value

Axis: TypeAlias = int | tuple[int, ...] | None

SMALL = 64  # terms that a product may sum before its truncation without narrowing the domain
WIDE = 256  # truth values from which a sum and one comparison take fewer rounds than a tree


@contract(domain=RANGE, error=EXACT)
async def sum_(k: Kernel, x: Value, *, axis: Axis = None, keepdims: bool = False) -> Number:
    """The sum along axes; truth values are counted.

    Reveals: nothing. Costs: none (truth values: one `lift`). Error: none.
    """
    value = await number(k, x)
    axes = normalised(axis, len(value.shape))
    return wrap(k.linear(lambda s: s.sum(axis=axes, keepdims=keepdims, dtype=np.uint64), value.share), bits_of(value))


MEAN = bounded("2 ulps + 2**-bits * |mean|", lambda bits, exact, *_: 2.0**-bits * (2 + np.abs(exact)))


@contract(domain=magnitude(56, 2, "mean"), error=MEAN)
async def mean(k: Kernel, x: Value, *, axis: Axis = None, keepdims: bool = False, bits: int | None = None) -> Fixed:
    """The mean along axes, a `Fixed` of the operand's scale (integers: of `bits`).

    Reveals: nothing. Costs: one `truncate` of the result's size, two for more than 64 terms that are no power of two.
    Error: 2 ulps + |mean| * 2**-bits. Domain: |mean| < 2**(56 - 2 bits). Errors: ShapeError for no terms.
    """
    total = await sum_(k, x, axis=axis, keepdims=keepdims)
    terms = count(x.shape, axis)
    if not terms:
        raise ShapeError(f"the mean of no elements (shape {x.shape}, axis {axis}) is not defined")
    return await _share_of(k, total, terms, bits)


async def _share_of(k: Kernel, total: Number, terms: int, bits: int | None) -> Fixed:
    """The share of each of so many terms in a total."""
    scale = (total.bits if type(total) is Fixed else DEFAULT_BITS) if bits is None else bits
    fixed = total if type(total) is Fixed else Fixed(await rescaled(k, total.share, 0, scale), scale)
    halvings = terms.bit_length() - 1
    if terms > SMALL:  # divide by the power of two first, so that the product with the rest stays small
        fixed = Fixed(await k.truncate(fixed.share, halvings), fixed.bits)
        terms_left = terms / 2.0**halvings
    else:
        terms_left = float(terms)
    if terms_left == 1.0:
        return await rescale(k, fixed, scale)
    return Fixed((await mul(k, fixed, np.asarray(1.0 / terms_left), bits=scale)).share, scale)


@contract(
    domain="|x - mean| < 2**(28 - bits) * 2, and sums of 64 squares below 2**(62 - 2 bits)",
    error=bounded(
        "2**-bits * (5 + 4 * sqrt(var) + 2 * var + n / (n - ddof))",
        lambda bits, exact, *_: 2.0**-bits * (8 + 6 * np.sqrt(np.abs(exact)) + 4 * np.abs(exact)),
    ),
)
async def var(
    k: Kernel, x: Value, *, axis: Axis = None, keepdims: bool = False, ddof: int = 0, bits: int | None = None
) -> Fixed:
    """The variance along axes: the mean of squared distances from the mean, divided by n - ddof.

    Computes: squares are summed by 64 before they are truncated, so that their rounding does not add up.
    Reveals: nothing. Costs: two means and one `product` of n / 64 results. Errors: ShapeError where n <= ddof.
    """
    value = await number(k, x)
    axes = normalised(axis, len(value.shape))
    terms = count(value.shape, axes)
    if terms <= ddof:
        raise ShapeError(f"the variance of {terms} elements with ddof={ddof} is not defined")
    centre = await mean(k, value, axis=axes, keepdims=True, bits=bits)
    distance, scale = await difference(k, value, centre)
    rows, rest = _rows(k, distance, axes)
    groups = k.linear(lambda s: _grouped(s, SMALL), rows)
    form = Contraction(((2,), (2,)), ((0, 1), (0, 1)))
    squares = await k.product(form, groups, groups, truncate=scale or 0)
    total = Fixed(k.linear(lambda s: s.sum(axis=1, dtype=np.uint64), squares), scale or 0)
    result = await _share_of(k, total, terms - ddof, centre.bits)
    shape = tuple(1 if i in axes else n for i, n in enumerate(value.shape)) if keepdims else rest
    return Fixed(k.linear(lambda s: s.reshape(shape), result.share), result.bits)


@contract(domain="where `var` and `sqrt` keep their promise", error="that of `sqrt` on the result of `var`")
async def std(
    k: Kernel, x: Value, *, axis: Axis = None, keepdims: bool = False, ddof: int = 0, bits: int | None = None
) -> Fixed:
    """The standard deviation along axes: the square root of the variance.

    Reveals: nothing. Costs: those of `var` and `sqrt`.
    """
    from tacit.primitive.mpc.function import FUNCTIONS  # the registry imports this module

    return await FUNCTIONS["sqrt"](k, await var(k, x, axis=axis, keepdims=keepdims, ddof=ddof, bits=bits))


def _rows(k: Kernel, x: Arith, axes: tuple[int, ...]) -> tuple[Arith, Shape]:
    """[rest, reduced] and the shape of the rest."""
    kept = tuple(i for i in range(len(x.shape)) if i not in axes)
    rest = tuple(x.shape[i] for i in kept)
    size = extent_of(x.shape[i] for i in axes)
    return k.linear(lambda s: s.transpose(*kept, *axes).reshape(extent_of(rest), size), x), rest


def _grouped(s: Any, size: int) -> Any:
    """[rows, n] -> [rows, groups, size], padded with zeros."""
    rows, n = s.shape
    groups = -(-n // size)
    if groups == 1:
        return s.reshape(rows, 1, n)
    padded = np.zeros((rows, groups * size), s.dtype)
    padded[:, :n] = s
    return padded.reshape(rows, groups, size)


@contract(
    domain="every partial product below 2**(62 - 2 bits)",
    error=bounded("n * 2**-bits times the largest partial product", lambda *_: np.inf),
)
async def prod(k: Kernel, x: Value, *, axis: Axis = None, keepdims: bool = False) -> Number:
    """The product along axes, by a tree: log2(n) levels, all pairs of a level in one batch.

    Reveals: nothing. Costs: log2(n) products one after the other, n - 1 elements in all.
    """
    value = await number(k, x)
    bits = bits_of(value)
    if not count(value.shape, axis):
        shape = reduced_shape(value.shape, axis, keepdims=keepdims)
        return wrap(k.public(np.full(shape, np.uint64(1 << (bits or 0)))), bits)

    async def pairwise(a: Arith, b: Arith) -> Arith:
        return await k.product(ELEMENTWISE, a, b, truncate=bits or 0)

    share = await tree(k, value.share, axis, pairwise, keepdims=keepdims)
    return wrap(share, bits)


async def tree(
    k: Kernel, x: Arith, axis: Axis, pairwise: Callable[[Arith, Arith], Awaitable[Arith]], *, keepdims: bool
) -> Arith:
    """Reduce axes by an associative operation on neighbours; axes must not be empty."""
    shape = reduced_shape(x.shape, axis, keepdims=keepdims)
    axes = normalised(axis, len(x.shape))
    items = k.linear(lambda s: front(s, axes), x)
    while items.shape[0] > 1:
        even = items.shape[0] // 2 * 2
        combined = await pairwise(k.linear(_every(0, even), items), k.linear(_every(1, even), items))
        if even < items.shape[0]:
            combined = k.linear(_with_last, combined, items)
        items = combined
    return k.linear(lambda s: s.reshape(shape), items)


def _every(start: int, limit: int) -> Any:
    return lambda s: s[start:limit:2]


def _with_last(s: Any, t: Any) -> Any:
    return np.concatenate([s, t[-1:]])


@contract()
async def all_(k: Kernel, x: Boolean, *, axis: Axis = None, keepdims: bool = False) -> Boolean:
    """Whether all are true along axes; true of none.

    Computes: a tree of ANDs, or for more than 256 after three levels the count of false ones and one comparison.
    Reveals: nothing. Costs: log2(n) `both`, or three, a `lift` and a `negative`. Error: none.
    """
    return Boolean(await _all(k, x.share, axis, keepdims=keepdims))


@contract()
async def any_(k: Kernel, x: Boolean, *, axis: Axis = None, keepdims: bool = False) -> Boolean:
    """Whether one is true along axes; false of none: not all are false.

    Reveals: nothing. Costs: those of `all`. Error: none.
    """
    return Boolean(k.invert(await _all(k, k.invert(x.share), axis, keepdims=keepdims)))


async def _all(k: Kernel, a: Bits, axis: Axis, *, keepdims: bool) -> Bits:
    shape = reduced_shape(a.shape, axis, keepdims=keepdims)
    axes = normalised(axis, len(a.shape))
    terms = count(a.shape, axes)
    if not terms:
        return k.public_bits(np.ones(shape, np.bool_))
    items = k.rearrange(lambda s: front(s, axes), a)
    if terms <= WIDE:
        items = await conjunction(k, items)
        return k.rearrange(lambda s: s.reshape(shape), items)
    items = await conjunction(k, items, -(-terms // 8))
    missing = k.linear(lambda s: s.sum(axis=0, dtype=np.uint64), await k.lift(k.invert(items)))
    found = k.invert(await k.negative(k.linear(np.negative, missing)))
    return k.rearrange(lambda s: s.reshape(shape), found)


# --- axes ---------------------------------------------------------------------------------------------------------


def normalised(axis: Axis, rank: int) -> tuple[int, ...]:
    """Axes as non-negative numbers; ShapeError where they do not exist or repeat."""
    axes = tuple(range(rank)) if axis is None else (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    result = tuple(int(a) + rank if a < 0 else int(a) for a in axes)
    if any(not 0 <= a < rank for a in result) or len(set(result)) < len(result):
        raise ShapeError(f"axes {axis} do not fit a value of {rank} axes")
    return result


def count(shape: Shape, axis: Axis) -> int:
    """Elements that are reduced into one."""
    return extent_of(shape[a] for a in normalised(axis, len(shape)))


def reduced_shape(shape: Shape, axis: Axis, *, keepdims: bool) -> Shape:
    """The shape after a reduction."""
    axes = normalised(axis, len(shape))
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def front(s: Any, axes: tuple[int, ...]) -> Any:
    """[reduced, rest]: the axes first, in order, as one; the others as another."""
    kept = tuple(i for i in range(s.ndim) if i not in axes)
    size = extent_of(s.shape[i] for i in axes)
    rest = extent_of(s.shape[i] for i in kept)
    return s.transpose(*axes, *kept).reshape(size, rest)
