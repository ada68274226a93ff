"""Noise that parties make together: the honest shares alone are the promised noise, and its price is stated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dp_fit import assert_from, discrete_laplace

from tacit.foundation.errors import ConfigError, DomainError
from tacit.primitive.dp import GaussianShares, LaplaceShares, Pld, Rdp, secret_noise_event
from tacit.primitive.dp.account import ORDERS
from tacit.primitive.dp.distributed import _polya_table
from tacit.primitive.mpc.function.noise import DiscreteGaussian, DiscreteLaplace, span

BAD = [0, -1, float("nan"), float("inf"), "1", None, 1.5j]


def gaussian_sum(each, count, reach):
    """The distribution of a sum of discrete Gaussians, on -count * reach, ..., count * reach."""
    x = np.arange(-reach, reach + 1)
    p = np.exp(-(x**2) / (2 * each**2))
    p /= p.sum()
    total = np.ones(1)
    for _ in range(count):
        total = np.convolve(total, p)
    return total


@pytest.mark.parametrize(("scale", "honest"), [(3.0, 2), (0.7, 3), (20.0, 5)])
def test_honest_laplace_shares_sum_to_the_noise(scale, honest):
    size = 20_000
    shares = LaplaceShares(scale, 1, parties=honest + 2, honest=honest, size=size)
    total = sum(shares.share(np.zeros(size, np.int64)) for _ in range(honest))
    assert_from(total, *discrete_laplace(scale, int(30 * scale) + 5))
    surplus = total + shares.share(np.zeros(size, np.int64)) + shares.share(np.zeros(size, np.int64))
    assert surplus.var() == pytest.approx(shares.variance, rel=0.25)
    assert shares.variance == pytest.approx(
        2 * math.exp(-1 / scale) / (1 - math.exp(-1 / scale)) ** 2 * (honest + 2) / honest
    )


def test_the_table_of_a_share_is_the_polya_distribution():
    table = _polya_table(4.0, 3)
    p = np.diff([0, *[t / 2**128 for t in table]])
    a, k = math.exp(-1 / 4.0), np.arange(len(p))
    exact = [math.exp(math.lgamma(i + 1 / 3) - math.lgamma(1 / 3) - math.lgamma(i + 1) + i * math.log(a)) for i in k]
    np.testing.assert_allclose(p, np.array(exact) * (1 - a) ** (1 / 3), rtol=1e-9, atol=1e-16)
    three = np.convolve(np.convolve(p, p), p)[: len(p)]
    np.testing.assert_allclose(three, (1 - a) * a**k, rtol=1e-9, atol=1e-14)
    assert 1 - table[-1] / 2**128 < 2**-63


def test_honest_gaussian_shares_are_distributed_as_their_convolution():
    size, honest, deviation = 20_000, 4, 6.0
    shares = GaussianShares(deviation, 1.0, parties=6, honest=honest, size=size)
    total = sum(shares.share(np.full(size, 5)) for _ in range(honest)) - 5 * honest
    p = gaussian_sum(deviation / 2, honest, 40)
    assert_from(total, range(-160, 161), p)
    assert shares.variance == pytest.approx(deviation**2 * 6 / 4)


@pytest.mark.parametrize("honest", [1, 2, 3, 6])
@pytest.mark.parametrize("each", [0.5, 0.6, 0.8, 2.0])
def test_the_stated_price_of_gaussian_shares_bounds_the_true_divergence(each, honest):
    """Rényi divergence of the sum from its shift, summed directly, at several orders."""
    deviation = each * math.sqrt(honest)
    shares = GaussianShares(deviation, 1.0, parties=honest, honest=honest)
    p = gaussian_sum(each, honest, int(30 * each) + 4)
    log_p = np.log(np.maximum(p, 1e-300))
    inner = slice(len(p) // 2 - int(12 * deviation), len(p) // 2 + int(12 * deviation) + 2)
    curve = Rdp().compose(shares.event)
    for order in (1.5, 2.0, 4.0, 9.0):
        shifted = np.roll(log_p, 1)
        terms = order * log_p + (1 - order) * shifted
        direct = np.logaddexp.reduce(terms[inner]) / (order - 1)
        stated = curve.curve[ORDERS.index(order)]
        assert direct <= stated * (1 + 1e-6) + 1e-9
        if each >= 2.0:
            assert stated <= direct * 1.02


def test_prices():
    laplace = LaplaceShares(4.0, 2, parties=5, honest=3, size=10).event
    assert (laplace.scale, laplace.sensitivity) == (4.0, 2)
    assert 0 < laplace.distance < 2**-55
    assert Pld().compose(laplace).epsilon(1e-9) == pytest.approx(0.5, rel=1e-3)
    wide = GaussianShares(40.0, 1.0, parties=5, honest=3).event
    assert wide.rho == pytest.approx(1 / (2 * 40.0**2), rel=1e-9)


def test_secret_noise_is_priced_with_its_distance():
    laplace = secret_noise_event(DiscreteLaplace(8.0), 2, size=100, parties=2)
    assert laplace.distance == pytest.approx(100 * DiscreteLaplace(8.0).distance(span(2)))
    assert laplace.distance < 100 * 2**-40
    gaussian = secret_noise_event(DiscreteGaussian(8.0), 1.5, size=10, parties=3)
    assert (gaussian.deviation, gaussian.sensitivity, gaussian.dimensions) == (8.0, 1.5, 10)
    assert Rdp().compose(gaussian).epsilon(1e-6) < 2.0
    with pytest.raises(DomainError, match="Round it up"):
        secret_noise_event(DiscreteLaplace(8.0), 1.5)
    for bad in (0, -1, float("nan"), float("inf")):
        for noise in (DiscreteLaplace(8.0), DiscreteGaussian(8.0)):
            with pytest.raises(DomainError):
                secret_noise_event(noise, bad)


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_numbers_that_mean_nothing_are_refused(bad):
    for made in ({"scale": bad}, {"sensitivity": bad}, {"parties": bad}, {"honest": bad}, {"size": bad}):
        with pytest.raises(DomainError):
            LaplaceShares(**{"scale": 1.0, "sensitivity": 1, "parties": 3, "honest": 2, **made})
        other = {"deviation": bad} if "scale" in made else made
        with pytest.raises(DomainError):
            GaussianShares(**{"deviation": 5.0, "sensitivity": 1.0, "parties": 3, "honest": 2, **other})


def test_assumptions_that_cannot_hold_are_refused():
    for made in (
        lambda: LaplaceShares(1.0, 1, parties=2, honest=3),
        lambda: GaussianShares(5.0, 1.0, parties=2, honest=3),
    ):
        with pytest.raises(ConfigError, match="3 of 2 parties"):
            made()
    with pytest.raises(DomainError, match="below 1/2"):
        GaussianShares(0.5, 1.0, parties=4, honest=4)
    with pytest.raises(DomainError, match="Coarsen"):
        LaplaceShares(1e5, 1, parties=2, honest=2)
    with pytest.raises(DomainError, match="made for 1 numbers"):
        LaplaceShares(1.0, 1, parties=2, honest=2).share([1, 2])
