"""Sums, matrix products, slices and broadcasting, for arrays smaller and larger than a ciphertext."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_keys import bfv, ckks, draw, require_close, shallow_bfv, small_ckks

from tacit.foundation.errors import ShapeError, UnsupportedOperation
from tacit.primitive.he.packed import encrypt
from tacit.primitive.he.packed.slots import Geometry, rows

both = pytest.mark.parametrize("make", [ckks, bfv], ids=lambda make: make.__name__)
cheap = pytest.mark.parametrize("make", [small_ckks, bfv], ids=lambda make: make.__name__)
sizes = st.integers(1, 40)


def pair(make, shape, seed=0, size=3):
    """A key, numbers, and their encryption."""
    key = make()
    values = draw(np.random.default_rng(seed), key, shape, size)
    return key, values, encrypt(key.public, values, magnitude=size)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 70), max_size=3).map(tuple), st.sampled_from([Geometry(1, 64), Geometry(2, 32)]))
def test_layouts_give_every_number_its_place(shape, geometry):
    layout = rows(geometry, shape)
    assert len(np.unique(layout.places)) == layout.size
    values = np.arange(1, layout.size + 1).reshape(shape)
    slots = layout.scatter(values)
    assert slots.shape == (layout.count, geometry.slots)
    assert np.array_equal(layout.gather(slots), values)
    assert np.array_equal(slots, np.roll(slots, layout.period, axis=1))


@cheap
@pytest.mark.parametrize(
    "shape", [(1,), (5,), (300,), (3, 5), (40, 50), (50, 60), (3, 3000), (2, 3, 4), (7000,), (2, 5000), (70, 64)]
)
def test_sums(make, shape):
    key, a, x = pair(make, shape, size=1)
    require_close(key, x.sum(), a.sum())
    for axis in range(-1, len(shape) - 1):
        require_close(key, x.sum(axis), a.sum(axis))


@cheap
def test_sums_of_slices_and_transposes(make):
    key, a, x = pair(make, (6, 10))
    require_close(key, x[1:4, ::3].sum(), a[1:4, ::3].sum())
    require_close(key, x.T.sum(0), a.T.sum(0))
    require_close(key, x[:, 2].sum(), a[:, 2].sum())
    require_close(key, x.reshape(10, 6).sum(), a.sum())


@both
@settings(max_examples=4, deadline=None)
@given(m=sizes, k=sizes, n=sizes, seed=st.integers(0, 2**32 - 1))
def test_matrix_products(make, m, k, n, seed):
    key, a, x = pair(make, (m, k), seed)
    rng = np.random.default_rng(seed + 1)
    right, left = draw(rng, key, (k, n), 2), draw(rng, key, (n, m), 2)
    require_close(key, x @ right, a @ right)
    require_close(key, x @ right[:, 0], a @ right[:, 0])
    require_close(key, left @ x, left @ a)
    require_close(key, x[0] @ right, a[0] @ right)
    require_close(key, right.T @ x[0], right.T @ a[0])


@pytest.mark.parametrize(("shape", "n"), [((90, 100), 3), ((5000,), 2), ((3, 3000), 2), ((30, 4), 9)])
@both
def test_large_matrix_products(make, shape, n):
    key, a, x = pair(make, shape, size=1)
    w = draw(np.random.default_rng(3), key, (shape[-1], n), 1)
    require_close(key, x @ w, a @ w)


@both
def test_products_of_ciphertexts_with_vectors(make):
    key, a, x = pair(make, (12, 9))
    _, b, y = pair(make, (9,), 1)
    require_close(key, y.dot(y), b @ b)
    require_close(key, x @ y, a @ b)
    require_close(key, x + y, a + b)
    require_close(key, y * x, b * a)
    require_close(key, x[3] - y, a[3] - b)
    require_close(key, (y.sum() - x) * y[2:3].sum(), (b.sum() - a) * b[2])


@both
def test_rows_and_neighbours_meet(make):
    key, a, x = pair(make, (4, 16))
    require_close(key, x[0] + x[3], a[0] + a[3])
    require_close(key, x[:, 1:] - x[:, :-1], a[:, 1:] - a[:, :-1])
    require_close(key, x[1] * x[2], a[1] * a[2])


@cheap
def test_selection(make):
    key, a, x = pair(make, (20, 300))
    for selection in (3, (2, 7), slice(4, 9), (slice(None), 5), (slice(None, None, -2), slice(10, 90, 7)), (..., 1)):
        require_close(key, x[selection], a[selection])
    assert len(x[0].cells) == 1
    assert not x[0].clean
    assert x[:].clean
    require_close(key, x[1:3, 4].cleaned(), a[1:3, 4])
    require_close(key, x[1].repacked(), a[1])
    for wrong in ([1, 2], np.array([True] * 20), "a"):
        with pytest.raises(UnsupportedOperation):
            x[wrong]
    for wrong in (20, (0, 300), slice(5, 5)):
        with pytest.raises(ShapeError):
            x[wrong]


@cheap
def test_clearing_leaves_zeros_beside_the_array(make):
    from tacit.primitive.he.packed import PackedArray

    key, a, x = pair(make, (4, 8))
    for array, wanted in ((x[1:3, 2:5], a[1:3, 2:5]), (x.sum(axis=1), a.sum(axis=1))):
        cleared = array.cleaned()
        assert cleared.clean
        period = cleared.layout.period
        whole = rows(x.layout.geometry, (x.layout.geometry.slots,))
        slots = PackedArray(cleared.context, cleared.cells, whole, cleared.bounds, clean=True)
        expected = np.zeros(whole.geometry.slots, x.dtype)
        for start in range(0, whole.geometry.slots, period):
            expected[start + cleared.layout.places] = wanted
        require_close(key, slots, expected)


def test_what_does_not_fit_is_refused():
    key = small_ckks()
    x = encrypt(key.public, np.ones((3, 4)))
    for call in (
        lambda: x + np.ones(3),
        lambda: x @ np.ones(3),
        lambda: np.ones((2, 5)) @ x,
        lambda: x.sum(2),
        lambda: x.reshape(5),
        lambda: x + encrypt(key.public, np.ones(5)),
    ):
        with pytest.raises(ShapeError):
            call()
    with pytest.raises(UnsupportedOperation):
        x + np.ones((2, 3, 4))
    with pytest.raises(UnsupportedOperation):
        x @ x
    with pytest.raises(UnsupportedOperation, match="repacked"):
        x.reshape(4, 3) + encrypt(key.public, np.ones((4, 3)))
    with pytest.raises(UnsupportedOperation, match="BFV cannot divide"):
        encrypt(shallow_bfv().public, [1, 2]).mean()
    require_close(key, x.mean(), np.array(1.0))
