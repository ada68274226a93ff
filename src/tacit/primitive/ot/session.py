"""What two parties agree on before they transfer anything: a tag of this session, permutations, and tweaks.

Costs: 1 round, 32 bytes each way.
Reveals: nothing.
"""

from __future__ import annotations

import hashlib
from typing import final

import numpy as np

from tacit.foundation.errors import ProtocolError
from tacit.primitive.driver import Driver
from tacit.primitive.ot.block import Octets
from tacit.primitive.ot.permutation import Permutation, permutation

NONCE_BYTES = 32


@final
class Session:
    """One party's side of a pair. Both parties do the same steps in the same order, so that tweaks agree."""

    def __init__(self, driver: Driver, peer: str, tag: bytes) -> None:
        self.driver = driver
        self.peer = peer
        self.tag = tag
        # A key for each use, so that no query of one is a query of another.
        self.hashes: Permutation = permutation(digest(tag, b"hashes")[:16])
        self.trees: Permutation = permutation(digest(tag, b"trees")[:16])
        self.code: Permutation = permutation(digest(tag, b"code")[:16])
        self._tweak = 0

    def claim(self, count: int) -> int:
        """`count` tweaks that were not used before; the first of them."""
        first, self._tweak = self._tweak, self._tweak + count
        return first

    def draw(self, size: int) -> bytes:
        """Fresh random bytes, from where the driver's keys come from."""
        return self.driver.entropy(size)

    def __repr__(self) -> str:
        return f"Session(with {self.peer}, {self._tweak} tweaks used)"


async def open_session(driver: Driver, peer: str) -> Session:
    """Agree with `peer`. Raises: ProtocolError when the peer sends this party's own nonce back."""
    mine, theirs = driver.entropy(NONCE_BYTES), np.empty(NONCE_BYTES, np.uint8)
    await driver.exchange([(peer, np.frombuffer(mine, np.uint8))], [(peer, theirs)])
    if theirs.tobytes() == mine:
        raise ProtocolError(f"{peer} sent back the nonce it was sent: it is a mirror, or another session's data")
    return Session(driver, peer, digest(*sorted([mine, theirs.tobytes()])))


def digest(*parts: bytes) -> bytes:
    """32 bytes of BLAKE2b over the parts, each preceded by its length; a random oracle of this package's own."""
    state = hashlib.blake2b(digest_size=32, person=b"tacit ot v1")
    for part in parts:
        state.update(len(part).to_bytes(8, "little") + part)
    return state.digest()


def octets(data: bytes) -> Octets:
    """Bytes as an array that can be sent."""
    return np.frombuffer(data, np.uint8)
