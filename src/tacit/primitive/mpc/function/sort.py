"""Sorting: shuffle first, then sort by comparisons that everybody sees.

What is opened, and why it says nothing. The rows are shuffled by an order that no party knows. Elements are then compared
by key and, where keys are equal, by their original place in the input; that makes all of them distinct, so the sorted order of
the shuffled positions is one certain permutation R. If the sorted order of the input is T and the shuffle is P, then
R = T composed with P inverse, and because P is uniform and independent of the input, so is R: whatever the keys, equal
ones included, R is a uniformly random permutation. The comparisons that are made, and their answers, are a function of R
(`ranking.py` sees nothing else). So a simulator that draws R uniformly produces exactly what the parties see. To break ties by the
shuffled place would not do: the order of equal elements would then be fixed, and would show which are equal.

Independent lines of a matrix are shuffled together with their line number, which is then opened: a uniformly random
arrangement of known numbers. Within a line the order stays uniform, and independent of the other lines.

Every sort is stable: equal keys keep their order, descending or not, as in NumPy and JAX. The price is that a key has
room for the place: |key| < 2**(61 - bits - log2 n).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tacit.foundation.errors import ShapeError
from tacit.primitive.driver import gather
from tacit.primitive.mpc.function.chunk import CHUNK
from tacit.primitive.mpc.function.contract import EXACT, Domain, contract
from tacit.primitive.mpc.function.operand import DEFAULT_BITS, at_scale, common_bits, wrap
from tacit.primitive.mpc.function.ranking import Positions, Ranking
from tacit.primitive.mpc.function.reduce import normalised
from tacit.primitive.mpc.kernel import Arith, Kernel, Ring
from tacit.primitive.mpc.value import Boolean, Integer, Value

KEYS = Domain(
    "|x| < 2**(61 - bits - log2 n) for n elements", lambda bits: ((-(2.0 ** (41 - bits)), 2.0 ** (41 - bits)),)
)
RANDOM_ORDER = "the answers of comparisons after a secret shuffle, a function of a uniformly random permutation"
SOURCE = "shuffle-then-sort: Hamada et al., ICISC 2012; the splitter sort and the tie rule are argued in `sort.py`"

FEW_LINES = 8  # up to so many, lines are shuffled one by one


@contract(domain=KEYS, error=EXACT, reveals=RANDOM_ORDER, source=SOURCE)
async def sort(k: Kernel, x: Value, *others: Value, axis: int = -1, descending: bool = False, keys: int = 1) -> Any:
    """x sorted along an axis, and the others, of x's shape, in the same order; stable.

    With `keys` > 1 the first so many operands decide, the earlier before the later (one sort each).
    Reveals: the answers of comparisons after a secret shuffle: a uniformly random permutation, see the module.
    Costs: one `shuffle`; about 1.06 n log2 n `negative`s and `open_bits`, in about 2 log2 n batches. Error: none.
    Domain: |key| < 2**(61 - bits - log2 n). Errors: ShapeError.
    """
    operands = (x, *others)
    line = _Lines(x.shape, axis)
    columns = [await line.column(k, value, x.shape) for value in operands]
    table = line.table(k, columns)
    for key in reversed(range(keys)):
        table = await _arranged(k, table, key, descending=descending)
        table = line.renumbered(k, table) if key else table
    results = [await line.restored(k, table, i, value) for i, value in enumerate(operands)]
    return results[0] if not others else tuple(results)


@contract(domain=KEYS, error=EXACT, reveals=RANDOM_ORDER, source=SOURCE)
async def argsort(k: Kernel, x: Value, *, axis: int = -1, descending: bool = False) -> Integer:
    """The indices that sort x along an axis; stable.

    Reveals: the answers of comparisons after a secret shuffle: a uniformly random permutation, see the module.
    Costs: those of `sort`. Error: none. Domain: |x| < 2**(61 - bits - log2 n).
    """
    line = _Lines(x.shape, axis)
    table = await _arranged(k, line.table(k, [await line.column(k, x, x.shape)]), 0, descending=descending)
    return Integer(line.back(k, table, 1))


@contract(domain=KEYS, error=EXACT, reveals=RANDOM_ORDER, source=SOURCE)
async def top_k(k: Kernel, x: Value, count: int, *, axis: int = -1, largest: bool = True) -> tuple[Value, Integer]:
    """The `count` largest (or smallest) elements along an axis, in falling (rising) order, and their indices.

    Computes: only the blocks that hold them are sorted. Of equal elements the earlier come first.
    Reveals: the answers of comparisons after a secret shuffle, a function of a uniformly random permutation.
    Costs: one `shuffle`; about 7 n + count log2 count `negative`s and `open_bits`. Error: none.
    Domain: |x| < 2**(61 - bits - log2 n). Errors: ShapeError where there are not so many.
    """
    line = _Lines(x.shape, axis)
    if not 0 <= count <= line.length:
        raise ShapeError(f"there are no {count} largest among {line.length} elements")
    table = line.table(k, [await line.column(k, x, x.shape)])
    table = await _arranged(k, table, 0, descending=largest, wanted=(0, count))
    return await line.restored(k, table, 0, x), Integer(line.back(k, table, 1))


class _Lines:
    """A tensor as independent lines along an axis, and back."""

    def __init__(self, shape: tuple[int, ...], axis: int) -> None:
        (self.axis,) = normalised(axis, len(shape))
        self.length = shape[self.axis]
        self.rest = shape[: self.axis] + shape[self.axis + 1 :]
        self.lines = prod(self.rest)

    async def column(self, k: Kernel, x: Value, shape: tuple[int, ...]) -> Arith:
        """[lines, length] ring elements of an operand."""
        if x.shape != shape:
            raise ShapeError(f"a value of shape {x.shape} cannot be sorted along with one of shape {shape}")
        operand = await at_scale(k, x, common_bits((x,), DEFAULT_BITS))
        share = k.public(operand) if type(operand) is np.ndarray else operand
        return k.linear(lambda s: np.moveaxis(s, self.axis, -1).reshape(self.lines, self.length), share)

    def table(self, k: Kernel, columns: Sequence[Arith]) -> Arith:
        """[lines, length, columns + 1]: the columns and, last, each element's place in its line."""
        place = k.public(np.broadcast_to(np.arange(self.length, dtype=np.uint64), (self.lines, self.length)))
        return k.linear(lambda *s: np.stack(s, axis=-1), *columns, place)

    def renumbered(self, k: Kernel, table: Arith) -> Arith:
        """The table with the present places as its last column."""
        columns = table.shape[2] - 1
        return self.table(k, [k.linear(_column(i), table) for i in range(columns)])

    def back(self, k: Kernel, table: Arith, column: int) -> Arith:
        """One column in the tensor's own arrangement."""
        count = table.shape[1]
        return k.linear(lambda s: np.moveaxis(s[..., column].reshape(*self.rest, count), -1, self.axis), table)

    async def restored(self, k: Kernel, table: Arith, column: int, like: Value) -> Value:
        """One column as a value of its operand's kind."""
        share = self.back(k, table, column)
        if type(like) is Boolean:
            return Boolean(k.rearrange(lambda b: b[..., 0], await k.decompose(share, 1)))
        return wrap(share, common_bits((like,), DEFAULT_BITS))


