"""Sparse vector, running sums and the private gradient: what they answer, what they refuse, and when they stop."""

from __future__ import annotations

import math

import dp_accounting
import numpy as np
import pytest
from dp_fit import assert_from, discrete_gaussian, discrete_laplace
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tacit.foundation.errors import DomainError, PolicyError, ShapeError
from tacit.primitive.dp import (
    AboveThreshold,
    DiscreteGaussianMechanism,
    DiscreteLaplaceMechanism,
    GaussianEvent,
    GaussianMechanism,
    LaplaceMechanism,
    PrivateGradient,
    RandomizedResponse,
    Rdp,
    TreeAggregation,
)
from tacit.primitive.dp.account import ORDERS
from tacit.primitive.dp.sgd import GRID, clipped_integers

BAD = [0, -1, float("nan"), float("inf"), "1", None]

# --- sparse vector -------------------------------------------------------------------------------------------------


def test_above_threshold_answers_as_algorithm_7_does():
    """P(above) for a question at a distance d: that of a difference of two Laplace variables of the stated scales."""
    epsilon, count, distance = 1.0, 1, 3.0
    plan = AboveThreshold(10.0, epsilon, 1.0, count)
    factor = (2 * count) ** (2 / 3)
    threshold, question = (1 + factor) / epsilon, 2 * count * (1 + factor) / factor / epsilon
    x = np.linspace(-60, 60, 24_001)
    r = np.exp(-np.abs(x) / threshold) / (2 * threshold)
    t = x - distance
    above = np.where(t > 0, np.exp(-np.abs(t) / question) / 2, 1 - np.exp(-np.abs(t) / question) / 2)
    p = np.trapezoid(r * above, x)
    drawn = [int(plan.release().value.ask(10.0 + distance)) for _ in range(4000)]
    assert_from(drawn, [0, 1], [1 - p, p])


def test_it_stops_after_the_last_above():
    asking = AboveThreshold(0.0, 50.0, 1.0, 2).release().value
    assert [asking.ask(v) for v in (-100.0, 100.0, -100.0, 100.0)] == [False, True, False, True]
    with pytest.raises(PolicyError, match="as often as it was made for"):
        asking.ask(-100.0)


def test_it_hides_its_threshold_and_costs_epsilon_once():
    release = AboveThreshold(12345.0, 0.5, 1.0, 3).release()
    assert release.event.epsilon == 0.5
    assert "12345" not in repr(release.value)
    for value in (float("nan"), float("inf"), [1.0, 2.0], 1e300):
        with pytest.raises(DomainError):
            release.value.ask(value)


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_sparse_vector_refuses_numbers_that_mean_nothing(bad):
    for made in ({"epsilon": bad}, {"sensitivity": bad}, {"count": bad}):
        with pytest.raises(DomainError):
            AboveThreshold(**{"threshold": 0.0, "epsilon": 1.0, "sensitivity": 1.0, **made})


# --- running sums --------------------------------------------------------------------------------------------------


@given(steps=st.integers(1, 40))
def test_running_sums_are_sums_of_few_noises(steps):
    """With noise that is all but zero the sums are exact, at every step."""
    plan = TreeAggregation(DiscreteLaplaceMechanism(0.01, 1), steps)
    running = plan.release().value
    values = np.arange(steps)[:, None] * np.array([1, -2])
    for i, value in enumerate(values):
        np.testing.assert_array_equal(running.add(value), values[: i + 1].sum(axis=0))
    with pytest.raises(PolicyError, match=f"made for {steps} steps"):
        running.add(values[0])
    assert plan.levels == math.floor(math.log2(steps)) + 1


def test_the_noise_of_a_running_sum():
    """After seven steps three intervals are open; after eight, one."""
    size = 20_000
    running = TreeAggregation(DiscreteGaussianMechanism(5.0, 1.0, size), 8).release().value
    sums = [running.add(np.ones(size, np.int64)) for _ in range(8)]
    assert_from(sums[7] - 8, *discrete_gaussian(5.0, 60))
    x, p = discrete_gaussian(5.0, 60)
    three = np.convolve(np.convolve(p, p), p)
    assert_from(sums[6] - 7, range(-180, 181), three)
    assert x


def test_what_a_tree_costs_is_the_librarys():
    plan = TreeAggregation(GaussianMechanism(6.0, 1.0), 100)
    theirs = dp_accounting.SingleEpochTreeAggregationDpEvent(plan.noise.event.noise_multiplier, 100)
    relation = dp_accounting.NeighboringRelation.REPLACE_SPECIAL
    book = dp_accounting.rdp.RdpAccountant(ORDERS, relation).compose(theirs)
    np.testing.assert_allclose(Rdp().compose(plan.event).curve, book.rdp, rtol=1e-9)


