"""Mechanisms: distributed as they say, priced as the libraries price them, and deaf to sensitivities that mean nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from dp_fit import assert_from, cells_of, discrete_gaussian, discrete_laplace
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tacit.foundation.errors import DomainError, MissingExtra
from tacit.primitive.dp import (
    DiscreteGaussianMechanism,
    DiscreteLaplaceMechanism,
    ExponentialMechanism,
    GaussianMechanism,
    LaplaceMechanism,
    Mechanism,
    RandomizedResponse,
    Release,
    library,
)
from tacit.primitive.dp.event import gaussian_grid_distance, laplace_grid_distance

MANY = 30_000
BAD = [0, 0.0, -1, -0.5, float("nan"), float("inf"), -float("inf"), "1", None, True, 10**400]


def test_discrete_laplace_is_discrete_laplace():
    for scale in (0.4, 3.0, 40.0):
        drawn = DiscreteLaplaceMechanism(scale, 1).release(np.full(MANY, 7)).value
        assert drawn.dtype == np.int64
        assert_from(drawn - 7, *discrete_laplace(scale, int(30 * scale) + 5))


def test_discrete_gaussian_is_discrete_gaussian():
    for deviation in (0.5, 3.0, 40.0):
        drawn = DiscreteGaussianMechanism(deviation, 1.0, MANY).release(np.full(MANY, -7)).value
        assert_from(drawn + 7, *discrete_gaussian(deviation, int(9 * deviation) + 5))


def test_laplace_and_gaussian_are_what_they_are_called():
    value = np.full(MANY, 1000.25)
    noise = LaplaceMechanism(2.0, 1.0, MANY).release(value).value - value
    assert_from(*cells_of(noise, lambda x: stats.laplace.cdf(x, scale=2.0)))
    noise = GaussianMechanism(2.0, 1.0, MANY).release(value).value - value
    assert_from(*cells_of(noise, lambda x: stats.norm.cdf(x, scale=2.0)))


def test_real_noise_lies_on_a_grid_that_does_not_depend_on_the_value():
    """What floating-point noise gives away (Mironov 2012): here every result is a multiple of one number."""
    for mechanism in (LaplaceMechanism(1.0, 1.0, 500), GaussianMechanism(1.0, 1.0, 500)):
        for value in (0.0, 1 / 3, math.pi):
            drawn = mechanism.release(np.full(500, value)).value * 2.0**30
            np.testing.assert_array_equal(drawn, np.round(drawn))


def test_exponential_picks_in_proportion():
    scores = np.array([0.0, 1.0, 2.0, 2.5])
    gumbel = ExponentialMechanism(1.5, 1.0)
    weight = np.exp(scores / 1.5)
    assert_from([gumbel.release(scores).value for _ in range(4000)], range(4), weight / weight.sum())
    flip = ExponentialMechanism(1.5, 1.0, noise="exponential")
    assert_from([flip.release(scores).value for _ in range(4000)], range(4), permute_and_flip(scores / 1.5))


def permute_and_flip(scores):
    """P(i wins) with exponential noise: the integral over the noise of the best."""
    x = np.linspace(0, 60, 200_001)
    result = []
    for i, own in enumerate(scores):
        others = np.ones_like(x)
        for j, other in enumerate(scores):
            if j != i:
                others *= np.clip(1 - np.exp(-(own + x - other)), 0, None) * (own + x > other)
        result.append(np.trapezoid(np.exp(-x) * others, x))
    return np.array(result) / sum(result)


def test_randomised_response_lies_as_often_as_it_says():
    for categories, truth in ((2, 0.7), (5, 0.4)):
        response = RandomizedResponse(truth, categories)
        answers = response.release(np.full(6000, 1)).value
        probabilities = np.full(categories, (1 - truth) / (categories - 1))
        probabilities[1] = truth
        assert_from(answers, range(categories), probabilities)
        assert response.event.epsilon == pytest.approx(math.log(truth * (categories - 1) / (1 - truth)), rel=1e-12)
        shares = response.frequencies(answers)
        assert abs(shares[1] - 1) < 8 * math.sqrt(response.variance / 6000)


@given(epsilon=st.floats(0.01, 8), categories=st.integers(2, 50))
def test_randomised_response_of_an_epsilon(epsilon, categories):
    assert RandomizedResponse.of(epsilon, categories).event.epsilon == pytest.approx(epsilon, rel=1e-9)


def test_prices_are_those_of_the_closed_forms():
    assert DiscreteLaplaceMechanism(4.0, 3).event.scale == 4.0
    assert LaplaceMechanism(4.0, 3.0).event.noise_multiplier == pytest.approx(4 / 3, rel=2**-28)
    assert LaplaceMechanism(4.0, 3.0).event.noise_multiplier <= 4 / 3
    assert GaussianMechanism(4.0, 3.0, 10).event.noise_multiplier == pytest.approx(4 / 3, rel=2**-27)
    assert GaussianMechanism(4.0, 3.0, 10).event.noise_multiplier <= 4 / 3
    assert LaplaceMechanism(4.0, 3.0, 100).event.distance < 100 * 2**-60
    assert ExponentialMechanism(2.0, 3.0).event.epsilon == pytest.approx(3.0)
    assert ExponentialMechanism(2.0, 3.0, monotonic=True).event.epsilon == pytest.approx(1.5)
    assert ExponentialMechanism(2.0, 3.0).concentrated.rho == pytest.approx(3.0**2 / 8)


MAKERS = {
    "laplace": lambda s: LaplaceMechanism(1.0, s),
    "discrete laplace": lambda s: DiscreteLaplaceMechanism(1.0, s),
    "gaussian": lambda s: GaussianMechanism(1.0, s),
    "discrete gaussian": lambda s: DiscreteGaussianMechanism(1.0, s),
    "exponential": lambda s: ExponentialMechanism(1.0, s),
}
SCALES = {
    "laplace": lambda s: LaplaceMechanism(s, 1.0),
    "discrete laplace": lambda s: DiscreteLaplaceMechanism(s, 1),
    "gaussian": lambda s: GaussianMechanism(s, 1.0),
    "discrete gaussian": lambda s: DiscreteGaussianMechanism(s, 1.0),
    "exponential": lambda s: ExponentialMechanism(s, 1.0),
    "randomised response": RandomizedResponse,
}


@pytest.mark.parametrize("bad", BAD, ids=lambda v: str(v)[:9])
@pytest.mark.parametrize("name", MAKERS)
def test_a_sensitivity_that_means_nothing_is_refused(name, bad):
    with pytest.raises(DomainError, match="sensitivity"):
        MAKERS[name](bad)


@pytest.mark.parametrize("bad", BAD, ids=lambda v: str(v)[:9])
@pytest.mark.parametrize("name", SCALES)
def test_a_scale_that_means_nothing_is_refused(name, bad):
    with pytest.raises(DomainError):
        SCALES[name](bad)


@pytest.mark.parametrize(
    "value", [[float("nan")], [float("inf")], ["a"], [1e300], [1.0, 2.0], [None], [2**53 + 1]], ids=str
)
def test_values_that_cannot_be_used_are_refused_and_not_shown(value):
    for mechanism in (LaplaceMechanism(1.0, 1.0), GaussianMechanism(1.0, 1.0)):
        with pytest.raises(DomainError):
            mechanism.release(value)


def test_integers_are_integers():
    for mechanism in (DiscreteLaplaceMechanism(1.0, 1), DiscreteGaussianMechanism(1.0, 1.0)):
        for value in ([1.5], [2**63 - 1], [True]):
            with pytest.raises(DomainError):
                mechanism.release(value)
    with pytest.raises(DomainError, match="integer"):
        DiscreteLaplaceMechanism(1.0, 1.5)
    with pytest.raises(DomainError, match="classes"):
        RandomizedResponse(0.7).release([2])
    with pytest.raises(DomainError, match="vector"):
        ExponentialMechanism(1.0, 1.0).release([[1.0]])


def test_mechanisms_keep_shapes_and_are_mechanisms():
    made = [MAKERS[name](1) for name in MAKERS] + [RandomizedResponse(0.7)]
    assert all(isinstance(mechanism, Mechanism) for mechanism in made)
    released = LaplaceMechanism(1.0, 1.0, 6).release(np.zeros((2, 3)))
    assert isinstance(released, Release)
    assert released.value.shape == (2, 3)
    assert released.event == LaplaceMechanism(1.0, 1.0, 6).event


@given(scale=st.floats(4, 1e6))
def test_grids_are_as_near_as_stated(scale):
    """Sums over the whole grid against the closed forms, where doubles can show a difference."""
    x = np.arange(1, 4000)
    discrete = np.tanh(0.5 / scale) * np.exp(-x / scale)
    rounded = np.sinh(0.5 / scale) * np.exp(-x / scale)
    zero = np.tanh(0.5 / scale) + math.expm1(-0.5 / scale)
    assert zero <= laplace_grid_distance(1.0, scale) * (1 + 1e-6) + 1e-16
    assert (rounded - discrete).sum() * 2 <= zero + 1e-15
    if scale < 60:
        deviation = scale / 4
        x = np.arange(-int(12 * deviation), int(12 * deviation) + 1)
        p = np.exp(-(x**2) / (2 * deviation**2))
        cells = stats.norm.cdf(x + 0.5, scale=deviation) - stats.norm.cdf(x - 0.5, scale=deviation)
        assert np.abs(p / p.sum() - cells).sum() / 2 <= gaussian_grid_distance(1.0, deviation) + 1e-13


def test_a_missing_library_says_how_to_get_it(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(library, "import_module", absent)
    for door, package in ((library.opendp, "opendp"), (library.accounting, "dp-accounting")):
        with pytest.raises(MissingExtra, match=rf'{package} is not installed.*pip install "tacit\[dp\]"'):
            door.__wrapped__()
