"""Which aligned records train and which test: a public choice that every party makes alike."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import ConfigError, TooFewRows

MIN_TRAIN, MIN_TEST = 8, 4


def public_order(count: int, seed: int, purpose: str) -> NDArray[np.int64]:
    """A permutation of `count` positions that anybody can compute from the seed: by their SHA-256. Nothing secret enters."""
    prefix = f"tacit {purpose} {seed} ".encode()
    keys = [hashlib.sha256(prefix + str(position).encode()).digest() for position in range(count)]
    return np.array(sorted(range(count), key=keys.__getitem__), np.int64)


def split(count: int, test_fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the training and of the test rows. Raises TooFewRows."""
    if not 0 < test_fraction < 1:
        raise ConfigError(f"test_fraction must lie between 0 and 1, not {test_fraction}")
    tested = round(count * test_fraction)
    if tested < MIN_TEST or count - tested < MIN_TRAIN:
        raise TooFewRows(
            f"{count} common records give {count - tested} to train and {tested} to test; "
            f"at least {MIN_TRAIN} and {MIN_TEST} are needed"
        )
    order = public_order(count, seed, "split")
    return order[tested:], order[:tested]
