"""What correlated transfers are turned into: chosen choices, random and chosen messages, products of bits and of words.

Every function spends its correlations: none may be given to two of them, or twice to one. Both parties must call the
counterparts in the same order with the same numbers of correlations, because the hashes' tweaks are counted per session.

    choose_*    1 round,  1 bit per transfer from the receiver         choices of the receiver's own in place of random ones
    pads        0 rounds                                               random messages of 16 bytes
    *_messages  1 round,  2 L bytes per transfer from the sender       one of two messages of L bytes
    *_products  1 round,  8 m bytes per transfer from the sender       shares modulo 2**64 of a bit times m words
    *_bits      1 round,  1 bit per transfer from the sender           shares modulo 2 of a bit times a bit

Source: Beaver 1995 for the choices; Ishai, Kilian, Nissim and Petrank 2003 for the messages; Gilboa 1999 for the products;
Asharov, Lindell, Schneider and Zohner 2013 for sending a correction only. Hashes: `tacit.primitive.ot.permutation`.
Threat model: as that of the correlations, either party malicious. A sender that deviates changes what the receiver gets
and learns nothing; a receiver that deviates gets the output of the choice it made.
Reveals: nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacit import _native
from tacit.foundation.errors import InputError, ShapeError
from tacit.primitive.ot.block import BLOCK_BYTES, NOT_ONE, ONE, Octets, Received, Sent, Words, times
from tacit.primitive.ot.session import Session

MAX_MESSAGE_BYTES = 1 << 20


async def choose_sender(session: Session, sent: Sent) -> Sent:
    """The sender's side of `choose_receiver`: the same number of correlations, for the receiver's own choices."""
    flips = np.empty(_words(len(sent)), np.uint64)
    await session.driver.exchange([], [(session.peer, flips)])
    blocks = sent.blocks ^ times(_unpacked(flips, len(sent)), sent.delta)
    blocks[:, 0] &= NOT_ONE
    return Sent(sent.delta, blocks)


async def choose_receiver(session: Session, received: Received, choices: Octets) -> Received:
    """Correlations whose choices are `choices` [n], bits as uint8; the random ones hide them on the way."""
    _require_bits("choices", choices, len(received))
    await session.driver.exchange([(session.peer, _packed(choices ^ received.choices))], [])
    blocks = received.blocks.copy()
    blocks[:, 0] = (blocks[:, 0] & NOT_ONE) | choices
    return Received(blocks)


def sender_pads(session: Session, sent: Sent) -> Words:
    """Both random messages of every transfer, [2, n, 2]: uniform to the receiver but for the one it chose."""
    return _both(session, sent, 1)[0]


def receiver_pads(session: Session, received: Received) -> Words:
    """The random message that each choice selects, [n, 2]."""
    return _one(session, received, 1)[0]


async def send_messages(session: Session, sent: Sent, messages: Octets) -> None:
    """Offer messages [n, 2, L], L up to 2**20 bytes; the receiver gets messages[i, choice i] and nothing of the other."""
    if messages.ndim != 3 or messages.shape[:2] != (len(sent), 2) or messages.dtype != np.uint8:
        raise ShapeError(
            f"messages must be uint8 of shape ({len(sent)}, 2, length), not {messages.dtype} of {messages.shape}"
        )
    length = _require_length(messages.shape[2])
    pads = _both(session, sent, -(-length // BLOCK_BYTES))  # [pieces, 2, n, 2]
    masked = np.moveaxis(messages, 1, 0) ^ _bytes(pads, length)
    await session.driver.exchange([(session.peer, np.ascontiguousarray(masked).reshape(-1))], [])


async def receive_messages(session: Session, received: Received, length: int) -> Octets:
    """The message of `length` bytes that each choice selects, uint8 [n, length]."""
    n = len(received)
    masked = np.empty((2, n, _require_length(length)), np.uint8)
    await session.driver.exchange([], [(session.peer, masked.reshape(-1))])
    pads = _bytes(_one(session, received, -(-length // BLOCK_BYTES)), length)
    chosen = masked[0] ^ ((masked[0] ^ masked[1]) & (np.uint8(0) - received.choices)[:, None])
    return np.asarray(chosen ^ pads)


async def send_products(session: Session, sent: Sent, factors: Words) -> Words:
    """Shares a of factors [n, m]: the receiver gets a + choice * factors modulo 2**64. Returns a, [n, m]."""
    if factors.ndim != 2 or len(factors) != len(sent) or factors.dtype != np.uint64:
        raise ShapeError(f"factors must be uint64 of shape ({len(sent)}, m), not {factors.dtype} of {factors.shape}")
    zero, one = _as_words(_both(session, sent, _pieces_of(factors.shape[1])), factors.shape[1])
    await session.driver.exchange([(session.peer, (zero + factors + one).reshape(-1))], [])
    return np.ascontiguousarray(zero)


async def receive_products(session: Session, received: Received, width: int) -> Words:
    """The receiver's side of `send_products`, for `width` words per transfer: [n, width]."""
    corrections = np.empty((len(received), width), np.uint64)
    await session.driver.exchange([], [(session.peer, corrections.reshape(-1))])
    pads = _as_words(_one(session, received, _pieces_of(width)), width)
    chosen = np.uint64(0) - received.choices.astype(np.uint64)
    # choice 0: the pad itself; choice 1: the correction less the pad.
    return np.asarray(pads ^ ((pads ^ (corrections - pads)) & chosen[:, None]))


