"""How to sort by few comparisons in few batches: a splitter sort that is driven from outside.

`Ranking` never sees a key. It says which positions to compare next, is told the answers, and in the end knows the order.
All blocks that are still unsorted advance side by side, so a batch holds everything that can be asked at once.

A block of m unordered elements is sorted as follows. All pairs of its first S elements, the sample, are compared in one
batch. If the sample is the whole block, that is all. Else every a-th of the sorted sample becomes a splitter, 2**j - 1 of
them, and each other element finds its place among them by binary search: j batches, one comparison per element each. The
2**j buckets are blocks again. Large samples with a > 1 make buckets of nearly equal size, so that a comparison yields
almost a whole bit: about n log2 n comparisons in all, and log2 n batches plus one per level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
Answers = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a block is treated: splitters are every `spread`-th of the sample; `steps` = log2(splitters + 1), or 0 if final."""

    sample: int
    spread: int
    steps: int


def plan_for(size: int) -> Plan:
    """The treatment of a block of so many elements; measured, see tests."""
    if size <= SMALLEST:
        return Plan(size, 1, 0)
    for least, steps, spread in LEVELS:
        if size >= least:
            return Plan(2**steps * spread - 1, spread, steps)
    raise AssertionError(size)


SMALLEST = 5
LEVELS = ((20_000, 7, 2), (2_000, 6, 1), (1_000, 5, 1), (60, 3, 2), (12, 3, 1), (0, 1, 2))
"""(least size, steps, spread), from large to small: fewest batches at 1.06 n log2 n comparisons, found by random search."""


@final
class Ranking:
    """Sorts `rows` independent rows of `length` positions each; row i holds positions i * length, ..., (i + 1) * length - 1.

    `wanted` is a range of ranks: blocks that lie outside of it in their row are left unsorted.
    """

    def __init__(self, rows: int, length: int, wanted: tuple[int, int] | None = None) -> None:
        self.order: Positions = np.arange(rows * length)
        """Positions by rank, row after row; final when `done`."""
        self._length = length
        self._wanted = wanted
        self._cohorts: list[_Cohort] = []
        self._asked: list[int] = []
        self._admit(np.arange(rows) * length, np.full(rows, length))

    @property
    def done(self) -> bool:
        """Whether the order is known."""
        return not self._cohorts

    def ask(self) -> tuple[Positions, Positions]:
        """The positions to compare next, left and right."""
        pairs = [cohort.pairs(self.order) for cohort in self._cohorts]
        self._asked = [left.size for left, _ in pairs]
        return np.concatenate([left for left, _ in pairs]), np.concatenate([right for _, right in pairs])

    def learn(self, less: Answers) -> None:
        """The answers to `ask`: whether the key at the left position is the smaller one. Keys must be distinct."""
        going: list[_Cohort] = []
        starts: list[Positions] = []
        sizes: list[Positions] = []
        ends = np.cumsum(self._asked)
        for cohort, end, count in zip(self._cohorts, ends, self._asked, strict=True):
            blocks = cohort.learn(self.order, less[end - count : end])
            if blocks is None:
                going.append(cohort)
            else:
                starts.append(blocks[0])
                sizes.append(blocks[1])
        self._cohorts = going
        if starts:
            self._admit(np.concatenate(starts), np.concatenate(sizes))

    def _admit(self, starts: Positions, sizes: Positions) -> None:
        """Group new blocks by their treatment."""
        keep = sizes > 1
        if self._wanted is not None and self._length:
            low, high = self._wanted
            first = starts % self._length
            keep &= (first < high) & (first + sizes > low)
        starts, sizes = starts[keep], sizes[keep]
        groups: dict[Plan, list[int]] = {}
        distinct, which = np.unique(sizes, return_inverse=True)
        for index, size in enumerate(distinct.tolist()):
            groups.setdefault(plan_for(size), []).append(index)
        for plan, indices in groups.items():
            member = np.isin(which, indices)
            self._cohorts.append(_Cohort(plan, starts[member], sizes[member]))


