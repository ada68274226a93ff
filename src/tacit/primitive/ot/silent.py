"""Silent correlated oblivious transfers: millions from a few thousand, for less than a bit of communication each.

Functionality: as `tacit.primitive.ot.softspoken`. A malicious sender may, beside that, guess at which leaves the noise lies:
a wrong guess aborts, and a guess that holds narrows the noise down as much as it was likely to fail.

Source: Yang, Weng, Lan, Zhang and Wang, "Ferret: fast extension for correlated OT with small communication" (CCS 2020,
eprint 2020/924), its iterations, its code, its check; the trees are those of Guo, Yang, Wang, Zhang, Xie, Liu and Zhao,
"Half-tree" (EUROCRYPT 2023, eprint 2022/1431), which take one call of AES per leaf and one block per level.

    one iteration: k + t h + 128 correlations in, n = t 2**h out, of which the next iteration takes its own
    noise:  t trees of 2**h leaves v; the receiver holds w = v but for one leaf, where w = v ^ delta. Its place is what the
            choices of h correlations say, so that the receiver sends nothing; the sender sends a block per level
    check:  the receiver draws chi and sends it with phi = sum of chi at its places, masked by 128 choices; the sender
            answers with a digest of sum chi v + ...; the receiver compares it with its own (Ferret, figure 7)
    code:   K = A K0 ^ v, M = A M0 ^ w, where every row of the public A has ten ones at random places

The choices A x ^ e are pseudorandom by LPN with regular noise, for the parameters of `tacit.primitive.ot.noise`.

Threat model: malicious by default, semi-honest with `malicious=False`, either party; random oracle and ideal permutation,
and LPN. Reveals: nothing.
Costs: to open, what the extension of k + t h + 128 correlations costs. Each iteration: 1 round, 16 t h bytes from the sender;
the check adds 2 rounds, 32 bytes from the receiver and 32 from the sender. Memory: 16 (n + k) bytes at each party.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import final

import numpy as np

from tacit import _native
from tacit.foundation.errors import InputError, TransferRefused
from tacit.primitive.ot import softspoken
from tacit.primitive.ot.block import BLOCK_BYTES, ONE, Received, Sent, Words, blocks_of
from tacit.primitive.ot.noise import SMALL, Noise
from tacit.primitive.ot.session import Session, octets
from tacit.primitive.ot.weigh import Weigher, packed

DIGEST_BYTES = 32
GROUP_LEAVES = 1 << 14  # of trees that are expanded, weighed and encoded together: they stay in the cache


@final
class SilentSender:
    """The party with delta. Open it with `open_sender`, at the same point as the peer's `open_receiver`."""

    def __init__(self, session: Session, noise: Noise, first: Sent, *, malicious: bool) -> None:
        self.session = session
        self.noise = noise
        self.delta = first.delta
        self.malicious = malicious
        self._stock = _Stock(noise, first.blocks)

    async def take(self, n: int) -> Sent:
        """`n` fresh correlations, in as many iterations as they need. Raises: TransferRefused."""
        out = np.empty((_count(n), 2), np.uint64)
        filled = self._stock.give(out, 0)
        while filled < n:
            await self._iterate()
            filled = self._stock.give(out, filled)
        return Sent(self.delta, out)

    async def _iterate(self) -> None:
        noise, session, stock = self.noise, self.session, self._stock
        table, steps, masks = stock.base()
        sums = np.empty((noise.trees, noise.depth, 2), np.uint64)
        roots = blocks_of(session.draw(BLOCK_BYTES * noise.trees))
        for trees, leaves in stock.groups():
            shaped = leaves.reshape(-1, 1 << noise.depth, 2)
            session.trees.expand(roots[trees], self.delta, shaped, sums[trees])
        sums ^= steps
        await session.driver.exchange([(session.peer, sums.reshape(-1))], [])
        question = np.zeros(4, np.uint64)
        if self.malicious:
            await session.driver.exchange([], [(session.peer, question)])
        weigher = Weigher(question[:2].tobytes())
        for trees, leaves in stock.groups():
            if self.malicious:
                weigher.add(leaves)
            session.code.encode(stock.iteration, trees.start << noise.depth, table, leaves)
        if self.malicious:
            await self._answer(weigher, question[2:], masks)
        stock.turn()

    async def _answer(self, weigher: Weigher, phi: Words, masks: Words) -> None:
        shift = np.empty(2, np.uint64)
        _native.field128_dot(phi[None], self.delta[None], shift)
        digest = _digest(self.session, self._stock.iteration, weigher.total ^ packed(masks) ^ shift)
        await self.session.driver.exchange([(self.session.peer, octets(digest))], [])

    def __repr__(self) -> str:
        return f"SilentSender({self.noise}, iteration {self._stock.iteration})"