async def _arranged(
    k: Kernel, table: Arith, key: int, *, descending: bool, wanted: tuple[int, int] | None = None
) -> Arith:
    """The rows of [lines, length, columns] in the order of one column, ties by the last; only the ranks wanted."""
    lines, length, width = table.shape
    low, high = wanted or (0, length)
    if not lines or length <= 1:
        return k.linear(lambda s: s[:, low:high], table)
    table = await _shuffled(k, table)
    room = (length - 1).bit_length()
    sign = np.uint64(2**64 - 1 if descending else 1)

    def pack(s: Ring) -> Ring:
        return np.add(np.multiply(s[:, key], sign) << np.uint64(room), s[:, width - 1])

    packed = k.linear(pack, table)
    await k.prepare(
        packed
    )  # one opening of the keys serves all their comparisons: half the bytes, a round less in each
    ranking = Ranking(lines, length, wanted)
    while not ranking.done:
        ranking.learn(await _compared(k, packed, *ranking.ask()))
    order = ranking.order.reshape(lines, length)[:, low:high]
    return k.linear(lambda s: s[order], table)


async def _shuffled(k: Kernel, table: Arith) -> Arith:
    """[lines, length, columns] -> [lines * length, columns], every line in a random order of its own."""
    lines, length, width = table.shape
    if lines <= FEW_LINES:
        parts = await gather(*[k.shuffle(k.linear(_line(i), table)) for i in range(lines)])
        return parts[0] if lines == 1 else k.linear(lambda *s: np.concatenate(s), *parts)
    numbers = k.public(np.broadcast_to(np.arange(lines, dtype=np.uint64)[:, None, None], (lines, length, 1)))
    numbered = k.linear(lambda s, t: np.concatenate([s, t], axis=-1).reshape(lines * length, width + 1), table, numbers)
    shuffled = await k.shuffle(numbered)
    # The line numbers are opened: after the shuffle, a uniformly random arrangement of a known multiset.
    bits = await k.open_bits(await k.decompose(k.linear(lambda s: s[:, width], shuffled), (lines - 1).bit_length()))
    line = bits.astype(np.int64) @ (1 << np.arange(bits.shape[-1]))
    order = np.argsort(line, kind="stable")
    return k.linear(lambda s: s[order, :width], shuffled)


def _line(i: int) -> Any:
    return lambda s: s[i]


def _column(i: int) -> Any:
    return lambda s: s[..., i]


async def _compared(k: Kernel, packed: Arith, left: Positions, right: Positions) -> Any:
    """[packed[left] < packed[right]], opened to all: see the module for why it may be."""
    pieces = [
        _opened(k, packed, left[begin : begin + CHUNK], right[begin : begin + CHUNK])
        for begin in range(0, left.size, CHUNK)
    ]
    return np.concatenate(await gather(*pieces))


async def _opened(k: Kernel, packed: Arith, left: Positions, right: Positions) -> Any:
    return await k.open_bits(await k.negative(k.linear(lambda s: s[left] - s[right], packed)))
