"""Accountants: what dp-accounting says where it says it, closed forms elsewhere, and bounds that only ever err upwards."""

from __future__ import annotations

import json
import math

import dp_accounting
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from tacit.foundation.errors import ConfigError, DomainError
from tacit.primitive.dp import (
    ComposedEvent,
    ConcentratedEvent,
    DiscreteGaussianEvent,
    DiscreteLaplaceEvent,
    GaussianEvent,
    Gdp,
    LaplaceEvent,
    Pld,
    PoissonSampledEvent,
    PureEvent,
    Rdp,
    RepeatedEvent,
    accountant,
    calibrate,
    describe,
    event_from,
)
from tacit.primitive.dp.account import FINE, MANY, ORDERS, pure_epsilon

ALL = [
    PureEvent(0.3),
    LaplaceEvent(2.0),
    DiscreteLaplaceEvent(3.0, 2),
    GaussianEvent(1.5),
    DiscreteGaussianEvent(4.0, 1.0),
    PoissonSampledEvent(GaussianEvent(1.1), 0.01),
]
LIBRARY = {
    "gaussian": (GaussianEvent(1.5), dp_accounting.GaussianDpEvent(1.5)),
    "laplace": (LaplaceEvent(2.0), dp_accounting.LaplaceDpEvent(2.0)),
    "sampled": (
        PoissonSampledEvent(GaussianEvent(1.1), 0.01),
        dp_accounting.PoissonSampledDpEvent(0.01, dp_accounting.GaussianDpEvent(1.1)),
    ),
}
DELTA = 1e-6


@pytest.mark.parametrize("name", LIBRARY)
@pytest.mark.parametrize("count", [1, 7, 100])
def test_rdp_is_the_librarys(name, count):
    ours, theirs = LIBRARY[name]
    book = dp_accounting.rdp.RdpAccountant(ORDERS).compose(theirs, count)
    exact = min(book.get_epsilon(DELTA), count * pure_epsilon(ours))
    assert Rdp().compose(ours, count).epsilon(DELTA) == pytest.approx(exact, rel=1e-9)
    assert Rdp().compose(ours, count).delta(1.0) == pytest.approx(book.get_delta(1.0), rel=1e-9)


@pytest.mark.parametrize("name", LIBRARY)
@pytest.mark.parametrize("count", [1, 7, 100])
def test_pld_is_the_librarys(name, count):
    ours, theirs = LIBRARY[name]
    book = dp_accounting.pld.PLDAccountant().compose(theirs, count)
    mine = Pld().compose(ours, count)
    assert mine.epsilon(DELTA) == pytest.approx(book.get_epsilon(DELTA), rel=1e-3)
    assert mine.delta(1.0) == pytest.approx(book.get_delta(1.0), rel=1e-2, abs=1e-12)


def test_the_librarys_discrete_laplace_and_composed_events():
    theirs = dp_accounting.dp_event.ComposedDpEvent(
        [dp_accounting.dp_event.DiscreteLaplaceDpEvent(1 / 3, 2), dp_accounting.GaussianDpEvent(2.0)]
    )
    ours = ComposedEvent((DiscreteLaplaceEvent(3.0, 2), GaussianEvent(2.0)))
    book = dp_accounting.pld.PLDAccountant().compose(theirs)
    assert Pld().compose(ours).epsilon(DELTA) == pytest.approx(book.get_epsilon(DELTA), rel=1e-9)
    one_by_one = Pld().compose(ours.events[0]).compose(ours.events[1])
    assert one_by_one.epsilon(DELTA) == pytest.approx(book.get_epsilon(DELTA), rel=1e-9)