async def send_bits(session: Session, sent: Sent, factors: Octets) -> Octets:
    """Shares a of bits [n]: the receiver gets a ^ (choice & factor). Returns a, uint8 [n]."""
    _require_bits("factors", factors, len(sent))
    pads = sender_pads(session, sent)
    zero, one = ((pads[side, :, 0] & ONE).astype(np.uint8) for side in range(2))
    await session.driver.exchange([(session.peer, _packed(zero ^ one ^ factors))], [])
    return zero


async def receive_bits(session: Session, received: Received) -> Octets:
    """The receiver's side of `send_bits`: uint8 [n]."""
    corrections = np.empty(_words(len(received)), np.uint64)
    await session.driver.exchange([], [(session.peer, corrections)])
    pads = (receiver_pads(session, received)[:, 0] & ONE).astype(np.uint8)
    return np.asarray(pads ^ (received.choices & _unpacked(corrections, len(received))))


def _both(session: Session, sent: Sent, pieces: int) -> Words:
    """[pieces, 2, n, 2]: `pieces` hashes of each of the sender's two blocks."""
    n = len(sent)
    out = np.empty((pieces, 2, n, 2), np.uint64)
    other = sent.blocks ^ sent.delta
    for piece in range(pieces):
        first = session.claim(n)
        session.hashes.hash(sent.blocks, first, out[piece, 0])
        session.hashes.hash(other, first, out[piece, 1])
    return out


def _one(session: Session, received: Received, pieces: int) -> Words:
    """[pieces, n, 2]: the same hashes of the receiver's block."""
    out = np.empty((pieces, len(received), 2), np.uint64)
    for piece in range(pieces):
        session.hashes.hash(received.blocks, session.claim(len(received)), out[piece])
    return out


def _bytes(pads: Words, length: int) -> Octets:
    """[pieces, ..., n, 2] blocks to [..., n, length] bytes."""
    flat = np.ascontiguousarray(np.moveaxis(pads, 0, -2))
    return flat.view(np.uint8).reshape(*pads.shape[1:-1], pads.shape[0] * BLOCK_BYTES)[..., :length]


def _as_words(pads: Words, width: int) -> Words:
    """[pieces, ..., n, 2] blocks to [..., n, width] words."""
    flat = np.ascontiguousarray(np.moveaxis(pads, 0, -2))
    return flat.reshape(*pads.shape[1:-1], pads.shape[0] * 2)[..., :width]


def _pieces_of(width: int) -> int:
    return -(-width // 2)


def _words(n: int) -> int:
    return -(-n // 64)


def _packed(bits: NDArray[np.uint8]) -> Words:
    words = np.empty(_words(len(bits)), np.uint64)
    _native.pack(np.ascontiguousarray(bits), words)
    return words


def _unpacked(words: Words, n: int) -> Octets:
    bits = np.empty(n, np.uint8)
    _native.unpack(words, bits)
    return bits


def _require_bits(name: str, bits: Octets, n: int) -> None:
    if bits.dtype != np.uint8 or bits.shape != (n,):
        raise ShapeError(f"{name} must be uint8 of shape ({n},), not {bits.dtype} of {bits.shape}")
    if bits.size and bits.max() > 1:
        raise InputError(f"{name} are bits, 0 or 1; the largest is {bits.max()}")


def _require_length(length: int) -> int:
    if not 1 <= length <= MAX_MESSAGE_BYTES:
        raise InputError(f"messages have between 1 and {MAX_MESSAGE_BYTES} bytes, not {length}")
    return length
