"""The kernels of oblivious transfer: every instruction set and thread count alike, fields against integers, refusals."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit import _native as native

ISAS = ["portable", "avx2", "avx512"][: 1 + ["portable", "avx2", "avx512"].index(native.best_isa())]
KEY = bytes(range(16))
needs_aes = pytest.mark.skipif(not native.has_aes(), reason="this processor has no AES instructions")


@contextmanager
def using(isa, threads=1):
    before = native.isa(), native.threads()
    native.set_isa(isa)
    native.set_threads(threads)
    try:
        yield
    finally:
        native.set_isa(before[0])
        native.set_threads(before[1])


def everywhere(compute):
    """The results of `compute` on every instruction set, with one thread and with three."""
    results = []
    for isa in ISAS:
        for threads in (1, 3):
            with using(isa, threads):
                results.append(compute())
    return results


def require_alike(results):
    for result in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], result, strict=True))


def drawn(seed, *shape):
    return np.random.default_rng(seed).integers(0, 2**64, shape, np.uint64)


# --- fields -------------------------------------------------------------------------------------------------------


def multiply(a, b, modulus, degree):
    product = 0
    for i in range(b.bit_length()):
        if b >> i & 1:
            product ^= a << i
    for i in range(product.bit_length() - 1, degree - 1, -1):
        if product >> i & 1:
            product ^= modulus << (i - degree)
    return product


@given(rows=st.integers(0, 4), columns=st.integers(0, 9), seed=st.integers(0, 2**32))
def test_sums_of_products_in_the_field_of_64_bits(rows, columns, seed):
    x, weights = drawn(seed, rows, columns), drawn(seed + 1, columns)
    wanted = []
    for row in x:
        total = 0
        for a, b in zip(row, weights, strict=True):
            total ^= multiply(int(a), int(b), 2**64 + 0b11011, 64)
        wanted.append(total)

    def compute():
        out = np.empty(rows, np.uint64)
        native.field64_combine(x, weights, out)
        return [out]

    results = everywhere(compute)
    require_alike(results)
    assert results[0][0].tolist() == wanted


@given(n=st.integers(0, 9), seed=st.integers(0, 2**32))
def test_sums_of_products_in_the_field_of_128_bits(n, seed):
    a, b = drawn(seed, n, 2), drawn(seed + 1, n, 2)
    total = 0
    for x, y in zip(a, b, strict=True):
        total ^= multiply(int(x[0]) | int(x[1]) << 64, int(y[0]) | int(y[1]) << 64, 2**128 + 0b10000111, 128)

    def compute():
        out = np.empty(2, np.uint64)
        native.field128_dot(a, b, out)
        return [out]

    results = everywhere(compute)
    require_alike(results)
    assert int(results[0][0][0]) | int(results[0][0][1]) << 64 == total


@pytest.mark.parametrize("values", [(0, 1), (1, 1), (2**64 - 1, 2**64 - 1), (1 << 63, 1 << 63)])
def test_corners_of_the_fields(values):
    a, b = (np.array([[value, value]], np.uint64) for value in values)
    for isa in ISAS:
        with using(isa):
            out = np.empty(2, np.uint64)
            native.field128_dot(a, b, out)
            whole = [value | value << 64 for value in values]
            assert int(out[0]) | int(out[1]) << 64 == multiply(*whole, 2**128 + 0b10000111, 128)
            one = np.empty(1, np.uint64)
            native.field64_combine(a[:, :1], b[0, :1], one)
            assert int(one[0]) == multiply(*values, 2**64 + 0b11011, 64)


# --- the permutation ----------------------------------------------------------------------------------------------


@needs_aes
@given(n=st.integers(0, 80), first=st.integers(0, 2**63), seed=st.integers(0, 2**32))
def test_hashes_are_alike(n, first, seed):
    x = drawn(seed, n, 2)

    def compute():
        out = np.empty_like(x)
        native.FixedKey(KEY).hash(x, first, out)
        same = x.copy()
        native.FixedKey(KEY).hash(same, first, same)
        assert np.array_equal(out, same)
        return [out]

    require_alike(everywhere(compute))


@needs_aes
@pytest.mark.parametrize("n", [8191, 8192, 8193, 40_000])
def test_many_hashes_are_alike(n):
    x = drawn(n, n, 2)

    def compute():
        out = np.empty_like(x)
        native.FixedKey(KEY).hash(x, 5, out)
        return [out]

    require_alike(everywhere(compute))


@needs_aes
@pytest.mark.parametrize(("trees", "depth"), [(0, 3), (1, 1), (3, 2), (2, 5), (1, 6), (5, 7), (7, 11), (2, 15)])
def test_trees_are_alike(trees, depth):
    roots, delta, paths = drawn(1, trees, 2), drawn(2, 2), drawn(3, trees)

    def compute():
        leaves, sums = np.empty((trees, 1 << depth, 2), np.uint64), np.empty((trees, depth, 2), np.uint64)
        key = native.FixedKey(KEY)
        key.expand(roots, delta, leaves, sums)
        held = np.empty_like(leaves)
        key.complete(sums, paths, held)
        return leaves, sums, held

    require_alike(everywhere(compute))


@needs_aes
@pytest.mark.parametrize("n", [0, 1, 15, 16, 17, 100, 5000])
@pytest.mark.parametrize("rows", [1, 37, 1 << 12])
def test_codes_are_alike(n, rows):
    table, start = drawn(4, rows, 2), drawn(5, n, 2)

    def compute():
        out = start.copy()
        native.FixedKey(KEY).encode(9, 32, table, out)
        return [out]

    require_alike(everywhere(compute))


@needs_aes
def test_blocks_need_no_alignment():
    """A view that begins in the middle of a block."""
    flat = drawn(6, 2 * 40 + 1)
    x = flat[1:].reshape(-1, 2)
    out, aligned = np.empty(81, np.uint64)[1:].reshape(-1, 2), np.empty((40, 2), np.uint64)
    key = native.FixedKey(KEY)
    key.hash(x, 0, out)
    key.hash(x.copy(), 0, aligned)
    assert np.array_equal(out, aligned)
    key.encode(0, 0, x, out)
    key.encode(0, 0, x.copy(), aligned)
    assert np.array_equal(out, aligned)


# --- refusals -----------------------------------------------------------------------------------------------------


@needs_aes
def test_what_does_not_fit_is_refused():
    key = native.FixedKey(KEY)
    x, leaves, sums = drawn(1, 4, 2), np.empty((4, 8, 2), np.uint64), np.empty((4, 3, 2), np.uint64)
    delta, paths = drawn(2, 2), np.zeros(4, np.uint64)
    for error, act in [
        (ValueError, lambda: native.FixedKey(b"short")),
        (ValueError, lambda: key.hash(x, 0, x[:3])),
        (ValueError, lambda: key.hash(x.reshape(-1), 0, x.reshape(-1))),
        (ValueError, lambda: key.hash(x[:3], 0, x[1:])),
        (TypeError, lambda: key.hash(x.view(np.int32), 0, x)),
        (TypeError, lambda: key.hash(x, -1, x)),
        (ValueError, lambda: key.expand(x[:3], delta, leaves, sums)),
        (ValueError, lambda: key.expand(x, delta[:1], leaves, sums)),
        (ValueError, lambda: key.expand(x, delta, leaves[:, :7].copy(), sums)),
        (ValueError, lambda: key.expand(x, delta, np.empty((4, 1, 2), np.uint64), np.empty((4, 0, 2), np.uint64))),
        (ValueError, lambda: key.complete(sums, paths[:3], leaves)),
        (ValueError, lambda: key.complete(sums, paths, leaves[:, :4].copy())),
        (ValueError, lambda: key.encode(0, 8, x, x.copy())),
        (ValueError, lambda: key.encode(0, 1 << 60, x, x.copy())),
        (ValueError, lambda: key.encode(0, 0, x[:0], x.copy())),
        (ValueError, lambda: key.encode(0, 0, x, x)),
        (ValueError, lambda: native.field64_combine(x, drawn(1, 3), np.empty(4, np.uint64))),
        (ValueError, lambda: native.field64_combine(x, drawn(1, 2), np.empty(3, np.uint64))),
        (ValueError, lambda: native.field128_dot(x, x[:3], np.empty(2, np.uint64))),
        (ValueError, lambda: native.field128_dot(x, x, np.empty(3, np.uint64))),
    ]:
        with pytest.raises(error):
            act()
