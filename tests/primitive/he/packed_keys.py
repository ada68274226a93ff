"""Keys of packed encryption for all tests, made once; and what every array has to keep to."""

from functools import cache

import numpy as np
import pytest

from tacit.primitive.he.packed import BfvParameters, CkksParameters, decrypt, generate

pytest.importorskip("tenseal")


@cache
def ckks(levels=2):
    return generate(CkksParameters(levels=levels))


@cache
def small_ckks():
    """One level in degree 4096: cheap, and coarse."""
    return generate(CkksParameters(levels=1, scale_bits=25, range_bits=8))


@cache
def bfv(multiplications=1):
    return generate(BfvParameters(multiplications=multiplications, plain_bits=24))


@cache
def shallow_bfv():
    """No product of ciphertexts for sure, in degree 4096."""
    return generate(BfvParameters(multiplications=0, plain_bits=18))


def require_close(key, array, wanted):
    """The decrypted numbers are what NumPy has: exactly, or within the error that the array states; and of its shape."""
    wanted = np.asarray(wanted)
    found = decrypt(key, array)
    assert found.shape == wanted.shape == array.shape
    assert found.dtype == array.dtype
    assert np.abs(wanted).max() <= array.magnitude
    if array.dtype == np.int64:
        assert np.array_equal(found, wanted)
        assert array.error == 0
    else:
        assert np.abs(found - wanted).max() <= array.error


def draw(rng, key, shape, size=8):
    """Numbers of the key's scheme with magnitudes up to `size`."""
    if key.public.parameters.scheme == "bfv":
        return rng.integers(-size, size + 1, shape)
    return rng.uniform(-size, size, shape)
