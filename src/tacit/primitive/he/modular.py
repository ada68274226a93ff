"""Many residues at once: rows of words in Montgomery form, and the group operations that ciphertexts need.

A ciphertext stays in Montgomery form in memory, so that adding two plaintexts is one product here. Where the modulus is
a square n**2, the native kernel works on pairs (x0, x1) for x0 + x1 n, in 5/8 of the digit products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tacit._native import Montgomery
from tacit.primitive.he.bignum import inverse

Rows: TypeAlias = NDArray[np.uint64]
Octets: TypeAlias = NDArray[np.uint8]
Index: TypeAlias = NDArray[np.int64]

PIECE = 16  # a longer product is split, so that all lanes of a register stay busy


@final
class Residues:
    """Arithmetic modulo an odd `modulus`, or modulo its square.

    Values are [n, width] uint64 rows. Exponents and table look-ups are constant-time: see the native stub.
    """

    def __init__(self, modulus: int, *, squared: bool = False) -> None:
        self.modulus = modulus**2 if squared else modulus
        self._kernel = Montgomery(modulus.to_bytes(-(-modulus.bit_length() // 8), "little"), squared)
        self.width = self._kernel.width
        self.octets = self._kernel.octets

    def __repr__(self) -> str:
        return f"Residues(<{self.modulus.bit_length()} bits>)"

    def enter(self, values: Sequence[int]) -> Rows:
        """Rows of non-negative integers below the modulus."""
        return self.enter_octets(to_octets(values, self.octets))

    def enter_octets(self, octets: Octets) -> Rows:
        """Rows of little-endian integers [n, size], reduced; size is at most eight times that of the modulus' root."""
        out = np.empty((len(octets), self.width), np.uint64)
        self._kernel.enter(np.ascontiguousarray(octets), out)
        return out

    def leave(self, rows: Rows) -> list[int]:
        """The integers behind rows."""
        return from_octets(self.leave_octets(rows))

    def leave_octets(self, rows: Rows) -> Octets:
        """The integers behind rows, as little-endian [n, octets]."""
        out = np.empty((len(rows), self.octets), np.uint8)
        self._kernel.leave(np.ascontiguousarray(rows), out)
        return out

    def ones(self, count: int) -> Rows:
        """`count` rows of 1."""
        one = np.empty(self.width, np.uint64)
        self._kernel.one(one)
        return np.tile(one, (count, 1))

    def multiply(self, a: Rows, b: Rows) -> Rows:
        """a * b, element by element; b may be a single row."""
        out = np.empty((len(a), self.width), np.uint64)
        self._kernel.multiply(np.ascontiguousarray(a), np.ascontiguousarray(b), out)
        return out

    def powers(self, rows: Rows, exponents: Sequence[int], bits: int) -> Rows:
        """rows**exponents: non-negative, below 2**bits; one exponent may serve for all."""
        count = max(len(rows), len(exponents)) if len(rows) and len(exponents) else 0
        out = np.empty((count, self.width), np.uint64)
        self._kernel.powers(np.ascontiguousarray(rows), to_words(exponents, bits), bits, out)
        return out

    def products(self, x: Rows, index: Index, starts: Index) -> Rows:
        """out[s] = product of x[index[j]] over starts[s] <= j < starts[s + 1]; 1 where there is none.

        Costs: one multiplication for every row but the first of each segment.
        """
        while True:
            lengths = np.diff(starts)
            whole = bool(np.all(lengths <= PIECE))
            pieces = np.maximum(-(-lengths // PIECE), 1) if not whole else np.ones(len(lengths), np.int64)
            ends = np.concatenate([[0], np.cumsum(pieces)]).astype(np.int64)
            cuts = _cut(starts, pieces, ends)
            out = np.empty((int(ends[-1]), self.width), np.uint64)
            self._kernel.products(np.ascontiguousarray(x), np.ascontiguousarray(index, np.int64), cuts, out)
            if whole:
                return out
            x, index, starts = out, np.arange(len(out), dtype=np.int64), ends

    def inverses(self, rows: Rows) -> Rows:
        """1 / rows, by a tree of products and one inverse. Costs: 3 multiplications each and one inverse.

        Raises: ZeroDivisionError where a row shares a factor with the modulus.
        """
        if len(rows) == 0:
            return rows
        levels = [rows]
        while len(levels[-1]) > 1:
            level = levels[-1]
            if len(level) % 2:
                level = levels[-1] = np.concatenate([level, self.ones(1)])
            levels.append(self.multiply(level[0::2], level[1::2]))
        above = self.enter([inverse(self.leave(levels[-1])[0], self.modulus)])
        for level in reversed(levels[:-1]):
            below = np.empty_like(level)
            pairs = above[: len(level) // 2]
            below[0::2] = self.multiply(pairs, level[1::2])
            below[1::2] = self.multiply(pairs, level[0::2])
            above = below
        return above[: len(rows)]


@final
class FixedBase:
    """Powers of one base by a table: no squarings.

    The table holds base**(e * 2**(w j)) for every window j of w bits and every digit e: [windows, 2**w, width] words.
    Costs:  bits / w multiplications; 2**w reads of the table per window, all entries, so that exponents do not show.
    Source: Brickell, Gordon, McCurley and Wilson 1992, with one table per window.
    """

    def __init__(self, residues: Residues, base: int, bits: int, *, window: int = 5) -> None:
        self._residues = residues
        self.bits = bits
        windows, entries = -(-bits // window), 1 << window
        generators = np.empty((windows, residues.width), np.uint64)
        generators[:1] = residues.enter([base % residues.modulus])
        for j in range(1, windows):
            generators[j : j + 1] = residues.powers(generators[j - 1 : j], [entries], window + 1)
        self.table = np.empty((windows, entries, residues.width), np.uint64)
        self.table[:, 0] = residues.ones(windows)
        for e in range(1, entries):
            self.table[:, e] = residues.multiply(self.table[:, e - 1], generators)

    def powers(self, exponents: Rows) -> Rows:
        """base**exponents, little-endian words [n, ceil(bits / 64)]."""
        out = np.empty((len(exponents), self._residues.width), np.uint64)
        self._residues._kernel.fixed_powers(self.table, exponents, out)  # noqa: SLF001 -- one idea in two classes
        return out


def to_octets(values: Sequence[int], size: int) -> Octets:
    """Non-negative integers as little-endian rows [n, size]."""
    joined = bytearray(b"".join([int(v).to_bytes(size, "little") for v in values]))
    return np.frombuffer(joined, np.uint8).reshape(len(values), size)


def from_octets(octets: Octets) -> list[int]:
    """The integers of little-endian rows."""
    size, flat = octets.shape[1], octets.tobytes()
    return [int.from_bytes(flat[i : i + size], "little") for i in range(0, len(flat), size)]


def to_words(values: Sequence[int], bits: int) -> Rows:
    """Non-negative integers below 2**bits as little-endian words [n, ceil(bits / 64)]."""
    return to_octets(values, 8 * -(-bits // 64)).view("<u8").astype(np.uint64, copy=False)


def _cut(starts: Index, pieces: Index, ends: Index) -> Index:
    """The starts of equal pieces: segment s is cut into pieces[s]."""
    segment = np.repeat(np.arange(len(pieces)), pieces)
    within = np.arange(int(ends[-1])) - ends[:-1][segment]
    cuts = starts[:-1][segment] + np.diff(starts)[segment] * within // pieces[segment]
    return np.concatenate([cuts, starts[-1:]]).astype(np.int64)
