"""Where the numbers of an array lie in the slots of its ciphertexts.

A ciphertext has slots in one lane (CKKS) or two (BFV); rotation moves all lanes at once, each in a circle. An array is
laid out in rows: its last axis in consecutive slots, padded to a power of two. One that fills at most a lane is repeated
over the whole ciphertext, so that a sum over a padded axis ends in every slot, and a row fits every row of a matrix.

    places  [*shape] ciphertext * slots + slot of every number, in the first period
    period  after how many slots the content repeats; all of them where it does not
    count   ciphertexts
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import ShapeError

Places: TypeAlias = NDArray[np.int64]


@final
@dataclass(frozen=True)
class Geometry:
    """The slots of one ciphertext: `lanes` circles of `lane` slots each."""

    lanes: int
    lane: int

    @property
    def slots(self) -> int:
        """All of them."""
        return self.lanes * self.lane


@final
@dataclass(frozen=True, eq=False)
class Layout:
    """Where an array's numbers lie; see the module."""

    geometry: Geometry
    places: Places
    period: int
    count: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.places.shape

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(self.places.size)

    @property
    def uniform(self) -> bool:
        """Whether one number fills all slots."""
        return self.period == 1 and self.count == 1

    def same(self, other: Layout) -> bool:
        """Whether the numbers of both lie in the same places, copies included."""
        return self is other or (
            self.period == other.period
            and self.count == other.count
            and self.shape == other.shape
            and np.array_equal(self.places, other.places)
        )

    def carries(self, other: Layout) -> bool:
        """Whether `other`, broadcast to this shape, has its numbers, or copies of them, in these places."""
        if self is other:
            return True
        if other.ndim > self.ndim or not _broadcasts(other.shape, self.shape):
            return False
        slot, cell = self.places % self.geometry.slots, self.places // self.geometry.slots
        if self.period % other.period and other.period % self.period:
            return False
        if self.period < other.period:  # copies here meet what does not repeat there
            return False
        there = np.broadcast_to(other.places, self.shape)
        if not np.array_equal(slot % other.period, there % self.geometry.slots):
            return False
        return other.count == 1 or (other.count == self.count and np.array_equal(cell, there // self.geometry.slots))

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def scatter(self, values: NDArray[Any]) -> NDArray[Any]:
        """Slots [count, slots] that hold values of this shape, copies included, and zeros elsewhere."""
        slots = self.geometry.slots
        cells = np.zeros((self.count, self.period), values.dtype)
        places = self.places.reshape(-1)
        cells[places // slots, places % slots] = np.broadcast_to(values, self.shape).reshape(-1)
        return np.tile(cells, (1, slots // self.period))

    def gather(self, cells: NDArray[Any]) -> NDArray[Any]:
        """The values of this shape from slots [count, slots]."""
        return cells.reshape(-1)[self.places]

    def select(self, selection: Any) -> tuple[Layout, NDArray[np.int64]]:
        """The layout of a selection by slices and integers, and the ciphertexts that it still needs."""
        try:
            places = np.asarray(self.places[selection])
        except IndexError as error:
            raise ShapeError(str(error)) from None
        return self.compact(places)

    def compact(self, places: Places) -> tuple[Layout, NDArray[np.int64]]:
        """The layout of other places in the same ciphertexts, and those of them that are still needed."""
        slots = self.geometry.slots
        used, cell = np.unique(places // slots, return_inverse=True)
        moved = cell.reshape(places.shape) * slots + places % slots
        return Layout(self.geometry, moved, self.period, max(1, len(used))), used

    def replaced(self, places: Places) -> Layout:
        """Other places in the same ciphertexts."""
        return replace(self, places=places)


@lru_cache(64)  # so that arrays of one shape share a layout, and are seen to
def rows(geometry: Geometry, shape: tuple[int, ...], *, stride: int = 0) -> Layout:
    """The layout of an encrypted array: row by row, `stride` slots from one row to the next (a power of two)."""
    if not shape:
        return Layout(geometry, np.zeros((), np.int64), 1, 1)
    count, length = math.prod(shape[:-1]), shape[-1]
    if length * count == 0:
        raise ShapeError(f"an array of shape {shape} has no numbers to encrypt")
    stride = max(stride, power_of_two(length))
    if stride > geometry.slots:
        stride = -(-length // geometry.slots) * geometry.slots
    places = (np.arange(count)[:, None] * stride + np.arange(length)).reshape(shape)
    places.setflags(write=False)
    total = power_of_two(count) * stride
    if total <= geometry.lane:
        return Layout(geometry, places, total, 1)
    return Layout(geometry, places, geometry.slots, -(-(count * stride) // geometry.slots))


def power_of_two(size: int) -> int:
    """The smallest power of two that is not below a positive size."""
    return 1 << (size - 1).bit_length()


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    return all(a in (1, b) for a, b in zip(shape[::-1], to[::-1], strict=False))
