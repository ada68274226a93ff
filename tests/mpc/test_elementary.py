"""Elementary functions of one real: each within the bound of its own contract, over its whole domain."""

from __future__ import annotations

import numpy as np
import pytest
from elementary_cases import CASES, points, sweep
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import BITS, World

from tacit.primitive.mpc.assisted.session import dry_session
from tacit.primitive.mpc.function.chunk import CHUNK
from tacit.primitive.mpc.function.contract import contract_of
from tacit.primitive.mpc.function.elementary import ELEMENTARY
from tacit.primitive.mpc.value import Fixed


def assert_within(actual, exact, allowed):
    assert actual.shape == np.shape(exact)
    excess = np.abs(actual - exact) - allowed
    assert np.all(excess <= 0), f"{np.max(excess)} beyond the bound"


@pytest.mark.parametrize("case", CASES, ids=str)
@settings(max_examples=8)
@given(data=st.data())
def test_within_the_stated_error(world: World, case, data):
    x = data.draw(points(case, BITS))
    actual = world.run(case.function, x, **case.params).value
    assert_within(actual, case.exact(x), case.allowed(BITS, x))


@pytest.mark.parametrize("bits", [8, 14, BITS, 22, 26])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_sweep_at_other_fraction_bits(world: World, case, bits):
    count = 2000 if world.name.startswith("ideal") else 200
    x = sweep(case, bits, count)
    actual = world.run(case.function, x, bits=bits, **case.params).value
    assert_within(actual, case.exact(x), case.allowed(bits, x))


@pytest.mark.parametrize("name", ["sigmoid", "exp", "reciprocal", "cbrt", "log", "atan", "sqrt", "rsqrt", "acos"])
def test_large_work_has_the_same_bounds(world: World, name):
    """Large tensors find the size of a number to a 64th only, so that numbers right below a power of two matter."""
    case = next(c for c in CASES if c.name == name)
    low, high = case.interval(BITS)
    below = np.outer(
        2.0 ** np.arange(-BITS, 60 - BITS), 1 - np.array([1 / 60, 1 / 64, 1 / 65, 1 / 100, 2**-10, 2**-30])
    )
    x = np.concatenate([sweep(case, BITS, CHUNK // 2 + 100), np.floor(below.reshape(-1) * 2**BITS) / 2**BITS])
    x = x[((low <= x) & (x <= high) | case.both_signs) & (x != 0)]
    actual = world.run(case.function, x).value
    assert_within(actual, case.exact(x), case.allowed(BITS, x))


EVERYWHERE = {
    "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "erf": (-1.0, 1.0), "gelu": (0.0, None), "silu": (0.0, None),
    "softplus": (0.0, None), "exp": (0.0, 2.0**26), "exp2": (0.0, 2.0**26),
}  # fmt: skip


@pytest.mark.parametrize("name", EVERYWHERE)
def test_far_away_the_limit_is_exact(world: World, name):
    below, above = EVERYWHERE[name]
    far = np.array([40.0, 1e3, 2.0**34, 2.0**42])
    actual = world.run(ELEMENTARY[name], np.concatenate([-far, far])).value
    ulp = 2.0**-BITS
    np.testing.assert_allclose(actual[:4], below, atol=ulp)
    np.testing.assert_allclose(actual[4:], far if above is None else above, atol=ulp)


def test_outside_the_domain_nothing_wraps(world: World):
    x = np.array([0.0, -(2.0**-18), -1.0, -1e6])
    run = lambda name: world.run(ELEMENTARY[name], x).value  # noqa: E731
    assert np.all(run("sqrt") == 0)
    assert np.allclose(run("rsqrt"), 512, rtol=2**-14)
    assert np.allclose(run("log"), -19 * np.log(2), atol=2**-14)
    assert np.allclose(run("reciprocal")[0], 2.0**18, rtol=2**-14)
    assert np.all(run("cbrt")[:1] == 0)
    assert np.all(world.run(ELEMENTARY["divide"], np.ones(2), np.zeros(2)).value == 0)


def test_integers_and_truth_values_are_taken(world: World):
    n = np.array([-3, 0, 1, 7])
    assert np.allclose(world.run(ELEMENTARY["tanh"], n).value, np.tanh(n), atol=2**-12)
    assert np.allclose(world.run(ELEMENTARY["exp"], n > 0).value, np.exp((n > 0) * 1.0), atol=2**-12)


def test_shapes(world: World):
    for shape in [(), (1,), (0,), (2, 3), (2, 0, 3)]:
        x = np.full(shape, 0.5)
        for name in ("sigmoid", "exp", "log", "reciprocal", "sin", "atan"):
            assert world.run(ELEMENTARY[name], x).value.shape == shape


ROUNDS = {"sigmoid": 4, "gelu": 4, "exp": 6, "log": 7, "sqrt": 9, "rsqrt": 9, "reciprocal": 9, "sin": 2}


def test_rounds_do_not_depend_on_the_size_below_the_stacking_limit(world: World):
    if world.name != "assisted":
        pytest.skip("a count of one protocol")
    found = {}
    for name in ROUNDS:
        case = next(c for c in CASES if c.name == name)
        # A truncated product arrives unopened, so that the opening counts.
        found[name] = world.run(_unopened(case.function), np.full(5, 1.0)).profile.rounds - 1
    assert found == ROUNDS


def _unopened(function):
    async def program(k, x):
        return await function(k, Fixed(await k.truncate(k.linear(lambda s: s + s, x.share), 1), x.bits))

    return program


def test_a_dry_run_computes_nothing_and_counts_all():
    n = 10**6

    async def program(k):
        values = np.broadcast_to(np.uint64(0), (n,))
        x = Fixed(await k.share("alice", (n,), values), BITS)
        await ELEMENTARY["sigmoid"].__wrapped__(k, x)
        await ELEMENTARY["sqrt"].__wrapped__(k, x)

    for me in ("alice", "bob", "carol"):
        kernel, driver = dry_session(("alice", "bob", "carol"), me)
        driver.run(program(kernel))
        assert driver.profile.payload > (100 if me == "carol" else 10) * n * (me != "carol" or 1)


def test_every_function_carries_its_contract():
    for name, function in ELEMENTARY.items():
        promise = contract_of(function)
        assert promise.summary
        assert promise.source
        assert promise.domain.text
        assert name in {promise.name, "logistic"}
        for section in ("Reveals:", "Costs:", "Error:"):
            assert section in function.__doc__, (name, section)