def test_pure_events_are_binary_randomised_response():
    epsilon = 0.8
    theirs = dp_accounting.RandomizedResponseDpEvent(2 / (1 + math.exp(epsilon)), 2)
    relation = dp_accounting.NeighboringRelation.REPLACE_ONE
    book = dp_accounting.rdp.RdpAccountant(ORDERS, relation).compose(theirs, 5)
    np.testing.assert_allclose(Rdp().compose(PureEvent(epsilon), 5).curve, book.rdp, rtol=1e-9, atol=1e-12)
    losses = dp_accounting.pld.PLDAccountant(relation)
    for _ in range(5):  # its `count` of randomised responses has no effect in dp-accounting 0.6.0
        losses.compose(theirs)
    assert Pld().compose(PureEvent(epsilon), 5).delta(2.0) == pytest.approx(losses.get_delta(2.0), rel=1e-2)


@given(mu=st.floats(0.05, 4), epsilon=st.floats(0, 8))
def test_gdp_is_the_closed_form(mu, epsilon):
    """delta(epsilon) = F(mu / 2 - epsilon / mu) - e**epsilon F(-mu / 2 - epsilon / mu)."""
    account = Gdp().compose(GaussianEvent(1 / mu))
    exact = norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
    assert account.delta(epsilon) == pytest.approx(exact, rel=1e-6, abs=1e-14)
    if account.delta(epsilon) > 1e-12:
        assert account.epsilon(account.delta(epsilon)) == pytest.approx(epsilon, rel=1e-3, abs=1e-4)


@given(multipliers=st.lists(st.floats(0.5, 50), min_size=1, max_size=6))
def test_gdp_composes_by_squares(multipliers):
    account = Gdp()
    for multiplier in multipliers:
        account = account.compose(GaussianEvent(multiplier))
    assert account.mu == pytest.approx(math.sqrt(sum(m**-2 for m in multipliers)))
    assert Gdp().compose(GaussianEvent(3.0), 9).mu == pytest.approx(1.0)


@given(epsilon=st.floats(0.01, 5), at=st.floats(0, 1))
def test_a_pure_event_lies_above_its_gaussian_curve(epsilon, at):
    mu = Gdp().compose(PureEvent(epsilon)).mu
    gaussian = norm.cdf(norm.ppf(1 - at) - mu)
    pure = max(0.0, 1 - math.exp(epsilon) * at, math.exp(-epsilon) * (1 - at))
    assert gaussian <= pure + 1e-12


@given(scale=st.floats(0.2, 50), shift=st.integers(1, 9))
def test_discrete_laplace_divergence_is_the_sum(scale, shift):
    x = np.arange(-int(60 * scale) - 20, int(60 * scale) + 40)
    p = -np.abs(x) / scale + math.log(math.tanh(0.5 / scale))
    q = -np.abs(x - shift) / scale + math.log(math.tanh(0.5 / scale))
    curve = Rdp().compose(DiscreteLaplaceEvent(scale, shift)).curve
    for order in (1.5, 2.0, 5.0, 32.0):
        direct = np.logaddexp.reduce(order * p + (1 - order) * q) / (order - 1)
        assert curve[ORDERS.index(order)] == pytest.approx(direct, rel=1e-6, abs=1e-9)


def test_fine_discrete_laplace_noise_costs_what_laplace_noise_does():
    """On a fine grid the sensitivity has millions of units, for each of which the exact distribution takes time."""
    exact = Pld().compose(DiscreteLaplaceEvent(FINE, MANY), 20)
    rounded = Pld().compose(DiscreteLaplaceEvent(FINE, MANY + 1), 20)
    assert exact.epsilon(1e-6) == pytest.approx(rounded.epsilon(1e-6), rel=5e-3)
    assert 0 < rounded.distance <= 20 * 2.0**-39
    assert Pld().compose(DiscreteLaplaceEvent(2.0**40, 2**39)).epsilon(1e-6) == pytest.approx(0.5, rel=1e-3)
    assert Pld().compose(DiscreteLaplaceEvent(2.0**40, 2**39)).epsilon(0.0) == 0.5


