"""Schemes whose ciphertexts are residues and whose addition is their product: Paillier and Okamoto-Uchiyama."""

from __future__ import annotations

import hashlib
import json
import os
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from tacit.foundation.errors import CiphertextRefused
from tacit.primitive.he.bignum import gcd
from tacit.primitive.he.matrix import matrix_product
from tacit.primitive.he.modular import FixedBase, Index, Octets, Residues, Rows
from tacit.primitive.he.scheme import AdditivePublicKey


class MultiplicativePublicKey(AdditivePublicKey):
    """What the two schemes share; a subclass sets `residues` and gives encryptions of zero.

    Costs in products of two residues: add 1; negate 3; scale by a b-bit number about 1.3 b + 8, and 3 more where it
    is negative; sums 1 per term. Factors are the evaluator's own: their sign and the largest of their bit lengths show
    in the running time, and `matmul` reads memory at places that depend on them.
    """

    residues: Residues

    @abstractmethod
    def zeros(self, count: int) -> Rows:
        """Fresh encryptions of zero."""

    @override
    def randomise(self, rows: Rows) -> Rows:
        return self.residues.multiply(rows, self.zeros(len(rows)))

    @override
    def add(self, a: Rows, b: Rows) -> Rows:
        return self.residues.multiply(a, b)

    @override
    def negate(self, a: Rows) -> Rows:
        return self.residues.inverses(a)

    @override
    def scale(self, a: Rows, factors: Sequence[int]) -> Rows:
        negative = np.fromiter((f < 0 for f in factors), bool, len(factors))
        sizes = [abs(int(f)) for f in factors]
        if len(factors) == 1 and negative[0]:
            a = self.negate(a)
        elif negative.any():
            a = a.copy()
            a[negative] = self.negate(a[negative])
        return self.residues.powers(a, sizes, max(1, max(map(int.bit_length, sizes), default=1)))

    @override
    def sums(self, a: Rows, index: Index, starts: Index) -> Rows:
        return self.residues.products(a, index, starts)

    @override
    def matmul(self, a: Rows, factors: Sequence[Sequence[int]]) -> Rows:
        return matrix_product(self.residues, a, factors)

    @override
    def to_wire(self, rows: Rows) -> Octets:
        return self.residues.leave_octets(rows)

    @override
    def from_wire(self, octets: Octets) -> Rows:
        if octets.ndim != 2 or octets.shape[1] != self.octets or octets.dtype != np.uint8:
            raise CiphertextRefused(
                f"ciphertexts of this key are [n, {self.octets}] bytes, not {octets.dtype} {octets.shape}"
            )
        refused = np.flatnonzero(~_in_range(octets, self.residues.modulus))
        if refused.size:
            raise CiphertextRefused(
                f"{refused.size} of {len(octets)} ciphertexts, the first at {refused[0]}, are 0 or not below the modulus"
            )
        rows = self.residues.enter_octets(octets)
        every = np.arange(len(rows), dtype=np.int64)
        product = self.residues.leave(self.residues.products(rows, every, np.array([0, len(rows)], np.int64)))[0]
        if gcd(product, self.residues.modulus) != 1:
            raise CiphertextRefused(f"of {len(octets)} ciphertexts at least one shares a factor with the modulus")
        return rows

    def __repr__(self) -> str:
        return f"{type(self).__name__}(bits={self.bits}, fingerprint={self.fingerprint[:16]})"


def random_exponents(count: int, base: FixedBase) -> Rows:
    """Uniform on [0, 2**bits), from the operating system, as words."""
    words = -(-base.bits // 64)
    out = np.frombuffer(bytearray(os.urandom(8 * words * count)), np.uint64).reshape(count, words)
    if base.bits % 64:
        out[:, -1] &= np.uint64(2 ** (base.bits % 64) - 1)
    return out


def fingerprint(facts: dict[str, str | int]) -> str:
    """SHA-256 of a public key's facts."""
    return hashlib.sha256(b"tacit he key v1" + json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _in_range(octets: Octets, modulus: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which little-endian rows lie in [1, modulus)."""
    limit = np.frombuffer(modulus.to_bytes(octets.shape[1], "little"), np.uint8)
    below, equal = np.zeros(len(octets), bool), np.ones(len(octets), bool)
    for at in range(octets.shape[1] - 1, -1, -1):
        if not equal.any():
            break
        below |= equal & (octets[:, at] < limit[at])
        equal &= octets[:, at] == limit[at]
    return below & octets.any(axis=1)
