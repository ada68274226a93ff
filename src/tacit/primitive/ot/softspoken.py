"""Correlated oblivious transfers by extension: from 128 base transfers to any number, with hashes and AES only.

Functionality: correlated transfers as `tacit.primitive.ot.block` states them, with random choices and a delta of the
sender's own. A party that deviates may choose the blocks it gets itself. A malicious receiver may guess bits of delta:
a wrong guess aborts, so c bits cost it a chance of 2**-c.

Source: Roy, "SoftSpokenOT: quieter OT extension from small-field silent VOLE in the Minicrypt model" (CRYPTO 2022,
eprint 2022/192). `bits` = 1 is the extension of Ishai, Kilian, Nissim and Petrank (CRYPTO 2003) in the same words. Larger fields
send less and expand more: 2**bits / bits keys' streams. The check is Roy's: every one of the 128 columns and the
choices are hashed by one linear function over GF(2^64), which repairs the proof of Keller, Orsini and Scholl 2015.

    groups g of `bits` bits of delta; the receiver holds keys r_x for all x, the sender all but x = delta_g
    receiver: u_g = sum of r_x;  v_b = sum of r_x over the x with bit b;  sends u_g ^ u_0;  the choices are u_0
    sender:   w_b = sum of r_x over the x with bit b of x ^ delta_g, ^ delta_b (u_g ^ u_0)  =  v_b ^ delta_b u_0

Threat model: malicious by default, semi-honest with `malicious=False`, either party; in the random oracle model.
Statistical error 2**-64 per check. 127 bits of delta are secret (the lowest is 1).
Reveals: nothing.
Costs, 128 / bits groups: to open, 1 round for the base transfers (8 KiB from the sender, 4 KiB from the receiver) and 1 for the
trees. To extend by n: 1 round, (128 / bits - 1) bits per transfer from the receiver; the check adds 2 rounds per 2**18 transfers, 16 bytes
from the sender, and 64 transfers and 1032 bytes of the receiver's.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from typing import final

import numpy as np

from tacit import _native
from tacit.foundation.errors import InputError, TransferRefused
from tacit.primitive.ot import base
from tacit.primitive.ot.block import BLOCK_BITS, BLOCK_BYTES, ONE, Octets, Received, Sent, Words, random_delta
from tacit.primitive.ot.puncture import harvest, message_bytes, plant
from tacit.primitive.ot.session import Session, octets
from tacit.primitive.prg import Prg

FIELD_BITS = (1, 2, 4, 8)
CHECK_TRANSFERS = 64
MAX_PIECE = 1 << 18
COLUMNS = 1 << 13  # that are turned into blocks together: they stay in the cache


@final
class ExtensionSender:
    """The party with delta. Open it with `open_sender`, at the same point as the peer's `open_receiver`."""

    def __init__(self, session: Session, delta: Words, keys: Sequence[Sequence[Prg]], *, malicious: bool) -> None:
        self.session = session
        self.delta = delta
        self.malicious = malicious
        self._keys = keys  # of group g: the key at x ^ delta_g, for x = 1, 2, ...; that of x = 0 is unknown
        self._bits = _unpacked(delta)
        self._stream = 0

    async def extend(self, n: int) -> Sent:
        """`n` fresh correlations. Raises: TransferRefused when the check fails."""
        blocks = np.empty((_count(n), 2), np.uint64)
        for begin, end in _pieces(n):
            await self._piece(blocks[begin:end])
        return Sent(self.delta, blocks)

    async def _piece(self, out: Words) -> None:
        words = _words(len(out), checked=self.malicious)
        groups = len(self._keys)
        rows = np.empty((BLOCK_BITS, words), np.uint64)
        width = BLOCK_BITS // groups
        for group, keys in enumerate(self._keys):
            _fold(keys, self._stream, rows[group * width : (group + 1) * width], np.empty(words, np.uint64))
        self._stream += 1
        corrections = np.empty((groups - 1, words), np.uint64)
        await self.session.driver.exchange([], [(self.session.peer, corrections.reshape(-1))])
        mask = np.uint64(0) - self._bits.astype(np.uint64)
        rows[width:] ^= np.repeat(corrections, width, axis=0) & mask[width:, None]
        if self.malicious:
            await self._check(rows)
        rows[0] = 0  # as it is at the receiver, less the choices
        _columns(rows, out)

    async def _check(self, rows: Words) -> None:
        driver, peer = self.session.driver, self.session.peer
        seed = self.session.draw(BLOCK_BYTES)
        await driver.exchange([(peer, octets(seed))], [])
        shown = np.empty(1 + BLOCK_BITS, np.uint64)
        await driver.exchange([], [(peer, shown)])
        mask = np.uint64(0) - self._bits.astype(np.uint64)
        expected = _hashed(rows, seed) ^ (mask & shown[0])
        if not hmac.compare_digest(expected.tobytes(), shown[1:].tobytes()):
            raise TransferRefused(
                f"{peer} extended with choices that differ between the groups of delta: the check of error 2**-64 fails",
                peer=peer,
            )

    def __repr__(self) -> str:
        return f"ExtensionSender({len(self._keys)} groups, {'malicious' if self.malicious else 'semi-honest'})"


