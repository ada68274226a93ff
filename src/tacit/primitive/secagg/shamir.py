"""Shamir's secret sharing of 32-byte secrets, many at once, modulo the Mersenne prime 2**31 - 1.

A secret is cut into nine limbs of 30 bits, each shared by a polynomial of its own: products of field elements then fit
a 64-bit word, and all limbs of all secrets go through the same vector operations. Fewer than t shares are independent
of the secret, limb by limb and so altogether.

Source: Shamir 1979.
"""

from __future__ import annotations

import secrets as entropy
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import InputError

PRIME = (1 << 31) - 1
SECRET_BYTES = 32
SHARE_BYTES = 36
_LIMBS = 9
_LIMB_BITS = 30
_LIMB = (1 << _LIMB_BITS) - 1

Field = NDArray[np.uint64]


def share(secrets: Sequence[bytes], points: Sequence[int], threshold: int) -> list[list[bytes]]:
    """The shares of S secrets for P points: result[point][secret] is 36 bytes, nine field elements.

    points: distinct, 1 <= point < 2**31 - 1; any `threshold` of them recover. Coefficients are the operating system's
    entropy.
    Costs: 9 S P t products, about 5 ns each.
    """
    if not 1 <= threshold <= len(points):
        raise InputError(f"a threshold lies between 1 and {len(points)} points, and is not {threshold}")
    if any(len(secret) != SECRET_BYTES for secret in secrets):
        raise InputError(f"a secret has {SECRET_BYTES} bytes")
    limbs = np.concatenate([_limbs(secret) for secret in secrets])
    x = _points(points)[:, None]
    y = np.zeros((len(points), limbs.size), np.uint64)
    for coefficients in _uniform(threshold - 1, limbs.size):
        y = _reduced(_reduced((y + coefficients) * x))
    y = (y + limbs) % PRIME
    flat = y.astype("<u4").reshape(len(points), len(secrets), _LIMBS)
    return [[one.tobytes() for one in row] for row in flat]


def recover(points: Sequence[Sequence[int]], shares: Sequence[Sequence[bytes]]) -> list[bytes | None]:
    """The secrets, each from its own t points and shares; None where the shares do not fit together.

    points, shares: S rows of t each. Shares that were changed give None or a wrong secret: compare with a commitment.
    Costs: S t**2 products and 62 S t for inverses, about 5 ns each.
    """
    if not points:
        return []
    x = np.stack([_points(row) for row in points])
    y = np.stack([np.stack([_share(one) for one in row]) for row in shares])
    limbs = np.zeros((len(points), _LIMBS), np.uint64)
    for weight, value in zip(_weights_at_zero(x).T, y.transpose(1, 0, 2), strict=True):
        limbs = (limbs + weight[:, None] * value % PRIME) % PRIME
    return [_joined(row) for row in limbs]


def well_formed(data: bytes) -> bool:
    """Whether these bytes are nine field elements."""
    return len(data) == SHARE_BYTES and bool((np.frombuffer(data, "<u4") < PRIME).all())


def _weights_at_zero(x: Field) -> Field:
    """Lagrange's weights: weight[s, i] = product over j != i of x[s, j] / (x[s, j] - x[s, i]), shape (S, t)."""
    above, below = np.ones_like(x), np.ones_like(x)
    for j in range(x.shape[1]):
        other = x[:, j : j + 1]
        difference = (other + np.uint64(PRIME) - x) % PRIME
        different = np.arange(x.shape[1]) != j
        if not difference[:, different].all():
            raise InputError("the points of one secret are distinct")
        above = np.where(different, above * other % PRIME, above)
        below = np.where(different, below * difference % PRIME, below)
    return above * _inverse(below) % PRIME


def _inverse(values: Field) -> Field:
    """By Fermat: the exponent p - 2 has ones everywhere but in its second bit."""
    result, square = np.ones_like(values), values
    for bit in range(PRIME.bit_length()):
        if (PRIME - 2) >> bit & 1:
            result = result * square % PRIME
        square = square * square % PRIME
    return result


def _reduced(values: Field) -> Field:
    """One folding step modulo the Mersenne prime; two bring a 63-bit product below 2**31 + 1."""
    return (values & np.uint64(PRIME)) + (values >> np.uint64(31))


def _uniform(rows: int, columns: int) -> Field:
    """Uniform field elements: 31-bit words, drawn again where they are the prime itself."""
    words = _entropy(rows * columns)
    while (refused := np.flatnonzero(words == PRIME)).size:
        words[refused] = _entropy(refused.size)
    return words.reshape(rows, columns)


def _entropy(count: int) -> Field:
    return (np.frombuffer(entropy.token_bytes(4 * count), "<u4") & PRIME).astype(np.uint64)


def _points(points: Sequence[int]) -> Field:
    x = np.array(points, np.int64)
    if x.size and not (x.min() > 0 and x.max() < PRIME):
        raise InputError(f"points lie between 1 and {PRIME - 1}")
    return x.astype(np.uint64)


def _share(data: bytes) -> Field:
    if not well_formed(data):
        raise InputError(f"a share is {_LIMBS} field elements of 4 bytes")
    return np.frombuffer(data, "<u4").astype(np.uint64)


def _limbs(secret: bytes) -> Field:
    number = int.from_bytes(secret, "little")
    return np.array([number >> (_LIMB_BITS * i) & _LIMB for i in range(_LIMBS)], np.uint64)


def _joined(limbs: Field) -> bytes | None:
    number = sum(int(limb) << (_LIMB_BITS * i) for i, limb in enumerate(limbs))
    fits = bool((limbs <= _LIMB).all()) and number >> (8 * SECRET_BYTES) == 0
    return number.to_bytes(SECRET_BYTES, "little") if fits else None
