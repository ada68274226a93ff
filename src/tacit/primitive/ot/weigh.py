"""Random linear sums of blocks in GF(2^128): what the check of silent transfers compares.

Bit i of a block is the coefficient of x^i, modulo x^128 + x^7 + x^2 + x + 1. Weights are uniform and independent, from a seed
that was drawn after the blocks were fixed: two different sequences have the same sum with probability 2**-128.
"""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from tacit import _native
from tacit.primitive.ot.block import BLOCK_BITS, ONE, Words
from tacit.primitive.prg import Prg


@final
class Weigher:
    """Adds up sequences of blocks, one after the other. Two weighers of one seed must be given pieces of the same sizes."""

    def __init__(self, seed: bytes) -> None:
        self.total = np.zeros(2, np.uint64)
        self.at_places = np.zeros(2, np.uint64)
        self._weights = Prg(seed)
        self._held = np.empty((0, 2), np.uint64)

    def add(self, blocks: Words, places: NDArray[np.int64] | None = None) -> None:
        """total ^= the sum of weight[j] * blocks[j]; at_places ^= the sum of the weights at `places`."""
        if len(self._held) < len(blocks):
            self._held = np.empty((len(blocks), 2), np.uint64)
        weights = self._held[: len(blocks)]
        self._weights.fill(self._weights.last_stream + 1, weights)
        part = np.empty(2, np.uint64)
        _native.field128_dot(blocks, weights, part)
        self.total ^= part
        if places is not None:
            self.at_places ^= np.bitwise_xor.reduce(weights[places], axis=0)


def packed(masks: Words) -> Words:
    """The sum of x^i * masks[i], masks [128, 2]."""
    out = np.empty(2, np.uint64)
    _native.field128_dot(masks, _POWERS, out)
    return out


def _powers() -> Words:
    powers = np.zeros((BLOCK_BITS, 2), np.uint64)
    for bit in range(BLOCK_BITS):
        powers[bit, bit // 64] = ONE << np.uint64(bit % 64)
    return powers


_POWERS = _powers()
