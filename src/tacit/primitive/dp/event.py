"""What a release costs, as data: frozen events that accountants compose and that the ledger keeps.

An event's meaning never changes; a new meaning is a new event. `describe` and `event_from` are the ledger's form: plain
JSON, checked on reading, so that no class is ever named by a file.

`distance` is how far the mechanism is, in total variation, from the ideal one that the event names: a cut tail, a rounded
probability, a grid. Accountants add the distances t of all events, and delta becomes delta + (1 + e**epsilon) t.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import exp, pi
from typing import Any, TypeAlias, final

from tacit.foundation.errors import DomainError
from tacit.primitive.dp.require import not_negative, positive, probability, whole


@final
@dataclass(frozen=True)
class PureEvent:
    """Any mechanism that is (epsilon, 0)-private: exponential, sparse vector, randomised response."""

    epsilon: float
    distance: float = 0.0

    def __post_init__(self) -> None:
        positive("epsilon", self.epsilon)
        _check_distance(self.distance)


@final
@dataclass(frozen=True)
class LaplaceEvent:
    """Laplace noise of `noise_multiplier` times the L1 sensitivity.

    The mechanism itself is (1 / noise_multiplier, 0)-private, on whatever grid; `distance` is what bounds must pay that use
    the distribution of Laplace noise.
    """

    noise_multiplier: float
    distance: float = 0.0

    def __post_init__(self) -> None:
        positive("noise_multiplier", self.noise_multiplier)
        _check_distance(self.distance)


@final
@dataclass(frozen=True)
class DiscreteLaplaceEvent:
    """Integer noise with P(x) proportional to exp(-|x| / scale), for an integer L1 sensitivity."""

    scale: float
    sensitivity: int
    distance: float = 0.0

    def __post_init__(self) -> None:
        positive("scale", self.scale)
        whole("sensitivity", self.sensitivity)
        _check_distance(self.distance)


@final
@dataclass(frozen=True)
class GaussianEvent:
    """Gaussian noise whose standard deviation is `noise_multiplier` times the L2 sensitivity."""

    noise_multiplier: float
    distance: float = 0.0

    def __post_init__(self) -> None:
        positive("noise_multiplier", self.noise_multiplier)
        _check_distance(self.distance)


@final
@dataclass(frozen=True)
class DiscreteGaussianEvent:
    """Integer noise with P(x) proportional to exp(-x**2 / (2 deviation**2)), for an L2 sensitivity over `dimensions` numbers."""

    deviation: float
    sensitivity: float
    dimensions: int = 1
    distance: float = 0.0

    def __post_init__(self) -> None:
        positive("deviation", self.deviation)
        positive("sensitivity", self.sensitivity)
        whole("dimensions", self.dimensions)
        _check_distance(self.distance)


@final
@dataclass(frozen=True)
class ConcentratedEvent:
    """Any mechanism that is rho-zero-concentrated private (Bun and Steinke 2016)."""

    rho: float
    distance: float = 0.0

    def __post_init__(self) -> None:
        positive("rho", self.rho)
        _check_distance(self.distance)


@final
@dataclass(frozen=True)
class PoissonSampledEvent:
    """A Gaussian or Laplace mechanism on a sample that takes each record independently with `probability`."""

    event: GaussianEvent | LaplaceEvent
    probability: float

    def __post_init__(self) -> None:
        if not isinstance(self.event, (GaussianEvent, LaplaceEvent)):
            raise DomainError(
                f"a Poisson sample amplifies Gaussian and Laplace noise, not a {type(self.event).__name__}"
            )
        probability("probability", self.probability)

    @property
    def distance(self) -> float:
        """That of the mechanism: sampling does not make it less."""
        return self.event.distance


@final
@dataclass(frozen=True)
class RepeatedEvent:
    """`count` releases of the same kind, each of which may depend on those before."""

    event: Event
    count: int

    def __post_init__(self) -> None:
        _check_event(self.event)
        whole("count", self.count)

    @property
    def distance(self) -> float:
        """The sum."""
        return self.count * self.event.distance


@final
@dataclass(frozen=True)
class ComposedEvent:
    """Several releases, each of which may depend on those before."""

    events: tuple[Event, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.events, tuple):
            raise DomainError(f"composed events are a tuple, not a {type(self.events).__name__}")
        for event in self.events:
            _check_event(event)

    @property
    def distance(self) -> float:
        """The sum."""
        return sum(event.distance for event in self.events)


Event: TypeAlias = (
    PureEvent
    | LaplaceEvent
    | DiscreteLaplaceEvent
    | GaussianEvent
    | DiscreteGaussianEvent
    | ConcentratedEvent
    | PoissonSampledEvent
    | RepeatedEvent
    | ComposedEvent
)
_KINDS: dict[str, type[Any]] = {
    "pure": PureEvent,
    "laplace": LaplaceEvent,
    "discrete-laplace": DiscreteLaplaceEvent,
    "gaussian": GaussianEvent,
    "discrete-gaussian": DiscreteGaussianEvent,
    "concentrated": ConcentratedEvent,
    "poisson-sampled": PoissonSampledEvent,
    "repeated": RepeatedEvent,
    "composed": ComposedEvent,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
MOST_NESTED = 16


def describe(event: Event) -> dict[str, Any]:
    """The event as JSON values; `event_from` reads it."""
    _check_event(event)
    record: dict[str, Any] = {"event": _NAMES[type(event)]}
    for field in fields(event):
        value = getattr(event, field.name)
        if field.name == "event":
            record["of"] = describe(value)
        elif field.name == "events":
            record["events"] = [describe(part) for part in value]
        else:
            record[field.name] = value
    return record


def event_from(record: Any, depth: int = 0) -> Event:
    """The event that `describe` wrote. Raises: DomainError for what it did not write."""
    if depth > MOST_NESTED or not isinstance(record, Mapping) or record.get("event") not in _KINDS:
        raise DomainError("this is not the description of a privacy event")
    kind = _KINDS[record["event"]]
    values = {name: value for name, value in record.items() if name != "event"}
    if kind in (PoissonSampledEvent, RepeatedEvent):
        values["event"] = event_from(values.pop("of", None), depth + 1)
    if kind is ComposedEvent:
        parts = values.get("events")
        if not isinstance(parts, list):
            raise DomainError("composed events must be a list")
        values["events"] = tuple(event_from(part, depth + 1) for part in parts)
    if set(values) - {field.name for field in fields(kind)}:
        raise DomainError(f"a {record['event']} event has no {', '.join(sorted(set(values)))} in this form")
    try:
        event: Event = kind(**values)
    except TypeError:
        raise DomainError(f"a {record['event']} event lacks a number") from None
    return event


def laplace_grid_distance(grid: float, scale: float) -> float:
    """Total variation distance of discrete Laplace noise on a grid from rounded Laplace noise, for each number.

    With a = grid / scale: tanh(a / 2) - (1 - exp(-a / 2)), which is at most a**2 / 8.
    """
    return (grid / scale) ** 2 / 8


def gaussian_grid_distance(grid: float, deviation: float) -> float:
    """Total variation distance of discrete Gaussian noise on a grid from rounded Gaussian noise, for each number.

    With s = deviation / grid: the midpoint rule errs by at most (1 / 24) (int |f''| + int |f'''|) over all cells, which is
    (0.97 / s**2 + 2.45 / s**3) / 24, and the normalisation by 2.1 exp(-2 pi**2 s**2); half of the sum is the distance.
    """
    s = deviation / grid
    return (0.97 / s**2 + 2.45 / s**3) / 48 + 2.1 * exp(-2 * pi**2 * min(s, 8.0) ** 2)


def _check_event(event: Any) -> None:
    if type(event) not in _NAMES:
        raise DomainError(f"a {type(event).__name__} is no privacy event")


def _check_distance(distance: float) -> None:
    if not_negative("distance", distance) > 1.0:
        raise DomainError(f"a distance is at most 1, not {distance}")
