"""Noise that several parties make together, each adding a share of its own, and what secret noise in MPC costs.

Shares of noise need no protocol: each party adds its share to its own input, and the shares only meet in the sum. The
promise rests on an assumption that is stated and paid for: at least `honest` of the parties draw their shares as they
should and tell nobody. The shares of so many suffice; those of the others are a surplus, whose price is `variance`. Where no
party may know any part of the noise, draw it in MPC instead (`tacit.primitive.mpc.function.noise`), priced by
`secret_noise_event`.
"""

from __future__ import annotations

import secrets
from bisect import bisect_right
from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cached_property, lru_cache
from math import exp, pi, sqrt
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import ConfigError, DomainError
from tacit.primitive.dp.event import ConcentratedEvent, DiscreteGaussianEvent, DiscreteLaplaceEvent
from tacit.primitive.dp.gaussian import discrete_gaussian_noise
from tacit.primitive.dp.require import integers, positive, whole
from tacit.primitive.mpc.function.noise import DiscreteGaussian, DiscreteLaplace, Noise, span

TABLE_BITS = 128
CUT_BITS = 64
MOST_ENTRIES = 1 << 18


@final
@dataclass(frozen=True)
class LaplaceShares:
    """Shares whose sum over `honest` parties is discrete Laplace noise of `scale`.

    Computes: a party's share is the difference of two Pólya variables, P(k) proportional to G(k + 1/h) / k! a**k with
        a = exp(-1 / scale): h of them sum to a geometric variable each, so h shares to the noise.
    Costs: epsilon = sensitivity / scale for an integer L1 sensitivity, while at least `honest` of `parties` are honest.
        Against the noise of one trusted party, the sum has parties / honest times the variance.
    Error: tables of 128 bits, cut below 2**-64 of probability: part of the event.
    Raises: DomainError, ConfigError. Source: Ács and Castelluccia 2011; Goryczka and Xiong 2017.
    """

    name: ClassVar[str] = "discrete laplace, by shares"
    scale: float
    sensitivity: int
    parties: int
    honest: int
    size: int = 1

    def __post_init__(self) -> None:
        positive("scale", self.scale)
        positive("sensitivity", self.sensitivity)
        whole("sensitivity", self.sensitivity)
        _check_parties(self.parties, self.honest)
        whole("size", self.size)
        if self.scale * CUT_BITS > MOST_ENTRIES:
            raise DomainError(
                f"shares of Laplace noise go up to scale {MOST_ENTRIES // CUT_BITS}, not {self.scale:g}. Coarsen the values."
            )

    @cached_property
    def event(self) -> DiscreteLaplaceEvent:
        """What the release of the sum costs under the assumption."""
        distance = self.size * self.honest * 2 * (2.0**-CUT_BITS + MOST_ENTRIES * 2.0**-TABLE_BITS)
        return DiscreteLaplaceEvent(self.scale, self.sensitivity, distance)

    @property
    def variance(self) -> float:
        """Of the sum, when all parties are honest."""
        a = exp(-1 / self.scale)
        return 2 * a / (1 - a) ** 2 * self.parties / self.honest

    def share(self, value: Any, /) -> NDArray[np.int64]:
        """One party's input with its share of the noise added; to be given to a secure sum, and to nobody in clear."""
        array = _of_size(value, self.size)
        table = _polya_table(self.scale, self.honest)
        noise = [_drawn(table) - _drawn(table) for _ in range(array.size)]
        return array + np.array(noise, np.int64).reshape(array.shape)