@final
class SilentReceiver:
    """The party with the choices. Open it with `open_receiver`."""

    def __init__(self, session: Session, noise: Noise, first: Received, *, malicious: bool) -> None:
        self.session = session
        self.noise = noise
        self.malicious = malicious
        self._stock = _Stock(noise, first.blocks)

    async def take(self, n: int) -> Received:
        """`n` fresh correlations with random choices. Raises: TransferRefused when the sender's check fails."""
        out = np.empty((_count(n), 2), np.uint64)
        filled = self._stock.give(out, 0)
        while filled < n:
            await self._iterate()
            filled = self._stock.give(out, filled)
        return Received(out)

    async def _iterate(self) -> None:
        noise, session, stock = self.noise, self.session, self._stock
        table, steps, masks = stock.base()
        # The choice of a step is the side whose sum this party learns; the path, from its highest bit, takes the other.
        sides = steps[..., 0] & ONE
        weights = ONE << np.arange(noise.depth - 1, -1, -1, dtype=np.uint64)
        paths = ((ONE - sides) * weights).sum(axis=1, dtype=np.uint64)
        sums = np.empty((noise.trees, noise.depth, 2), np.uint64)
        await session.driver.exchange([], [(session.peer, sums.reshape(-1))])
        sums ^= steps
        seed = session.draw(BLOCK_BYTES)
        weigher = Weigher(seed)
        for trees, leaves in stock.groups():
            session.trees.complete(sums[trees], paths[trees], leaves.reshape(-1, 1 << noise.depth, 2))
            if self.malicious:
                places = (np.arange(trees.stop - trees.start) << noise.depth) + paths[trees].astype(np.int64)
                weigher.add(leaves, places)
            session.code.encode(stock.iteration, trees.start << noise.depth, table, leaves)
        if self.malicious:
            await self._check(weigher, seed, masks)
        stock.turn()

    async def _check(self, weigher: Weigher, seed: bytes, masks: Words) -> None:
        driver, peer = self.session.driver, self.session.peer
        hidden = np.empty(2, np.uint64)
        _native.pack((masks[:, 0] & ONE).astype(np.uint8), hidden)
        await driver.exchange([(peer, np.concatenate([blocks_of(seed)[0], weigher.at_places ^ hidden]))], [])
        theirs = np.empty(DIGEST_BYTES, np.uint8)
        await driver.exchange([], [(peer, theirs)])
        mine = _digest(self.session, self._stock.iteration, weigher.total ^ packed(masks))
        if not hmac.compare_digest(mine, theirs.tobytes()):
            raise TransferRefused(
                f"{peer} sent level sums that belong to no tree of its delta: the check of error 2**-128 fails",
                peer=peer,
            )

    def __repr__(self) -> str:
        return f"SilentReceiver({self.noise}, iteration {self._stock.iteration})"


async def open_sender(
    session: Session, *, noise: Noise = SMALL, malicious: bool = True, delta: Words | None = None
) -> SilentSender:
    """Become the sender. `delta` [2], fresh unless given; its lowest bit must be 1."""
    extension = await softspoken.open_sender(session, malicious=malicious, delta=delta)
    return SilentSender(session, noise, await extension.extend(noise.inputs), malicious=malicious)


async def open_receiver(session: Session, *, noise: Noise = SMALL, malicious: bool = True) -> SilentReceiver:
    """Become the receiver, with the same `noise` and `malicious` as the peer's `open_sender`."""
    extension = await softspoken.open_receiver(session, malicious=malicious)
    return SilentReceiver(session, noise, await extension.extend(noise.inputs), malicious=malicious)


@final
class _Stock:
    """What an iteration left: the input of the next, and outputs that were not taken yet. One buffer serves them all."""

    def __init__(self, noise: Noise, first: Words) -> None:
        self.iteration = 0
        self._noise = noise
        self._base = first
        self._outputs = np.empty((noise.outputs, 2), np.uint64)
        self._given = noise.outputs

    def base(self) -> tuple[Words, Words, Words]:
        """The table [k, 2], a correlation per level of every tree [t, h, 2], and 128 masks of the check."""
        noise = self._noise
        steps = noise.table + noise.trees * noise.depth
        shaped = self._base[noise.table : steps].reshape(noise.trees, noise.depth, 2)
        return self._base[: noise.table], shaped, self._base[steps:]

    def groups(self) -> Iterator[tuple[slice, Words]]:
        """The trees in groups whose leaves [m, 2] stay in the cache."""
        noise = self._noise
        step = max(1, GROUP_LEAVES >> noise.depth)
        for begin in range(0, noise.trees, step):
            end = min(begin + step, noise.trees)
            yield slice(begin, end), self._outputs[begin << noise.depth : end << noise.depth]

    def turn(self) -> None:
        """Keep the first outputs as the next input; the rest can be given."""
        self.iteration += 1
        self._given = self._noise.inputs
        np.copyto(self._base, self._outputs[: self._given])

    def give(self, out: Words, filled: int) -> int:
        """Hand out what there is, at `filled` and up. Returns how far `out` is filled. Nothing is handed out twice."""
        count = min(len(out) - filled, len(self._outputs) - self._given)
        out[filled : filled + count] = self._outputs[self._given : self._given + count]
        self._given += count
        return filled + count


def _digest(session: Session, iteration: int, total: Words) -> bytes:
    return hashlib.blake2b(
        iteration.to_bytes(8, "little") + total.tobytes(),
        digest_size=DIGEST_BYTES,
        key=session.tag,
        person=b"tacit silent",
    ).digest()


def _count(n: int) -> int:
    if n < 0:
        raise InputError(f"{n} correlations were asked for")
    return n
