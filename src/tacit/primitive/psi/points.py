"""Curve25519 for private set intersection: identifiers to points, and points times secret scalars, many at once.

Points. An identifier becomes a point by the suite curve25519_XMD:SHA-512_ELL2_NU_ of RFC 9380: hash_to_field to a number modulo
p, Elligator 2, times the cofactor 8. The suite is `NU`: its points are those of about half the group. That is enough
here: the proofs need that a random point can be programmed as a hash, and a random point is in the image with probability one
half, where a preimage is found at once.

Only u. `multiply` works on u-coordinates alone, as X25519 does: u(k P) depends on u(P) only, P and -P are one, and the set
of identifiers stays apart because two of them hash to opposite points with probability 2**-252.

Cofactor and twist. Every scalar is clamped: a multiple of 8 in [2**254, 2**255). So whatever a peer sends, the
component of small order vanishes: it cannot learn a scalar modulo 8 (or 4, on the twist). A scalar is no multiple of the large
prime factor of either group, so the result is zero exactly for the points of low order, and these are refused. A point of
the twist, whose order is four times a prime of 253 bits, gives no more than a point of the curve does: the twist is secure.
Where points are added (`unblind`) they must be on the curve. Identifiers' points are in the prime-order group
because a random multiple of the base point would not hide a component of small order.

Constant time: the kernels' running time and memory accesses depend on numbers of points only.
Source: RFC 7748; RFC 9380; Bernstein, Hamburg, Krasnova and Lange 2013 (Elligator).
"""

from __future__ import annotations

import os
from typing import NoReturn, final

import numpy as np
from numpy.typing import NDArray

from tacit import _native
from tacit.foundation.errors import PointRefused, ProtocolError, SecrecyError

Octets = NDArray[np.uint8]
"""Rows of 32 octets: numbers, points or u-coordinates; uint8 [n, 32]."""

POINT_BYTES = 32
DOMAIN = b"tacit-psi-v1-with-curve25519_XMD:SHA-512_ELL2_NU_"
BASE = np.frombuffer(bytes([9]) + bytes(31), np.uint8)
"""The base point of RFC 7748, u = 9, with the even v."""

P = 2**255 - 19
LOW_ORDER = (
    0,
    1,
    P - 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
)
"""u of all points of order 1, 2, 4 and 8, of the curve and of its twist."""

_LOW_ORDER = np.array([[u >> (64 * i) & (2**64 - 1) for i in range(4)] for u in LOW_ORDER], np.uint64)
_PRIME = np.frombuffer(P.to_bytes(32, "little"), np.uint64)


@final
class Scalar:
    """A secret clamped scalar. Never shown, never copied out but by `danger_octets`, for a file that its user alone can read."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        if len(octets) != POINT_BYTES:
            raise ProtocolError(f"a scalar has {POINT_BYTES} octets, not {len(octets)}")
        clamped = bytearray(octets)
        clamped[0] &= 248
        clamped[31] = clamped[31] & 127 | 64
        self._octets = np.frombuffer(clamped, np.uint8)

    @classmethod
    def fresh(cls) -> Scalar:
        """A scalar of the operating system's entropy."""
        return cls(os.urandom(POINT_BYTES))

    def danger_octets(self) -> bytes:
        """The secret itself."""
        return self._octets.tobytes()

    def multiply(self, points: Octets) -> Octets:
        """u(k P) for u-coordinates or points of the curve or its twist. Raises PointRefused for those of low order."""
        out = np.empty_like(points)
        _accepted(_native.curve25519_multiply(self._octets.reshape(1, -1), points, out), len(points))
        return out

    def evaluate(self, points: Octets) -> Octets:
        """u(k P) with the lowest bit of v(k P) v(P) as bit 255: enough for whoever knows v(P), and it need not be known here.

        Raises PointRefused for points of low order.
        """
        out = np.empty_like(points)
        _accepted(_native.curve25519_evaluate(self._octets, points, out), len(points))
        return out

    def public(self) -> Octets:
        """k times the base point, a point [32]: u, and the lowest bit of v as bit 255."""
        answer = int.from_bytes(self.evaluate(BASE.reshape(1, -1)).tobytes(), "little")
        u, bit = answer % 2**255, answer >> 255  # public from here on
        v = _root(u**3 + 486662 * u**2 + u)
        if v * _root(9**3 + 486662 * 9**2 + 9) % P % 2 != bit:
            v = P - v
        return np.frombuffer((u | (v & 1) << 255).to_bytes(POINT_BYTES, "little"), np.uint8)

    def __repr__(self) -> str:
        return "Scalar(<hidden>)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SecrecyError("a scalar is never pickled: it would leave the process")