def test_one_discrete_gaussian_by_its_own_losses():
    event = DiscreteGaussianEvent(2.0, 1.0)
    x = np.arange(-60, 61)
    p = np.exp(-(x**2) / 8)
    p /= p.sum()
    q = np.roll(p, 1)
    for epsilon in (0.0, 0.5, 1.0):
        exact = np.maximum(p - math.exp(epsilon) * q, 0).sum()
        assert exact - 1e-12 <= Pld().compose(event).delta(epsilon) <= exact + 2e-4
        assert exact <= Rdp().compose(event).delta(epsilon)


@pytest.mark.parametrize("by", ["rdp", "pld"])
def test_more_is_never_cheaper_and_every_accountant_is_a_bound(by):
    account, before = accountant(by), 0.0
    assert account.epsilon(DELTA) == 0.0
    for event in ALL * 2:
        account = account.compose(event)
        assert account.epsilon(DELTA) >= before - 1e-9
        before = account.epsilon(DELTA)
    assert before < sum(accountant("rdp").compose(e).epsilon(DELTA) for e in ALL * 2)


def test_the_three_agree_on_gaussians():
    event = GaussianEvent(0.9)
    gdp, pld, rdp = (accountant(n).compose(event, 4).epsilon(1e-5) for n in ("gdp", "pld", "rdp"))
    assert gdp <= pld <= gdp * 1.001
    assert pld < rdp < 1.25 * pld


def test_distances_are_paid_for():
    """(epsilon, delta) of the ideal becomes (epsilon, delta + (1 + e**epsilon) t)."""
    for by in ("rdp", "pld", "gdp"):
        ideal, real = (accountant(by).compose(GaussianEvent(2.0, t), 10) for t in (0.0, 1e-8))
        assert real.distance == pytest.approx(1e-7)
        assert real.delta(1.0) == pytest.approx(ideal.delta(1.0) + (1 + math.e) * 1e-7, rel=1e-9)
        epsilon = real.epsilon(1e-3)
        assert epsilon > ideal.epsilon(1e-3)
        assert real.delta(epsilon) <= 1e-3 * (1 + 1e-6)
        assert ideal.epsilon(1e-4) < real.epsilon(1e-4) == math.inf  # e**epsilon times the distance alone exceeds delta
        assert real.epsilon(1e-7) == math.inf
        assert real.epsilon(0.0) == math.inf


def test_what_an_accountant_cannot_take_is_refused():
    with pytest.raises(ConfigError, match="Use rdp or pld"):
        Gdp().compose(PoissonSampledEvent(GaussianEvent(1.0), 0.1))
    with pytest.raises(ConfigError, match="accountant named rdp"):
        Pld().compose(ConcentratedEvent(0.1))
    with pytest.raises(ConfigError, match="accountant named rdp"):
        Pld().compose(DiscreteGaussianEvent(3.0, 1.5, 10))
    with pytest.raises(ConfigError, match="pld"):
        Rdp().compose(PoissonSampledEvent(LaplaceEvent(1.0), 0.1))
    with pytest.raises(ConfigError, match="no 'moments'"):
        accountant("moments")
    fine = DiscreteGaussianEvent(2.0**20, 2.0**19, 10)
    assert Pld().compose(fine).epsilon(1e-5) == pytest.approx(Gdp().compose(GaussianEvent(2.0)).epsilon(1e-5), rel=1e-3)


def test_pure_sums_hold_at_delta_zero():
    for by in ("pld", "rdp", "gdp"):
        account = accountant(by).compose(LaplaceEvent(2.0, 1e-20), 3).compose(DiscreteLaplaceEvent(4.0, 2))
        assert account.epsilon(0.0) == 2.0
        assert account.delta(2.0) == 0.0
        assert account.compose(DiscreteLaplaceEvent(4.0, 2, 1e-20)).epsilon(0.0) == math.inf
        assert account.compose(GaussianEvent(1.0)).epsilon(0.0) == math.inf


# --- calibration ---------------------------------------------------------------------------------------------------


