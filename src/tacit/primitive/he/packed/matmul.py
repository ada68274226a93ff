"""Products of packed arrays with plaintext matrices: as diagonals, or folded where each row has a circle for itself.

By diagonals (Halevi and Shoup), factor w[i, j] is what number i is multiplied with on its way to slot j: k + n - 1 distances
for all rows of a ciphertext at once. Folded (the hybrid method of Juvekar et al., "GAZELLE", 2018), number i goes to the
nearest slot that is j modulo n, so that 2 n - 1 distances suffice; the slots at multiples of n are then added up by
rotations, over the whole circle. That needs the circle to hold nothing else, and pays where n is small beside k.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import ShapeError
from tacit.primitive.he.packed.array import PackedArray
from tacit.primitive.he.packed.linear import Entries, Values, apply_entries
from tacit.primitive.he.packed.slots import Layout, Places, power_of_two, rows


def matmul(array: PackedArray, matrix: Values) -> PackedArray:
    """Ciphertexts [..., k] times numbers [k, n] or [k].

    Costs: one level. For each ciphertext, k + n - 1 products with plaintexts and 2 sqrt(k + n) rotations; where n is
           small and each row has ciphertexts of its own (a vector does), 2 n - 1 products, 2 sqrt(2 n) rotations, and
           log2(slots / n) more for each row.
    Error: CKKS: the largest column sum of |matrix| times e_x, an encoding error for each product, rounding; see `ckks`.
           Exact for BFV.
    """
    if array.ndim < 1 or matrix.ndim not in (1, 2) or array.shape[-1] != matrix.shape[0]:
        raise ShapeError(f"shapes {array.shape} and {matrix.shape} do not multiply")
    columns = matrix.reshape(len(matrix), -1)
    out = array.shape[:-1] + matrix.shape[1:]
    starts = array.layout.places.reshape(-1, array.shape[-1])
    norm, largest = _norm(columns), _largest(columns)
    if _alone(array, starts) and _pays(columns.shape[1], array.shape[-1]):
        ends = np.arange(len(starts))[:, None] * array.layout.geometry.slots + np.arange(columns.shape[1])
        layout = Layout(array.layout.geometry, ends, power_of_two(columns.shape[1]), len(starts))
        return _folded(
            array, layout, starts[:, :, None], ends[:, None], columns[None], norm=norm, largest=largest
        ).reshape(out)
    layout = _result_rows(array, starts, columns.shape[1])
    ends = layout.places.reshape(-1, columns.shape[1])
    parts = (
        Entries(*_flat(starts[part, :, None], ends[part, None, :], columns[None]))
        for part in _by_cell(starts[:, 0] // array.layout.geometry.slots)
    )
    return apply_entries(array, layout, parts, norm=norm, largest=largest).reshape(out)


def matmul_left(matrix: Values, array: PackedArray) -> PackedArray:
    """Numbers [n, k] or [k] times ciphertexts [k] or [k, m].

    Costs: one level. For each ciphertext, 2 n - 1 products with plaintexts, 2 sqrt(2 n) rotations, and log2(k / n) more
           for the result; as `matmul` where n is not small beside k, and for a vector.
    Error: as `matmul`, with row sums.
    """
    if array.ndim not in (1, 2) or matrix.ndim not in (1, 2) or matrix.shape[-1] != array.shape[0]:
        raise ShapeError(f"shapes {matrix.shape} and {array.shape} do not multiply")
    if array.ndim == 1:
        return matmul(array, matrix.T)
    factors = matrix.reshape(-1, array.shape[0])
    out = matrix.shape[:-1] + array.shape[1:]
    starts, unit = array.layout.places, power_of_two(array.shape[1])
    norm, largest = _norm(factors.T), _largest(factors)
    within = starts % unit
    rooms = array.layout.period // unit
    if (
        bool((within == within[:1]).all())
        and power_of_two(len(factors)) < rooms
        and _pays(len(factors), min(len(starts), rooms))
    ):
        ends = np.arange(len(factors))[:, None] * unit + within[0]
        layout = Layout(array.layout.geometry, ends, power_of_two(len(factors)) * unit, 1)
        return _folded(
            array, layout, starts[None], ends[:, None], factors[:, :, None], norm=norm, largest=largest
        ).reshape(out)
    layout = rows(array.layout.geometry, (len(factors), array.shape[1]), stride=unit)
    parts = [Entries(*_flat(starts[None], layout.places[:, None], factors[:, :, None]))]
    return apply_entries(array, layout, parts, norm=norm, largest=largest).reshape(out)


def _folded(
    array: PackedArray, layout: Layout, starts: Places, ends: Places, factors: Values, *, norm: float, largest: float
) -> PackedArray:
    """The sums at the places of `layout`, of numbers from `starts` times `factors`; `ends` are the same places, broadcast
    along the numbers of each sum. Whatever lies a multiple of the layout's period from a sum is added to it in the end.
    """
    geometry = array.layout.geometry
    to = starts % geometry.slots // layout.period * layout.period + ends
    parts = [Entries(*_flat(starts, to, factors))]
    wide = Layout(geometry, layout.places, array.layout.period, layout.count)
    return apply_entries(array, wide, parts, norm=norm, largest=largest, fold=layout.period)


def _alone(array: PackedArray, starts: Places) -> bool:
    """Whether no ciphertext holds numbers of more rows than it has lanes. Factors of zero keep those few apart."""
    if len(starts) == 1:
        return True
    geometry = array.layout.geometry
    cells = starts // geometry.slots
    return sum(len(np.unique(row)) for row in cells) <= geometry.lanes * len(np.unique(cells))


def _pays(count: int, length: int) -> bool:
    """Whether 2 n - 1 distances are clearly fewer than k + n - 1."""
    return 4 * power_of_two(count) <= length


def _result_rows(array: PackedArray, starts: Places, columns: int) -> Layout:
    """Rows of results begin where the rows of operands do, so that few diagonals lead there; see `matmul`."""
    geometry, shape = array.layout.geometry, (*array.shape[:-1], columns)
    usual = rows(geometry, shape)
    if len(starts) == 1:
        return usual
    stride = int(starts[1, 0] - starts[0, 0])
    if (
        stride >= columns
        and stride & (stride - 1) == 0
        and np.array_equal(np.diff(starts[:, 0]), [stride] * (len(starts) - 1))
    ):
        return rows(geometry, shape, stride=stride) if starts[0, 0] == 0 else usual
    return usual


def _by_cell(cells: NDArray[np.int64]) -> Iterable[slice]:
    """Runs of rows that begin in one ciphertext: all that it has, so that its diagonals are complete."""
    edges = np.flatnonzero(np.diff(cells, prepend=-1)).tolist()
    return (slice(first, last) for first, last in zip(edges, [*edges[1:], len(cells)], strict=True))


def _flat(*values: Values) -> list[NDArray[Any]]:
    return [np.ascontiguousarray(value).reshape(-1) for value in np.broadcast_arrays(*values)]


def _norm(matrix: Values) -> float:
    """The largest sum of magnitudes in a column."""
    if matrix.dtype == np.int64:
        return int(np.abs(matrix.astype(object)).sum(axis=0).max()) if matrix.size else 0
    return float(np.abs(matrix).sum(axis=0).max(initial=0.0))


def _largest(matrix: Values) -> float:
    return float(np.abs(matrix).max(initial=0))
