"""Laplace noise on reals and on integers.

Reals never meet floating-point noise, whose low bits give the true value away (Mironov 2012): OpenDP rounds them to a grid,
adds discrete Laplace noise there exactly, with rational arithmetic and the operating system's entropy, and only then
returns to floating point. The grid is 2**-30 of the scale or finer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import floor, log2
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import DomainError
from tacit.primitive.dp.event import DiscreteLaplaceEvent, LaplaceEvent, laplace_grid_distance
from tacit.primitive.dp.library import opendp
from tacit.primitive.dp.mechanism import Release
from tacit.primitive.dp.require import integers, positive, reals, whole

GRID_BITS = 30
"""Binary digits between a real mechanism's scale and its grid."""
LARGEST_INTEGER_SCALE = 2.0**40


@final
@dataclass(frozen=True)
class LaplaceMechanism:
    """Adds Laplace noise to reals.

    Computes: x + noise of density exp(-|z| / scale) / (2 scale) for each of `size` numbers, float64.
    Costs: epsilon = sensitivity / scale and 2**-29 more, for an L1 sensitivity over all numbers together.
    Error: drawn on a grid, within 2**-63 per number of rounded Laplace noise: part of the event.
    Raises: DomainError. Source: Dwork, McSherry, Nissim, Smith 2006; OpenDP `make_laplace`.
    """

    name: ClassVar[str] = "laplace"
    scale: float
    sensitivity: float
    size: int = 1

    def __post_init__(self) -> None:
        positive("scale", self.scale)
        positive("sensitivity", self.sensitivity)
        whole("size", self.size)

    @cached_property
    def event(self) -> LaplaceEvent:
        """What one release costs: what OpenDP proves for the grid."""
        epsilon = self._measurement.map(float(self.sensitivity))
        distance = self.size * laplace_grid_distance(2.0 ** grid_exponent(self.scale), self.scale)
        return LaplaceEvent(1 / epsilon, distance)

    def release(self, value: Any, /) -> Release[NDArray[np.float64]]:
        """The noisy numbers, in the shape of `value`."""
        array = sized(reals("value", value), self.size)
        noisy = self._measurement(array.reshape(-1).tolist())
        return Release(np.array(noisy, np.float64).reshape(array.shape), self.event)

    @cached_property
    def _measurement(self) -> Any:
        dp = opendp()
        domain = dp.vector_domain(dp.atom_domain(T=float, nan=False), size=self.size)
        return dp.m.make_laplace(domain, dp.l1_distance(T=float), scale=float(self.scale), k=grid_exponent(self.scale))


@final
@dataclass(frozen=True)
class DiscreteLaplaceMechanism:
    """Adds discrete Laplace ("geometric") noise to integers.

    Computes: x + z with P(z) proportional to exp(-|z| / scale), int64, exactly.
    Costs: epsilon = sensitivity / scale, for an integer L1 sensitivity over all numbers together.
    Error: none. Raises: DomainError. Source: Ghosh, Roughgarden, Sundararajan 2009; sampler of Canonne, Kamath, Steinke 2020.
    """

    name: ClassVar[str] = "discrete laplace"
    scale: float
    sensitivity: int

    def __post_init__(self) -> None:
        if positive("scale", self.scale) > LARGEST_INTEGER_SCALE:
            raise DomainError(f"integer noise of scale {self.scale:g} would leave 64 bits. Use at most 2**40.")
        positive("sensitivity", self.sensitivity)
        whole("sensitivity", self.sensitivity)

    @cached_property
    def event(self) -> DiscreteLaplaceEvent:
        """What one release costs."""
        return DiscreteLaplaceEvent(self.scale, self.sensitivity)

    def release(self, value: Any, /) -> Release[NDArray[np.int64]]:
        """The noisy integers, in the shape of `value`."""
        array = integers("value", value)
        noisy = self._measurement(array.reshape(-1).tolist())
        return Release(np.array(noisy, np.int64).reshape(array.shape), self.event)

    @cached_property
    def _measurement(self) -> Any:
        dp = opendp()
        domain = dp.vector_domain(dp.atom_domain(T="i64"))
        return dp.m.make_laplace(domain, dp.l1_distance(T="i64"), scale=float(self.scale))


def grid_exponent(scale: float) -> int:
    """k such that the grid 2**k is at most 2**-30 of the scale."""
    return max(-1074, floor(log2(scale)) - GRID_BITS)


def sized(array: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The array, if it has as many numbers as was said when its cost was computed. Raises: DomainError."""
    if array.size != size:
        raise DomainError(
            f"this mechanism was made for {size} numbers and was given {array.size}. Set size={array.size}."
        )
    return array
