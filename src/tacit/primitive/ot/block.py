"""Blocks of 128 bits, and the two halves of correlated oblivious transfers made of them.

A block is the last axis of a uint64 array: two words, the low one first, and bit i of a word weighs 2**i.

Correlated transfers, as every generator here deals them: the sender holds a secret `delta` whose lowest bit is 1, and
blocks K whose lowest bit is 0; the receiver holds M = K ^ choice * delta. So the lowest bit of M *is* the choice, and
takes no memory of its own; 127 bits of delta stay secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]
Octets: TypeAlias = NDArray[np.uint8]

BLOCK_BYTES = 16
BLOCK_BITS = 128
ONE = np.uint64(1)
NOT_ONE = np.uint64(2**64 - 2)


@final
@dataclass(frozen=True, repr=False)
class Sent:
    """The sender's half of n correlated transfers: `delta` [2], `blocks` [n, 2] with lowest bits 0."""

    delta: Words
    blocks: Words

    def __len__(self) -> int:
        return len(self.blocks)

    def __repr__(self) -> str:
        return f"Sent({len(self)} correlations, hidden)"


@final
@dataclass(frozen=True, repr=False)
class Received:
    """The receiver's half of n correlated transfers: `blocks` [n, 2], whose lowest bits are the choices."""

    blocks: Words

    @property
    def choices(self) -> Octets:
        """The choice bits [n], uint8."""
        return (self.blocks[:, 0] & ONE).astype(np.uint8)

    def __len__(self) -> int:
        return len(self.blocks)

    def __repr__(self) -> str:
        return f"Received({len(self)} correlations, hidden)"


def blocks_of(data: bytes) -> Words:
    """Bytes, a multiple of 16, as a writable array [n, 2]."""
    return np.frombuffer(bytearray(data), np.uint64).reshape(-1, 2)


def random_delta(drawn: bytes) -> Words:
    """A delta from 16 random bytes: the lowest bit is set."""
    delta = blocks_of(drawn)[0]
    delta[0] |= ONE
    return delta


def times(bits: NDArray[np.uint8] | Words, block: Words) -> Words:
    """bits[...] * block [2]: the block where the bit is 1 and zero elsewhere, without a branch. Shape [..., 2]."""
    return np.asarray((np.uint64(0) - np.asarray(bits, np.uint64))[..., None] & block)
