"""AES-128 under a public key, as a permutation of blocks; and the hashes, trees and codes made of it.

The native implementation needs the processor's AES instructions; without them OpenSSL's AES is called, and the rest is
NumPy. Both give the same words. `FixedKey` in native/src/ot.hpp states what is computed.

Security: the permutation is modelled as ideal. Source: Guo, Katz, Wang and Yu, "Efficient and secure multiparty
computation from fixed-key block ciphers" (eprint 2019/074): `hash` is their TMMO, tweakable circular correlation
robust, which oblivious transfer against malicious parties asks for; the trees use MMO over a linear orthomorphism,
circular correlation robust. The keys are the session's own, one per use (`tacit.primitive.ot.session`), so that work spent on one
session does not help against another.
"""

from __future__ import annotations

from typing import Any, Protocol, final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from tacit import _native
from tacit.primitive.keystream import OpenSslKeystream
from tacit.primitive.ot.block import NOT_ONE, ONE, Words

LOCALITY = 10
"""Entries of the table that every output of `encode` takes."""


class Permutation(Protocol):
    """AES under one public key. Arrays are C-contiguous uint64, the last axis a block."""

    def hash(self, x: Words, first: int, out: Words) -> None:
        """out[i] = pi(pi(x[i]) ^ (first + i)) ^ pi(x[i]); [n, 2] -> [n, 2]; `out` may be `x`."""

    def expand(self, roots: Words, delta: Words, leaves: Words, sums: Words) -> None:
        """Trees whose levels all sum to delta: roots [t, 2] -> leaves [t, 2**d, 2], sums of left nodes [t, d, 2].

        The lowest bit of every leaf is cleared.
        """

    def complete(self, sums: Words, paths: Words, leaves: Words) -> None:
        """The same leaves, but for leaf paths[i] of tree i, which comes out as itself ^ delta, with its lowest bit set.

        sums [t, d, 2]: per level the sum of the nodes on the side that the path does not take; paths [t].
        """

    def encode(self, nonce: int, first: int, table: Words, out: Words) -> None:
        """out[i] ^= ten entries of table [k, 2], k <= 2**30, at positions drawn from AES-CTR stream `nonce`.

        out [n, 2] is rows first, first + 1, ... of the code; `first` is a multiple of 16.
        """


def permutation(key: bytes) -> Permutation:
    """The fastest implementation that this machine has. `key` has 16 bytes and is public."""
    return _native.FixedKey(key) if _native.has_aes() else OpenSslPermutation(key)


@final
class OpenSslPermutation:
    """The same by OpenSSL and NumPy, for processors without AES instructions that the native core knows."""

    __slots__ = ("_cipher", "_stream")

    def __init__(self, key: bytes) -> None:
        self._cipher: Cipher[modes.ECB] = Cipher(algorithms.AES128(key), modes.ECB())  # noqa: S305  the bare permutation is meant
        self._stream = OpenSslKeystream(key)

    def hash(self, x: Words, first: int, out: Words) -> None:
        """See `Permutation.hash`."""
        inner = self._permuted(x)
        tweaked = inner.copy()
        tweaked[:, 0] ^= np.arange(first, first + len(x), dtype=np.uint64)
        np.bitwise_xor(inner, self._permuted(tweaked), out=out)

    def expand(self, roots: Words, delta: Words, leaves: Words, sums: Words) -> None:
        """See `Permutation.expand`."""
        if not len(roots):
            return
        nodes = np.stack([roots, roots ^ delta], axis=1)
        sums[:, 0] = roots
        for level in range(1, sums.shape[1]):
            nodes = self._children(nodes)
            sums[:, level] = np.bitwise_xor.reduce(nodes[:, 0::2], axis=1)
        leaves[:] = nodes
        leaves[..., 0] &= NOT_ONE

    def complete(self, sums: Words, paths: Words, leaves: Words) -> None:
        """See `Permutation.complete`."""
        trees, depth = sums.shape[:2]
        if not trees:
            return
        tree = np.arange(trees)
        nodes = np.zeros((trees, 1, 2), np.uint64)
        path = np.zeros(trees, np.int64)
        for level in range(depth):
            bit = ((paths >> np.uint64(depth - 1 - level)) & ONE).astype(np.int64)
            nodes = self._children(nodes) if level else np.zeros((trees, 2, 2), np.uint64)
            nodes[tree, 2 * path] = nodes[tree, 2 * path + 1] = 0
            path = 2 * path + bit
            others = np.bitwise_xor.reduce(nodes.reshape(trees, -1, 2, 2)[tree, :, 1 - bit], axis=1)
            nodes[tree, path ^ 1] = sums[:, level] ^ others
        nodes[tree, path] = np.bitwise_xor.reduce(nodes, axis=1)
        leaves[:] = nodes
        leaves[..., 0] &= NOT_ONE
        leaves[tree, path, 0] |= ONE

    def encode(self, nonce: int, first: int, table: Words, out: Words) -> None:
        """See `Permutation.encode`."""
        for begin in range(0, len(out), _PIECE):
            piece = out[begin : begin + _PIECE]
            drawn = np.empty((len(piece), LOCALITY), np.uint32)
            self._stream.expand(nonce, (first + begin) * LOCALITY * 4 // 16, drawn)
            positions = (drawn.astype(np.uint64) * np.uint64(len(table))) >> np.uint64(32)
            piece ^= np.bitwise_xor.reduce(table[positions.astype(np.int64)], axis=1)

    def _children(self, nodes: Words) -> Words:
        mixed = np.stack([nodes[..., 1], nodes[..., 0] ^ nodes[..., 1]], axis=-1)
        left = self._permuted(mixed) ^ mixed
        return np.stack([left, left ^ nodes], axis=2).reshape(len(nodes), -1, 2)

    def _permuted(self, x: NDArray[Any]) -> Words:
        encrypted = self._cipher.encryptor().update(np.ascontiguousarray(x).tobytes())
        return np.frombuffer(encrypted, np.uint64).reshape(x.shape)


_PIECE = 1 << 12
