"""Integers: bits, shifts, whole division; exact over the whole range."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inputs import integers, pairs, reals, truths
from worlds import Public, World, equal

from tacit.foundation.errors import DomainError, TypeMismatch
from tacit.primitive.mpc.function import FUNCTIONS as F

BITWISE = {"bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor}


@pytest.mark.parametrize("name", BITWISE)
@given(xy=pairs(lambda s: integers(shape=s)), small=pairs(lambda s: integers(2**7 - 1, s)), b=pairs(truths))
def test_bitwise(world: World, name, xy, small, b):
    for x, y in (xy, small, b):
        width = 8 if x is small[0] else 64
        for left, right in [(x, y), (x, Public(y)), (Public(x), y), (x, Public(np.abs(y)))]:
            plain = [v.values if isinstance(v, Public) else v for v in (left, right)]
            equal(world.run(F[name], left, right, width=width).value, BITWISE[name](*plain))
        equal(world.run(F["bitwise_not"], x).value, ~x)


@given(x=integers(2**61 - 1), small=integers(100))
def test_population(world: World, x, small):
    equal(world.run(F["popcount"], x).value, np.bitwise_count(x.view(np.uint64)).astype(np.int64))
    equal(
        world.run(F["popcount"], small, width=8).value,
        np.bitwise_count(small.astype(np.int8).view(np.uint8)).astype(np.int64),
    )


@given(x=integers(2**61 - 1), y=integers(2**20), s=integers(20), count=st.integers(0, 61))
def test_shifts(world: World, x, y, s, count):
    equal(world.run(F["shift_right"], x, Public(count)).value, x >> count)
    equal(world.run(F["shift_left"], y, Public(count % 40)).value, y << (count % 40))
    equal(world.run(F["shift_right"], x, np.array(count)).value, x >> count)
    equal(world.run(F["shift_left"], y, np.array(count % 40)).value, y << (count % 40))
    logical = (x.view(np.uint64) >> np.uint64(max(count, 2))).view(np.int64)
    equal(world.run(F["shift_right_logical"], x, Public(max(count, 2))).value, logical)
    equal(world.run(F["shift_right_logical"], x, np.array(max(count, 2))).value, logical)
    counts = np.abs(s)
    base = np.full(s.shape, 12345678)
    equal(world.run(F["shift_right"], base, Public(counts)).value, base >> counts)
    equal(world.run(F["shift_right"], Public(base), counts, width=32).value, base >> counts)
    equal(world.run(F["shift_left"], Public(base), counts).value, base << counts)


def trunc_divide(x, y):
    return np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y))


@given(
    x=integers(2**62 - 1),
    c=st.one_of(st.integers(-100, 100), st.integers(-(2**61), 2**61), st.sampled_from([2**40, -8])).filter(bool),
)
def test_division_by_a_public_integer(world: World, x, c):
    equal(world.run(F["floor_divide"], x, Public(c)).value, x // c)
    equal(world.run(F["mod"], x, Public(c)).value, x % c)
    equal(world.run(F["trunc_divide"], x, Public(c)).value, trunc_divide(x, c))
    equal(world.run(F["rem"], x, Public(c)).value, x - c * trunc_divide(x, c))


@given(x=reals(2.0**24), c=st.integers(-(2**20), 2**20).filter(bool).map(lambda n: n / 2**10))
def test_division_of_reals(world: World, x, c):
    equal(world.run(F["floor_divide"], x, Public(c)).value, np.floor(x / c))
    equal(world.run(F["mod"], x, Public(c)).value, x - c * np.floor(x / c))
    equal(world.run(F["rem"], x, Public(c)).value, np.fmod(x, c))


@given(xy=pairs(lambda s: integers(2**61, s), lambda s: integers(1000, s).map(lambda n: n + 2 * (n == 0))))
def test_division_by_many_divisors(world: World, xy):
    x, y = xy
    equal(world.run(F["mod"], x, Public(y)).value, x % y)
    equal(world.run(F["trunc_divide"], x, Public(y)).value, trunc_divide(x, y))


def test_what_has_no_meaning_is_refused(world: World):
    n = np.arange(3)
    with pytest.raises(DomainError, match="zero"):
        world.run(F["mod"], n, Public(np.array([1, 0, 2])))
    with pytest.raises(DomainError, match="shift counts"):
        world.run(F["shift_left"], n, Public(62))
    with pytest.raises(TypeMismatch):
        world.run(F["bitwise_and"], n / 2, n)


@settings(max_examples=25)
@given(xy=pairs(lambda s: integers(2**18, s), lambda s: integers(2**9, s).map(lambda n: n + (n == 0))))
def test_division_by_a_shared_integer(world: World, xy):
    x, y = xy
    equal(world.run(F["floor_divide"], x, y).value, x // y)
    equal(world.run(F["mod"], x, y).value, x % y)
    equal(world.run(F["rem"], x, y).value, np.fmod(x, y))


@settings(max_examples=25)
@given(xy=pairs(lambda s: reals(2.0**8, s), lambda s: integers(2**9, s).map(lambda n: (n + (n == 0)) / 4)))
def test_division_by_a_shared_real(world: World, xy):
    x, y = xy
    equal(world.run(F["mod"], x, y).value, x - y * np.floor(x / y))
    equal(world.run(F["trunc_divide"], x, y).value, np.trunc(x / y))
