"""Sums by rotating and adding: log2(n) rotations where n numbers lie at equal distances, and no level.

A sum over all numbers, and one over an axis that closes a circle of slots, ends in every slot that the circle has: the
result is clean, and fits whatever it is multiplied with. A sum over a shorter axis leaves sums of other windows beside
its own; the array then is not `clean`, and `dump` clears it at the cost of a level.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import ShapeError
from tacit.primitive.he.packed.array import PackedArray
from tacit.primitive.he.packed.engine import Ciphertext
from tacit.primitive.he.packed.library import Transparent
from tacit.primitive.he.packed.slots import Layout, power_of_two


def sum_all(array: PackedArray) -> PackedArray:
    """The sum over all numbers, in every slot of one ciphertext.

    Costs: a rotation for each doubling of the period, log2(slots) at most; a level more where the array is not clean.
    Error: n (e + switch / scale) for n slots in the period. Exact for BFV.
    """
    if array.layout.uniform:
        return array.reshape(())
    array = array.cleaned()
    array.context.engine.require_rotations()
    geometry, period = array.layout.geometry, array.layout.period
    doublings = period.bit_length() - 1
    bounds = array.arithmetic.folded(array.bounds, numbers=array.size, copies=array.layout.count, doublings=doublings)
    cell = _added(array, array.cells)
    steps = [1 << index for index in range(min(period, geometry.lane).bit_length() - 1)]
    cell = _doubled(array, cell, steps, exchange=period > geometry.lane)
    return PackedArray(array.context, [cell], Layout(geometry, np.zeros((), np.int64), 1, 1), bounds, clean=True)


def sum_axis(array: PackedArray, axis: int) -> PackedArray:
    """The sum over one axis.

    Costs: log2(n) rotations of each ciphertext that is left after adding up those that lie alike; where the places allow
           no such thing, a product with a matrix of ones. `clean` says whether clearing will take a level.
    Error: n (e + switch / scale) for the n slots that are added. Exact for BFV.
    """
    if not -array.ndim <= axis < array.ndim:
        raise ShapeError(f"axis {axis} is outside the {array.ndim} axes of the array")
    axis %= array.ndim
    if array.ndim == 1:
        return sum_all(array)
    array = array.cleaned()
    array.context.engine.require_rotations()
    places = np.moveaxis(array.layout.places, axis, -1)
    for attempt in (_whole_cells, _strided, _stacked):
        if (out := attempt(array, places)) is not None:
            return out
    from tacit.primitive.he.packed.matmul import matmul

    return matmul(array.placed(places), np.ones(places.shape[-1], array.dtype))


def _whole_cells(array: PackedArray, places: NDArray[np.int64]) -> PackedArray | None:
    """Sums of which each has ciphertexts of its own, longer than they: add those up, then sum over all slots."""
    geometry = array.layout.geometry
    cells = places // geometry.slots
    if array.layout.period < geometry.slots or cells.shape[-1] <= geometry.lane:
        return None
    flat = cells.reshape(-1, cells.shape[-1])
    groups = [np.unique(row) for row in flat]
    if sum(len(group) for group in groups) != len(np.unique(flat)):
        return None
    doublings = geometry.slots.bit_length() - 1
    most = max(len(group) for group in groups)
    bounds = array.arithmetic.folded(array.bounds, numbers=cells.shape[-1], copies=most, doublings=doublings)
    steps = [1 << index for index in range(geometry.lane.bit_length() - 1)]
    out = [
        _doubled(array, _added(array, [array.cells[i] for i in group]), steps, exchange=geometry.lanes > 1)
        for group in groups
    ]
    where = np.arange(len(out)).reshape(places.shape[:-1]) * geometry.slots
    return PackedArray(array.context, out, Layout(geometry, where, 1, len(out)), bounds, clean=True)


def _stacked(array: PackedArray, places: NDArray[np.int64]) -> PackedArray | None:
    """Sums of which none shares a slot with another: add up all ciphertexts, then the slots that are left of each sum."""
    slots = array.layout.geometry.slots
    within = places.reshape(-1, places.shape[-1]) % slots
    out = np.broadcast_to(np.arange(len(within))[:, None], within.shape)
    owner = np.full(slots, -1)
    owner[within] = out
    own = [np.unique(row) for row in within]
    if not np.array_equal(owner[within], out) or len({len(row) for row in own}) != 1:
        return None
    single = Layout(array.layout.geometry, np.stack(own).reshape(*places.shape[:-1], -1), array.layout.period, 1)
    cell = _added(array, array.cells)
    stack = PackedArray(array.context, [cell], single, array.bounds, clean=True)
    return _strided(stack, single.places, numbers=places.shape[-1], copies=array.layout.count)


def _strided(array: PackedArray, places: NDArray[np.int64], *, numbers: int = 0, copies: int = 1) -> PackedArray | None:
    """Sums within a ciphertext, over slots at equal, power-of-two distances with zeros up to the next power of two.

    numbers, copies: how many numbers a sum has, and a slot may, where ciphertexts were added up before.
    """
    geometry, period, count = array.layout.geometry, array.layout.period, places.shape[-1]
    cell, slot = places // geometry.slots, places % geometry.slots
    strides, full = np.unique(np.diff(slot, axis=-1)), power_of_two(count)
    stride = int(strides[0]) if len(strides) else period
    if len(strides) > 1 or stride < 1 or stride & (stride - 1) or stride * full > max(period, stride):
        return None
    if (cell != cell[..., :1]).any():
        return None
    # Two lanes close one circle more, where the sum takes all of it.
    exchange = stride * full > geometry.lane and period > geometry.lane and count > 1
    circle = period if exchange else min(period, geometry.lane)
    around = (slot[..., :1] + stride * np.arange(full)) % period
    if np.isin(cell[..., :1] * geometry.slots + around[..., count:], places).any():
        return None
    if (exchange and stride * full != period) or (around // circle != around[..., :1] // circle).any():
        return None
    doublings = full.bit_length() - 1
    bounds = array.arithmetic.folded(
        array.bounds, numbers=numbers or count, copies=copies, doublings=doublings, windows=full * copies
    )
    steps = [stride << index for index in range(doublings - exchange)]
    cells = [_doubled(array, x, steps, exchange=exchange) for x in array.cells]
    first = places[..., 0]
    if stride * full != period:
        return PackedArray(array.context, cells, array.layout.replaced(first), bounds, clean=array.clean and count == 1)
    base = cell[..., 0] * geometry.slots + slot[..., 0] % stride
    return PackedArray(array.context, cells, Layout(geometry, base, stride, len(cells)), bounds, clean=True)


def _added(array: PackedArray, cells: list[Ciphertext]) -> Ciphertext:
    total = cells[0]
    for cell in cells[1:]:
        try:
            total = array.context.engine.add(total, cell)
        except Transparent:
            total = array.arithmetic.zero(array.arithmetic.level(array.bounds))
    return total


def _doubled(array: PackedArray, cell: Ciphertext, steps: list[int], *, exchange: bool) -> Ciphertext:
    engine = array.context.engine
    for step in steps:
        cell = engine.add(cell, engine.rotate(cell, step))
    return engine.add(cell, engine.rotate(cell, 0, exchange=True)) if exchange else cell
