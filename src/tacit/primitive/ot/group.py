"""The door to the prime-order group of Edwards25519: libsodium's, through PyNaCl. It is the optional extra `ot`.

Points travel as 32 bytes. Scalar multiplication is constant-time, and refuses points outside the subgroup of prime order,
the identity, and encodings that are not canonical.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from tacit.foundation.errors import MissingExtra, TransferRefused

EXTRA = "ot"
POINT_BYTES = 32
SCALAR_DRAW_BYTES = 64


def scalar(drawn: bytes) -> bytes:
    """A uniform scalar from 64 random bytes (bias below 2**-250)."""
    return bytes(_sodium().crypto_core_ed25519_scalar_reduce(drawn))


def generate(exponent: bytes) -> bytes:
    """The base point times a scalar."""
    return bytes(_sodium().crypto_scalarmult_ed25519_base_noclamp(exponent))


def multiply(exponent: bytes, point: bytes, peer: str) -> bytes:
    """A point of the peer's times a scalar. Raises: TransferRefused when it is no point of prime order."""
    return _checked(peer, lambda: _sodium().crypto_scalarmult_ed25519_noclamp(exponent, point))


def add(a: bytes, b: bytes, peer: str) -> bytes:
    """The sum of two points, one of which may be the peer's. Raises: TransferRefused."""
    return _checked(peer, lambda: _sodium().crypto_core_ed25519_add(a, b))


def subtract(a: bytes, b: bytes) -> bytes:
    """The difference of two points of this party's own."""
    return bytes(_sodium().crypto_core_ed25519_sub(a, b))


def hash_to_group(*parts: bytes) -> bytes:
    """A random oracle into the group: the sum of two Elligator images of one SHA-512, nobody's multiple of the base."""
    state = hashlib.sha512(b"tacit ot hash to edwards25519 v1")
    for part in parts:
        state.update(len(part).to_bytes(8, "little") + part)
    wide = state.digest()
    sodium = _sodium()
    halves = [sodium.crypto_core_ed25519_from_uniform(half) for half in (wide[:32], wide[32:])]
    return bytes(sodium.crypto_core_ed25519_add(*halves))


def _checked(peer: str, compute: Callable[[], bytes]) -> bytes:
    try:
        return bytes(compute())
    except RuntimeError:
        raise TransferRefused(
            f"{peer} sent 32 bytes that are no point of prime order on Edwards25519, or one that gives the identity",
            peer=peer,
        ) from None


@cache
def _sodium() -> Any:
    try:
        return import_module("nacl.bindings")
    except ImportError:
        raise MissingExtra("PyNaCl", EXTRA) from None
