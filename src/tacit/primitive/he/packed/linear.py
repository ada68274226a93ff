"""Linear maps of slots: what products with matrices are made of, by diagonals in baby and giant steps.

The numbers of the result are y[p] = sum over offsets o of d_o[p] x[p + o], where d_o, a diagonal, holds the factors of all
numbers that move by o slots. With o = base + unit (g B + b) the rotations by b are made once for all g, and the sums of
all b are rotated by Horner's rule, unit B slots at a time: about 2 sqrt(offsets) rotations, all of them by powers of two,
and one product with a plaintext per offset. Many ciphertexts with the same diagonals share the encoded plaintexts.

Source: Halevi and Shoup, "Algorithms in HElib", 2014, section 4.3; Horner's rule for the giant steps is ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tacit.primitive.he.packed.array import PackedArray
from tacit.primitive.he.packed.engine import Ciphertext, Engine, rotations_for
from tacit.primitive.he.packed.library import Transparent
from tacit.primitive.he.packed.slots import Geometry, Layout, Places, power_of_two, rows

Values: TypeAlias = NDArray[Any]
BATCH = 8  # ciphertexts that share one encoded plaintext at a time: what bounds the memory


class Entries(NamedTuple):
    """Part of a sparse matrix: y[to] += factor * x[start], elementwise, all of one length."""

    start: Places
    to: Places
    factor: Values


def repack(array: PackedArray) -> PackedArray:
    """The same numbers in the places of a fresh encryption."""
    layout = rows(array.layout.geometry, array.shape)
    if array.layout.same(layout) and array.clean:
        return array
    one = np.ones(array.size, array.dtype)
    parts = [Entries(array.layout.places.reshape(-1), layout.places.reshape(-1), one)]
    return apply_entries(array, layout, parts, norm=1, largest=1)


@final
@dataclass(frozen=True)
class Steps:
    """How the offsets of one product are reached: base + unit (g * babies + b)."""

    base: int
    unit: int
    babies: int
    giants: int

    @property
    def before(self) -> int:
        """The most rotations of the operand, one after another, but for the base."""
        return self.babies - 1

    @staticmethod
    def to_reach(offsets: NDArray[np.int64], circle: int) -> Steps:
        """Steps for sorted offsets on a circle: from behind the widest gap, in units of what divides all distances."""
        gaps = np.diff(np.append(offsets, offsets[0] + circle))
        base = int(offsets[(int(gaps.argmax()) + 1) % len(offsets)])
        distances = (offsets - base) % circle
        unit = int(np.gcd.reduce(np.append(distances, circle)))
        reach = int(distances.max()) // unit + 1
        babies = power_of_two(max(1, round(reach**0.5)))
        return Steps(base, unit, min(babies, power_of_two(reach)), -(-reach // babies))


Diagonals: TypeAlias = Mapping[tuple[bool, int], Values]  # by (exchange of lanes, offset): slots of one period
Table: TypeAlias = dict[
    tuple[int, int], dict[tuple[bool, int], Values]
]  # by (ciphertext of the operand, of the result)


def apply_entries(
    array: PackedArray, layout: Layout, parts: Iterable[Entries], *, norm: float, largest: float, fold: int = 0
) -> PackedArray:
    """The array whose numbers are the sums that the entries say.

    fold: then all slots at multiples of this distance are added up, over the whole period, and the result repeats there.
    """
    array.context.engine.require_rotations()
    arithmetic, geometry = array.arithmetic, array.layout.geometry
    layout = _repeated(array.layout, layout)
    circle = min(array.layout.period, geometry.lane)  # at most the result's period, too
    groups = _groups(_diagonals(array.layout, layout, part, circle) for part in parts)
    plans = [{swap: _steps(group, swap, circle) for swap in sorted({swap for swap, _ in group})} for group, _ in groups]
    level = arithmetic.level(array.bounds)
    terms, times = _most_terms(groups), layout.period // fold if fold else 1
    before = max((_before(plan, geometry) for plan in plans), default=0)
    giants = max((steps.giants for plan in plans for steps in plan.values()), default=0)
    bounds = arithmetic.combination(
        array.bounds,
        norm=norm,
        largest=largest,
        terms=max(1, terms) * times,
        before=before,
        after=(giants * array.layout.count * geometry.lanes + 1) * times,
    )
    cells: dict[int, Ciphertext] = {}
    for (group, pairs), plan in zip(groups, plans, strict=True):
        for first in range(0, len(pairs), BATCH):
            _multiply(array, group, pairs[first : first + BATCH], plan, layout, cells)
    done = []
    for index in range(layout.count):
        if index in cells:
            cell = folded(array.context.engine, cells[index], layout, fold) if fold else cells[index]
            arithmetic.finished(cell, level)
            done.append(cell)
        else:
            done.append(arithmetic.zero(arithmetic.level(bounds)))
    layout = Layout(geometry, layout.places, fold or layout.period, layout.count)
    return PackedArray(array.context, done, layout, bounds, clean=True)


def folded(engine: Engine, cell: Ciphertext, layout: Layout, distance: int) -> Ciphertext:
    """All slots of a period that lie at multiples of a distance, a power of two, added up."""
    lane = layout.geometry.lane
    while distance < min(layout.period, lane):
        cell = engine.add(cell, engine.rotate(cell, distance))
        distance *= 2
    return engine.add(cell, engine.rotate(cell, 0, exchange=True)) if distance < layout.period else cell


def _multiply(
    array: PackedArray,
    group: Diagonals,
    pairs: list[tuple[int, int]],
    plan: Mapping[bool, Steps],
    layout: Layout,
    cells: dict[int, Ciphertext],
) -> None:
    """Add the products of some ciphertexts with one set of diagonals to the results."""
    engine, arithmetic, level = array.context.engine, array.arithmetic, array.arithmetic.level(array.bounds)
    sources = sorted({source for source, _ in pairs})
    geometry = layout.geometry
    circle = min(array.layout.period, geometry.lane)
    for exchange, steps in plan.items():
        by_giant = _by_giant(group, exchange, steps, circle, min(layout.period, geometry.lane))
        deepest = max((b for part in by_giant.values() for b in part), default=0)
        turned = {s: [engine.rotate(array.cells[s], steps.base, exchange=exchange)] for s in sources}
        for cells_ in turned.values():
            for _ in range(deepest):
                cells_.append(engine.rotate(cells_[-1], steps.unit))
        totals: dict[int, Ciphertext] = {}
        for giant in range(max(by_giant, default=-1), -1, -1):
            totals = {s: engine.rotate(total, steps.unit * steps.babies) for s, total in totals.items()}
            for baby, diagonal in by_giant.get(giant, {}).items():
                plain = arithmetic.encode(np.tile(diagonal, geometry.slots // len(diagonal)), level)
                for source in sources:
                    _accumulate(engine, totals, source, turned[source][baby], plain)
        for source, to in pairs:
            if source in totals:
                cells[to] = engine.add(cells[to], totals[source]) if to in cells else engine.copy(totals[source])


def _accumulate(engine: Engine, totals: dict[int, Ciphertext], key: int, cell: Ciphertext, plain: Any) -> None:
    try:
        product = engine.multiply_plain(cell, plain)
    except Transparent:  # all factors round to zero
        return
    if key in totals:
        engine.add_to(totals[key], product)
    else:
        totals[key] = product


def _by_giant(
    group: Diagonals,
    exchange: bool,
    steps: Steps,
    circle: int,
    turn: int,
) -> dict[int, dict[int, Values]]:
    """Diagonals by giant and baby step, turned back by what their giant step will turn them, on circles of `turn`."""
    out: dict[int, dict[int, Values]] = {}
    for (swap, offset), diagonal in group.items():
        if swap == exchange:
            giant, baby = divmod((offset - steps.base) % circle // steps.unit, steps.babies)
            turned = np.roll(diagonal.reshape(-1, turn), giant * steps.babies * steps.unit, axis=1)
            out.setdefault(giant, {})[baby] = turned.reshape(-1)
    return out


def _diagonals(source: Layout, to: Layout, part: Entries, circle: int) -> Table:
    """For each pair of ciphertexts, the diagonals that lead from one to the other, for one period of the result."""
    geometry = source.geometry
    slots = geometry.slots
    out: Table = {}
    here, there = part.start % slots, part.to % slots
    swap = (here // geometry.lane != there // geometry.lane) & (source.period > geometry.lane)
    key = np.stack([part.start // slots, part.to // slots, swap, (here - there) % circle])
    order = np.lexsort(key[::-1])
    key, there, factor = key[:, order], there[order], part.factor[order]
    edges = np.flatnonzero(np.any(np.diff(key, axis=1, prepend=-1), axis=0))
    for first, last in zip(edges, [*edges[1:], key.shape[1]], strict=True):
        a, b, swapped, distance = (int(value) for value in key[:, first])
        diagonal = np.zeros(to.period, factor.dtype)
        diagonal[there[first:last]] = factor[first:last]  # to each slot comes one number from this far
        if diagonal.any():
            out.setdefault((a, b), {})[bool(swapped), distance] = diagonal
    return out


def _groups(tables: Iterable[Table]) -> list[tuple[Diagonals, list[tuple[int, int]]]]:
    """Pairs of ciphertexts that have equal diagonals, together. Each pair is in one table."""
    groups: dict[bytes, tuple[Diagonals, list[tuple[int, int]]]] = {}
    for table in tables:
        for pair, diagonals in table.items():
            digest = hashlib.sha256(repr(list(diagonals)).encode())
            for diagonal in diagonals.values():
                digest.update(diagonal.tobytes())
            groups.setdefault(digest.digest(), (diagonals, []))[1].append(pair)
    return list(groups.values())


def _steps(group: Diagonals, exchange: bool, circle: int) -> Steps:
    return Steps.to_reach(np.array(sorted(offset for swap, offset in group if swap == exchange)), circle)


def _before(plan: Mapping[bool, Steps], geometry: Geometry) -> int:
    return max(steps.before + rotations_for(steps.base, geometry.lane) + swap for swap, steps in plan.items())


def _most_terms(groups: list[tuple[Diagonals, list[tuple[int, int]]]]) -> int:
    """The most products that are added up in one ciphertext of the result."""
    terms: dict[int, int] = {}
    for group, pairs in groups:
        for _, to in pairs:
            terms[to] = terms.get(to, 0) + len(group)
    return max(terms.values(), default=0)


def _repeated(source: Layout, to: Layout) -> Layout:
    """The result's layout, repeated only as its operand is: copies come from copies."""
    geometry = source.geometry
    if source.count == 1 and to.count == 1 and max(source.period, to.period) <= geometry.lane:
        return Layout(geometry, to.places, max(source.period, to.period), 1)
    if to.period == geometry.slots:
        return to
    return Layout(geometry, to.places, geometry.slots, to.count)
