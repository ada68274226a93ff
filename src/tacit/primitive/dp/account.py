"""Accountants: how much privacy a sequence of events has cost, as an (epsilon, delta) guarantee.

Three, each an immutable value: `compose` returns a new one. All neighbouring data sets differ by one record added or
removed; sensitivities are stated for that, and for a replaced record are twice as large where the caller cannot say better.

| accountant | takes | how tight |
|---|---|---|
| `Pld` | all but zero-concentrated events and vectors of coarse discrete Gaussians | numerically exact, pessimistic |
| `Rdp` | every event but sampled Laplace | loose by some 5 to 20 per cent in epsilon |
| `Gdp` | Gaussian, Laplace and pure events | exact for Gaussians; no sampling: its central limit is no bound |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import exp, expm1, hypot, inf, isfinite, log, log1p, sqrt
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import ConfigError, DomainError
from tacit.primitive.dp.event import (
    ComposedEvent,
    ConcentratedEvent,
    DiscreteGaussianEvent,
    DiscreteLaplaceEvent,
    Event,
    GaussianEvent,
    LaplaceEvent,
    PoissonSampledEvent,
    PureEvent,
    RepeatedEvent,
    gaussian_grid_distance,
    laplace_grid_distance,
)
from tacit.primitive.dp.library import accounting, special
from tacit.primitive.dp.require import not_negative, probability, whole

ORDERS: tuple[float, ...] = (
    *(1 + x / 10.0 for x in range(1, 100)),
    *(float(x) for x in range(11, 64)),
    *(2.0**i for i in range(6, 16)),
)
INTERVAL = 1e-4
ROUNDS = 200


class Accountant(ABC):
    """What was composed so far; a value. `pure` is the plain sum of epsilons at delta zero, a bound as well; inf if none."""

    distance: float
    pure: float

    @abstractmethod
    def compose(self, event: Event, count: int = 1) -> Self:
        """The account after `count` more such events. Raises: ConfigError for an event that this accountant cannot take."""

    @abstractmethod
    def _ideal_epsilon(self, delta: float) -> float:
        """Epsilon of the ideal mechanisms; inf where there is none."""

    @abstractmethod
    def _ideal_delta(self, epsilon: float) -> float:
        """Delta of the ideal mechanisms."""

    def delta(self, epsilon: float) -> float:
        """The least delta this accountant can show for an epsilon."""
        epsilon = not_negative("epsilon", epsilon)
        if self.pure <= epsilon:
            return 0.0
        return min(1.0, self._ideal_delta(epsilon) + (1 + exp(min(epsilon, 700.0))) * self.distance)

    def epsilon(self, delta: float) -> float:
        """The least epsilon this accountant can show for a delta; inf where there is none."""
        return min(self.pure, self._with_distance(probability("delta", delta)))

    def _with_distance(self, delta: float) -> float:
        epsilon = self._ideal_epsilon(delta)
        if not self.distance:
            return epsilon
        for _ in range(
            ROUNDS
        ):  # what the distances take of delta grows with epsilon, so this rises to the least solution
            left = delta - (1 + exp(min(epsilon, 700.0))) * self.distance
            if not isfinite(epsilon) or left <= 0:
                return inf
            larger = self._ideal_epsilon(left)
            if larger <= epsilon:
                return epsilon
            epsilon = larger * (1 + 1e-12)
        return inf


@final
@dataclass(frozen=True)
class Rdp(Accountant):
    """Rényi differential privacy at fixed orders, by dp-accounting. Source: Mironov 2017; conversion of its `compute_epsilon`."""

    curve: tuple[float, ...] = (0.0,) * len(ORDERS)
    distance: float = 0.0
    pure: float = 0.0

    def compose(self, event: Event, count: int = 1) -> Rdp:
        """Add the event's divergences."""
        whole("count", count)
        added = _rdp(event)
        return Rdp(
            tuple(a + count * b for a, b in zip(self.curve, added, strict=True)),
            self.distance + count * event.distance,
            self.pure + count * pure_epsilon(event),
        )

    def _ideal_epsilon(self, delta: float) -> float:
        if not any(self.curve):
            return 0.0
        return float(accounting().rdp.rdp_privacy_accountant.compute_epsilon(ORDERS, np.array(self.curve), delta)[0])

    def _ideal_delta(self, epsilon: float) -> float:
        if not any(self.curve):
            return 0.0
        return float(accounting().rdp.rdp_privacy_accountant.compute_delta(ORDERS, np.array(self.curve), epsilon)[0])


