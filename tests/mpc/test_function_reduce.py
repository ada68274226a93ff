"""Reductions along every choice of axes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inputs import FULL, integers, reals, truths
from worlds import BITS, World, equal

from tacit.foundation.errors import ShapeError
from tacit.primitive.mpc.function import FUNCTIONS as F
from tacit.primitive.mpc.function import contract_of

ULP = 2.0**-BITS


def axes_of(x, data):
    if not x.ndim:
        return None
    return data.draw(
        st.one_of(st.none(), st.integers(-x.ndim, x.ndim - 1), st.sets(st.integers(0, x.ndim - 1)).map(tuple))
    )


def assert_within(name, actual, exact, *operands):
    limit = contract_of(F[name]).error.limit(BITS, exact, *operands)
    assert actual.shape == exact.shape
    assert np.all(np.abs(actual - exact) <= limit * 1.0000001), (actual, exact, limit)


@given(x=reals(2.0**30), n=integers(2**40), b=truths(), keep=st.booleans(), data=st.data())
def test_sums(world: World, x, n, b, keep, data):
    for v in (x, n, b):
        axis = axes_of(v, data)
        equal(world.run(F["sum"], v, axis=axis, keepdims=keep).value, v.sum(axis=axis, keepdims=keep))


@given(x=reals(2.0**10, FULL), n=integers(2**20, FULL), keep=st.booleans(), data=st.data())
def test_means(world: World, x, n, keep, data):
    for v in (x, n):
        axis = axes_of(v, data)
        assert_within("mean", world.run(F["mean"], v, axis=axis, keepdims=keep).value, v.mean(axis=axis, keepdims=keep))


@pytest.mark.parametrize("n", [64, 65, 1000, 4096, 50_000])
def test_means_and_variances_of_many(world: World, n):
    x = np.round((np.sin(np.arange(n) ** 2) * 100 + 17) * 2**BITS) / 2**BITS
    assert_within("mean", world.run(F["mean"], x).value, x.mean())
    assert_within("var", world.run(F["var"], x).value, x.var())
    assert_within(
        "var", world.run(F["var"], x[:, None] / 64, axis=0, ddof=1).value, (x[:, None] / 64).var(axis=0, ddof=1)
    )


@given(x=reals(2.0**5, FULL), keep=st.booleans(), data=st.data())
def test_variances(world: World, x, keep, data):
    axis = axes_of(x, data)
    assert_within("var", world.run(F["var"], x, axis=axis, keepdims=keep).value, x.var(axis=axis, keepdims=keep))


@given(x=reals(1.25), n=integers(3), data=st.data(), keep=st.booleans())
def test_products(world: World, x, n, data, keep):
    axis = axes_of(n, data)
    if n.size <= 30:
        equal(world.run(F["prod"], n, axis=axis, keepdims=keep).value, n.prod(axis=axis, keepdims=keep))
    x = x.reshape(-1)[:12]
    assert abs(world.run(F["prod"], x).value - x.prod()) <= 12 * ULP * 1.25**12


@given(b=truths(), keep=st.booleans(), data=st.data())
def test_truth(world: World, b, keep, data):
    axis = axes_of(b, data)
    equal(world.run(F["all"], b, axis=axis, keepdims=keep).value, b.all(axis=axis, keepdims=keep))
    equal(world.run(F["any"], b, axis=axis, keepdims=keep).value, b.any(axis=axis, keepdims=keep))


@pytest.mark.parametrize("n", [256, 257, 1000, 5001])
@pytest.mark.parametrize("hole", [None, 0, 255, -1])
def test_truth_of_many(world: World, n, hole):
    b = np.ones((n, 3), np.bool_)
    if hole is not None:
        b[hole, 1] = False
    equal(world.run(F["all"], b, axis=0).value, b.all(axis=0))
    equal(world.run(F["any"], ~b, axis=0).value, (~b).any(axis=0))
    done = world.run(F["all"], b, axis=0)
    if done.tally:
        assert done.profile.rounds <= 8


@given(x=reals(2.0**34, FULL), n=integers(shape=FULL), keep=st.booleans(), data=st.data())
def test_extremes(world: World, x, n, keep, data):
    for v in (x, n, n % 3, n > 0):
        axis = axes_of(v, data)
        equal(world.run(F["max"], v, axis=axis, keepdims=keep).value, v.max(axis=axis, keepdims=keep))
        equal(world.run(F["min"], v, axis=axis, keepdims=keep).value, v.min(axis=axis, keepdims=keep))


@given(x=reals(2.0**34, FULL), n=integers(shape=FULL), keep=st.booleans(), data=st.data())
def test_places_of_extremes(world: World, x, n, keep, data):
    for v in (x, n, n % 3, n > 0):
        axis = data.draw(st.one_of(st.none(), st.integers(-v.ndim, v.ndim - 1))) if v.ndim else None
        for name in ("argmax", "argmin"):
            equal(world.run(F[name], v, axis=axis, keepdims=keep).value, getattr(np, name)(v, axis, keepdims=keep))
    value, place = world.run(F["max_and_argmax"], n, axis=None).value
    assert (value, place) == (n.max(), n.argmax())
    value, place = world.run(F["min_and_argmin"], n, axis=None).value
    assert (value, place) == (n.min(), n.argmin())


def test_wide_and_long_tournaments(world: World):
    x = (np.arange(1001 * 100) * 7919 % 100_003).reshape(1001, 100)
    done = world.run(F["max"], x, axis=1)
    equal(done.value, x.max(axis=1))
    if done.tally:
        assert done.profile.rounds == 7 * 2  # a comparison and a gate for each level
    equal(world.run(F["argmax"], x % 97, axis=0).value, (x % 97).argmax(axis=0))
    equal(world.run(F["argmin"], x.reshape(-1)).value, x.argmin())
    equal(world.run(F["min"], x.reshape(-1)).value, x.min())


def test_nothing_to_choose_from(world: World):
    for name in ("max", "argmin", "mean", "var"):
        with pytest.raises(ShapeError):
            world.run(F[name], np.zeros((2, 0)), axis=1)
    with pytest.raises(ShapeError):
        world.run(F["sum"], np.zeros((2, 2)), axis=2)
    equal(world.run(F["prod"], np.zeros((2, 0)), axis=1).value, np.ones(2))


@given(x=reals(2.0**4, FULL))
def test_standard_deviations(world: World, x):
    actual = world.run(F["std"], x).value
    assert np.all(np.abs(actual - x.std()) <= 2.0**-8)
