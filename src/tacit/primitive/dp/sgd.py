"""The private gradient step of DP-SGD: a Poisson sample, gradients clipped example by example, Gaussian noise on their sum.

Sums of floating-point numbers are not as sensitive as their terms are large: rounding depends on the other terms, and
noise added in floating point has telling low bits. So each clipped gradient is rounded towards zero to integers, which are
summed exactly, and the noise is an exact discrete Gaussian on the same grid.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import DomainError, ShapeError
from tacit.primitive.dp.event import GaussianEvent, PoissonSampledEvent, RepeatedEvent, gaussian_grid_distance
from tacit.primitive.dp.gaussian import discrete_gaussian_noise
from tacit.primitive.dp.mechanism import Release
from tacit.primitive.dp.require import positive, probability, whole

GRID = 2.0**-30
"""The grid of clipped gradients, in units of the clipping norm."""
MARGIN = 1 - 2.0**-24
"""Clipped norms stay this far below the bound, which covers the error of computing them for up to 2**26 parameters."""
MOST_PARAMETERS = 2**26
MOST_EXAMPLES = 2**24


@final
@dataclass(frozen=True)
class PrivateGradient:
    """The noisy sum of clipped gradients of a Poisson sample.

    Computes: for per-example gradients g_b (a pytree, each leaf with the examples along its first axis), sum over b of
        g_b min(1, norm / |g_b|) plus Gaussian noise of deviation noise_multiplier * norm in every of `size` coordinates.
        |g_b| is the L2 norm over all leaves. Divide by the expected sample, probability * records, never by the sample's
        own size, which is private.
    Costs: per step, a Gaussian event of `noise_multiplier`, amplified by the sampling probability. One record added or
        removed moves the sum by at most `norm`.
    Error: components are rounded towards zero to 2**-30 of the norm; the noise is within gaussian_grid_distance per coordinate
        of rounded Gaussian noise, part of the event. About 14 microseconds for each coordinate.
    Raises: DomainError, ShapeError. Source: Abadi et al. 2016; noise of Canonne, Kamath, Steinke 2020 by OpenDP.
    """

    name: ClassVar[str] = "private gradient"
    norm: float
    noise_multiplier: float
    size: int
    probability: float = 1.0

    def __post_init__(self) -> None:
        positive("norm", self.norm)
        if not 2.0**-8 <= positive("noise_multiplier", self.noise_multiplier) <= 2.0**10:
            raise DomainError(f"a noise multiplier lies between 2**-8 and 2**10, not {self.noise_multiplier}")
        if whole("size", self.size) > MOST_PARAMETERS:
            raise DomainError(f"{self.size} parameters are more than 2**26, for which the margin of clipping is shown")
        probability("probability", self.probability)

    @property
    def sensitivity(self) -> float:
        """The clipping norm."""
        return self.norm

    @cached_property
    def event(self) -> PoissonSampledEvent:
        """What one step costs."""
        distance = self.size * gaussian_grid_distance(GRID, self.noise_multiplier)
        return PoissonSampledEvent(GaussianEvent(self.noise_multiplier, distance), self.probability)

    def steps(self, count: int) -> RepeatedEvent:
        """What `count` steps cost."""
        return RepeatedEvent(self.event, count)

    def sample(self, records: int) -> NDArray[np.int64]:
        """The records of one step, each taken independently with `probability`, by the operating system's entropy.

        The sample is secret: whoever knows that a record was taken has no amplification. It may be empty.
        """
        words = np.frombuffer(os.urandom(8 * whole("records", records, 0)), np.uint64)
        bound = int(self.probability * 2**64)
        taken = words < np.uint64(bound) if bound < 2**64 else np.ones(words.shape, np.bool_)
        return np.flatnonzero(taken).astype(np.int64)

    def release(self, value: Any, /) -> Release[Any]:
        """The noisy sum, a pytree of float64 arrays of the parameters' shapes, from per-example gradients."""
        import jax

        leaves, tree = jax.tree_util.tree_flatten(value)
        arrays = [np.asarray(leaf, np.float64) for leaf in leaves]
        flat = _flat(arrays, self.size)
        clipped = clipped_integers(flat, self.norm)
        noisy = discrete_gaussian_noise(self.noise_multiplier / GRID, clipped.sum(axis=0, dtype=np.int64))
        total = noisy * (GRID * self.norm)
        shapes = [array.shape[1:] for array in arrays]
        ends = np.cumsum([prod(shape) for shape in shapes])[:-1]
        parts = [part.reshape(shape) for part, shape in zip(np.split(total, ends), shapes, strict=True)]
        return Release(jax.tree_util.tree_unflatten(tree, parts), self.event)


def clipped_integers(gradients: NDArray[np.float64], norm: float) -> NDArray[np.int64]:
    """Rows [examples, size] scaled to an L2 norm of at most `norm`, in units of GRID * norm, rounded towards zero.

    Each row's norm in these units is at most 1 / GRID, as integers. Raises: DomainError for NaN and infinity.
    """
    peak = np.max(np.abs(gradients), axis=1, keepdims=True, initial=0.0)
    if not np.all(np.isfinite(peak)):
        raise DomainError("a gradient is NaN or infinite. Lower the learning rate, or drop that example.")
    scaled = gradients / np.where(peak > 0, peak, 1.0)  # squares neither overflow nor vanish
    length = np.sqrt(np.sum(scaled * scaled, axis=1, keepdims=True))
    with np.errstate(over="ignore"):  # an overflow is a long gradient
        inside = np.where(peak * length < norm, gradients / norm, scaled / np.where(length > 0, length, 1.0))
    return np.trunc(inside * (MARGIN / GRID)).astype(np.int64)


def _flat(arrays: list[NDArray[np.float64]], size: int) -> NDArray[np.float64]:
    examples = {array.shape[0] if array.ndim else -1 for array in arrays}
    if len(examples) != 1 or -1 in examples:
        raise ShapeError("every leaf of per-example gradients has the same number of examples along its first axis")
    (count,) = examples
    if count > MOST_EXAMPLES:
        raise ShapeError(f"{count} examples in one step are more than 2**24. Take smaller samples.")
    flat = np.concatenate(
        [array.reshape(count, -1) if count else array.reshape(0, prod(array.shape[1:])) for array in arrays], axis=1
    )
    if flat.shape[1] != size:
        raise ShapeError(
            f"gradients have {flat.shape[1]} parameters; this step was made for {size}. Set size={flat.shape[1]}."
        )
    return flat