@final
@dataclass(frozen=True)
class Gdp(Accountant):
    """Gaussian differential privacy: everything is at least as private as one Gaussian of noise multiplier 1 / mu.

    Computes: mu of a composition is the root of the sum of squares. A Gaussian event has mu = 1 / noise_multiplier; an
        (epsilon, 0)-private one has mu = -2 q(1 / (1 + e**epsilon)), q the normal quantile: the trade-off curve of that mu
        meets the pure one in (0, 1), (1, 0) and their common fixed point, and is convex, so it lies below.
    Source: Dong, Roth, Su 2022 (Gaussian differential privacy); the conversion is that of Balle and Wang 2018.
    """

    mu: float = 0.0
    distance: float = 0.0
    pure: float = 0.0

    def compose(self, event: Event, count: int = 1) -> Gdp:
        """Add the square of the event's mu."""
        whole("count", count)
        return Gdp(
            hypot(self.mu, sqrt(count) * _mu(event)),
            self.distance + count * event.distance,
            self.pure + count * pure_epsilon(event),
        )

    def _ideal_epsilon(self, delta: float) -> float:
        if not self.mu:
            return 0.0
        if not delta:
            return inf
        if delta >= 1.0:
            return 0.0
        if self._ideal_delta(0.0) <= delta:
            return 0.0
        return float(accounting().get_epsilon_gaussian(1 / self.mu, delta))

    def _ideal_delta(self, epsilon: float) -> float:
        if not self.mu:
            return 0.0
        first = float(special().log_ndtr(-epsilon / self.mu + self.mu / 2))
        second = epsilon + float(special().log_ndtr(-epsilon / self.mu - self.mu / 2))
        return exp(first) * -expm1(min(0.0, second - first))


@final
@dataclass(frozen=True)
class Pld(Accountant):
    """Privacy loss distributions on a grid of `interval`, rounded to the pessimistic side, by dp-accounting.

    Source: Doroshenko et al. 2022 (Connect the dots); Koskela et al. 2020.
    """

    interval: float = INTERVAL
    loss: Any = field(default=None, repr=False, compare=False)
    distance: float = 0.0
    pure: float = 0.0

    def compose(self, event: Event, count: int = 1) -> Pld:
        """Convolve with the event's losses."""
        whole("count", count)
        added, extra = _pld(event, self.interval)
        sums = {"distance": self.distance + count * extra, "pure": self.pure + count * pure_epsilon(event)}
        if added is None:
            return replace(self, **sums)
        added = added if count == 1 else added.self_compose(count)
        loss = added if self.loss is None else self.loss.compose(added)
        return replace(self, loss=loss, **sums)

    def _ideal_epsilon(self, delta: float) -> float:
        return 0.0 if self.loss is None else max(0.0, float(self.loss.get_epsilon_for_delta(delta)))

    def _ideal_delta(self, epsilon: float) -> float:
        return 0.0 if self.loss is None else float(self.loss.get_delta_for_epsilon(epsilon))


ACCOUNTANTS: dict[str, type[Rdp | Gdp | Pld]] = {"rdp": Rdp, "gdp": Gdp, "pld": Pld}


def accountant(name: str) -> Accountant:
    """A fresh accountant: "rdp", "gdp" or "pld"."""
    if name not in ACCOUNTANTS:
        raise ConfigError(f"accountants are {', '.join(ACCOUNTANTS)}; there is no {name!r}")
    return ACCOUNTANTS[name]()


def pure_epsilon(event: Event) -> float:
    """Epsilon at delta zero by adding up, inf where an event has none; see `LaplaceEvent` for what a distance does."""
    match event:
        case LaplaceEvent():
            return 1 / event.noise_multiplier
        case PureEvent() if not event.distance:
            return event.epsilon
        case DiscreteLaplaceEvent() if not event.distance:
            return event.sensitivity / event.scale
        case RepeatedEvent():
            return event.count * pure_epsilon(event.event)
        case ComposedEvent():
            return sum(pure_epsilon(part) for part in event.events)
        case PoissonSampledEvent():
            return log1p(event.probability * expm1(min(pure_epsilon(event.event), 700.0)))
        case _:
            return inf


