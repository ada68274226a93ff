"""Products of powers for a matrix product: out[i, c] = product over j of a[i, j]**factors[j, c]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tacit.primitive.he.modular import Residues, Rows

TABLE_ROWS = 1 << 17  # rows of all look-up tables together: 80 MiB at 640 bytes


def matrix_product(residues: Residues, a: Rows, factors: Sequence[Sequence[int]]) -> Rows:
    """a [m * k] as m rows of k, times factors [k][n] of either sign: [m * n].

    Costs: with w = 4 (3 below four columns) and b-bit factors, (2**w - 2) m k products for tables, at most b / w for
    each of the m k n terms, and b squarings for each of the m n results: the squarings are shared by all terms.
    Timing: digits of the factors that are 0 are skipped and tables are read by index; they are the evaluator's own.
    Source: Straus 1964, with one table per base for all columns. Negative factors make a second result, inverted once.
    """
    k, n = len(factors), len(factors[0]) if factors else 0
    m = len(a) // k if k else 0
    if m * n == 0 or k == 0:
        return residues.ones(m * n)
    window = 4 if n >= 4 else 3
    room = max(1, TABLE_ROWS >> window)
    a = a.reshape(m, k, residues.width)
    if k > room:
        parts = [
            matrix_product(residues, a[:, j : j + room].reshape(-1, residues.width), factors[j : j + room])
            for j in range(0, k, room)
        ]
        total = parts[0]
        for part in parts[1:]:
            total = residues.multiply(total, part)
        return total
    step = max(1, room // k)
    digits = _digits(factors, window)
    blocks = [_block(residues, a[i : i + step], digits, window) for i in range(0, m, step)]
    return np.concatenate(blocks)


def _block(residues: Residues, a: Rows, digits: np.ndarray[tuple[int, ...], np.dtype[np.int64]], window: int) -> Rows:
    """digits [windows, k, n], the sign with each; a [m, k, width], all tables in memory."""
    m, k, width = a.shape
    n, entries = digits.shape[2], 1 << window
    tables = np.empty((m * k, entries, width), np.uint64)
    tables[:, 0] = residues.ones(m * k)
    tables[:, 1] = a.reshape(m * k, width)
    for e in range(2, entries):
        tables[:, e] = residues.multiply(tables[:, e - 1], tables[:, 1])
    flat = tables.reshape(-1, width)
    signs = [sign for sign in (1, -1) if (sign * digits > 0).any()]
    out = residues.ones(m * n)
    for sign in signs:
        total = residues.ones(m * n)
        for place in range(len(digits) - 1, -1, -1):
            if place < len(digits) - 1:
                for _ in range(window):
                    total = residues.multiply(total, total)
            chosen = np.maximum(sign * digits[place].T, 0)  # [n, k]
            column, row = np.nonzero(chosen)
            counts = np.bincount(column, minlength=n)
            base = np.arange(m)[:, None] * k * entries
            index = (base + (row * entries + chosen[column, row])[None, :]).reshape(-1)
            starts = np.concatenate([[0], np.cumsum(np.tile(counts, m))])
            total = residues.multiply(total, residues.products(flat, index.astype(np.int64), starts.astype(np.int64)))
        out = residues.multiply(out, residues.inverses(total) if sign < 0 else total)
    return out


def _digits(factors: Sequence[Sequence[int]], window: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """[windows, k, n]: the digits of |factor|, lowest first, each with the factor's sign."""
    bits = max(1, *(abs(int(f)).bit_length() for row in factors for f in row))
    places = range(0, bits, window)
    mask = (1 << window) - 1
    return np.array(
        [[[((abs(f) >> at) & mask) * (-1 if f < 0 else 1) for f in row] for row in factors] for at in places], np.int64
    )
