"""One opening, many uses: comparisons and series on the same masked value.

A protocol that opens values under a mask opens `x` once, for all of its public offsets (`add_public`), and deals once what
comparisons need of the mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import final

import numpy as np

from tacit.primitive.local import NativeLocal
from tacit.primitive.mpc.kernel import Arith, Kernel, Ring

SMALL = 1024
"""Up to so many elements, rounds cost more than the bytes of comparisons."""
MANY = 6
"""From so many powers of two on, `Kernel.octaves` is worth its third level."""


def offset(k: Kernel, x: Arith, value: int) -> Arith:
    """X plus a public ring element."""
    return k.add_public(x, np.asarray(np.uint64(value % 2**64)))


@final
@dataclass(frozen=True, slots=True)
class Steps:
    """[x < t] for ascending thresholds, as ring elements: any step function of x follows without communication."""

    indicators: Arith
    """The thresholds along the first axis."""
    count: int

    def curve(self, k: Kernel, levels: Sequence[int]) -> Arith:
        """levels[i] where t_(i - 1) <= x < t_i; there is one level more than thresholds."""
        rises = np.array([(low - high) % 2**64 for low, high in pairwise(levels)], np.uint64)
        share = k.linear(_Weighted(rises), self.indicators)
        return offset(k, share, levels[-1]) if levels[-1] else share


async def steps(k: Kernel, x: Arith, thresholds: Sequence[int]) -> Steps:
    """Where x lies among ascending public thresholds.

    Reveals: nothing. Costs: one opening of x, one `negative` and one `lift` per threshold, all side by side.
    """
    return Steps(await k.steps(x, thresholds), len(thresholds))


async def octaves(k: Kernel, x: Arith, low: int, count: int, *, positive: bool = False, sharp: bool = True) -> Steps:
    """Where x lies among 2**low, 2**(low + 3), ...; a 64th below a power counts as either side of it: see `Kernel.octaves`.

    Reveals: nothing. Costs: those of `steps`; for many elements and powers a quarter of its comparisons' bytes, and a round more.
    """
    if prod(x.shape) <= SMALL or count < MANY:
        return await steps(k, x, [1 << (low + 3 * i) for i in range(count)])
    return Steps(await k.lift_all(await k.octaves(x, low, count, positive=positive, sharp=sharp)), count)


@final
class _Weighted:
    """sum_i weights[i] * s[i] over the first axis."""

    __slots__ = ("weights",)

    def __init__(self, weights: Ring) -> None:
        self.weights = weights

    def __call__(self, share: Ring) -> Ring:
        shape = share.shape[1:]
        if not any(share.strides):
            return np.broadcast_to(np.uint64(0), shape)  # a party that holds no shares asks for the shape
        return _DOOR.matmul(self.weights[None, :], share.reshape(len(share), -1)).reshape(shape)


_DOOR = NativeLocal()