# --- Rényi -------------------------------------------------------------------------------------------------------


@lru_cache(1024)
def _rdp(event: Event) -> tuple[float, ...]:
    """The event's divergence at every order."""
    orders = np.array(ORDERS)
    match event:
        case ComposedEvent():
            return tuple(map(sum, zip(*[_rdp(part) for part in event.events], strict=True))) or (0.0,) * len(ORDERS)
        case RepeatedEvent():
            return tuple((event.count * np.array(_rdp(event.event))).tolist())
        case ConcentratedEvent():
            return tuple((event.rho * orders).tolist())
        case DiscreteGaussianEvent():  # Canonne, Kamath, Steinke 2020, theorem 14
            return tuple((orders * event.sensitivity**2 / (2 * event.deviation**2)).tolist())
        case PureEvent():
            return tuple(_pure_rdp(event.epsilon).tolist())
        case DiscreteLaplaceEvent():
            return tuple(_discrete_laplace_rdp(1 / event.scale, event.sensitivity, orders).tolist())
        case GaussianEvent() | LaplaceEvent() | PoissonSampledEvent():
            return tuple(_library_rdp(event).tolist())


def _library_rdp(event: GaussianEvent | LaplaceEvent | PoissonSampledEvent) -> NDArray[np.float64]:
    library = accounting()
    book = library.rdp.RdpAccountant(ORDERS)
    shown = _library_event(event)
    if not book.supports(shown):
        raise ConfigError(
            f"the Rényi accountant cannot take a sampled {type(_inner(event)).__name__}. Use the one named pld."
        )
    return np.asarray(book.compose(shown).rdp, np.float64)


def _inner(event: Any) -> Any:
    return event.event if isinstance(event, PoissonSampledEvent) else event


def _library_event(event: GaussianEvent | LaplaceEvent | PoissonSampledEvent) -> Any:
    library = accounting()
    match event:
        case GaussianEvent():
            return library.GaussianDpEvent(event.noise_multiplier)
        case LaplaceEvent():
            return library.LaplaceDpEvent(event.noise_multiplier)
        case PoissonSampledEvent():
            return library.PoissonSampledDpEvent(event.probability, _library_event(event.event))


def _pure_rdp(epsilon: float) -> NDArray[np.float64]:
    """The largest divergences of an (epsilon, 0)-private mechanism: those of binary randomised response (Kairouz et al. 2015)."""
    orders = np.array(ORDERS)
    high, low = -log1p(exp(-epsilon)), -epsilon - log1p(exp(-epsilon))  # log probabilities of truth and lie
    total = np.logaddexp(orders * high + (1 - orders) * low, orders * low + (1 - orders) * high)
    return np.clip(total / (orders - 1), 0.0, epsilon)


def _discrete_laplace_rdp(rate: float, shift: int, orders: NDArray[np.float64]) -> NDArray[np.float64]:
    """sum over x of p(x)**order p(x - shift)**(1 - order), by three geometric series: left of both centres, right, between."""
    series = -np.log(-np.expm1(-rate))
    left = rate * shift * (orders - 1) + series
    right = -rate * orders * shift + series
    slope = rate * (1 - 2 * orders)  # between: exp(rate (order - 1) shift + slope x) for x = 1, ..., shift - 1
    with np.errstate(divide="ignore"):
        between = (
            rate * (orders - 1) * shift + slope + np.log1p(-np.exp(slope * (shift - 1))) - np.log(-np.expm1(slope))
        )
    total = np.logaddexp(np.logaddexp(left, right), between) + log(np.tanh(rate / 2))
    return np.clip(total / (orders - 1), 0.0, rate * shift)


# --- Gaussian ----------------------------------------------------------------------------------------------------


def _mu(event: Event) -> float:
    match event:
        case GaussianEvent():
            return 1 / event.noise_multiplier
        case PureEvent() | LaplaceEvent() | DiscreteLaplaceEvent():
            return _mu_of_pure(pure_epsilon(replace(event, distance=0.0)))
        case RepeatedEvent():
            return sqrt(event.count) * _mu(event.event)
        case ComposedEvent():
            return hypot(*map(_mu, event.events))
        case _:
            raise ConfigError(
                f"the Gaussian accountant cannot take a {type(event).__name__}: it has no bound for it. Use rdp or pld."
            )