def test_calibration_is_the_librarys_and_never_below():
    ours = calibrate(GaussianEvent, epsilon=1.0, delta=1e-5, by="gdp")
    theirs = dp_accounting.get_sigma_gaussian(1.0, 1e-5)
    assert theirs <= ours * (1 + 1e-4)
    assert ours <= theirs * 1.0012
    exact = calibrate(lambda s: DiscreteLaplaceEvent(s, 3), epsilon=0.5, delta=0.0, by="rdp")
    assert 6.0 * (1 - 1e-3) <= exact <= 6.0 * 1.002
    sampled = calibrate(
        lambda z: RepeatedEvent(PoissonSampledEvent(GaussianEvent(z), 0.02), 200), epsilon=2.0, delta=1e-5, by="rdp"
    )
    theirs = dp_accounting.calibrate_dp_mechanism(
        lambda: dp_accounting.rdp.RdpAccountant(ORDERS),
        lambda z: dp_accounting.SelfComposedDpEvent(
            dp_accounting.PoissonSampledDpEvent(0.02, dp_accounting.GaussianDpEvent(z)), 200
        ),
        2.0,
        1e-5,
    )
    assert sampled == pytest.approx(theirs, rel=2e-3)


def test_what_no_noise_can_keep_is_refused():
    with pytest.raises(DomainError, match="is delta too small"):
        calibrate(GaussianEvent, epsilon=1.0, delta=0.0, by="gdp")
    with pytest.raises(DomainError):
        calibrate(GaussianEvent, epsilon=float("nan"), delta=1e-5)
    with pytest.raises(DomainError):
        calibrate(GaussianEvent, epsilon=1.0, delta=1.0)


# --- events as data ------------------------------------------------------------------------------------------------

leaves = st.one_of(
    st.builds(PureEvent, st.floats(1e-3, 50)),
    st.builds(LaplaceEvent, st.floats(1e-3, 50), st.floats(0, 1e-6)),
    st.builds(DiscreteLaplaceEvent, st.floats(1e-3, 50), st.integers(1, 99)),
    st.builds(DiscreteGaussianEvent, st.floats(1e-3, 50), st.floats(1e-3, 50), st.integers(1, 99)),
    st.builds(ConcentratedEvent, st.floats(1e-3, 50)),
    st.builds(PoissonSampledEvent, st.builds(GaussianEvent, st.floats(1e-3, 50)), st.floats(0, 1)),
)
events = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(RepeatedEvent, inner, st.integers(1, 5)),
        st.builds(ComposedEvent, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@given(event=events)
def test_events_survive_json(event):
    assert event_from(json.loads(json.dumps(describe(event)))) == event


@pytest.mark.parametrize(
    "record",
    [
        None,
        {},
        {"event": "os.system"},
        {"event": "gaussian"},
        {"event": "gaussian", "noise_multiplier": -1.0},
        {"event": "gaussian", "noise_multiplier": "1"},
        {"event": "gaussian", "noise_multiplier": float("nan")},
        {"event": "gaussian", "noise_multiplier": 1.0, "distance": -1.0},
        {"event": "gaussian", "noise_multiplier": 1.0, "free": True},
        {"event": "repeated", "count": 2},
        {"event": "repeated", "count": -2, "of": {"event": "pure", "epsilon": 1.0}},
        {"event": "poisson-sampled", "probability": 0.5, "of": {"event": "pure", "epsilon": 1.0}},
        {"event": "poisson-sampled", "probability": 1.5, "of": {"event": "gaussian", "noise_multiplier": 1.0}},
        {"event": "composed", "events": {}},
        {"event": "composed", "events": [3]},
    ],
    ids=str,
)
def test_what_is_no_event_is_refused(record):
    with pytest.raises(DomainError):
        event_from(record)


def test_nesting_has_an_end():
    record = {"event": "pure", "epsilon": 1.0}
    for _ in range(40):
        record = {"event": "repeated", "count": 1, "of": record}
    with pytest.raises(DomainError):
        event_from(record)