@final
class ExtensionReceiver:
    """The party with the choices. Open it with `open_receiver`."""

    def __init__(self, session: Session, keys: Sequence[Sequence[Prg]], *, malicious: bool) -> None:
        self.session = session
        self.malicious = malicious
        self._keys = keys
        self._stream = 0

    async def extend(self, n: int) -> Received:
        """`n` fresh correlations with random choices."""
        blocks = np.empty((_count(n), 2), np.uint64)
        for begin, end in _pieces(n):
            await self._piece(blocks[begin:end])
        return Received(blocks)

    async def _piece(self, out: Words) -> None:
        words = _words(len(out), checked=self.malicious)
        groups = len(self._keys)
        rows = np.empty((BLOCK_BITS, words), np.uint64)
        sums = np.empty((groups, words), np.uint64)
        width = BLOCK_BITS // groups
        for group, keys in enumerate(self._keys):
            _fold(keys, self._stream, rows[group * width : (group + 1) * width], sums[group])
        self._stream += 1
        choices = sums[0]
        corrections = sums[1:] ^ choices
        await self.session.driver.exchange([(self.session.peer, corrections.reshape(-1))], [])
        if self.malicious:
            await self._answer(rows, choices)
        rows[0] = choices  # the lowest bit of a block is its choice
        _columns(rows, out)

    async def _answer(self, rows: Words, choices: Words) -> None:
        driver, peer = self.session.driver, self.session.peer
        seed = np.empty(BLOCK_BYTES, np.uint8)
        await driver.exchange([], [(peer, seed)])
        shown = _hashed(np.concatenate([choices[None], rows]), seed.tobytes())
        await driver.exchange([(peer, shown)], [])

    def __repr__(self) -> str:
        return f"ExtensionReceiver({len(self._keys)} groups, {'malicious' if self.malicious else 'semi-honest'})"


async def open_sender(
    session: Session, *, bits: int = 4, malicious: bool = True, delta: Words | None = None
) -> ExtensionSender:
    """Become the sender. `delta` [2], fresh unless given; its lowest bit must be 1. See the module's docstring."""
    _require_bits(bits)
    delta = random_delta(session.draw(BLOCK_BYTES)) if delta is None else delta
    if delta.shape != (2,) or delta.dtype != np.uint64 or not delta[0] & ONE:
        raise InputError("delta is two uint64 words, and the lowest bit of the first is 1")
    # The hole of a tree, from its highest bit, is what was not chosen; bit b of a group of delta weighs 2**b.
    choices = (1 - _unpacked(delta)).reshape(-1, bits)[:, ::-1]
    keys = await base.receive(session, choices.reshape(-1))
    size = message_bytes(bits, checked=malicious)
    messages = np.empty(size * len(choices), np.uint8)
    await session.driver.exchange([], [(session.peer, messages)])
    held = []
    for group, chosen in enumerate(choices):
        hole, leaves = harvest(
            _tag(session, group),
            [int(bit) for bit in chosen],
            keys[group * bits : (group + 1) * bits],
            messages[group * size : (group + 1) * size].tobytes(),
            checked=malicious,
            peer=session.peer,
        )
        held.append([Prg(leaves[x ^ hole]) for x in range(1, 1 << bits)])
    return ExtensionSender(session, delta.copy(), held, malicious=malicious)