class _Cohort:
    """Blocks that are treated alike and in step."""

    def __init__(self, plan: Plan, starts: Positions, sizes: Positions) -> None:
        self.plan = plan
        self.starts = starts
        self.sizes = sizes
        self._left = -1  # steps that remain; -1 before the sample is sorted
        self._sample: Positions = np.empty((0, 0), np.int64)  # [blocks, sample], sorted after the first batch
        self._members: Positions = np.empty(0, np.int64)  # the elements that search their place
        self._owner: Positions = np.empty(0, np.int64)  # their block
        self._low: Positions = np.empty(0, np.int64)  # the splitters known to be smaller

    def pairs(self, order: Positions) -> tuple[Positions, Positions]:
        if self._left < 0:
            self._sample = order[self.starts[:, None] + np.arange(self.plan.sample)]
            i, j = np.triu_indices(self.plan.sample, 1)
            return self._sample[:, i].reshape(-1), self._sample[:, j].reshape(-1)
        return self._splitters(self._low + (1 << (self._left - 1)) - 1), self._members

    def _splitters(self, index: Positions) -> Positions:
        return self._sample[self._owner, (index + 1) * self.plan.spread - 1]

    def learn(self, order: Positions, less: Answers) -> tuple[Positions, Positions] | None:
        """Take the answers; the blocks that follow when this cohort is through, else None."""
        if self._left < 0:
            self._sort_sample(less)
            if not self.plan.steps:
                order[self.starts[:, None] + np.arange(self.plan.sample)] = self._sample
                return np.empty(0, np.int64), np.empty(0, np.int64)
            self._begin_search(order)
            return None
        self._low += less.astype(np.int64) << (self._left - 1)
        self._left -= 1
        return None if self._left else self._split(order)

    def _sort_sample(self, less: Answers) -> None:
        blocks, size = self._sample.shape
        i, j = np.triu_indices(size, 1)
        larger = np.where(less.reshape(blocks, -1), j, i) + np.arange(blocks)[:, None] * size
        ranks = np.bincount(larger.reshape(-1), minlength=blocks * size).reshape(blocks, size)
        ordered = np.empty_like(self._sample)
        np.put_along_axis(ordered, ranks, self._sample, axis=1)
        self._sample = ordered

    def _begin_search(self, order: Positions) -> None:
        counts = self.sizes - self.plan.sample
        self._owner = np.repeat(np.arange(self.starts.size), counts)
        within = np.arange(self._owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
        self._members = order[self.starts[self._owner] + self.plan.sample + within]
        self._low = np.zeros(self._owner.size, np.int64)
        self._left = self.plan.steps

    def _split(self, order: Positions) -> tuple[Positions, Positions]:
        """Put every element into its bucket, splitters between buckets."""
        blocks, size = self._sample.shape
        spread, buckets = self.plan.spread, 2**self.plan.steps
        rank = np.arange(size)
        sample_slot = 2 * (rank // spread) + (rank % spread == spread - 1)
        slots = 2 * buckets - 1
        slot = np.concatenate(
            [self._low * 2 + self._owner * slots, (sample_slot + np.arange(blocks)[:, None] * slots).reshape(-1)]
        )
        items = np.concatenate([self._members, self._sample.reshape(-1)])
        counts = np.bincount(slot, minlength=blocks * slots)
        arranged = items[np.argsort(slot, kind="stable")]
        target = np.repeat(self.starts - (np.cumsum(self.sizes) - self.sizes), self.sizes) + np.arange(items.size)
        order[target] = arranged
        counts = counts.reshape(blocks, slots)
        starts = self.starts[:, None] + np.cumsum(counts, axis=1) - counts
        return starts[:, ::2].reshape(-1), counts[:, ::2].reshape(-1)
