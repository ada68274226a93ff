"""Punctured trees of keys: one party holds 2**k keys, the other all of them but one, from k base transfers.

Source: Goldreich, Goldwasser and Micali 1986 for the tree; Schoppmann et al. (CCS 2019) for its transfer; Roy,
"SoftSpokenOT" (CRYPTO 2022, eprint 2022/192), figures 13 and 14, for the trees of small fields and their check.

The maker doubles nodes by a random oracle. At level i it masks the sum of all left nodes with key 0 of transfer i and
the sum of all right ones with key 1; the holder, who chose bit b, learns the sum of side b, and with it the sibling of
the node that it misses. So it misses leaf `hole`, whose bits, from the highest, are the complements of its choices.

The check: every leaf gives a further 32 bytes; the maker sends their sum and a digest of all. A maker whose sums do not
fit one tree is caught unless it guessed the holder's bits at the places where they do not: a guess of c bits is right
with probability 2**-c and aborts otherwise, which the functionality of the extension grants to a malicious receiver.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from tacit.foundation.errors import TransferRefused
from tacit.primitive.ot.block import BLOCK_BYTES

CHECK_BYTES = 32


def message_bytes(bits: int, *, checked: bool) -> int:
    """Bytes that the maker sends for one tree."""
    return 2 * BLOCK_BYTES * (bits - 1) + (2 * CHECK_BYTES if checked and bits > 1 else 0)


def plant(tag: bytes, pairs: Sequence[tuple[bytes, bytes]], *, checked: bool) -> tuple[list[bytes], bytes]:
    """The maker's 2**k leaves from the two keys of each of k transfers, and its message."""
    leaves, message = list(pairs[0]), b""
    for zero, one in pairs[1:]:
        leaves = _doubled(tag, leaves)
        message += _xor(_sum(leaves[0::2]), zero) + _xor(_sum(leaves[1::2]), one)
    if not checked or len(pairs) == 1:
        return leaves, message
    leaves, proofs = _proved(tag, leaves)
    return leaves, message + _sum(proofs) + _digest(tag, proofs)


def harvest(
    tag: bytes, choices: Sequence[int], keys: Sequence[bytes], message: bytes, *, checked: bool, peer: str
) -> tuple[int, list[bytes]]:
    """The holder's missing position and all leaves, zeros there. Raises: TransferRefused when the check fails."""
    hole = 1 - choices[0]
    leaves = [_ZERO, _ZERO]
    leaves[choices[0]] = keys[0]
    for level, (choice, key) in enumerate(zip(choices[1:], keys[1:], strict=True)):
        leaves = _doubled(tag, leaves)
        leaves[2 * hole] = leaves[2 * hole + 1] = _ZERO
        begin = BLOCK_BYTES * (2 * level + choice)
        masked = message[begin : begin + BLOCK_BYTES]
        sibling = _xor(_xor(masked, key), _sum(leaves[choice::2]))
        leaves[2 * hole + choice] = sibling
        hole = 2 * hole + 1 - choice
    if not checked or len(choices) == 1:
        return hole, leaves
    leaves, proofs = _proved(tag, leaves)
    total, expected = message[-2 * CHECK_BYTES : -CHECK_BYTES], message[-CHECK_BYTES:]
    proofs[hole] = bytes(CHECK_BYTES)
    proofs[hole] = _xor(total, _sum(proofs))
    leaves[hole] = _ZERO
    if not hmac.compare_digest(_digest(tag, proofs), expected):
        raise TransferRefused(
            f"{peer} sent sums of no single tree of keys: the check of 2**-128 error fails", peer=peer
        )
    return hole, leaves


def _doubled(tag: bytes, nodes: Sequence[bytes]) -> list[bytes]:
    children = []
    for node in nodes:
        both = _oracle(tag, b"child", node)
        children += [both[:BLOCK_BYTES], both[BLOCK_BYTES:]]
    return children


def _proved(tag: bytes, leaves: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Every leaf split into a key and a value to be shown."""
    return [_oracle(tag, b"key", leaf)[:BLOCK_BYTES] for leaf in leaves], [
        _oracle(tag, b"show", leaf) for leaf in leaves
    ]


def _digest(tag: bytes, proofs: Sequence[bytes]) -> bytes:
    return _oracle(tag, b"digest", b"".join(proofs))


def _oracle(tag: bytes, use: bytes, data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=32, key=tag, person=b"tacit tree", salt=use).digest()


def _sum(parts: Sequence[bytes]) -> bytes:
    total = 0
    for part in parts:
        total ^= int.from_bytes(part, "little")
    return total.to_bytes(len(parts[0]), "little")


def _xor(a: bytes, b: bytes) -> bytes:
    return (int.from_bytes(a, "little") ^ int.from_bytes(b, "little")).to_bytes(len(a), "little")


_ZERO = bytes(BLOCK_BYTES)