def _mu_of_pure(epsilon: float) -> float:
    return -2 * float(special().ndtri_exp(-epsilon - log1p(exp(-epsilon))))


# --- privacy loss distributions ----------------------------------------------------------------------------------


@lru_cache(256)
def _pld(event: Event, interval: float) -> tuple[Any, float]:
    """The event's loss distribution (None for no loss at all), and its distance."""
    losses = accounting().pld.privacy_loss_distribution
    match event:
        case ComposedEvent():
            total, distance = None, 0.0
            for part in event.events:
                loss, extra = _pld(part, interval)
                total = loss if total is None else total if loss is None else total.compose(loss)
                distance += extra
            return total, distance
        case RepeatedEvent():
            loss, distance = _pld(event.event, interval)
            return None if loss is None else loss.self_compose(event.count), event.count * distance
        case PureEvent():
            parameters = accounting().pld.common.DifferentialPrivacyParameters(event.epsilon, 0.0)
            made = losses.from_privacy_parameters(parameters, value_discretization_interval=interval)
        case LaplaceEvent():
            made = losses.from_laplace_mechanism(event.noise_multiplier, value_discretization_interval=interval)
        case DiscreteLaplaceEvent():
            return _discrete_laplace_pld(event, interval)
        case GaussianEvent():
            made = losses.from_gaussian_mechanism(event.noise_multiplier, value_discretization_interval=interval)
        case PoissonSampledEvent():
            made = _sampled_pld(event, interval)
        case DiscreteGaussianEvent():
            return _discrete_gaussian_pld(event, interval)
        case ConcentratedEvent():
            raise ConfigError("a zero-concentrated bound has no loss distribution. Use the accountant named rdp.")
    return made, event.distance


FINE, MANY = 2.0**18, 1 << 14


def _discrete_laplace_pld(event: DiscreteLaplaceEvent, interval: float) -> tuple[Any, float]:
    """Exact; on a fine grid as rounded Laplace noise, because the exact one takes time for every unit of the sensitivity.

    Of all ways to spread an L1 sensitivity over numbers, one number that moves by all of it is the worst: so one number's
    distance is what the rounding costs.
    """
    losses = accounting().pld.privacy_loss_distribution
    if event.scale >= FINE and event.sensitivity > MANY:
        made = losses.from_laplace_mechanism(event.scale / event.sensitivity, value_discretization_interval=interval)
        return made, event.distance + laplace_grid_distance(1.0, event.scale)
    made = losses.from_discrete_laplace_mechanism(
        1 / event.scale, event.sensitivity, value_discretization_interval=interval
    )
    return made, event.distance


def _sampled_pld(event: PoissonSampledEvent, interval: float) -> Any:
    losses = accounting().pld.privacy_loss_distribution
    if not event.probability:
        return None
    make = losses.from_gaussian_mechanism if isinstance(event.event, GaussianEvent) else losses.from_laplace_mechanism
    return make(event.event.noise_multiplier, value_discretization_interval=interval, sampling_prob=event.probability)


COARSE = 2.0**-20


def _discrete_gaussian_pld(event: DiscreteGaussianEvent, interval: float) -> tuple[Any, float]:
    """One number: exact. Several: as rounded Gaussian noise, which fine grids are within a tiny distance of."""
    losses = accounting().pld.privacy_loss_distribution
    if event.dimensions == 1 and float(event.sensitivity).is_integer() and event.deviation <= 2.0**16:
        made = losses.from_discrete_gaussian_mechanism(
            event.deviation, int(event.sensitivity), value_discretization_interval=interval
        )
        return made, event.distance
    grid = event.dimensions * gaussian_grid_distance(1.0, event.deviation)
    if grid > COARSE:
        raise ConfigError(
            f"{event.dimensions} discrete Gaussians of deviation {event.deviation:g} have no loss distribution that is known "
            "here. Use the accountant named rdp, or a finer grid."
        )
    multiplier = event.deviation / event.sensitivity
    return losses.from_gaussian_mechanism(multiplier, value_discretization_interval=interval), event.distance + grid


def require_delta(delta: float) -> float:
    """A delta in [0, 1). Raises: DomainError."""
    if probability("delta", delta) >= 1.0:
        raise DomainError("a delta of 1 promises nothing")
    return float(delta)
