"""Randomised response: each person answers for themselves, and sometimes lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import exp
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import DomainError
from tacit.primitive.dp.event import PureEvent
from tacit.primitive.dp.library import opendp
from tacit.primitive.dp.mechanism import Release
from tacit.primitive.dp.require import integers, positive, whole


@final
@dataclass(frozen=True)
class RandomizedResponse:
    """Answers one of `categories` classes.

    Computes: the true class with probability `truth`, each of the others with (1 - truth) / (categories - 1).
    Costs: epsilon = ln(truth (categories - 1) / (1 - truth)) for the person who answers, whoever sees the answer.
    Error: none; about 0.2 ms for each answer. Raises: DomainError. Source: Warner 1965; Kairouz, Bonawitz, Ramage 2016; OpenDP `make_randomized_response`.
    """

    name: ClassVar[str] = "randomised response"
    sensitivity: ClassVar[float] = 1.0
    truth: float
    categories: int = 2

    def __post_init__(self) -> None:
        whole("categories", self.categories, 2)
        if not 1 / self.categories < positive("truth", self.truth) < 1.0:
            raise DomainError(
                f"truth must lie between 1 / {self.categories}, where answers say nothing, and 1, where they hide nothing; "
                f"not {self.truth}"
            )

    @classmethod
    def of(cls, epsilon: float, categories: int = 2) -> RandomizedResponse:
        """The one of this epsilon."""
        odds = exp(-positive("epsilon", epsilon))
        whole("categories", categories, 2)
        return cls(1 / (1 + (categories - 1) * odds), categories)

    @cached_property
    def event(self) -> PureEvent:
        """What one person's answer costs."""
        return PureEvent(float(self._measurement.map(1)))

    def release(self, value: Any, /) -> Release[NDArray[np.int64]]:
        """Each person's answer; `value` has one class in 0, 1, ..., categories - 1 for each person.

        The event is that of each person alone: all are answered for at once, at the price of one.
        """
        classes = integers("value", value)
        if classes.size and not 0 <= int(classes.min()) <= int(classes.max()) < self.categories:
            raise DomainError(f"classes are 0 to {self.categories - 1}; there are others")
        answers = [self._measurement(item) for item in classes.reshape(-1).tolist()]
        return Release(np.array(answers, np.int64).reshape(classes.shape), self.event)

    def frequencies(self, answers: Any) -> NDArray[np.float64]:
        """Unbiased estimates of the classes' true shares from released answers. Costs: nothing, the answers are public."""
        given = np.bincount(integers("answers", answers).reshape(-1), minlength=self.categories)
        lie = (1 - self.truth) / (self.categories - 1)
        return np.asarray((given / max(1, given.sum()) - lie) / (self.truth - lie))

    @property
    def variance(self) -> float:
        """An upper bound on the variance of a share estimated from one answer."""
        lie = (1 - self.truth) / (self.categories - 1)
        return 0.25 / (self.truth - lie) ** 2

    @cached_property
    def _measurement(self) -> Any:
        return opendp().m.make_randomized_response(list(range(self.categories)), float(self.truth))
