"""One opening, many uses: comparisons and series on the same masked value.

A protocol that opens values under a mask opens `x` once, for all of its public offsets (`add_public`), and deals once what
comparisons need of the mask. Only a stack of offsets of another shape would be opened anew; `Kernel.prepare` prevents it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import final

import numpy as np

from tacit.primitive.driver import gather
from tacit.primitive.mpc.kernel import Arith, Bits, Kernel, Ring

SMALL = 1024
"""Comparisons of up to so many elements are stacked into one: fewer operations; above it they share dealt digits."""


async def less(k: Kernel, x: Arith, thresholds: Sequence[int]) -> list[Bits]:
    """[x < t] for each public ring element t.

    Reveals: nothing. Costs: one `negative` per threshold, side by side on one opening.
    """
    return await gather(*[k.negative(offset(k, x, -t)) for t in thresholds])


def offset(k: Kernel, x: Arith, value: int) -> Arith:
    """X plus a public ring element."""
    return k.add_public(x, np.asarray(np.uint64(value % 2**64)))


@final
@dataclass(frozen=True, slots=True)
class Steps:
    """[x < t] for ascending thresholds, as ring elements: any step function of x follows without communication."""

    indicators: tuple[Arith, ...]
    """One tensor per threshold, or a single one with the thresholds along its first axis."""
    count: int

    def curve(self, k: Kernel, levels: Sequence[int]) -> Arith:
        """levels[i] where t_(i - 1) <= x < t_i; there is one level more than thresholds."""
        rises = np.array([(low - high) % 2**64 for low, high in pairwise(levels)], np.uint64)
        share = k.linear(_Weighted(rises), *self.indicators)
        return offset(k, share, levels[-1]) if levels[-1] else share


async def steps(k: Kernel, x: Arith, thresholds: Sequence[int]) -> Steps:
    """Where x lies among ascending public thresholds.

    Reveals: nothing. Costs: one opening of x, one `negative` and one `lift` per threshold, all side by side.
    """
    count = len(thresholds)
    if prod(x.shape) <= SMALL:
        await k.prepare(x)
        values = np.array([-t % 2**64 for t in thresholds], np.uint64).reshape(count, *[1] * len(x.shape))
        return Steps((await k.lift(await k.negative(k.add_public(x, values))),), count)
    bits = await less(k, x, thresholds)
    return Steps(tuple(await gather(*[k.lift(b) for b in bits])), count)


@final
class _Weighted:
    """sum_i weights[i] * s_i over tensors, or over the first axis of one."""

    __slots__ = ("weights",)

    def __init__(self, weights: Ring) -> None:
        self.weights = weights

    def __call__(self, *shares: Ring) -> Ring:
        parts = shares if len(shares) == len(self.weights) and len(shares) > 1 else shares[0]
        first = np.asarray(parts[0])
        if not any(first.strides) and all(not np.any(np.asarray(p).reshape(-1)[:1]) for p in parts):
            return first  # zeros without memory: a party that holds no shares asks for the shape
        total, scratch = np.empty(first.shape, np.uint64), np.empty(first.shape, np.uint64)
        np.multiply(first, self.weights[0], out=total)
        for part, weight in zip(parts[1:], self.weights[1:], strict=True):
            np.multiply(part, weight, out=scratch)
            np.add(total, scratch, out=total)
        return total
