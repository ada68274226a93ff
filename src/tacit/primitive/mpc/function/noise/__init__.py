"""Noise that no party knows: discrete Laplace and discrete Gaussian, drawn on shares.

Read from below: `uniform.py` (secret uniform numbers from words that the parties draw privately, and comparisons of them
with public thresholds), `distribution.py` (the public tables: thresholds, coefficients, and the statistical distance to the
ideal distribution), `sample.py` (the samplers).

Privacy is what the caller makes of it: `tacit.primitive.dp` has the events that price this noise.
"""

from __future__ import annotations

from tacit.primitive.mpc.function.noise.distribution import DiscreteGaussian, DiscreteLaplace, Noise
from tacit.primitive.mpc.function.noise.sample import discrete_gaussian, discrete_laplace, sample
from tacit.primitive.mpc.function.noise.uniform import private_words, share_words, span

__all__ = [
    "DiscreteGaussian",
    "DiscreteLaplace",
    "Noise",
    "discrete_gaussian",
    "discrete_laplace",
    "private_words",
    "sample",
    "share_words",
    "span",
]
