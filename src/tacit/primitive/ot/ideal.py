"""The ideal functionalities of oblivious transfer: what every protocol of this package is compared with.

No protection: one process holds both halves. For tests, and for callers that want correlations without a peer.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import numpy as np

from tacit.primitive.ot.block import BLOCK_BYTES, NOT_ONE, Octets, Received, Sent, Words, blocks_of, random_delta, times


def correlations(
    n: int,
    *,
    delta: Words | None = None,
    choices: Octets | None = None,
    entropy: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[Sent, Received]:
    """Both halves of n correlated transfers: uniform delta, blocks and choices, but for what is given."""
    delta = random_delta(entropy(BLOCK_BYTES)) if delta is None else delta
    if choices is None:
        choices = np.frombuffer(entropy(n), np.uint8) & np.uint8(1)
    blocks = blocks_of(entropy(BLOCK_BYTES * n))
    blocks[:, 0] &= NOT_ONE
    return Sent(delta, blocks), Received(blocks ^ times(choices, delta))


def messages(offered: Octets, choices: Octets) -> Octets:
    """[n, 2, L] and [n] -> [n, L]: the message that each choice selects."""
    return offered[np.arange(len(choices)), choices]


def products(factors: Words, choices: Octets) -> Words:
    """[n, m] and [n] -> [n, m]: what the receiver's share is more than the sender's, modulo 2**64."""
    return np.asarray(factors * choices[:, None].astype(np.uint64))


def bits(factors: Octets, choices: Octets) -> Octets:
    """[n] and [n] -> [n]: the exclusive or of both shares."""
    return np.asarray(factors & choices)