@final
@dataclass(frozen=True)
class GaussianShares:
    """Shares whose sum over `honest` parties is all but discrete Gaussian noise of `deviation`.

    Computes: a party's share is discrete Gaussian of deviation / sqrt(honest). Sums of these are not discrete Gaussian, and
        what that costs is in the event.
    Costs: with s = deviation / sqrt(h) and t = 10 sum over 0 < k < h of exp(-2 pi**2 s**2 k / (k + 1)): e**2 / 2
        zero-concentrated, e = min(sqrt(D**2 / deviation**2 + t size / 2), D / deviation + t sqrt(size)), for an L2 sensitivity
        D. The sum has parties / honest times the variance that one trusted party would add.
    Error: none: exact sampling. Raises: DomainError, ConfigError. Source: Kairouz, Liu, Steinke 2021, theorem 1.
    """

    name: ClassVar[str] = "discrete gaussian, by shares"
    deviation: float
    sensitivity: float
    parties: int
    honest: int
    size: int = 1

    def __post_init__(self) -> None:
        positive("deviation", self.deviation)
        positive("sensitivity", self.sensitivity)
        _check_parties(self.parties, self.honest)
        whole("size", self.size)
        if self.each < 0.5:
            raise DomainError(
                f"each share would have a deviation of {self.each:.3g}; below 1/2 its sum is far from Gaussian. Use a finer grid."
            )

    @property
    def each(self) -> float:
        """The deviation of one share."""
        return self.deviation / sqrt(self.honest)

    @cached_property
    def event(self) -> ConcentratedEvent | DiscreteGaussianEvent:
        """What the release of the sum costs under the assumption."""
        if self.honest == 1:
            return DiscreteGaussianEvent(self.deviation, self.sensitivity, self.size)
        t = 10 * sum(exp(-2 * pi**2 * self.each**2 * k / (k + 1)) for k in range(1, self.honest))
        ratio = self.sensitivity / self.deviation
        epsilon = min(sqrt(ratio**2 + t * self.size / 2), ratio + t * sqrt(self.size))
        return ConcentratedEvent(epsilon**2 / 2)

    @property
    def variance(self) -> float:
        """Of the sum, when all parties are honest; an upper bound."""
        return self.each**2 * self.parties

    def share(self, value: Any, /) -> NDArray[np.int64]:
        """One party's input with its share of the noise added; to be given to a secure sum, and to nobody in clear."""
        return discrete_gaussian_noise(self.each, _of_size(value, self.size))


def secret_noise_event(
    noise: Noise, sensitivity: float, *, size: int = 1, parties: int = 2
) -> DiscreteLaplaceEvent | DiscreteGaussianEvent:
    """What a release costs whose `size` numbers carry noise drawn in MPC from the words of so many parties.

    `sensitivity` is in units of the grid the noise is on (of 2**-bits for reals), L1 for Laplace and L2 for Gaussian noise; it
    is that of what the protocol computes, so every unit by which a truncation may err counts twice.
    """
    distance = whole("size", size) * noise.distance(span(parties))
    if isinstance(noise, DiscreteLaplace):
        positive("sensitivity", sensitivity)
        if not float(sensitivity).is_integer():
            raise DomainError(f"the L1 sensitivity of integers is an integer, not {sensitivity}. Round it up.")
        return DiscreteLaplaceEvent(noise.scale, int(sensitivity), distance)
    assert isinstance(noise, DiscreteGaussian)
    return DiscreteGaussianEvent(noise.deviation, positive("sensitivity", sensitivity), size, distance)


def _check_parties(parties: int, honest: int) -> None:
    if whole("honest", honest) > whole("parties", parties):
        raise ConfigError(f"{honest} of {parties} parties cannot be honest")


def _of_size(value: Any, size: int) -> NDArray[np.int64]:
    array = integers("value", value)
    if array.size != size:
        raise DomainError(f"these shares were made for {size} numbers, not for {array.size}")
    return array


@lru_cache(8)
def _polya_table(scale: float, honest: int) -> list[int]:
    """Cumulative probabilities of the Pólya variable in units of 2**-128, until less than 2**-64 is left."""
    with localcontext() as context:
        context.prec = 60
        a = (-1 / Decimal(scale)).exp()
        shape = Decimal(1) / honest
        term = (shape * (1 - a).ln()).exp()
        reached = Decimal(0)
        table: list[int] = []
        unit, slack = Decimal(2) ** TABLE_BITS, Decimal(2) ** -CUT_BITS
        while True:
            reached += term
            if 1 - reached < slack:
                return table
            table.append(int(reached * unit))
            term *= a * (len(table) - 1 + shape) / len(table)


def _drawn(table: list[int]) -> int:
    return bisect_right(table, secrets.randbits(TABLE_BITS))
