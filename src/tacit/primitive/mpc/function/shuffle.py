"""Secret orders: a random one that nobody knows, and one that is itself shared."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tacit.foundation.errors import ShapeError
from tacit.primitive.mpc.function.contract import EXACT, contract
from tacit.primitive.mpc.function.operand import DEFAULT_BITS, at_scale, common_bits, wrap
from tacit.primitive.mpc.function.reduce import normalised
from tacit.primitive.mpc.kernel import Arith, Kernel, Shape
from tacit.primitive.mpc.value import Boolean, Integer, Value

PERMUTATION = "the order is a permutation of 0, ..., n - 1"
RANDOM_PERMUTATION = "the order after a secret shuffle: a uniformly random permutation"


@contract(error=EXACT)
async def shuffle(k: Kernel, x: Value, *others: Value, axis: int = 0) -> Any:
    """The slices along an axis in a uniformly random order that nobody knows; the others in the same order.

    Reveals: nothing. Costs: one `shuffle` of all elements (truth values: and a `lift` and a `decompose` of one bit).
    Errors: ShapeError.
    """
    values = (x, *others)
    rows = _Rows(values, axis)
    table = await k.shuffle(await rows.joined(k))
    return await rows.parted(k, table)


@contract(domain=PERMUTATION, error=EXACT, reveals=RANDOM_PERMUTATION)
async def permute(k: Kernel, x: Value, order: Integer, *, axis: int = 0) -> Value:
    """x[order] along an axis for a shared permutation: `take`, for the price of two shuffles.

    Computes: the inverse of the order, then `permute_inverse` by it.
    Reveals: two uniformly random permutations. Costs: two `shuffle`s, `decompose`s and `open_bits` of n log2 n bits.
    Errors: ShapeError. An order that is no permutation has no defined result, and what is opened then depends on it.
    """
    return await permute_inverse(k, x, await invert_permutation(k, order), axis=axis)


@contract(domain=PERMUTATION, error=EXACT, reveals=RANDOM_PERMUTATION)
async def permute_inverse(k: Kernel, x: Value, order: Integer, *, axis: int = 0) -> Value:
    """y with y[order] = x along an axis, for a shared permutation.

    Computes: x and the order are shuffled together; the order, now uniformly random and independent of everything else, is opened.
    Reveals: a uniformly random permutation. Costs: one `shuffle`, one `decompose` and `open_bits` of n log2 n bits.
    """
    rows = _Rows((x,), axis)
    if order.shape != (rows.count,):
        raise ShapeError(f"an order of shape {order.shape} cannot arrange {rows.count} slices")
    moved, places = await _opened_order(k, await rows.joined(k), order.share)
    return await rows.parted(k, k.linear(lambda s: s[places], moved))


@contract(domain=PERMUTATION, error=EXACT, reveals=RANDOM_PERMUTATION)
async def invert_permutation(k: Kernel, order: Integer) -> Integer:
    """The order that undoes a shared permutation.

    Reveals: a uniformly random permutation. Costs: those of `permute_inverse`.
    """
    (n,) = order.shape
    places = k.public(np.arange(n, dtype=np.uint64)[:, None])
    moved, position = await _opened_order(k, places, order.share)
    return Integer(k.linear(lambda s: s[position, 0], moved))


async def _opened_order(k: Kernel, table: Arith, order: Arith) -> tuple[Arith, Any]:
    """The shuffled rows of a table, and the rows that belong at 0, 1, ... by the order."""
    n, width = table.shape
    both = k.linear(lambda s, t: np.concatenate([s, t[:, None]], axis=1), table, order)
    shuffled = await k.shuffle(both)
    bits = await k.open_bits(await k.decompose(k.linear(lambda s: s[:, width], shuffled), max(1, (n - 1).bit_length())))
    where = bits.astype(np.int64) @ (1 << np.arange(bits.shape[-1]))
    return k.linear(lambda s: s[:, :width], shuffled), np.argsort(where, kind="stable")


class _Rows:
    """Several values side by side, a row for each index of an axis."""

    def __init__(self, values: Sequence[Value], axis: int) -> None:
        self.values = values
        self.axes = [normalised(axis, len(value.shape))[0] for value in values]
        counts = {value.shape[a] for value, a in zip(values, self.axes, strict=True)}
        if len(counts) > 1:
            raise ShapeError(f"values of {sorted(counts)} slices along axis {axis} cannot share one order")
        self.count = counts.pop()
        self.scales = [common_bits((value,), DEFAULT_BITS) for value in values]

    async def joined(self, k: Kernel) -> Arith:
        """[n, columns]."""
        parts = []
        for value, axis, scale in zip(self.values, self.axes, self.scales, strict=True):
            operand = await at_scale(k, value, scale)
            share = k.public(operand) if type(operand) is np.ndarray else operand
            parts.append(k.linear(_flat_rows(axis, self.count), share))
        return k.linear(lambda *s: np.concatenate(s, axis=1), *parts)

    async def parted(self, k: Kernel, table: Arith) -> Any:
        """The values again; one alone, several as a tuple."""
        results: list[Value] = []
        begin = 0
        for value, axis, scale in zip(self.values, self.axes, self.scales, strict=True):
            rest = value.shape[:axis] + value.shape[axis + 1 :]
            share = k.linear(_own_shape(begin, rest, axis), table)
            begin += prod(rest)
            if type(value) is Boolean:
                results.append(Boolean(k.rearrange(lambda b: b[..., 0], await k.decompose(share, 1))))
            else:
                results.append(wrap(share, scale))
        return results[0] if len(results) == 1 else tuple(results)


def _flat_rows(axis: int, count: int) -> Any:
    def flat(s: Any) -> Any:
        rows = np.moveaxis(s, axis, 0)
        return rows.reshape(count, prod(rows.shape[1:]))

    return flat


def _own_shape(begin: int, rest: Shape, axis: int) -> Any:
    return lambda s: np.moveaxis(s[:, begin : begin + prod(rest)].reshape(s.shape[0], *rest), 0, axis)
