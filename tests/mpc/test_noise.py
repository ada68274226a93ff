"""Noise drawn on shares: exactly what its tables say in every protocol, distributed as promised, and unknown to each party."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from three import NAMES, Parties
from worlds import IdealWorld, World, equal

from tacit.foundation.errors import ConfigError, DomainError, ShapeError
from tacit.primitive.mpc.assisted.session import dry_session
from tacit.primitive.mpc.assisted.session import open_session as open_assisted
from tacit.primitive.mpc.function.contract import contract_of
from tacit.primitive.mpc.function.noise import (
    DiscreteGaussian,
    DiscreteLaplace,
    discrete_gaussian,
    discrete_laplace,
    private_words,
    sample,
    span,
)
from tacit.primitive.mpc.replicated.session import open_session as open_replicated
from tacit.primitive.mpc.value import Fixed, Integer

ALARM = 1e-10
NOISES = [
    DiscreteLaplace(0.3),
    DiscreteLaplace(1.0),
    DiscreteLaplace(7.5),
    DiscreteLaplace(300.0),
    DiscreteGaussian(0.4),
    DiscreteGaussian(1.0),
    DiscreteGaussian(6.0),
    DiscreteGaussian(80.0),
    DiscreteGaussian(700.0),
]
OPENERS = {"assisted": open_assisted, "replicated": open_replicated}


def call(noise, **more):
    """The sampler of a distribution and its parameters."""
    if isinstance(noise, DiscreteLaplace):
        return discrete_laplace, {"scale": noise.scale, **more}
    return discrete_gaussian, {"deviation": noise.deviation, **more}


def by_hand(noise, words):
    """The samplers again, in Python's integers."""
    modulus = span(len(words))
    uniform = np.sum([w.astype(object) for w in words], axis=0) % modulus
    thresholds = noise.thresholds(modulus)
    if isinstance(noise, DiscreteLaplace):
        bits = uniform.reshape(2, noise.digits, *uniform.shape[1:]) < np.array(thresholds).reshape(
            -1, *[1] * (uniform.ndim - 1)
        )
        pair = sum(bits[:, i].astype(np.int64) << i for i in range(noise.digits))
        return pair[0] - pair[1]
    levels = noise.levels
    magnitude = sum((uniform[:levels] >= t).astype(np.int64) for t in thresholds)
    sign = np.where(uniform[levels:] < modulus // 2, -1, 1)
    return sum(noise.step**i * (sign * magnitude)[i] for i in range(levels))


def weights(noise, reach):
    """Probabilities of -reach, ..., reach."""
    x = np.arange(-reach, reach + 1)
    scale = -np.abs(x) / noise.scale if isinstance(noise, DiscreteLaplace) else -(x**2) / (2 * noise.deviation**2)
    p = np.exp(scale)
    return x, p / p.sum()


def assert_distributed(drawn, noise):
    """Chi-square over cells of at least 50 expected draws; false alarms below 1e-9."""
    size = noise.scale if isinstance(noise, DiscreteLaplace) else noise.deviation
    x, p = weights(noise, int(50 * size) + 10)
    cells = np.minimum((np.cumsum(p) * 40).astype(int), 39)
    cells[x == 0] = 40  # the atom at zero alone: noise that is often or never zero is the classical mistake
    expected = np.bincount(cells, p, 41) * drawn.size
    assert drawn.min() >= x[0]
    assert drawn.max() <= x[-1]
    observed = np.bincount(cells[drawn - x[0]], minlength=41)
    enough = expected >= 50
    rest = [observed[~enough].sum()], [expected[~enough].sum()]
    observed, expected = np.append(observed[enough], rest[0]), np.append(expected[enough], rest[1])
    observed, expected = observed[expected > 0], expected[expected > 0]
    if expected[-1] < 50:
        observed = np.append(observed[:-2], observed[-2:].sum())
        expected = np.append(expected[:-2], expected[-2:].sum())
    far = float(((observed - expected) ** 2 / expected).sum())
    assert far < chi2.isf(ALARM, len(expected) - 1), f"{noise}: {far:.0f} for {len(expected) - 1} degrees of freedom"


# --- exactly what the tables say -----------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", NOISES, ids=str)
@pytest.mark.parametrize("parties", [2, 3])
def test_every_protocol_draws_what_the_tables_say(world: World, noise, parties):
    words = [private_words((noise.uniforms, 2, 5), parties).astype(np.int64) for _ in range(parties)]
    function, params = call(noise)
    equal(world.run(function, *words, **params).value, by_hand(noise, words))


@given(data=st.data(), noise=st.sampled_from([DiscreteLaplace(3.0), DiscreteGaussian(2.0), DiscreteGaussian(50.0)]))
def test_words_at_every_edge(world: World, data, noise):
    """Sums at, just below and just above each threshold, with every way to split them."""
    modulus = span(2)
    edges = [e + d for e in (*noise.thresholds(modulus), modulus // 2, 0) for d in (-1, 0, 1)]
    wanted = np.array(
        [[data.draw(st.sampled_from(edges)) % modulus for _ in range(3)] for _ in range(noise.uniforms)], object
    )
    first = np.array(
        [[data.draw(st.sampled_from([0, 1, modulus - 1, modulus // 2])) for _ in range(3)] for _ in range(len(wanted))],
        object,
    )
    words = [first.astype(np.int64), ((wanted - first) % modulus).astype(np.int64)]
    function, params = call(noise)
    equal(world.run(function, *words, **params).value, by_hand(noise, words))


def test_on_a_grid_the_scale_is_in_the_units_of_the_value(world: World):
    noise = DiscreteLaplace(2.5 * 2**6)
    words = [private_words((noise.uniforms, 4), 2).astype(np.int64) for _ in range(2)]

    async def on_grid(k, *shared):
        return await discrete_laplace(k, *shared, scale=2.5, bits=6)

    equal(world.run(on_grid, *words).value, by_hand(noise, words) / 2**6)


# --- distributed as promised ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_distribution(noise):
    count = 100_000 if noise.uniforms < 12 else 40_000
    words = [private_words((noise.uniforms, count), 2).astype(np.int64) for _ in range(2)]
    function, params = call(noise)
    assert_distributed(IdealWorld("floor").run(function, *words, **params).value, noise)


@pytest.mark.parametrize("protocol", OPENERS)
@pytest.mark.parametrize("noise", [DiscreteLaplace(4.0), DiscreteGaussian(5.0)], ids=str)
@pytest.mark.parametrize("owners", [NAMES[:2], NAMES, NAMES[1:]], ids=str)
def test_distribution_over_real_protocols(protocol, noise, owners):
    parties = Parties(OPENERS[protocol])

    async def body(k):
        drawn = await sample(k, noise, (3000,), owners, k.context.me)
        assert isinstance(drawn, Integer)
        return await k.reveal(drawn.share, NAMES)

    results = parties.run(body)
    equal(results["alice"], results["bob"])
    assert_distributed(np.asarray(results["alice"]).view(np.int64).reshape(-1), noise)


@pytest.mark.parametrize("noise", [n for n in NOISES if not isinstance(n, DiscreteLaplace)], ids=str)
def test_the_sum_of_small_gaussians_is_as_near_as_stated(noise):
    """The distribution itself, by convolution in double precision: near to what doubles can show."""
    x, p = weights(DiscreteGaussian(noise.base), int(14 * noise.base) + 2)
    total, at = np.ones(1), 0
    for i in range(noise.levels):
        spread = np.zeros((len(x) - 1) * noise.step**i + 1)
        spread[:: noise.step**i] = p
        total, at = np.convolve(total, spread), at + int(x[0]) * noise.step**i
    _, ideal = weights(noise, -at)
    assert np.abs(total - ideal).sum() / 2 < 1e-13
    assert noise.distance() < 2**-47


@given(scale=st.floats(2**-6, 2**50))
def test_every_scale_keeps_the_stated_distance(scale):
    for noise in (DiscreteLaplace(scale), DiscreteGaussian(scale)):
        for parties in (2, 3, 16):
            assert 0 < noise.distance(span(parties)) < 2**-40
        thresholds = noise.thresholds(span(2))
        assert all(0 <= t <= span(2) for t in thresholds)
        assert sorted(thresholds, reverse=isinstance(noise, DiscreteLaplace)) == list(thresholds)
    gaussian = DiscreteGaussian(scale)
    variance = sum(gaussian.step ** (2 * i) for i in range(gaussian.levels)) * gaussian.base**2
    assert math.isclose(variance, scale**2, rel_tol=1e-12)
    assert gaussian.levels * gaussian.magnitudes < 3000


@pytest.mark.parametrize("noise", [n for n in NOISES if isinstance(n, DiscreteLaplace)], ids=str)
def test_digits_of_a_geometric_variable(noise):
    """Their product is the geometric distribution, to the rounding of doubles."""
    ones = [t / 2**61 for t in noise.thresholds(2**61)]
    g = np.arange(min(2**noise.digits, 4096))
    probability = np.prod([np.where(g >> i & 1, p, 1 - p) for i, p in enumerate(ones)], axis=0)
    a = math.exp(-1 / noise.scale)
    np.testing.assert_allclose(probability, (1 - a) * a**g, rtol=1e-11, atol=1e-17)


# --- unknown to each party -----------------------------------------------------------------------------------------


def assert_uniform(received: bytes, what: str) -> None:
    counts = np.bincount(np.frombuffer(received, np.uint8), minlength=256)
    expected = len(received) / 256
    assert expected > 50
    far = float(((counts - expected) ** 2 / expected).sum())
    assert far < chi2.isf(ALARM / 100, 255), f"{what}: {far:.0f} for 255 degrees of freedom"


@pytest.mark.parametrize("protocol", OPENERS)
@pytest.mark.parametrize("me", NAMES)
@pytest.mark.parametrize("extreme", [0, 1])
@pytest.mark.parametrize("noise", [DiscreteLaplace(4.0), DiscreteGaussian(5.0)], ids=str)
def test_what_a_party_sees_is_uniform_whatever_the_noise_is(protocol, me, extreme, noise):
    """The others' words complete this party's own to the smallest or the largest noise; its view does not tell which."""
    count, modulus = 4096 // noise.uniforms * 8, span(2)
    owners = [me, next(name for name in NAMES[:2] if name != me)] if me != "carol" else ["alice", "bob"]
    mine = private_words((noise.uniforms, count), 2)
    target = np.uint64(0 if extreme == 0 else modulus - 1)
    words = {owners[0]: mine, owners[1]: (target - mine) & np.uint64(modulus - 1)}
    parties = Parties(OPENERS[protocol])
    function, params = call(noise)

    async def body(k):
        shared = [
            Integer(await k.share(owner, words[owner].shape, words[owner] if k.context.me == owner else None))
            for owner in owners
        ]
        return await function(k, *shared, **params)

    parties.run(body)
    received = b"".join(payload for _, payload in parties.views[me])
    if protocol == "assisted" and me == "carol":
        assert received == b"", "the helper must receive nothing"
        return
    assert_uniform(received, f"{protocol}, {me}")


def test_words_are_in_range_fresh_and_uniform():
    words = private_words((64, 1000), 3)
    assert int(words.max()) < span(3)
    assert len(np.unique(words)) == words.size
    assert_uniform((words >> np.uint64(4)).view(np.uint8).reshape(-1, 8)[:, :7].tobytes(), "words")
    assert not np.array_equal(words, private_words((64, 1000), 3))


# --- costs, and what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("noise", "rounds"), [(DiscreteLaplace(8.0), 4), (DiscreteGaussian(8.0), 9)], ids=str)
def test_a_dry_run_costs_what_the_real_one_does(noise, rounds):
    async def body(k):
        await sample(k, noise, (640,), NAMES[:2], k.context.me)

    parties = Parties(open_assisted)
    real_rounds, sent = parties.cost(body)
    assert real_rounds == rounds
    for me in ("alice", "bob"):
        kernel, driver = dry_session(NAMES, me)
        before = driver.profile.rounds, driver.profile.payload
        driver.run(body(kernel))
        assert (driver.profile.rounds - before[0], driver.profile.payload - before[1]) == (rounds, sent[me])
    per_draw = max(sent["alice"], sent["bob"]) / 640
    assert per_draw < (450 if isinstance(noise, DiscreteLaplace) else 900)


def test_what_cannot_be_drawn_is_refused(world: World):
    noise = DiscreteLaplace(2.0)
    words = [private_words((noise.uniforms, 3), 2).astype(np.int64) for _ in range(2)]
    with pytest.raises(ConfigError, match="one party alone would know it"):
        world.run(discrete_laplace, words[0], scale=2.0)
    with pytest.raises(ShapeError, match=r"words of shape \(14, ...\)"):
        world.run(discrete_laplace, words[0], words[1][:-1], scale=2.0)
    with pytest.raises(ConfigError, match="2 to 16"):
        span(17)
    for scale in (0.0, -1.0, float("nan"), float("inf"), 2.0**51):
        with pytest.raises(DomainError, match="must lie between"):
            world.run(discrete_laplace, *words, scale=scale)
        with pytest.raises(DomainError, match="must lie between"):
            world.run(discrete_gaussian, *words, deviation=scale)


def test_owners_of_words_differ():
    async def body(k):
        await sample(k, DiscreteLaplace(1.0), (2,), ["alice", "alice"], k.context.me)

    with pytest.raises(ConfigError, match="named once"):
        Parties(open_assisted).run(body)


def test_contracts_say_that_nothing_is_revealed():
    for function in (discrete_laplace, discrete_gaussian):
        assert contract_of(function).reveals == "nothing"
        assert "2**-40" in contract_of(function).error.text


def test_noise_joins_a_fixed_point_value():
    parties = Parties(open_replicated)

    async def body(k):
        drawn = await sample(k, DiscreteGaussian(2.0**20), (2, 3), NAMES[:2], k.context.me, bits=18)
        assert isinstance(drawn, Fixed)
        assert (drawn.bits, drawn.shape) == (18, (2, 3))
        return await k.reveal(drawn.share, NAMES)

    drawn = np.asarray(parties.run(body)["bob"]).view(np.int64) / 2**18
    assert np.abs(drawn).max() < 60