async def open_receiver(session: Session, *, bits: int = 4, malicious: bool = True) -> ExtensionReceiver:
    """Become the receiver, with the same `bits` and `malicious` as the peer's `open_sender`."""
    _require_bits(bits)
    pairs = await base.send(session, BLOCK_BITS)
    trees = [
        plant(_tag(session, group), pairs[group * bits : (group + 1) * bits], checked=malicious)
        for group in range(BLOCK_BITS // bits)
    ]
    await session.driver.exchange([(session.peer, octets(b"".join(message for _, message in trees)))], [])
    # The key at x = 0 belongs to the sum only, the others to the rows of the bits of x as well.
    return ExtensionReceiver(session, [[Prg(leaf) for leaf in leaves] for leaves, _ in trees], malicious=malicious)


def _fold(keys: Sequence[Prg], stream: int, rows: Words, total: Words) -> None:
    """rows[b] = the sum of the streams of keys whose number has bit b; total = the sum of all.

    Numbers end with 2**len(rows) - 1; where the key of number 0 is missing, its stream is taken as zero. Pairs are added level by
    level, so that a stream is added about twice rather than once per bit.
    """
    count = 1 << len(rows)
    streams = np.zeros((count, rows.shape[1]), np.uint64)
    for number, key in zip(range(count - len(keys), count), keys, strict=True):
        key.fill(stream, streams[number])
    for row in rows:
        odd = streams[1::2]
        np.bitwise_xor.reduce(odd, axis=0, out=row)
        streams = streams[0::2] ^ odd
    total[:] = streams[0]


def _hashed(rows: Words, seed: bytes) -> Words:
    """Every row hashed to 64 bits by random weights; the last word, whose weight is 1, hides the rest."""
    weights = Prg(seed).words(0, rows.shape[1])
    weights[-1] = 1
    out = np.empty(len(rows), np.uint64)
    _native.field64_combine(rows, weights, out)
    return out


def _columns(rows: Words, out: Words) -> None:
    """The first columns of a bit matrix of 128 rows as blocks, out [n, 2]: bit i of a block from row i."""
    half = np.empty(COLUMNS, np.uint64)
    for begin in range(0, len(out), COLUMNS):
        part = out[begin : begin + COLUMNS]
        words = slice(begin // 64, begin // 64 + (len(part) + 63) // 64)
        for side in range(2):
            _native.from_planes(np.ascontiguousarray(rows[64 * side : 64 * (side + 1), words]), half[: len(part)])
            part[:, side] = half[: len(part)]


def _words(n: int, *, checked: bool) -> int:
    return (n + 63) // 64 + (CHECK_TRANSFERS // 64 if checked else 0)


def _pieces(n: int) -> Iterator[tuple[int, int]]:
    for begin in range(0, n, MAX_PIECE):
        yield begin, min(begin + MAX_PIECE, n)


def _count(n: int) -> int:
    if n < 0:
        raise InputError(f"{n} correlations were asked for")
    return n


def _unpacked(delta: Words) -> Octets:
    bits = np.empty(BLOCK_BITS, np.uint8)
    _native.unpack(delta, bits)
    return bits


def _tag(session: Session, group: int) -> bytes:
    return session.tag + group.to_bytes(4, "little")


def _require_bits(bits: int) -> None:
    if bits not in FIELD_BITS:
        raise InputError(f"fields of {', '.join(map(str, FIELD_BITS))} bits can be used, not of {bits}")
