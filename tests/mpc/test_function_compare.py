"""Comparisons, logic, choices: exact for every pair whose difference fits the ring, extremes included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inputs import integers, pairs, reals, truths
from worlds import Public, World, equal

from tacit.foundation.errors import ShapeError, TypeMismatch
from tacit.primitive.mpc.function import FUNCTIONS as F
from tacit.primitive.mpc.function.chunk import CHUNK

COMPARE = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
LOGIC = {"logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor}


def whole(shape):
    return integers(shape=shape)


@pytest.mark.parametrize("name", COMPARE)
@given(xy=pairs(whole))
def test_integers_compare_exactly(world: World, name, xy):
    x, y = xy
    for left, right in [(x, y), (x, Public(y)), (Public(x), y)]:
        actual = world.run(F[name], left, right).value
        assert actual.dtype == np.bool_
        equal(actual, COMPARE[name](x, y))


@pytest.mark.parametrize("name", COMPARE)
@given(xy=pairs(lambda s: reals(2.0**34, s)))
def test_reals_compare_exactly(world: World, name, xy):
    x, y = xy
    for left, right in [(x, y), (x, Public(y)), (Public(x), y), (x, np.int64(y) // 2**10)]:
        actual = world.run(F[name], left, right).value
        values = [v.values if isinstance(v, Public) else v for v in (left, right)]
        equal(actual, COMPARE[name](*values))


@pytest.mark.parametrize("name", COMPARE)
@given(xy=pairs(truths))
def test_truth_values_compare(world: World, name, xy):
    equal(world.run(F[name], *xy).value, COMPARE[name](*xy))


@given(x=integers(2**62 - 1))
def test_signs_at_the_ends_of_the_range(world: World, x):
    equal(world.run(F["is_negative"], x).value, x < 0)
    equal(world.run(F["is_zero"], x).value, x == 0)
    equal(world.run(F["sign"], x).value, np.sign(x))
    equal(world.run(F["abs"], x).value, np.abs(x))
    equal(world.run(F["relu"], x).value, np.maximum(x, 0))


@given(x=reals(2.0**34))
def test_signs_of_reals(world: World, x):
    equal(world.run(F["sign"], x).value, np.sign(x))
    equal(world.run(F["abs"], x).value, np.abs(x))
    equal(world.run(F["relu"], x).value, np.maximum(x, 0))


@pytest.mark.parametrize("name", LOGIC)
@given(xy=pairs(truths))
def test_logic(world: World, name, xy):
    x, y = xy
    for left, right in [(x, y), (x, Public(y)), (Public(x), y)]:
        equal(world.run(F[name], left, right).value, LOGIC[name](x, y))
    equal(world.run(F["logical_not"], x).value, ~x)
    assert world.run(F["logical_and"], x, Public(y)).profile.rounds == 0


@given(xy=pairs(whole), data=st.data())
def test_select(world: World, xy, data):
    x, y = xy
    c = data.draw(truths(np.broadcast_shapes(x.shape, y.shape)))
    for condition in (c, Public(c)):
        for left, right in [(x, y), (x, Public(y)), (Public(x), y)]:
            equal(world.run(F["select"], condition, left, right).value, np.where(c, x, y))
        equal(world.run(F["select"], condition, x, Public(0)).value, np.where(c, x, 0))
        equal(world.run(F["select"], condition, Public(0), x).value, np.where(c, 0, x))
    equal(world.run(F["select"], c, Public(x), Public(y)).value, np.where(c, x, y))
    equal(world.run(F["select"], c, x > 0, y > 0).value, np.where(c, x > 0, y > 0))
    equal(world.run(F["select"], c, x > 0, Public(y > 0)).value, np.where(c, x > 0, y > 0))


@given(xy=pairs(lambda s: reals(2.0**30, s)))
def test_select_among_kinds(world: World, xy):
    x, y = xy
    n = np.int64(y) // 2**10
    equal(world.run(F["select"], x > 0, x, n).value, np.where(x > 0, x, n))
    equal(world.run(F["select"], x > 0, Public(1.5), Public(-0.25)).value, np.where(x > 0, 1.5, -0.25))
    equal(world.run(F["select"], x > 0, Public(3), Public(4)).value, np.where(x > 0, 3, 4))


@given(xy=pairs(whole))
def test_larger_and_smaller(world: World, xy):
    x, y = xy
    for left, right in [(x, y), (x, Public(y)), (Public(x), y)]:
        equal(world.run(F["maximum"], left, right).value, np.maximum(x, y))
        equal(world.run(F["minimum"], left, right).value, np.minimum(x, y))
    equal(world.run(F["maximum"], x > 0, y > 0).value, np.maximum(x > 0, y > 0))
    low, high = np.minimum(x, y), np.maximum(x, y)
    equal(world.run(F["clip"], x // 2, Public(low // 2), high // 2).value, np.clip(x // 2, low // 2, high // 2))


@given(x=reals(2.0**30), low=st.integers(-100, 100), width=st.integers(0, 100))
def test_clip(world: World, x, low, width):
    low, high = low / 4, (low + width) / 4
    equal(world.run(F["clip"], x, Public(low), Public(high)).value, np.clip(x, low, high))
    equal(world.run(F["clip"], x, Public(low)).value, np.maximum(x, low))
    equal(world.run(F["clip"], x, Public(-np.inf), Public(high)).value, np.minimum(x, high))


def test_large_work_is_cut_into_pieces_that_share_rounds(world: World):
    n = 3 * CHUNK + 7
    x = (np.arange(n) * 7919 % 1000 - 500) / 8
    y = np.array([1.5])
    assert world.run(F["lt"], x[:5], y).profile.rounds == world.run(F["lt"], x, y).profile.rounds
    equal(world.run(F["lt"], x, y).value, x < y)
    equal(world.run(F["relu"], x).value, np.maximum(x, 0))
    equal(world.run(F["clip"], x, Public(-3), y).value, np.clip(x, -3, 1.5))
    equal(world.run(F["select"], x > 0, x, Public(x[::-1])).value, np.where(x > 0, x, x[::-1]))
    equal(world.run(F["maximum"], x[:300, None], x[None, :300]).value, np.maximum(x[:300, None], x[None, :300]))
    assert CHUNK < 300 * 300


def test_what_has_no_meaning_is_refused(world: World):
    x = np.ones(3)
    with pytest.raises(TypeMismatch):
        world.run(F["logical_and"], x, x > 0)
    with pytest.raises(TypeMismatch):
        world.run(F["select"], x, x, x)
    with pytest.raises(ShapeError):
        world.run(F["lt"], x, np.ones(2))
