"""Elementary functions of two reals, and of rows: quotients, powers, angles, softmax."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_elementary import assert_within
from worlds import BITS, Public, World

from tacit.primitive.mpc.function.contract import contract_of
from tacit.primitive.mpc.function.elementary import ELEMENTARY as F

ULP = 2.0**-BITS


def within(name, actual, exact, *operands):
    assert_within(actual, exact, contract_of(F[name]).error.limit(BITS, exact, *operands))


def rounded(x):
    return np.round(np.asarray(x) / ULP) * ULP


def sized(low, high, *, signed=True):
    """Lists of reals of all sizes between 2**low and 2**high."""
    size = st.floats(low, high).map(lambda e: 2.0**e)
    one = st.tuples(size, st.sampled_from([-1.0, 1.0] if signed else [1.0])).map(np.prod)
    return st.lists(one, min_size=12, max_size=12).map(rounded)


@settings(max_examples=20)
@given(x=sized(-18, 23.9), y=sized(-17.5, 23.9))
def test_divide(world: World, x, y):
    y = np.where(np.abs(x / y) < 2.0**19.9, y, np.where(np.abs(x) > ULP, x, 1.0))
    within("divide", world.run(F["divide"], x, y).value, x / y, x, y)


def test_divide_by_and_of_public_numbers(world: World):
    x = np.array([1.0, -3.5, 0.25, 100.0])
    assert np.allclose(world.run(F["divide"], x, Public(np.array(8.0))).value, x / 8, atol=2 * ULP)
    assert np.allclose(world.run(F["divide"], Public(np.array(3.0)), x).value, 3 / x, rtol=2**-14, atol=6 * ULP)
    assert np.allclose(
        world.run(F["divide"], Public(np.ones((2, 1))), x).value, np.ones((2, 1)) / x, rtol=2**-14, atol=2 * ULP
    )
    assert np.allclose(world.run(F["divide"], x[:, None], x).value, x[:, None] / x, rtol=2**-14, atol=6 * ULP)


@settings(max_examples=10)
@given(x=sized(-18, 11.4), y=sized(-18, 11.4))
def test_hypot(world: World, x, y):
    within("hypot", world.run(F["hypot"], x, y).value, np.hypot(x, y), x, y)


@settings(max_examples=10)
@given(x=sized(-18, 23.9), y=sized(-18, 23.9))
def test_atan2(world: World, x, y):
    difference = world.run(F["atan2"], y, x).value - np.arctan2(y, x)
    turned = (difference + np.pi) % (2 * np.pi) - np.pi  # either side of the cut
    within("atan2", turned, np.zeros_like(turned), y, x)
    origin = np.zeros(3)
    assert np.all(np.abs(world.run(F["atan2"], origin, origin).value) <= 3 * ULP)


@settings(max_examples=10)
@given(x=sized(-18, 20), y=sized(-18, 20))
def test_logaddexp(world: World, x, y):
    within("logaddexp", world.run(F["logaddexp"], x, y).value, np.logaddexp(x, y), x, y)


@settings(max_examples=10)
@given(x=sized(-8, 8, signed=False), t=st.lists(st.floats(-17, 17), min_size=12, max_size=12))
def test_power_with_a_shared_exponent(world: World, x, t):
    y = rounded(np.array(t) / np.maximum(np.abs(np.log(x)), 1.0))
    within("power", world.run(F["power"], x, y).value, x**y, x, y)
    within("float_power", world.run(F["float_power"], x, y).value, x**y, x, y)


def test_power_with_a_public_exponent(world: World):
    x = np.array([0.5, 1.0, 3.25, 20.0])
    for exponent in (0.0, 1.0, 2.0, 5.0, -1.0, -2.0, 0.5, -0.5, 1.7):
        actual = world.run(F["power"], x, Public(np.array(exponent))).value
        assert np.allclose(actual, x**exponent, rtol=2**-11, atol=8 * ULP), exponent
    assert np.allclose(world.run(F["power"], -x, Public(np.array(3.0))).value, (-x) ** 3, rtol=2**-14, atol=200 * ULP)
    assert np.allclose(world.run(F["power"], Public(np.array(2.0)), x[:3]).value, 2 ** x[:3], rtol=2**-13)
    mixed = np.array([1.5, -0.5, 2.0, 0.25])
    assert np.allclose(world.run(F["power"], x, Public(mixed)).value, x**mixed, rtol=2**-12, atol=8 * ULP)


@given(n=st.lists(st.integers(-9, 9), min_size=1, max_size=5), exponent=st.integers(0, 12))
@settings(max_examples=10)
def test_integer_powers_of_integers_are_exact(world: World, n, exponent):
    n = np.array(n)
    np.testing.assert_array_equal(world.run(F["integer_pow"], n, exponent=exponent).value, n**exponent)


ROWS = st.tuples(st.integers(1, 6), st.integers(1, 40), st.floats(0.1, 40))


@settings(max_examples=10)
@given(rows=ROWS, seed=st.integers(0, 2**32 - 1))
def test_softmax_and_its_logarithm(world: World, rows, seed):
    count, length, spread = rows
    x = rounded(np.random.default_rng(seed).normal(size=(count, length)) * spread)
    total = np.logaddexp.reduce(x, axis=1, keepdims=True)
    for axis, value in ((-1, x), (0, x.T)):
        exact = total if axis else total.T
        within("softmax", world.run(F["softmax"], value, axis=axis).value, np.exp(value - exact), value)
        within("log_softmax", world.run(F["log_softmax"], value, axis=axis).value, value - exact, value)
        within("logsumexp", world.run(F["logsumexp"], value, axis=axis, keepdims=True).value, exact, value)
    within("logsumexp", world.run(F["logsumexp"], x).value, np.logaddexp.reduce(x, axis=None), x)


@pytest.mark.parametrize("length", [1, 2, 1000])
def test_long_and_short_rows(world: World, length):
    for x in (
        np.zeros((2, length)),
        rounded(np.linspace(-30, 30, 2 * length).reshape(2, length)),
        np.full((2, length), -1e6),
    ):
        weights = np.exp(x - x.max(axis=1, keepdims=True))
        exact = weights / weights.sum(axis=1, keepdims=True)
        within("softmax", world.run(F["softmax"], x).value, exact, x)
