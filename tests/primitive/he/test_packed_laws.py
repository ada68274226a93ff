"""Arithmetic on packed ciphertexts is NumPy's: within the stated error for CKKS, exactly for BFV."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_keys import bfv, ckks, draw, require_close, shallow_bfv, small_ckks

from tacit.primitive.he.packed import decrypt, encrypt

both = pytest.mark.parametrize("make", [ckks, bfv], ids=lambda make: make.__name__)
cheap = pytest.mark.parametrize("make", [small_ckks, shallow_bfv], ids=lambda make: make.__name__)
seeds = st.integers(0, 2**32 - 1)
shapes = st.sampled_from([(), (1,), (7,), (3, 5), (2, 1, 6), (64,), (4, 2048), (9000,)])


@cheap
@settings(max_examples=12, deadline=None)
@given(seed=seeds, shape=shapes, exponent=st.integers(-8, 2))
def test_sums_and_products_with_numbers(make, seed, shape, exponent):
    key, rng = make(), np.random.default_rng(seed)
    size = 2.0**exponent if make is small_ckks else 2 ** max(exponent, 0)
    a, b, c = (draw(rng, key, shape, size) for _ in range(3))
    x, y = encrypt(key.public, a, magnitude=size), encrypt(key.public, b, magnitude=size)
    require_close(key, x, a)
    require_close(key, x + y - c, a + b - c)
    require_close(key, c - x, c - a)
    require_close(key, -x, -a)
    require_close(key, x * 2, a * 2)
    require_close(key, c + x + 1, c + a + 1)
    if make is small_ckks:
        require_close(key, b * (x - y), b * (a - b))


@both
@settings(max_examples=4, deadline=None)
@given(seed=seeds, shape=st.sampled_from([(), (5,), (3, 4), (5000,)]))
def test_products_of_ciphertexts(make, seed, shape):
    key, rng = make(), np.random.default_rng(seed)
    a, b, c = (draw(rng, key, shape) for _ in range(3))
    x, y = encrypt(key.public, a), encrypt(key.public, b)
    require_close(key, x * y + c, a * b + c)
    require_close(key, x.square() - y, a * a - b)  # of different levels, for CKKS


def test_deep_products_keep_their_bound():
    key, rng = ckks(), np.random.default_rng(5)
    a, b, c = (rng.uniform(-3, 3, 100) for _ in range(3))
    x, y, z = (encrypt(key.public, v) for v in (a, b, c))
    require_close(key, (x * y + z) * (z - 1.5), (a * b + c) * (c - 1.5))
    require_close(key, (x * 0.125) * (y + 2) + z, (a * 0.125) * (b + 2) + c)


def test_the_bound_is_of_use():
    """It may not be met by being enormous: fresh numbers and products keep six digits at 40 bits of scale."""
    x = encrypt(ckks().public, np.linspace(-1, 1, 4096))
    assert x.error < 1e-7
    assert (x * x).error < 3e-7
    assert x.sum().error / 4096 < 1e-6


@pytest.mark.parametrize("make", [small_ckks, bfv], ids=lambda make: make.__name__)
def test_what_cancels_or_vanishes_is_still_encrypted(make):
    key = make()
    a = draw(np.random.default_rng(1), key, (10,))
    x = encrypt(key.public, a)
    for array in (x - x, x * 0, np.zeros(10, x.dtype) * x, x + 0 - x, x[:3] - x[:3]):
        require_close(key, array, np.zeros(array.shape, x.dtype))
        assert not any(cell.is_transparent() for cell in array.cells)
    if make is small_ckks:
        require_close(key, x * 1e-12, a * 1e-12)  # a factor that the scale rounds to zero


def test_encryption_is_randomised():
    key = small_ckks()
    first, second = (encrypt(key.public, [1.0, 2.0]) for _ in range(2))
    assert not np.array_equal(decrypt(key, first), decrypt(key, second))  # the noise differs


@settings(max_examples=6, deadline=None)
@given(seed=seeds, coefficients=st.lists(st.floats(-2, 2, allow_subnormal=False), min_size=1, max_size=4))
def test_polynomials_of_reals(seed, coefficients):
    key = ckks()
    a = np.random.default_rng(seed).uniform(-1.5, 1.5, 50)
    x = encrypt(key.public, a)
    y = x.polynomial(coefficients)
    require_close(key, y, np.polynomial.polynomial.polyval(a, coefficients))
    degree = int(np.flatnonzero(coefficients).max(initial=0))
    assert x.levels - y.levels <= max(1, degree.bit_length())


@pytest.mark.parametrize("degree", [4, 7])
def test_polynomials_take_the_least_depth(degree):
    key = ckks(3)
    a = np.linspace(-1, 1, 33)
    c = 1 / np.arange(1.0, degree + 2)
    y = encrypt(key.public, a).polynomial(c)
    require_close(key, y, np.polynomial.polynomial.polyval(a, c))
    assert y.levels == 0


def test_polynomials_of_integers():
    key = bfv(2)
    a = np.arange(-9, 10)
    x = encrypt(key.public, a)
    require_close(key, x.polynomial([4, -3, 2]), 4 - 3 * a + 2 * a**2)
    require_close(key, x.polynomial([4, 0, 0, -3]), 4 - 3 * a**3)
    require_close(key, x.polynomial([7]), np.full(19, 7))
