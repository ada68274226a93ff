"""Two-party private set intersection on Curve25519, in batches: the receiver learns which of its items the sender has.

Source: the Diffie-Hellman oblivious pseudorandom function with multiplicative blinding (Jarecki, Krawczyk and Xu 2021)
in the place of commutative encryption (Meadows 1986; Huberman, Franklin and Hogg 1999; Jarecki and Liu 2010). The
sender's key is k and K = k G. For each of its items x the receiver sends u of P = H(x) + r G with a fresh r, gets
u(k P) and the lowest bit of v(k P) v(P), which with its v(P) is all of k P, and takes r K away: that leaves k H(x), of which
the first octets of u are x's token. The sender sends the tokens of its own items. Multiples of G and K come from tables, so
that two ladders for each pair of items are left of the four of commutative encryption; the bytes are the same.

Threat model: semi-honest, either party. The sender learns nothing but the number of items even if it deviates, as
what it gets is uniform in the group; a deviating sender can make results wrong. For a semi-honest receiver
the sender's other items are hidden under decisional Diffie-Hellman with the hash as a random oracle. Whoever lies about its
set learns membership of what it claims: no protocol of this kind prevents it.
Functionality: the receiver gets the positions, in either side's order of sending, of equal items; errors as `token_bytes`.
Reveals: to the receiver, which of its items the sender has, at which places of the sender's order (which must be secret and
random), and the number of the sender's items; to the sender, the number of the receiver's.
Costs: ceil(n / 2**14) + 2 overlapped rounds for the larger n; 32 bytes for each item of the receiver in either direction, and
one token for each item of the sender: 77.6 MB for 2**20 and 2**20. Memory: a few batches, of 2**14 items each.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tacit.foundation.errors import ProtocolError
from tacit.primitive.driver import Driver, Exchange
from tacit.primitive.prg import Prg
from tacit.primitive.psi.points import BASE, POINT_BYTES, Octets, Scalar, Table, encode, negated, received
from tacit.primitive.psi.token import cut

BATCH = 1 << 14
DELAY = 2
"""Batches between a blinded batch and its answer: one under way, one being computed."""


class Items(Protocol):
    """One side's distinct items as numbers modulo p, in a secret random order that does not change."""

    @property
    def count(self) -> int:
        """How many."""

    def read(self, start: int, stop: int, /) -> Octets:
        """Numbers [stop - start, 32]."""


class Sink(Protocol):
    """Where the receiver's tokens go, batch by batch and in order: memory, or files."""

    def mine(self, tokens: Octets, /) -> None:
        """Tokens of this side's next items."""

    def theirs(self, tokens: Octets, /) -> None:
        """Tokens of the sender's next items."""

    def done(self, steps: int, /) -> None:
        """The first `steps` batches of both have been given."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What both sides know of a run: the numbers of items, the size of a token, and how many batches were done before."""

    receiver: int
    sender: int
    token: int
    done: int = 0

    @property
    def steps(self) -> int:
        """Batches of the longer side."""
        return max(_batches(self.receiver), _batches(self.sender))

    def bounds(self, count: int, step: int) -> tuple[int, int]:
        """Where batch number `step` of `count` items begins and ends; empty outside."""
        if step < self.done:
            return 0, 0
        return min(step * BATCH, count), min((step + 1) * BATCH, count)


