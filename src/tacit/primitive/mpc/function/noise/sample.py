"""Samplers: from shared words to shared noise.

Each takes the words of two or more parties, [noise.uniforms, *shape] from each, see `uniform.py`. With `bits` the noise is
a real on the grid 2**-bits and its scale is in the real's units, so it can be added to a `Fixed` of as many bits as it is;
without, it is an integer.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from tacit.primitive.driver import gather
from tacit.primitive.mpc.function.contract import contract
from tacit.primitive.mpc.function.elementary.opening import steps
from tacit.primitive.mpc.function.noise.distribution import DiscreteGaussian, DiscreteLaplace, Noise
from tacit.primitive.mpc.function.noise.uniform import below, reduced, share_words, span, summed
from tacit.primitive.mpc.function.operand import Number, wrap
from tacit.primitive.mpc.kernel import Arith, Kernel, Shape
from tacit.primitive.mpc.value import Integer

WORDS = "words of two or more parties, uniform on [0, span(parties)), of which nobody knows all"
DISTANCE = "within `distance` of the ideal distribution, at most 2**-40"


@contract(domain=WORDS, error=DISTANCE)
async def discrete_laplace(k: Kernel, *words: Integer, scale: float, bits: int | None = None) -> Number:
    """Noise with P(x) proportional to exp(-|x| / scale), which no party knows.

    Computes: two geometric variables, digit by digit: each digit is one comparison of a uniform number with a public
        threshold. See `DiscreteLaplace`.
    Reveals: nothing. Costs: 2 m - 1 `negative`s of `uniforms` elements for m parties, side by side, then one `compose`.
    Error: `DiscreteLaplace(scale in units of the grid).distance()`, below 2**-54. Raises: DomainError, ShapeError.
    Source: Dwork et al. 2006 (Our data, ourselves), digits of a geometric variable; the tables are ours.
    """
    return await _laplace(k, words, DiscreteLaplace(_on_grid(scale, bits)), bits)


@contract(domain=WORDS, error=DISTANCE)
async def discrete_gaussian(k: Kernel, *words: Integer, deviation: float, bits: int | None = None) -> Number:
    """Noise with P(x) proportional to exp(-x**2 / (2 deviation**2)), which no party knows.

    Computes: for each of few small variables a magnitude, by one comparison of a uniform number with each of its public
        thresholds, and a fair sign; then their weighted sum. See `DiscreteGaussian`.
    Reveals: nothing. Costs: per level m - 1 `negative`s and `lift`s, then `magnitudes` `negative`s and `lift`s; beside them
        2 m - 1 `negative`s; then one `gate`.
    Error: `DiscreteGaussian(deviation in units of the grid).distance()`, below 2**-47. Raises: DomainError, ShapeError.
    Source: Canonne, Kamath, Steinke 2020 (the distribution); inverse table and convolution, see `DiscreteGaussian`.
    """
    return await _gaussian(k, words, DiscreteGaussian(_on_grid(deviation, bits)), bits)


async def sample(
    k: Kernel, noise: Noise, shape: Shape, owners: Sequence[str], me: str, *, bits: int | None = None
) -> Number:
    """Draw shared noise of a shape: fresh words of the owners, then the sampler.

    `noise` counts in units of the grid 2**-bits (integers without `bits`), so `noise.distance()` holds as it stands.
    Reveals: nothing. Costs: those of `share_words` and of the sampler.
    """
    words = await share_words(k, owners, me, (noise.uniforms, *shape))
    if isinstance(noise, DiscreteLaplace):
        return await _laplace(k, words, noise, bits)
    return await _gaussian(k, words, noise, bits)


def _on_grid(scale: float, bits: int | None) -> float:
    return float(scale) * 2.0 ** (bits or 0)


async def _laplace(k: Kernel, words: Sequence[Integer], noise: DiscreteLaplace, bits: int | None) -> Number:
    total = summed(k, words, noise.uniforms)
    shape = total.shape[1:]
    digits = np.array(noise.thresholds(span(len(words))) * 2, np.uint64)
    drawn = await below(k, total, len(words), np.broadcast_to(digits.reshape(-1, *[1] * len(shape)), total.shape))
    # [2, digits, ...] -> [..., 2, digits], which `compose` reads as two numbers
    ordered = k.rearrange(lambda b: np.moveaxis(b.reshape(2, noise.digits, *shape), (0, 1), (-2, -1)), drawn)
    pair = await k.compose(ordered)
    return wrap(k.linear(lambda s: s[..., 0] - s[..., 1], pair), bits)


async def _gaussian(k: Kernel, words: Sequence[Integer], noise: DiscreteGaussian, bits: int | None) -> Number:
    total = summed(k, words, noise.uniforms)
    parties, levels = len(words), noise.levels
    modulus = span(parties)
    half = np.full((levels, *total.shape[1:]), modulus // 2, np.uint64)
    magnitude, sign = await gather(
        _magnitude(k, k.linear(lambda s: s[:levels], total), noise, parties),
        below(k, k.linear(lambda s: s[levels:], total), parties, half),
    )
    negated = await k.gate(sign, magnitude)
    weights = np.array([noise.step**i for i in range(levels)], np.uint64).reshape(-1, *[1] * (len(total.shape) - 1))
    share = k.linear(lambda m, n: ((m - 2 * n) * weights).sum(axis=0, dtype=np.uint64), magnitude, negated)
    return wrap(share, bits)


async def _magnitude(k: Kernel, total: Arith, noise: DiscreteGaussian, parties: int) -> Arith:
    """The number of thresholds that the uniform number reaches."""
    uniform = await reduced(k, total, parties)
    thresholds = noise.thresholds(span(parties))
    if not thresholds or not prod(uniform.shape):
        return k.linear(np.zeros_like, uniform)
    where = await steps(k, uniform, thresholds)
    return where.curve(k, list(range(len(thresholds) + 1)))
