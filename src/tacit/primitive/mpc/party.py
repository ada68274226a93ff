"""One party's standing in a protocol session: its role, its peers, its random streams and its door to computation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tacit.primitive.driver import Driver, Exchange
from tacit.primitive.local import NativeLocal
from tacit.primitive.mpc.kernel import Ring
from tacit.primitive.prg import Prg

SEED_BYTES = 32
Message = tuple[str, Ring]


class Party:
    """What every protocol operation is handed.

    `stream()` numbers advance alike at all parties because the schedule does, so a stream number names the same
    operation everywhere and is never used twice under one key.
    """

    def __init__(self, driver: Driver, names: Sequence[str], prgs: dict[str, Any], local: NativeLocal) -> None:
        self.driver = driver
        self.names = tuple(names)
        self.me = driver.me
        self.index = self.names.index(driver.me)
        self.local = local
        self.prgs = prgs
        self._stream = 0

    def stream(self) -> int:
        """The next random stream number, the same at every party."""
        self._stream += 1
        return self._stream

    def exchange(
        self, sends: Iterable[Message] = (), receives: Iterable[Message] = (), *, silent: bool = False
    ) -> Exchange:
        """One exchange; see `Driver.exchange`."""
        return self.driver.exchange(sends, receives, silent=silent)


async def agree(driver: Driver, names: Sequence[str], label: str) -> dict[str, Prg]:
    """A generator shared with each peer: both sides' fresh randomness, hashed with the label.

    Costs: 1 round, 32 bytes to each peer. Reveals: nothing beyond the authenticated pair.
    """
    me = driver.me
    peers = [name for name in names if name != me]
    mine = {peer: np.frombuffer(driver.entropy(SEED_BYTES), np.uint8).copy() for peer in peers}
    theirs = {peer: np.empty(SEED_BYTES, np.uint8) for peer in peers}
    await driver.exchange([(p, mine[p]) for p in peers], [(p, theirs[p]) for p in peers])
    prgs = {}
    for peer in peers:
        first, second = (mine[peer], theirs[peer]) if me < peer else (theirs[peer], mine[peer])
        low, high = sorted((me, peer))
        key = HKDF(hashes.SHA256(), 16, None, f"tacit pair {label}\0{low}\0{high}".encode()).derive(
            first.tobytes() + second.tobytes()
        )
        prgs[peer] = Prg(key)
    return prgs
