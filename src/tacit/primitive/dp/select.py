"""Choosing the best of several candidates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, final

from tacit.foundation.errors import DomainError
from tacit.primitive.dp.event import ConcentratedEvent, PureEvent
from tacit.primitive.dp.library import opendp
from tacit.primitive.dp.mechanism import Release
from tacit.primitive.dp.require import positive, reals

NOISES = ("gumbel", "exponential")


@final
@dataclass(frozen=True)
class ExponentialMechanism:
    """Picks the index of a high score.

    Computes: the largest of scores with noise added. `noise="gumbel"` is the exponential mechanism: P(i) proportional to
        exp(score_i / scale); its cost is stated as a zero-concentrated bound too, see `concentrated`. `noise="exponential"` is
        permute-and-flip, which is never worse in expected score.
    Costs: epsilon = 2 sensitivity / scale, for the largest change of any score by one record; half of that where one record
        moves all scores the same way (`monotonic`, such as counts).
    Error: none: exact sampling. Raises: DomainError.
    Source: McSherry and Talwar 2007; McKenna and Sheldon 2020; OpenDP `make_noisy_max`.
    """

    name: ClassVar[str] = "exponential"
    scale: float
    sensitivity: float
    monotonic: bool = False
    noise: str = "gumbel"

    def __post_init__(self) -> None:
        positive("scale", self.scale)
        positive("sensitivity", self.sensitivity)
        if self.noise not in NOISES:
            raise DomainError(f"the noise of a noisy maximum is one of {', '.join(NOISES)}, not {self.noise!r}")

    @cached_property
    def event(self) -> PureEvent:
        """What one release costs."""
        return PureEvent(self._pure)

    @cached_property
    def concentrated(self) -> ConcentratedEvent:
        """The cost of Gumbel noise as epsilon**2 / 8 zero-concentrated: better where many are composed under `Rdp`."""
        if self.noise != "gumbel":
            raise DomainError("only Gumbel noise has this bound (bounded range, Dong et al. 2020)")
        return ConcentratedEvent(self._measurement.map(float(self.sensitivity)))

    def release(self, value: Any, /) -> Release[int]:
        """The index of the winner among the scores, a vector."""
        scores = reals("scores", value)
        if scores.ndim != 1 or not scores.size:
            raise DomainError(f"scores are a vector of at least one, not of shape {scores.shape}")
        return Release(int(self._measurement(scores.tolist())), self.event)

    @property
    def _pure(self) -> float:
        """OpenDP states a pure bound for exponential noise; it is the same for Gumbel noise."""
        return float(self._make("exponential").map(float(self.sensitivity)))

    @cached_property
    def _measurement(self) -> Any:
        return self._make(self.noise)

    def _make(self, noise: str) -> Any:
        dp = opendp()
        domain = dp.vector_domain(dp.atom_domain(T=float, nan=False))
        measure = dp.max_divergence() if noise == "exponential" else dp.zero_concentrated_divergence()
        metric = dp.linf_distance(T=float, monotonic=self.monotonic)
        return dp.m.make_noisy_max(domain, metric, measure, scale=float(self.scale))
