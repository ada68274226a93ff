"""Rounding and casts: exact, whatever the truncation does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inputs import SHAPES, integers, reals, truths
from worlds import BITS, World, equal

from tacit.foundation.errors import ConfigError
from tacit.primitive.mpc.function import FUNCTIONS as F

NEAR = st.one_of(
    reals(2.0**34), integers(40, SHAPES).map(lambda n: n / 4), integers(40, SHAPES).map(lambda n: n / 2 + 2.0**-BITS)
)


def away(x):
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


@given(x=NEAR)
def test_rounding(world: World, x):
    equal(world.run(F["floor"], x).value, np.floor(x))
    equal(world.run(F["ceil"], x).value, np.ceil(x))
    equal(world.run(F["trunc"], x).value, np.trunc(x))
    equal(world.run(F["round"], x).value, np.rint(x))
    equal(world.run(F["round"], x, ties="away").value, away(x))


@given(x=NEAR, n=integers(2**40), b=truths())
def test_casts(world: World, x, n, b):
    equal(world.run(F["to_integer"], x).value, np.trunc(x).astype(np.int64))
    equal(world.run(F["to_integer"], x, rounding="floor").value, np.floor(x).astype(np.int64))
    equal(world.run(F["to_integer"], b).value, b.astype(np.int64))
    equal(world.run(F["to_fixed"], n).value, n.astype(np.float64))
    equal(world.run(F["to_fixed"], b, bits=10).value, b.astype(np.float64))
    assert np.all(np.abs(world.run(F["to_fixed"], x, bits=10).value - x) <= 2.0**-10)
    for v in (x, n, b):
        equal(world.run(F["to_boolean"], v).value, v != 0)


def test_an_unknown_way_is_refused(world: World):
    with pytest.raises(ConfigError):
        world.run(F["to_integer"], np.ones(1), rounding="up")
