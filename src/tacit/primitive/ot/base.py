"""Base oblivious transfers: the few that need public keys, from which all others are stretched.

Functionality: 1-out-of-2 random transfer. The sender gets two keys of 16 bytes for every transfer, the receiver one of
them, by its choice bit. Endemic: a party that deviates may choose the keys that it gets itself (the sender both, the
receiver its one), which is what the extensions built on top of it allow for; it never learns more than that.

Source: Masny and Rindal, "Endemic oblivious transfer" (CCS 2019, eprint 2019/706), the one-round protocol over a
Diffie-Hellman group. Every transfer has its own sender key, so that the theorem for one of them applies to each; and
every key is hashed with the whole transcript of its transfer (the care that eprint 2021/682 asks of batches).

    receiver, choice b:  a random, r_(1-b) random point, r_b = a G - H(i, b, r_(1-b));  sends r_0, r_1
    sender:              s random;  sends S = s G
    keys:                k_j = KDF(s (r_j + H(i, j, r_(1-j))))  and  k_b = KDF(a S)

Threat model: malicious, either party; UC-secure in the random oracle model under (gap) Diffie-Hellman in the subgroup
of prime order of Edwards25519. "Simplest OT" (Chou and Orlandi) is not used: its proof does not hold under composition.
Reveals: nothing.
Costs: 1 round, because neither message depends on the other; the receiver sends 64 bytes per transfer, the sender 32. Some 0.4 ms
per transfer and party.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tacit.foundation.errors import InputError
from tacit.primitive.ot.block import BLOCK_BYTES, Octets
from tacit.primitive.ot.group import (
    POINT_BYTES,
    SCALAR_DRAW_BYTES,
    add,
    generate,
    hash_to_group,
    multiply,
    scalar,
    subtract,
)
from tacit.primitive.ot.session import Session, digest, octets

MAX_TRANSFERS = 1 << 16


async def send(session: Session, count: int) -> list[tuple[bytes, bytes]]:
    """The two keys of each of `count` transfers. Raises: TransferRefused for points that are none."""
    _require_count(count)
    first = session.claim(count)
    exponents = [scalar(session.draw(SCALAR_DRAW_BYTES)) for _ in range(count)]
    points = [generate(exponent) for exponent in exponents]
    theirs = np.empty(2 * POINT_BYTES * count, np.uint8)
    await session.driver.exchange([(session.peer, octets(b"".join(points)))], [(session.peer, theirs)])
    flat = theirs.tobytes()
    keys = []
    for i, (exponent, point) in enumerate(zip(exponents, points, strict=True)):
        begin = 2 * POINT_BYTES * i
        pair = flat[begin : begin + POINT_BYTES], flat[begin + POINT_BYTES : begin + 2 * POINT_BYTES]
        shared = [
            multiply(exponent, add(pair[j], _mask(session, first + i, j, pair[1 - j]), session.peer), session.peer)
            for j in range(2)
        ]
        low, high = (_key(session, first + i, j, point, pair, shared[j]) for j in range(2))
        keys.append((low, high))
    return keys


async def receive(session: Session, choices: Sequence[int] | Octets) -> list[bytes]:
    """The key that each choice bit selects. Raises: TransferRefused for points that are none."""
    bits = [int(bit) for bit in choices]
    count = len(bits)
    _require_count(count)
    if not set(bits) <= {0, 1}:
        raise InputError("choices are bits, 0 or 1")
    first = session.claim(count)
    exponents = [scalar(session.draw(SCALAR_DRAW_BYTES)) for _ in bits]
    pairs = []
    for i, (bit, exponent) in enumerate(zip(bits, exponents, strict=True)):
        other = generate(scalar(session.draw(SCALAR_DRAW_BYTES)))  # Elligator alone would not be uniform, and tell b
        chosen = subtract(generate(exponent), _mask(session, first + i, bit, other))
        pairs.append((chosen, other) if bit == 0 else (other, chosen))
    theirs = np.empty(POINT_BYTES * count, np.uint8)
    await session.driver.exchange([(session.peer, octets(b"".join(map(b"".join, pairs))))], [(session.peer, theirs)])
    flat = theirs.tobytes()
    keys = []
    for i, (bit, exponent, pair) in enumerate(zip(bits, exponents, pairs, strict=True)):
        point = flat[POINT_BYTES * i : POINT_BYTES * (i + 1)]
        keys.append(_key(session, first + i, bit, point, pair, multiply(exponent, point, session.peer)))
    return keys


def _mask(session: Session, index: int, slot: int, other: bytes) -> bytes:
    return hash_to_group(session.tag, index.to_bytes(8, "little"), bytes([slot]), other)


def _key(session: Session, index: int, slot: int, point: bytes, pair: tuple[bytes, bytes], shared: bytes) -> bytes:
    place = index.to_bytes(8, "little") + bytes([slot])
    return digest(session.tag, b"base", place, point, *pair, shared)[:BLOCK_BYTES]


def _require_count(count: int) -> None:
    if not 0 <= count <= MAX_TRANSFERS:
        raise InputError(f"{count} base transfers were asked for; between 0 and {MAX_TRANSFERS} can be. Extend them.")
