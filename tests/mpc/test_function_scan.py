"""Running sums, products, extremes and truth."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from inputs import integers, reals, truths
from worlds import BITS, World, equal

from tacit.primitive.mpc.function import FUNCTIONS as F

LINES = hnp.array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=20)
RUNNING = {
    "cumsum": np.cumsum,
    "cumprod": np.cumprod,
    "cummax": np.maximum.accumulate,
    "cummin": np.minimum.accumulate,
    "cumall": np.logical_and.accumulate,
    "cumany": np.logical_or.accumulate,
}


def running(name, x, axis, reverse):
    if not reverse:
        return RUNNING[name](x, axis)
    return np.flip(RUNNING[name](np.flip(x, axis), axis), axis)


@given(x=reals(2.0**30, LINES), n=integers(shape=LINES), b=truths(LINES), reverse=st.booleans(), data=st.data())
def test_scans(world: World, x, n, b, reverse, data):
    for name, v in [
        ("cumsum", x), ("cumsum", n % 1000), ("cumsum", b), ("cummax", x), ("cummin", n), ("cumall", b), ("cumany", b),
        ("cumprod", np.sign(n) + (n == 5)),
    ]:  # fmt: skip
        axis = data.draw(st.integers(-v.ndim, v.ndim - 1))
        equal(world.run(F[name], v, axis=axis, reverse=reverse).value, running(name, v, axis, reverse))


def test_products_of_reals_and_their_depth(world: World):
    x = 1 + np.round(np.sin(np.arange(100)) * 2**12) / 2**16
    done = world.run(F["cumprod"], x)
    exact = np.cumprod(x)
    assert np.all(np.abs(done.value - exact) <= 100 * 2.0**-BITS * exact.max())
    if done.tally:
        assert done.profile.rounds == 7
