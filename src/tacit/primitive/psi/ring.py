"""Private set intersection of two or more parties on Curve25519, by a ring of shuffles; or the size of it alone.

Source: commutative encryption (Meadows 1986; Huberman, Franklin and Hogg 1999) with the shuffle of the private
intersection cardinality of De Cristofaro, Gasti and Tsudik 2012, around a ring of parties. Every party's set
travels once around: each party multiplies its points by its own secret scalar, and whoever is not its owner puts them in a
fresh random order. What arrives are tokens under the product of all scalars, equal where the items are. One party, the
matcher, compares the sets of tokens and finds those that are in all. Marks of them travel back the way the set came, every
party undoing its own order, and arrive at the owner in the owner's order. For cardinality nothing travels back.

Threat model: semi-honest, any number of the parties together; secure under decisional Diffie-Hellman with the hash as a
random oracle. An honest party shuffles every set but its own, so no coalition can link a token to an item, not even to
one of its own.
Functionality: each party of `reveal_to` gets the positions of its items that all parties have; errors as `token_bytes`.
Reveals: to every party, the number of items of each party and of the intersection; to the matcher, the sizes of the
intersections of every two or more parties' sets, but not what is in them. A ring without shuffles, as it is usual for three
parties, shows the last party the items that it shares with each other one; this one does not.
Costs: with k parties of n items each, k scalar multiplications for each item of each party; 32 (k - 1) n bytes and n tokens from
each party; 2 + (k - 1) ceil(n / 2**14) + ceil(n / 2**14) rounds, and k more for the marks. Memory: 64 n bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import InputError, ProtocolError
from tacit.primitive.driver import Driver
from tacit.primitive.prg import Prg
from tacit.primitive.psi.points import POINT_BYTES, Octets, Scalar, encode, received
from tacit.primitive.psi.stream import BATCH
from tacit.primitive.psi.token import MAX_ITEMS, cut, match, token_bytes

Order = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Common:
    """What a party learns: how many items are common to all, and where in its own set they are, if that is revealed to it.

    Positions are in one order for all parties, a random one.
    """

    size: int | None
    positions: NDArray[np.int64] | None
    counts: dict[str, int]
    """How many items each party has."""


async def intersect_all(
    driver: Driver,
    parties: Sequence[str],
    numbers: Octets,
    reveal_to: Sequence[str],
    matcher: str,
    size_to: Sequence[str] | None = None,
) -> Common:
    """The intersection of all parties' sets of distinct items, given as numbers modulo p, [n, 32].

    `parties` is in an order that all agree on, as are the other names. Where nothing is revealed but the size, `size_to` says to
    whom beside the matcher; None is all. Raises: InputError for parties
    that are not among them; PointRefused for points that nobody honest sends.
    """
    ring = _Ring(driver, list(parties), set(reveal_to), matcher)
    counts = await ring.count(len(numbers))
    size = token_bytes(sum(counts), sum(counts))
    last, orders = await ring.around(numbers, counts)
    sets = await ring.to_matcher(cut(last, size), counts, size)
    marks = ring.shuffled(_common(sets)) if sets else {}
    told = list(parties) if size_to is None or ring.reveal_to else [*size_to, matcher]
    total = await ring.announce(len(next(iter(marks.values()))) if marks else 0, told)
    named = dict(zip(parties, counts, strict=True))
    if total is None or not ring.reveal_to:
        return Common(total, None, named)
    if total > min(counts):
        raise ProtocolError(f"{matcher} announced {total} common items, but a party has {min(counts)}")
    ranks = await ring.back(marks, orders, counts, total)
    if ranks is None:
        return Common(total, None, named)
    at = np.flatnonzero(ranks >= 0)
    positions = np.empty(total, np.int64)
    positions[ranks[at]] = at
    return Common(total, positions, named)


def _common(sets: dict[int, Octets]) -> dict[int, NDArray[np.int64]]:
    """For each owner, the positions of the tokens that are in every set."""
    owners = sorted(sets)
    first = owners[0]
    at = {first: np.arange(len(sets[first]))}
    for owner in owners[1:]:
        i, j = match(sets[first][at[first]], sets[owner])
        at = {known: positions[i] for known, positions in at.items()} | {owner: j}
    return at


class _Ring:
    """One party's place in the ring. Party number i sends to i + 1; set j belongs to party j."""

    def __init__(self, driver: Driver, parties: list[str], reveal_to: set[str], matcher: str) -> None:
        unknown = [name for name in (*sorted(reveal_to), matcher, driver.me) if name not in parties]
        if unknown or len(set(parties)) != len(parties) or len(parties) < 2:
            raise InputError(
                f"{unknown or parties}: name two or more parties once each, and only parties of this intersection"
            )
        self.driver = driver
        self.parties = parties
        self.size = len(parties)
        self.me = parties.index(driver.me)
        self.next, self.before = (parties[(self.me + step) % self.size] for step in (1, -1))
        self.reveal_to = {parties.index(name) for name in reveal_to}
        self.matcher = parties.index(matcher)
        self.prg = Prg.from_os()
        self.key = Scalar.fresh()

    def shuffled(self, marks: dict[int, NDArray[np.int64]]) -> dict[int, NDArray[np.int64]]:
        """The common items in a random order, the same for every set."""
        order = self.prg.permutation(1 << 32, len(next(iter(marks.values()))))
        return {owner: positions[order] for owner, positions in marks.items()}

    async def count(self, mine: int) -> list[int]:
        """The number of items of every party."""
        own = np.array([mine], np.uint64).view(np.uint8)
        others = {name: np.empty(8, np.uint8) for i, name in enumerate(self.parties) if i != self.me}
        await self.driver.exchange([(name, own) for name in others], list(others.items()))
        counts = [mine if i == self.me else int(others[n].view(np.uint64)[0]) for i, n in enumerate(self.parties)]
        if max(counts) > MAX_ITEMS:
            raise ProtocolError(
                f"{self.parties[counts.index(max(counts))]} announced {max(counts)} items; {MAX_ITEMS} are the most"
            )
        return counts

    async def around(self, numbers: Octets, counts: list[int]) -> tuple[Octets, list[Order]]:
        """Every set once around. Returns the set that ends here, and the orders this party gave to the sets, by hop."""
        held, orders = numbers, []
        for hop in range(self.size):
            order = self.prg.permutation(hop, len(held)) if hop else np.arange(len(held))
            orders.append(order)
            last = hop == self.size - 1
            expected = 0 if last else counts[(self.me - hop - 1) % self.size]
            held = await self._pass(held, order, expected, max(counts), own=not hop, send=not last)
        return held, orders

    async def _pass(self, held: Octets, order: Order, expected: int, most: int, *, own: bool, send: bool) -> Octets:
        """Multiply a set batch by batch and send it on while the next one comes; or keep it at the end of its way."""

        def work(start: int) -> Octets:
            points = held[order[start : start + BATCH]]
            return self.key.multiply(encode(points) if own else points)

        kept: list[Octets] = []
        arrived = np.empty((expected, POINT_BYTES), np.uint8)
        flat = arrived.reshape(-1)
        with ThreadPoolExecutor(1) as worker:
            ahead = worker.submit(work, 0)
            for start in range(0, most, BATCH):
                batch = ahead.result()
                ahead = worker.submit(work, start + BATCH)
                if not send:
                    kept.append(batch)
                    continue
                room = flat[start * POINT_BYTES : (start + BATCH) * POINT_BYTES]
                await self.driver.exchange(
                    [(self.next, batch.reshape(-1))] if batch.size else [], [(self.before, room)] if room.size else []
                )
        if not send:
            return np.concatenate(kept) if kept else np.empty((0, POINT_BYTES), np.uint8)
        return received(arrived, self.before)

    async def to_matcher(self, tokens: Octets, counts: list[int], size: int) -> dict[int, Octets]:
        """The tokens of all sets, at the matcher; nothing elsewhere. The set of party i + 1 ends its way at party i."""
        sets = {(i + 1) % self.size: np.empty((counts[(i + 1) % self.size], size), np.uint8) for i in range(self.size)}
        if self.me == self.matcher:
            sets[(self.me + 1) % self.size] = tokens
        name = self.parties[self.matcher]
        for start in range(0, max(counts), BATCH):
            sends, receives = [], []
            if self.me != self.matcher:
                sends = [(name, tokens[start : start + BATCH].reshape(-1))]
            else:
                receives = [
                    (self.parties[i], sets[(i + 1) % self.size][start : start + BATCH].reshape(-1))
                    for i in range(self.size)
                    if i != self.me
                ]
            await self.driver.exchange([s for s in sends if s[1].size], [r for r in receives if r[1].size])
        return sets if self.me == self.matcher else {}

    async def announce(self, total: int, to: Sequence[str]) -> int | None:
        """The matcher's count, to those named."""
        word = np.array([total], np.uint64)
        if self.me == self.matcher:
            await self.driver.exchange(
                [(name, word) for name in self.parties if name in to and name != self.driver.me], []
            )
        elif self.driver.me in to:
            await self.driver.exchange([], [(self.parties[self.matcher], word)])
        else:
            await self.driver.exchange([], [])
            return None
        return int(word[0])

    async def back(
        self, marks: dict[int, NDArray[np.int64]], orders: list[Order], counts: list[int], total: int
    ) -> NDArray[np.int64] | None:
        """Ranks of the common items, -1 elsewhere: from the matcher to where a set's way ended, and from there backwards."""
        held = await self._hand_out(marks, counts, total)
        for hop in range(self.size - 1, 0, -1):  # as in `around`: at this hop this party had the set of `me - hop`
            mine, comes = (self.me - hop) % self.size, (self.me + 1 - hop) % self.size
            sends, room = [], None
            if mine in self.reveal_to and held is not None:
                before = np.empty_like(held)
                before[orders[hop]] = held
                sends = [(self.before, _packed(before))]
            if comes in self.reveal_to:
                room = np.empty(_packed_bytes(counts[comes], total), np.uint8)
            receives = [(self.next, room)] if room is not None and room.size else []
            await self.driver.exchange([s for s in sends if s[1].size], receives)
            held = None if room is None else _unpacked(room, counts[comes], total, self.next)
        return held if self.me in self.reveal_to else None

    async def _hand_out(
        self, marks: dict[int, NDArray[np.int64]], counts: list[int], total: int
    ) -> NDArray[np.int64] | None:
        """From the matcher to party j - 1 for each set j that is revealed."""
        ends = (self.me + 1) % self.size
        if self.me != self.matcher:
            if ends not in self.reveal_to:
                await self.driver.exchange([], [])
                return None
            room = np.empty(_packed_bytes(counts[ends], total), np.uint8)
            matcher = self.parties[self.matcher]
            await self.driver.exchange([], [(matcher, room)] if room.size else [])
            return _unpacked(room, counts[ends], total, matcher)
        ranks = {}
        for owner in sorted(self.reveal_to):
            ranks[owner] = np.full(counts[owner], -1, np.int64)
            ranks[owner][marks[owner]] = np.arange(total)
        sends = [
            (self.parties[(owner - 1) % self.size], _packed(ranks[owner]))
            for owner in ranks
            if (owner - 1) % self.size != self.me and counts[owner]
        ]
        await self.driver.exchange(sends, [])
        return ranks.get(ends)


def _packed_bytes(count: int, total: int) -> int:
    return -(-count // 8) + 4 * total


def _packed(ranks: NDArray[np.int64]) -> Octets:
    """One bit for each item, and 4 bytes for each common one."""
    marked = ranks >= 0
    return np.concatenate([np.packbits(marked), ranks[marked].astype(np.uint32).view(np.uint8)])


def _unpacked(octets: Octets, count: int, total: int, peer: str) -> NDArray[np.int64]:
    """What `_packed` packed. Raises ProtocolError where it is not each rank once."""
    bits = -(-count // 8)
    marked = np.unpackbits(octets[:bits], count=count).astype(bool)
    given = np.frombuffer(octets[bits:].tobytes(), np.uint32).astype(np.int64)
    if int(marked.sum()) != total or not np.array_equal(np.sort(given), np.arange(total)):
        raise ProtocolError(f"{peer} sent marks that are not those of {total} common items, each once")
    ranks = np.full(count, -1, np.int64)
    ranks[marked] = given
    return ranks