@final
class Table:
    """Multiples of one public point, which make `blind` and `unblind` ten times as fast as a ladder. 165 KB, 10 ms to make.

    Raises: PointRefused for a point that is not on the curve or of low order.
    """

    __slots__ = ("_words",)

    def __init__(self, point: Octets) -> None:
        self._words = np.empty(_native.CURVE25519_TABLE_WORDS, np.uint64)
        if not canonical(point.reshape(1, -1)) or not _native.curve25519_table(point, self._words):
            raise PointRefused(
                "a base point is not on the curve, or of low order. The peer does not follow the protocol."
            )

    def blind(self, numbers: Octets, scalars: Octets) -> tuple[Octets, Octets]:
        """Coordinates u and v of 8 map(number) + s B: uniform in the prime-order group where s is uniform below 2**252.

        Error: a statistical distance of 2**-127 for each point, as 2**252 is not quite the order.
        """
        u, v = np.empty_like(numbers), np.empty_like(numbers)
        _native.curve25519_blind(numbers, scalars, self._words, u, v)
        return u, v

    def unblind(self, points: Octets, v: Octets, scalars: Octets) -> Octets:
        """u(k P + s B) from what `Scalar.evaluate` gave for P, and v(P). Raises PointRefused for points off the curve."""
        out = np.empty_like(points)
        _accepted(_native.curve25519_unblind(points, v, scalars, self._words, out), len(points))
        return out


def hash_to_numbers(octets: Octets, offsets: NDArray[np.int64]) -> Octets:
    """A number modulo p for each identifier, [n, 32]; identifier i is octets[offsets[i] : offsets[i + 1]].

    Error: different identifiers give the same number with probability 2**-254 each pair, a random oracle supposed.
    """
    out = np.empty((len(offsets) - 1, POINT_BYTES), np.uint8)
    _native.curve25519_hash(octets, offsets, DOMAIN, out)
    return out


def encode(numbers: Octets) -> Octets:
    """u(8 map(number)) of each number, by Elligator 2: what `Table.blind` blinds."""
    out = np.empty_like(numbers)
    _native.curve25519_encode(numbers, out)
    return out


def negated(point: Octets) -> Octets:
    """-P."""
    other = point.copy()
    other[..., 31] ^= 0x80
    return other


def canonical(points: Octets) -> bool:
    """Whether every u is below p, so that a point has one encoding only."""
    words = np.ascontiguousarray(points).view(np.uint64)
    top = words[:, 3] & np.uint64(2**63 - 1)
    suspects = top == _PRIME[3]
    if not suspects.any():
        return True
    rest = words[suspects]
    return not bool(((rest[:, 1] == _PRIME[1]) & (rest[:, 2] == _PRIME[2]) & (rest[:, 0] >= _PRIME[0])).any())


def received(points: Octets, peer: str) -> Octets:
    """What a peer sent, as rows. Raises PointRefused where an encoding is not canonical, or the point of low order."""
    rows = points.reshape(-1, POINT_BYTES)
    if not canonical(rows):
        raise PointRefused(f"{peer} sent a point in non-canonical form. It does not follow the protocol.")
    words = np.ascontiguousarray(rows).view(np.uint64)
    for low in _LOW_ORDER:
        suspects = words[words[:, 0] == low[0]]  # almost always none
        if ((suspects[:, 1:3] == low[1:3]).all(axis=1) & ((suspects[:, 3] ^ low[3]) << np.uint64(1) == 0)).any():
            raise PointRefused(f"{peer} sent a point of low order. It does not follow the protocol.")
    return rows


def _root(square: int) -> int:
    """The even square root modulo p of a public number that has one."""
    root = pow(square, (P + 3) // 8, P)
    if (root * root - square) % P:
        root = root * pow(2, (P - 1) // 4, P) % P
    return root if root % 2 == 0 else P - root


def _accepted(refused: int, count: int) -> None:
    if refused >= 0:
        raise PointRefused(
            f"point {refused} of {count} is not on the curve or of low order. The peer does not follow the protocol."
        )
