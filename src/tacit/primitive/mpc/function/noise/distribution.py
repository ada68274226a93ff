"""The public side of secret noise: thresholds, coefficients, and how far the result is from the ideal distribution.

All tables are computed in decimal arithmetic of 60 digits, so that every party computes the same, on every machine.
Distances are total variation distances of one drawn number: a mechanism whose d numbers are each within `distance` of the
ideal (epsilon, delta)-private one is (epsilon, delta + d * distance * (1 + e**epsilon))-private.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import lru_cache
from math import exp, isfinite, pi, sqrt
from typing import TypeAlias, final

from tacit.foundation.errors import DomainError

DIGITS = 60
SLACK = Decimal(2) ** -62
"""What a table may cut off its distribution's tail."""
SMOOTHING = 1.45
"""Base deviation over that of the coarse part: see `DiscreteGaussian`. 2 exp(-2 pi**2 1.45**2) < 2**-58."""
LARGEST_SCALE = 2.0**50
SMALLEST_SCALE = 2.0**-6
MOST_LEVELS = 24


@final
@dataclass(frozen=True)
class DiscreteLaplace:
    """P(x) proportional to exp(-|x| / scale) on the integers, as the difference of two geometric variables.

    A geometric variable's binary digits are independent: digit i is 1 with probability 1 / (1 + exp(2**i / scale)). So each
    digit is one comparison of a uniform number with a public threshold, and `digits` of them leave a tail below 2**-62.
    """

    scale: float

    def __post_init__(self) -> None:
        _check("scale", self.scale)

    @property
    def digits(self) -> int:
        """Binary digits of each geometric variable: exp(-2**digits / scale) <= 2**-62."""
        return max(1, int(43 * self.scale).bit_length())

    @property
    def uniforms(self) -> int:
        """Uniform numbers for one draw."""
        return 2 * self.digits

    def distance(self, modulus: int = 2**61) -> float:
        """Total variation distance of one draw from the ideal.

        Two tails, and for each digit a probability rounded to a multiple of 1 / modulus.
        """
        tail = exp(-(2.0**self.digits) / self.scale)
        return 2 * (tail + self.digits * 0.5 / modulus)

    def thresholds(self, modulus: int) -> tuple[int, ...]:
        """Digit i is 1 where a uniform number of [0, modulus) lies below threshold i."""
        return _digit_thresholds(self.scale, self.digits, modulus)


@final
@dataclass(frozen=True)
class DiscreteGaussian:
    """P(x) proportional to exp(-x**2 / (2 deviation**2)) on the integers, as sum_i step**i x_i of small such variables.

    Why that is allowed: for x of deviation a and y of deviation b, P(x + K y = z) is proportional to
    exp(-z**2 / (2 c**2)) with c**2 = a**2 + K**2 b**2, times the sum over j of exp(-(j - u_z)**2 / (2 r**2)) with r = a b / c.
    By Poisson summation that sum lies within a factor 1 +- e of a constant, e = 2 exp(-2 pi**2 r**2) (1 + 2**-20); so the
    result is within e / (1 - e) of the discrete Gaussian. r >= a / sqrt(1 + K**2) >= SMOOTHING keeps e below 2**-58.
    Source: Peikert 2010 (eprint 2010/088), Micciancio and Walter 2017 (eprint 2017/259).
    """

    deviation: float

    def __post_init__(self) -> None:
        _check("deviation", self.deviation)

    @property
    def levels(self) -> int:
        """How many small variables are summed."""
        return _plan(self.deviation)[0]

    @property
    def step(self) -> int:
        """The ratio of their weights."""
        return _plan(self.deviation)[1]

    @property
    def base(self) -> float:
        """The deviation of each."""
        return _plan(self.deviation)[2]

    @property
    def magnitudes(self) -> int:
        """Thresholds for each small variable: its absolute value runs from 0 to this; what lies beyond is below 2**-62."""
        return len(_magnitude_thresholds(self.base, 2**61))

    @property
    def uniforms(self) -> int:
        """Uniform numbers for one draw: a magnitude and a sign for each level."""
        return 2 * self.levels

    def distance(self, modulus: int = 2**61) -> float:
        """Total variation distance of one draw from the ideal: tables cut and rounded, and the sum's own."""
        e = 2 * exp(-2 * pi**2 * (self.base**2 / (1 + self.step**2))) * (1 + 2.0**-20) if self.levels > 1 else 0.0
        table = float(SLACK) + self.magnitudes * 0.5 / modulus
        return self.levels * (table + e / (1 - e))

    def thresholds(self, modulus: int) -> tuple[int, ...]:
        """|x_i| is the number of thresholds that a uniform number of [0, modulus) reaches."""
        return _magnitude_thresholds(self.base, modulus)


Noise: TypeAlias = DiscreteLaplace | DiscreteGaussian


def _check(name: str, value: float) -> None:
    if not isfinite(value) or not SMALLEST_SCALE <= value <= LARGEST_SCALE:
        raise DomainError(
            f"the {name} of secret noise must lie between 2**-6 and 2**50 units of the last place, not {value}. "
            "Choose other fraction bits, or another scale."
        )


@lru_cache(256)
def _digit_thresholds(scale: float, digits: int, modulus: int) -> tuple[int, ...]:
    with localcontext() as context:
        context.prec = DIGITS
        rate = 1 / Decimal(scale)
        return tuple(_rounded(1 / (1 + (rate * 2**i).exp()), modulus) for i in range(digits))


@lru_cache(256)
def _magnitude_thresholds(deviation: float, modulus: int) -> tuple[int, ...]:
    """Cumulative probabilities of |x|, until what is left is below `SLACK`."""
    with localcontext() as context:
        context.prec = DIGITS
        rate = -1 / (2 * Decimal(deviation) ** 2)
        weights = [Decimal(1)]
        while weights[-1] > SLACK / 1000:
            weights.append(2 * (rate * len(weights) ** 2).exp())
        total = sum(weights)
        thresholds = []
        reached = Decimal(0)
        for weight in weights:
            reached += weight / total
            if 1 - reached < SLACK / 2:
                break
            thresholds.append(_rounded(reached, modulus))
        return tuple(thresholds)


def _rounded(probability: Decimal, modulus: int) -> int:
    return int((probability * modulus).to_integral_value())


@lru_cache(256)
def _plan(deviation: float) -> tuple[int, int, float]:
    """(levels, step, base): the cheapest sum of this deviation whose distance is small; one level where that is cheapest."""
    best = (1, 1, deviation)
    for levels in range(2, MOST_LEVELS + 1):
        step = 2
        while True:
            base = deviation / sqrt(sum(step ** (2 * i) for i in range(levels)))
            if base < SMOOTHING * sqrt(1 + step**2):
                break
            if levels * (base + 2) < best[0] * (best[2] + 2):
                best = (levels, step, base)
            step += 1
            if step > 64:  # larger steps need larger bases, which more levels make unnecessary
                break
    return best
