"""Reading and writing at public and at shared indices."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inputs import integers, reals
from worlds import Public, World, equal

from tacit.foundation.errors import ConfigError, ShapeError, TypeMismatch
from tacit.primitive.mpc.function import FUNCTIONS as F

X = np.arange(60, dtype=float).reshape(3, 4, 5) / 8 - 2


@given(index=integers(2**40), count=st.integers(0, 20))
def test_one_hot(world: World, index, count):
    for i in (index, index % 23 - 1):
        equal(world.run(F["one_hot"], i, count=count).value, i[..., None] == np.arange(count))


@given(i=integers(100), axis=st.integers(-3, 2))
def test_take_at_shared_indices(world: World, i, axis):
    n = X.shape[axis]
    inside = i % n
    for x in (X, np.int64(X * 8), X > 0, Public(X), Public(X > 0)):
        plain = x.values if isinstance(x, Public) else x
        equal(world.run(F["take"], x, inside, axis=axis).value, np.take(plain, inside, axis))
        equal(world.run(F["take"], x, i, axis=axis, mode="clip").value, np.take(plain, i, axis, mode="clip"))
    equal(world.run(F["take"], X, Public(inside), axis=axis).value, np.take(X, inside, axis))


@given(
    starts=st.tuples(*[st.integers(-9, 9)] * 3),
    secret=st.tuples(*[st.booleans()] * 3),
    sizes=st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(0, 5)),
)
def test_dynamic_slices(world: World, starts, secret, sizes):
    shared = [np.array(s) for s, hidden in zip(starts, secret, strict=True) if hidden]
    for x in (X, np.int64(X * 8), X > 0):
        expected = np.asarray(jax.lax.dynamic_slice(np.asarray(x, np.float32), starts_clipped(starts), sizes)).astype(
            x.dtype
        )

        async def cut(k, v, *hidden):
            given_ = iter(hidden)
            return await F["dynamic_slice"](
                k, v, [next(given_) if h else s for s, h in zip(starts, secret, strict=True)], sizes
            )

        equal(world.run(cut, x, *shared).value, expected)
        update = np.asarray(np.ones(sizes) * 3, x.dtype)
        written = np.asarray(
            jax.lax.dynamic_update_slice(
                np.asarray(x, np.float32), np.asarray(update, np.float32), starts_clipped(starts)
            )
        ).astype(x.dtype)

        async def put(k, v, u, *hidden):
            given_ = iter(hidden)
            return await F["dynamic_update_slice"](
                k, v, u, [next(given_) if h else s for s, h in zip(starts, secret, strict=True)]
            )

        equal(world.run(put, x, update, *shared).value, written)


def starts_clipped(starts):
    return [max(0, s) for s in starts]  # JAX counts negative starts from the end; lax itself clips


@given(x=reals(2.0**20, (6, 3)), i=st.lists(st.integers(-6, 5), max_size=8))
def test_scatter(world: World, x, i):
    updates = np.arange(3.0 * len(i)).reshape(len(i), 3) / 4
    key = np.array(i, np.int64)
    expected = x.copy()
    expected[key] = updates
    equal(run(world, "scatter", x, key, updates), expected)
    summed = x.copy()
    np.add.at(summed, key, updates)
    equal(run(world, "scatter_add", x, key, updates), summed)
    equal(run(world, "scatter_add", x, (key, slice(0, 1)), Public(1)), add_at(x, (key, slice(0, 1)), 1))
    truth = x > 0
    changed = truth.copy()
    changed[key, 0] = True
    equal(run(world, "scatter", truth, (key, 0), Public(True)), changed)


def add_at(x, key, value):
    out = x.copy()
    np.add.at(out, key, value)
    return out


def run(world, name, x, key, updates):
    async def write(k, v, u):
        return await F[name](k, v, key, u)

    return world.run(write, x, updates).value


def test_what_does_not_fit_is_refused(world: World):
    with pytest.raises(ShapeError):
        run(world, "scatter", X, np.array([9]), Public(0.0))
    with pytest.raises(ShapeError):
        world.run(F["take"], X, Public(9), axis=0)
    with pytest.raises(TypeMismatch):
        world.run(F["take"], X, X)
    with pytest.raises(ConfigError):
        world.run(F["one_hot"], np.arange(3), count=3, mode="wrap")
    with pytest.raises(ShapeError):
        world.run(F["dynamic_slice"], X, starts=[0, 0, 0], sizes=[4, 1, 1])
