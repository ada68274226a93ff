"""The sparse vector technique: many questions, of which only those answered "above" cost anything.

Half of the variants in print are not private. This is algorithm 7 of Lyu, Su and Li (2017), their corrected one: the
threshold's noise is drawn once, every question gets fresh noise scaled with the number of "above" answers allowed, answers
are bits and never noisy values, and after the last allowed "above" nothing is answered.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any, ClassVar, final

from tacit.foundation.errors import DomainError, PolicyError
from tacit.primitive.dp.event import PureEvent
from tacit.primitive.dp.library import opendp
from tacit.primitive.dp.mechanism import Release
from tacit.primitive.dp.require import positive, reals, whole

GRID_BITS = 20


@final
@dataclass(frozen=True)
class AboveThreshold:
    """Says which of a stream of questions have answers above a threshold, `count` times at most.

    Computes: on a grid of 2**-20 of the sensitivity or finer, [q_i + v_i >= threshold + r] with discrete Laplace noise: r of
        scale D / e1, each v_i of scale 2 count D / e2 (count D / e2 where one record moves all answers the same way,
        `monotonic`); e1 + e2 = epsilon, split as 1 : (2 count)**(2/3), which is optimal. D is the sensitivity on the grid,
        with one step added for rounding the answers to it.
    Costs: epsilon, once, however many questions are asked.
    Error: none: the noise is exact on the grid. Raises: DomainError. Source: Lyu, Su, Li 2017 (arXiv 1603.01699), algorithm 7.
    """

    name: ClassVar[str] = "sparse vector"
    threshold: float
    epsilon: float
    sensitivity: float
    count: int = 1
    monotonic: bool = False

    def __post_init__(self) -> None:
        positive("epsilon", self.epsilon)
        positive("sensitivity", self.sensitivity)
        whole("count", self.count)
        reals("threshold", self.threshold)

    @cached_property
    def event(self) -> PureEvent:
        """What the whole stream costs."""
        return PureEvent(self.epsilon)

    @property
    def grid(self) -> float:
        """The distance between two representable answers."""
        return self.sensitivity * 2.0**-GRID_BITS

    def release(self, value: None = None, /) -> Release[Asking]:
        """Begin: the stream's cost is paid here, and the result takes the questions' true answers one by one."""
        del value
        return Release(Asking(self), self.event)


@final
class Asking:
    """A stream of questions that has begun."""

    def __init__(self, plan: AboveThreshold) -> None:
        factor = plan.count if plan.monotonic else 2 * plan.count
        share = 1 / (1 + factor ** (2 / 3))
        moved = ceil(plan.sensitivity / plan.grid) + 1
        self._grid = plan.grid
        self._answer = _adding(factor * moved / (plan.epsilon * (1 - share)))
        self._threshold = _adding(moved / (plan.epsilon * share))(self._on_grid(plan.threshold))
        self.left = plan.count

    def ask(self, answer: float) -> bool:
        """Whether a question's true answer lies above the threshold, noisily.

        Raises: PolicyError after the last allowed "above"; DomainError for an answer that is no finite number.
        """
        if not self.left:
            raise PolicyError("this sparse vector has said `above` as often as it was made for. Charge a new one.")
        above = self._answer(self._on_grid(answer)) >= self._threshold
        self.left -= above
        return above

    def _on_grid(self, value: float) -> int:
        array = reals("answer", value)
        if array.shape or abs(float(array)) >= self._grid * 2.0**62:
            raise DomainError("an answer is one number, below 2**42 sensitivities")
        return round(float(array) / self._grid)

    def __repr__(self) -> str:
        return f"Asking(<noisy threshold hidden>, left={self.left})"


def _adding(scale: float) -> Any:
    """x + discrete Laplace noise, exactly, for integers."""
    dp = opendp()
    return dp.m.make_laplace(dp.atom_domain(T="i64"), dp.absolute_distance(T="i64"), scale=scale)
