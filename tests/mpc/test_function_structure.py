"""Moving elements: equal to NumPy, without a round."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import Public, World, equal

from tacit.foundation.errors import ShapeError
from tacit.primitive.mpc.function import FUNCTIONS as F

X = np.arange(24, dtype=float).reshape(2, 3, 4) / 2 - 3

MOVES = {
    "reshape": ({"shape": (4, -1)}, lambda x: x.reshape(4, -1)),
    "transpose": ({"axes": (2, 0, 1)}, lambda x: x.transpose(2, 0, 1)),
    "moveaxis": ({"source": 0, "destination": -1}, lambda x: np.moveaxis(x, 0, -1)),
    "broadcast_to": ({"shape": (5, 2, 3, 4)}, lambda x: np.broadcast_to(x, (5, 2, 3, 4))),
    "broadcast_in_dim": (
        {"shape": (2, 7, 3, 4), "axes": (0, 2, 3)},
        lambda x: np.broadcast_to(x[:, None], (2, 7, 3, 4)),
    ),
    "expand_dims": ({"axis": (0, 2)}, lambda x: np.expand_dims(x, (0, 2))),
    "squeeze": ({}, lambda x: x),
    "flip": ({"axis": (0, 2)}, lambda x: np.flip(x, (0, 2))),
    "roll": ({"shift": 2, "axis": 1}, lambda x: np.roll(x, 2, 1)),
    "repeat": ({"count": 3, "axis": 1}, lambda x: np.repeat(x, 3, 1)),
    "tile": ({"counts": (2, 1, 2)}, lambda x: np.tile(x, (2, 1, 2))),
    "diagonal": ({"offset": 1, "axis1": 1, "axis2": 2}, lambda x: np.diagonal(x, 1, 1, 2)),
    "slice": ({"start": (0, 1, 0), "limit": (2, 3, 4), "strides": (1, 1, 3)}, lambda x: x[:, 1:, ::3]),
    "index": ({"key": (slice(None), np.array([2, 0]), None)}, lambda x: x[:, [2, 0], None]),
    "take": ({"indices": np.array([[2, -1]]), "axis": 1}, lambda x: np.take(x, [[2, -1]], 1)),
    "take_along_axis": (
        {"indices": np.array([[[0], [3], [1]]] * 2), "axis": 2},
        lambda x: np.take_along_axis(x, np.array([[[0], [3], [1]]] * 2), 2),
    ),
}


@pytest.mark.parametrize("name", MOVES)
def test_moves_as_numpy(world: World, name):
    params, expected = MOVES[name]
    for x in (X, np.int64(X * 2), X > 0):
        done = world.run(F[name], x, **params)
        equal(done.value, expected(x))
        assert done.value.dtype == x.dtype
        assert done.profile.rounds == 0
        equal(world.run(F[name], Public(x), **params).value, expected(x))


@given(data=st.data(), shape=st.lists(st.integers(0, 4), max_size=3), value=st.sampled_from([0, 1.5, -2]))
def test_pad_as_jax(world: World, data, shape, value):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    widths = [data.draw(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 2))) for _ in shape]
    extents = [n + max(n - 1, 0) * w[2] + w[0] + w[1] for n, w in zip(shape, widths, strict=True)]
    if min(extents, default=0) < 0:
        with pytest.raises(ShapeError):
            world.run(F["pad"], x.astype(float), widths=widths)
        return
    expected = np.asarray(jax.lax.pad(x, np.float32(value), widths))
    equal(world.run(F["pad"], x.astype(float), widths=widths, value=value).value, expected)
    truth = np.asarray(jax.lax.pad(x > 1, np.bool_(value), widths))
    equal(world.run(F["pad"], x > 1, widths=widths, value=bool(value)).value, truth)


def test_joining(world: World):
    n = np.int64(X)
    equal(world.run(F["concatenate"], X, X[:1], axis=0).value, np.concatenate([X, X[:1]]))
    equal(world.run(F["concatenate"], X, Public(X), n, axis=-1).value, np.concatenate([X, X, n], -1))
    equal(world.run(F["stack"], X > 0, Public(X > 1), axis=1).value, np.stack([X > 0, X > 1], 1))
    equal(world.run(F["stack"], X > 0, n).value, np.stack([X > 0, n]))
    assert world.run(F["stack"], X > 0, n).value.dtype == np.int64


def test_what_does_not_fit_is_refused(world: World):
    for name, params in [
        ("reshape", {"shape": (5, 5)}),
        ("broadcast_to", {"shape": (2, 2)}),
        ("take", {"indices": 7, "axis": 0}),
        ("slice", {"start": (0, 0, 0), "limit": (2, 3, 5)}),
        ("squeeze", {"axis": 0}),
        ("transpose", {"axes": (0, 1)}),
        ("pad", {"widths": [(0, 0, 0)]}),
    ]:
        with pytest.raises(ShapeError):
            world.run(F[name], X, **params)
    with pytest.raises(ShapeError):
        world.run(F["concatenate"], X, X[0])
