"""Two-party private set intersection by commutative encryption on P-256.

Source: Meadows 1986; Huberman, Franklin and Hogg 1999. Each party multiplies the curve point of every identifier by its
secret scalar; multiplying the other's masked points by one's own scalar gives values that agree exactly where the
identifiers do. Points are carried by their x-coordinates, which survive because x(kP) = x(-kP).

Threat model: semi-honest, one corruption; secure under decisional Diffie-Hellman on P-256 with the hash as a random oracle.
A party that lies about its set can learn membership of what it claims: no protocol of this kind prevents it.
Reveals: to both parties, which of their own identifiers the other has too, and the number of the other's identifiers.
Costs: 2 rounds; 32 bytes per own identifier and 32 per identifier of the peer, from each party.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from numpy.typing import NDArray

from tacit.foundation.errors import InputError, ProtocolError
from tacit.primitive.driver import Driver

POINT_BYTES = 32
MAX_ITEMS = 1 << 28
CURVE = ec.SECP256R1()
DOMAIN = b"tacit psi p256 v1"


async def intersect(driver: Driver, peer: str, identifiers: Sequence[bytes]) -> NDArray[np.int64]:
    """Positions of this party's identifiers that the peer has too, in an order that is the same at both parties.

    identifiers: distinct byte strings, at most 2**28. Raises: InputError for duplicates; ProtocolError for points of
    the peer that are not on the curve. See the module's docstring for what is revealed.
    """
    count = len(identifiers)
    if len(set(identifiers)) != count:
        raise InputError(
            f"{count - len(set(identifiers))} of {count} identifiers are duplicates. Keep one record per identifier."
        )
    if count > MAX_ITEMS:
        raise InputError(f"{count} identifiers exceed the limit of {MAX_ITEMS}")
    key = ec.generate_private_key(CURVE)
    order = _secret_order(count)
    masked = [_multiply(key, _point(identifiers[i])) for i in order]

    sizes = np.array([count], np.uint64), np.empty(1, np.uint64)
    await driver.exchange([(peer, sizes[0])], [(peer, sizes[1])])
    other = int(sizes[1][0])
    if other > MAX_ITEMS:
        raise ProtocolError(f"{peer} announced {other} identifiers; the limit is {MAX_ITEMS}")

    theirs = np.empty(other * POINT_BYTES, np.uint8)
    await driver.exchange([(peer, _bytes(masked))], [(peer, theirs)])
    doubled = [_multiply(key, _on_curve(x, peer)) for x in _points(theirs)]
    ours = np.empty(count * POINT_BYTES, np.uint8)
    await driver.exchange([(peer, _bytes(doubled))], [(peer, ours)])

    known = set(doubled)
    common = sorted((point, order[i]) for i, point in enumerate(_points(ours)) if point in known)
    return np.array([position for _, position in common], np.int64)


def _point(identifier: bytes) -> ec.EllipticCurvePublicKey:
    """Hash to the curve by try and increment: every attempt is a fresh hash taken as an x-coordinate.

    The number of attempts depends on the identifier; it shows in this party's own running time only, summed over all.
    """
    for attempt in range(256):
        x = hashlib.sha256(DOMAIN + bytes([attempt]) + identifier).digest()
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, b"\x02" + x)
        except ValueError:
            continue
    raise ProtocolError("no curve point in 256 attempts: probability 2**-256")


def _on_curve(x: bytes, peer: str) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, b"\x02" + x)
    except ValueError:
        raise ProtocolError(f"{peer} sent a value that is no point of P-256") from None


def _multiply(key: ec.EllipticCurvePrivateKey, point: ec.EllipticCurvePublicKey) -> bytes:
    return key.exchange(ec.ECDH(), point)


def _secret_order(count: int) -> list[int]:
    """A uniformly random order from the system's entropy, so that masked points do not tell positions."""
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        j = secrets.randbelow(i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def _bytes(points: Sequence[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(bytearray(b"".join(points)), np.uint8)


def _points(flat: NDArray[np.uint8]) -> list[bytes]:
    whole = flat.tobytes()
    return [whole[i : i + POINT_BYTES] for i in range(0, len(whole), POINT_BYTES)]
