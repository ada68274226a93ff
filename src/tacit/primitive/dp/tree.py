"""Running sums under continual observation: a binary tree of noisy partial sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import DomainError, PolicyError, ShapeError
from tacit.primitive.dp.event import RepeatedEvent
from tacit.primitive.dp.gaussian import DiscreteGaussianMechanism, GaussianMechanism
from tacit.primitive.dp.laplace import DiscreteLaplaceMechanism, LaplaceMechanism, grid_exponent
from tacit.primitive.dp.mechanism import Release
from tacit.primitive.dp.require import integers, reals, whole

Noise = LaplaceMechanism | DiscreteLaplaceMechanism | GaussianMechanism | DiscreteGaussianMechanism


@final
@dataclass(frozen=True)
class TreeAggregation:
    """Releases the sum of a stream after every step, for at most `steps` steps.

    Computes: a noisy sum for every dyadic interval of steps, by `noise`, and each running sum from at most
        `levels` = floor(log2 steps) + 1 of them, so that its error grows with log(steps) and not with steps.
    Costs: one record is in one step, so in one interval of each level: `levels` releases of `noise`, whose sensitivity is that
        of one step. Paid at the beginning, for all steps.
    Sums are exact, so that one record moves no sum by more than it moves its step: reals are rounded to the noise's own grid,
        and refused where a sum leaves 2**22 times its scale (about four million); integers have more room.
    Raises: DomainError. Source: Dwork, Naor, Pitassi, Rothblum 2010; Chan, Shi, Song 2011.
    """

    name: ClassVar[str] = "tree aggregation"
    noise: Noise
    steps: int

    def __post_init__(self) -> None:
        if not isinstance(self.noise, Noise):
            raise DomainError(f"a tree's noise is Laplace or Gaussian, not a {type(self.noise).__name__}")
        whole("steps", self.steps)

    @property
    def sensitivity(self) -> float:
        """That of one step."""
        return float(self.noise.sensitivity)

    @property
    def levels(self) -> int:
        """In how many intervals each step is."""
        return self.steps.bit_length()

    @cached_property
    def event(self) -> RepeatedEvent:
        """What the whole stream costs."""
        return RepeatedEvent(self.noise.event, self.levels)

    def release(self, value: None = None, /) -> Release[RunningSum]:
        """Begin: the stream's cost is paid here, and the result takes the steps one by one."""
        del value
        return Release(RunningSum(self), self.event)


@final
class RunningSum:
    """A stream that has begun. It holds true partial sums: it stays with the data's owner."""

    def __init__(self, plan: TreeAggregation) -> None:
        self._plan = plan
        self._true: list[NDArray[Any] | None] = [None] * plan.levels  # the interval open at each level
        self._noisy: list[NDArray[Any] | None] = [None] * plan.levels
        self._shape: tuple[int, ...] | None = None
        self._grid = _grid(plan.noise)
        self.taken = 0

    def add(self, value: Any) -> NDArray[Any]:
        """The noisy sum of all steps so far, this one included.

        Raises: PolicyError after the last step that was paid for; ShapeError, DomainError for a value that cannot be used.
        """
        if self.taken == self._plan.steps:
            raise PolicyError(f"this running sum was made for {self._plan.steps} steps. Charge a new one.")
        total = self._exact(value)
        if self._shape is not None and total.shape != self._shape:
            raise ShapeError(f"steps of shape {self._shape} are followed by one of shape {total.shape}")
        taken = self.taken + 1
        level = (taken & -taken).bit_length() - 1
        for closed in self._true[:level]:
            assert closed is not None
            total = total + closed
        if total.dtype.kind == "f" and np.any(np.abs(total) >= self._grid * 2.0**52):
            raise DomainError(
                "a sum of reals exceeds 2**22 times the scale of its noise. Sum integers, with integer noise."
            )
        released = self._plan.noise.release(total).value  # before the state changes: a refused value changes nothing
        self._shape, self.taken = total.shape, taken
        self._true[:level] = self._noisy[:level] = [None] * level
        self._true[level], self._noisy[level] = total, released
        return np.asarray(sum(noisy for noisy in self._noisy if noisy is not None))

    def _exact(self, value: Any) -> NDArray[Any]:
        if not self._grid:
            return integers("step", value)
        return np.asarray(np.rint(reals("step", value) / self._grid) * self._grid)

    def __repr__(self) -> str:
        return f"RunningSum(<sums hidden>, taken={self.taken} of {self._plan.steps})"


def _grid(noise: Noise) -> float:
    """Where real noise is drawn; 0 for integers."""
    match noise:
        case LaplaceMechanism():
            return 2.0 ** grid_exponent(noise.scale)
        case GaussianMechanism():
            return 2.0 ** grid_exponent(noise.deviation)
        case _:
            return 0.0
