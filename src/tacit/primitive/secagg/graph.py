"""Who masks with whom: neighbourhoods that everybody computes from public randomness, so that nobody can choose them.

Source: the Harary graph on a random permutation of SecAgg+ (eprint 2020/704, algorithm 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import InputError
from tacit.primitive.prg import Prg
from tacit.primitive.secagg.planning import Plan

Members = NDArray[np.bool_]


@final
class Graph:
    """All neighbourhoods, and the witnesses, of one aggregation.

    Computes: a uniform permutation puts the clients on a ring; each is tied to the k/2 next ones on either side, or to
        everybody. A second one chooses the witnesses. Both are drawn from AES-128-CTR under `key`.
    """

    def __init__(self, plan: Plan, key: bytes) -> None:
        prg = Prg(key)
        self._plan = plan
        self._ring = prg.permutation(0, plan.clients).astype(np.int64)
        self._place = np.empty(plan.clients, np.int64)
        self._place[self._ring] = np.arange(plan.clients)
        self.witnesses = frozenset(prg.permutation(1, plan.clients)[: plan.witnesses].tolist())

    def neighbours(self, client: int) -> tuple[int, ...]:
        """The k neighbours of a client, in rising order; it is none of them itself."""
        n = self._plan.clients
        if self._plan.complete:
            return tuple(other for other in range(n) if other != client)
        reach = self._plan.neighbours // 2
        steps = np.concatenate([np.arange(-reach, 0), np.arange(1, reach + 1)])
        return tuple(np.sort(self._ring[(self._place[client] + steps) % n]).tolist())

    def occupancy(self, members: Members) -> int:
        """The fewest of `members` (bool, shape (n,)) on any `window` successive places of the ring."""
        around = np.concatenate([[0], np.cumsum(members[np.resize(self._ring, members.size + self._plan.window)])])
        return int((around[self._plan.window :] - around[: -self._plan.window]).min())

    def core(self, members: Iterable[int]) -> set[int]:
        """The largest subset in which everybody keeps `threshold` neighbours: whoever has fewer could not be recovered."""
        kept = set(members)
        while lost := {one for one in kept if len(kept.intersection(self.neighbours(one))) < self._plan.threshold}:
            kept -= lost
        return kept


def pack_members(members: Members) -> bytes:
    """One bit for each client, little-endian within a byte; padded with zeros."""
    return np.packbits(members, bitorder="little").tobytes()


def unpack_members(data: bytes, clients: int) -> Members:
    """The inverse. Raises: InputError for another length, or padding that is not zero."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    if bits.size != -(-clients // 8) * 8 or bits[clients:].any():
        raise InputError(f"a set of {clients} clients is {-(-clients // 8)} bytes, padded with zeros")
    return bits[:clients].astype(np.bool_)


def members_of(indices: Iterable[int], clients: int) -> Members:
    """The set as a vector of flags, shape (clients,)."""
    members = np.zeros(clients, np.bool_)
    members[list(indices)] = True
    return members