def test_real_sums_are_exact_on_the_grid_or_refused():
    running = TreeAggregation(LaplaceMechanism(1.0, 1.0), 4).release().value
    running.add(0.1)
    with pytest.raises(DomainError, match="2\\*\\*22"):
        running.add(5e6)
    assert running.taken == 1
    with pytest.raises(DomainError):
        running.add(float("nan"))
    with pytest.raises(ShapeError):
        running.add([1.0, 2.0])
    assert running.taken == 1
    assert "hidden" in repr(running)
    with pytest.raises(DomainError):
        TreeAggregation(RandomizedResponse(0.7), 4)
    with pytest.raises(DomainError):
        TreeAggregation(LaplaceMechanism(1.0, 1.0), 0)


# --- the private gradient ------------------------------------------------------------------------------------------


@given(
    gradients=hnp.arrays(
        np.float64, st.tuples(st.integers(0, 4), st.integers(1, 9)), elements=st.floats(-1e308, 1e308, width=64)
    ),
    norm=st.sampled_from([1e-9, 0.3, 1.0, 1e12]),
)
def test_no_clipped_gradient_exceeds_the_norm_in_integers(gradients, norm):
    clipped = clipped_integers(gradients, norm)
    for row, original in zip(clipped.tolist(), gradients, strict=True):
        assert sum(v * v for v in row) <= 2**60
        length = math.hypot(*original) if np.all(np.abs(original) < 1e150) else math.inf
        if length < norm / 2:
            np.testing.assert_allclose(np.array(row) * GRID * norm, original, rtol=1e-6, atol=2 * GRID * norm)
        elif length < math.inf:
            assert math.sqrt(sum(v * v for v in row)) * GRID >= min(1.0, length / norm) * (1 - 1e-6) - 9 * GRID


def test_the_sum_of_a_step_and_its_noise():
    size = 20_000
    step = PrivateGradient(norm=2.0, noise_multiplier=1.5, size=2 * size)
    tree = {"w": np.zeros((3, size)), "b": np.zeros((3, size))}
    tree["w"][:, 0] = [1.0, -0.5, 100.0]
    released = step.release(tree)
    assert released.value["w"].shape == (size,)
    noise = np.concatenate([released.value["w"][1:], released.value["b"]]) / 2.0
    from scipy.stats import norm

    cells = np.minimum((norm.cdf(noise, scale=1.5) * 32).astype(int), 31)
    assert_from(cells, range(32), np.full(32, 1 / 32))
    assert abs(released.value["w"][0] - 2.5) < 2 * 1.5 * 7
    scaled = released.value["b"] / (GRID * 2.0)
    np.testing.assert_array_equal(scaled, np.round(scaled))


def test_an_empty_sample_is_noise():
    step = PrivateGradient(1.0, 1.0, 3, probability=0.1)
    assert step.release({"w": np.zeros((0, 3))}).value["w"].shape == (3,)


def test_what_a_step_costs():
    step = PrivateGradient(1.0, 1.1, 10, probability=0.01)
    assert step.event.event.noise_multiplier == 1.1
    assert step.event.distance < 10 * 2**-62
    theirs = dp_accounting.PoissonSampledDpEvent(0.01, dp_accounting.GaussianDpEvent(1.1))
    book = dp_accounting.rdp.RdpAccountant(ORDERS).compose(theirs, 500)
    assert Rdp().compose(step.steps(500)).epsilon(1e-5) == pytest.approx(book.get_epsilon(1e-5), rel=1e-6)
    assert GaussianEvent(1.1).noise_multiplier == step.noise_multiplier


def test_samples_take_each_record_alone():
    step = PrivateGradient(1.0, 1.0, 1, probability=0.3)
    taken = np.concatenate([step.sample(1000) for _ in range(60)])
    per_sample = [step.sample(40).size for _ in range(4000)]
    from scipy.stats import binom

    assert_from(per_sample, range(41), binom.pmf(range(41), 40, 0.3))
    counts = np.bincount(taken, minlength=1000)
    assert_from(counts, range(61), binom.pmf(range(61), 60, 0.3))
    assert PrivateGradient(1.0, 1.0, 1).sample(5).tolist() == [0, 1, 2, 3, 4]
    assert PrivateGradient(1.0, 1.0, 1, probability=0.0).sample(5).size == 0


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_gradients_refuse_numbers_that_mean_nothing(bad):
    for made in ({"norm": bad}, {"noise_multiplier": bad}, {"size": bad}):
        with pytest.raises(DomainError):
            PrivateGradient(**{"norm": 1.0, "noise_multiplier": 1.0, "size": 3, **made})
    with pytest.raises(DomainError):
        PrivateGradient(1.0, 1.0, 3, probability=1.5)


def test_gradients_that_cannot_be_used_are_refused():
    step = PrivateGradient(1.0, 1.0, 3)
    with pytest.raises(DomainError, match="NaN or infinite"):
        step.release({"w": np.array([[1.0, float("nan"), 0.0]])})
    with pytest.raises(ShapeError, match="Set size=4"):
        step.release({"w": np.zeros((2, 4))})
    with pytest.raises(ShapeError, match="same number"):
        step.release({"w": np.zeros((2, 2)), "b": np.zeros((3, 1))})


def test_laplace_helper_has_its_whole_mass():
    assert sum(discrete_laplace(2.0, 100)[1]) == pytest.approx(1.0)