async def receive(driver: Driver, peer: str, items: Items, key: Octets, terms: Terms, sink: Sink) -> None:
    """The receiver's part; `key` is the sender's K. Raises PointRefused for points that nobody honest sends."""
    blinding, opening = Table(BASE), Table(negated(received(key, peer)[0]))
    prg = Prg.from_os()
    kept: dict[int, tuple[Octets, Octets]] = {}

    def blind(step: int) -> Octets:
        start, stop = terms.bounds(items.count, step)
        masks = np.empty((stop - start, POINT_BYTES), np.uint8)
        prg.fill(step, masks)
        u, v = blinding.blind(items.read(start, stop), masks)
        kept[step] = v, masks
        return u

    def unblind(step: int, points: Octets) -> Octets:
        return cut(opening.unblind(received(points, peer), *kept.pop(step)), terms.token)

    with ThreadPoolExecutor(1) as worker:
        ahead = deque(worker.submit(blind, step) for step in _range(terms, 0, DELAY))
        under_way: deque[tuple[int, Exchange, Octets, Octets]] = deque()
        opened: deque[tuple[int, Future[Octets], Octets]] = deque()

        async def settle() -> None:
            step, exchange, tokens, answers = under_way.popleft()
            await exchange
            opened.append((step, worker.submit(unblind, step - DELAY, answers), tokens))

        def keep() -> None:
            step, mine, theirs = opened.popleft()
            sink.theirs(theirs.reshape(-1, terms.token))
            if step - DELAY >= terms.done:
                sink.mine(mine.result())
                sink.done(min(step - DELAY + 1, terms.steps))

        for step in range(terms.done, terms.steps + DELAY):
            blinded = ahead.popleft().result() if ahead else np.empty((0, POINT_BYTES), np.uint8)
            if step + DELAY < terms.steps:
                ahead.append(worker.submit(blind, step + DELAY))
            tokens = _room(terms, terms.sender, step, terms.token)
            answers = _room(terms, terms.receiver, step - DELAY, POINT_BYTES)
            exchange = driver.exchange(_to(peer, blinded), _to(peer, tokens, answers))
            under_way.append((step, exchange, tokens, answers))
            if len(under_way) == DELAY:
                await settle()
            if len(opened) == DELAY:
                keep()
        while under_way:
            await settle()
        while opened:
            keep()


async def send(driver: Driver, peer: str, items: Items, key: Scalar, terms: Terms) -> None:
    """The sender's part. Raises PointRefused for points that nobody honest sends."""

    def own(step: int) -> Octets:
        start, stop = terms.bounds(items.count, step)
        return cut(key.multiply(encode(items.read(start, stop))), terms.token)

    def answer(points: Octets) -> Octets:
        return key.evaluate(received(points, peer))

    with ThreadPoolExecutor(1) as worker:
        tokens = deque(worker.submit(own, step) for step in _range(terms, 0, DELAY))
        under_way: deque[tuple[Exchange, Octets]] = deque()
        answers: deque[Future[Octets]] = deque()
        for step in range(terms.done, terms.steps + DELAY):
            mine = tokens.popleft().result() if tokens else np.empty((0, terms.token), np.uint8)
            due = step - terms.done >= DELAY
            answered = answers.popleft().result() if due else np.empty((0, POINT_BYTES), np.uint8)
            blinded = _room(terms, terms.receiver, step, POINT_BYTES)
            under_way.append((driver.exchange(_to(peer, mine, answered), _to(peer, blinded)), blinded))
            if len(under_way) == DELAY:
                exchange, arrived = under_way.popleft()
                await exchange
                answers.append(worker.submit(answer, arrived))
            if step + DELAY < terms.steps:
                tokens.append(worker.submit(own, step + DELAY))
        while under_way:
            exchange, _ = under_way.popleft()
            await exchange


def _to(peer: str, *arrays: Octets) -> list[tuple[str, Octets]]:
    """What goes to a peer or comes from it: both sides know which arrays are empty, and leave them out."""
    return [(peer, array.reshape(-1)) for array in arrays if array.size]


def _batches(count: int) -> int:
    return -(-count // BATCH)


def _range(terms: Terms, first: int, last: int) -> Iterator[int]:
    return iter(range(terms.done + first, min(terms.done + last, terms.steps)))


def _room(terms: Terms, count: int, step: int, size: int) -> Octets:
    start, stop = terms.bounds(count, step)
    if stop - start > BATCH:
        raise ProtocolError(f"a batch of {stop - start} items exceeds {BATCH}")
    return np.empty((stop - start) * size, np.uint8)
