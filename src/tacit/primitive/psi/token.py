"""Comparison tokens: the first octets of a u-coordinate that nobody can link to an identifier without the keys.

Tokens are cut to what the wanted error allows. A cut u-coordinate of a random point is as good as random: the distance of its
low t bits from uniform is below 2**-((252 - t) / 2) (Chevassut, Fouque, Gaudry and Pointcheval 2006), 2**-80 for ten octets.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import InputError
from tacit.primitive.psi.points import Octets

STATISTICAL_BITS = 40
MAX_ITEMS = 1 << 40


def token_bytes(mine: int, theirs: int, statistical_bits: int = STATISTICAL_BITS) -> int:
    """The least octets for which any of mine * theirs unequal pairs collides with probability at most 2**-statistical_bits.

    10 for 2**20 on both sides at 40 bits. Not less than 8. Raises InputError where more than 16 would be needed.
    """
    bits = statistical_bits + max(mine - 1, 0).bit_length() + max(theirs - 1, 0).bit_length()
    size = max(8, -(-bits // 8))
    if size > 16:
        raise InputError(
            f"{mine} and {theirs} items at {statistical_bits} bits need tokens of {size} octets; 16 are the most"
        )
    return size


def cut(points: Octets, size: int) -> Octets:
    """Tokens of `size` octets, [n, size], of u-coordinates or points."""
    return np.ascontiguousarray(points[:, :size])


def match(mine: Octets, theirs: Octets) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions (i, j) with mine[i] == theirs[j], by rising j. Each side's tokens are distinct, or almost: all pairs are given.

    Public to whoever holds both: not constant time.
    """
    empty = np.empty(0, np.int64)
    if not len(mine) or not len(theirs):
        return empty, empty
    low = np.uint64(max(len(mine), len(theirs)).bit_length())
    (sought, mine_order), (ranked, order) = _ranked(mine, low), _ranked(theirs, low)
    at = np.searchsorted(ranked, sought)  # in order, so that the searches walk through memory
    found: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    alive = np.flatnonzero(at < len(ranked))
    step = 0
    while alive.size:  # once, and once more for the few that share their first bits with another
        alive = alive[at[alive] + step < len(ranked)]
        alive = alive[ranked[at[alive] + step] == sought[alive]]
        i, j = mine_order[alive], order[at[alive] + step]
        same = (mine[i] == theirs[j]).all(axis=1)
        found.append((i[same], j[same]))
        step += 1
    i = np.concatenate([pair[0] for pair in found]) if found else empty
    j = np.concatenate([pair[1] for pair in found]) if found else empty
    by_theirs = np.argsort(j, kind="stable")
    return i[by_theirs], j[by_theirs]


def _ranked(tokens: Octets, low: np.uint64) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The first bits of the tokens in rising order, and where each is: sorted as one word, which is faster than by reference."""
    words = np.ascontiguousarray(tokens[:, :8]).view(np.uint64).reshape(-1)
    mask = (np.uint64(1) << low) - np.uint64(1)
    ranked = np.sort((words & ~mask) | np.arange(len(words), dtype=np.uint64))
    return ranked >> low, (ranked & mask).astype(np.int64)
