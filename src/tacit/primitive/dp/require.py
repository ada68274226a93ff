"""What every number of a mechanism must satisfy before anything is drawn: a wrong one would be silent."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import DomainError

LARGEST_INTEGER = 2**62
LARGEST_REAL = 2.0**200


def positive(name: str, value: float) -> float:
    """A finite number above zero, as a float. Raises: DomainError."""
    number = _number(name, value)
    if not number > 0.0:
        raise DomainError(
            f"{name} must be above zero, not {number}. State the true one: it decides how private this is."
        )
    return number


def not_negative(name: str, value: float) -> float:
    """A finite number, zero or above, as a float. Raises: DomainError."""
    number = _number(name, value)
    if number < 0.0:
        raise DomainError(f"{name} must not be negative, not {number}")
    return number


def probability(name: str, value: float) -> float:
    """A number in [0, 1], as a float. Raises: DomainError."""
    number = not_negative(name, value)
    if number > 1.0:
        raise DomainError(f"{name} must lie between 0 and 1, not {number}")
    return number


def whole(name: str, value: Any, least: int = 1) -> int:
    """An integer of at least `least`. Raises: DomainError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise DomainError(f"{name} must be an integer, not {value!r}")
    if value < least:
        raise DomainError(f"{name} must be at least {least}, not {value}")
    return int(value)


def reals(name: str, values: Any) -> NDArray[np.float64]:
    """Finite float64 values below 2**200. Raises: DomainError, which names no value."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu" or array.dtype.itemsize > 8:
        raise DomainError(f"{name} must be real numbers of at most 64 bits, not {array.dtype}")
    if array.dtype.kind in "iu" and array.size and max(int(array.max()), -int(array.min())) > 2**53:
        raise DomainError(f"{name} holds integers beyond 2**53, which reals round. Use integer noise.")
    array = array.astype(np.float64)
    if not np.all(np.abs(array) < LARGEST_REAL):  # NaN compares false
        raise DomainError(f"{name} holds NaN, infinity or a number beyond 2**200. Clip the values first.")
    return array


def integers(name: str, values: Any) -> NDArray[np.int64]:
    """int64 values below 2**62 in magnitude. Raises: DomainError, which names no value."""
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise DomainError(f"{name} must be integers, not {array.dtype}. Reals have their own mechanisms.")
    if array.size and (int(array.max()) >= LARGEST_INTEGER or int(array.min()) <= -LARGEST_INTEGER):
        raise DomainError(f"{name} holds a number beyond 2**62, where sums would wrap")
    return array.astype(np.int64)


def _number(name: str, value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise DomainError(f"{name} must be a number, not a {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not isfinite(number):
        raise DomainError(f"{name} must be finite, not {number}")
    return number
