"""Ciphertext arrays compute what NumPy computes, exactly, and refuse what could overflow."""

import numpy as np
import pytest
from additive_keys import elgamal, okamoto_uchiyama, paillier
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tacit.foundation.errors import (
    CiphertextOverflow,
    DomainError,
    FixedPointOverflow,
    InputError,
    KeyMismatch,
    SecrecyError,
    ShapeError,
    UnsupportedOperation,
)
from tacit.primitive.he import (
    Encoding,
    Packing,
    concatenate,
    decrypt,
    encrypt,
    feature_wise_bucket_sum,
    generate_paillier,
)

pytest.importorskip("gmpy2")
shapes = arrays.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=3)
# Multiples of 2**-8 below 2**8: their sums and products are exact in float64, so that results are compared exactly.
grid = st.integers(-(2**16), 2**16).map(lambda i: i / 256)


def reals(shape):
    return arrays.arrays(np.float64, shape, elements=grid)


def integers(shape):
    return arrays.arrays(np.int64, shape, elements=st.integers(-(2**20), 2**20))


def closed(values):
    return encrypt(paillier().public, values)


def opened(array):
    return decrypt(paillier(), array)


def check(array, wanted):
    """Equal to the last bit, with NumPy's shape and dtype."""
    seen = opened(array)
    assert array.shape == np.shape(wanted)
    assert seen.dtype == np.asarray(wanted).dtype
    assert np.array_equal(seen, wanted)
    assert array.bound <= array.limit


@settings(max_examples=20)
@given(data=st.data(), shape=shapes, kinds=st.tuples(st.booleans(), st.booleans()))
def test_arithmetic_is_numpys(data, shape, kinds):
    x, y = (data.draw((reals if real else integers)(shape)) for real in kinds)
    a = closed(x)
    check(a, x)
    check(a + closed(y), x + y)
    check(a - closed(y), x - y)
    check(a + y, x + y)
    check(y - a, y - x)
    check(a * y, x * y)
    check(y * -a, y * -x)
    check((a * y - x).sum(), (x * y - x).sum())


@settings(max_examples=15)
@given(data=st.data(), m=st.integers(1, 3), k=st.integers(1, 4), n=st.integers(1, 5))
def test_matrix_products_from_both_sides_are_numpys(data, m, k, n):
    x, y = data.draw(reals((m, k))), data.draw(reals((k, n)))
    check(closed(x) @ y, x @ y)
    check(x @ closed(y), x @ y)
    check(closed(x[0]) @ y, x[0] @ y)
    check(x @ closed(y[:, 0]), x @ y[:, 0])
    check(closed(x[0]) @ y[:, 0], x[0] @ y[:, 0])
    check(x[0] @ closed(y), x[0] @ y)


@settings(max_examples=20)
@given(data=st.data(), shape=arrays.array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=3))
def test_structure_is_numpys(data, shape):
    x = data.draw(integers(shape))
    a = closed(x)
    check(a[1:, ..., 0], x[1:, ..., 0])
    check(a[0], x[0])
    check(a[[1, 0, 1]], x[[1, 0, 1]])
    check(a[x[:, 0] > 0] if x.ndim == 2 else a[-1], x[x[:, 0] > 0] if x.ndim == 2 else x[-1])
    check(a.T, x.T)
    check(a.transpose(*range(1, x.ndim), 0), x.transpose(*range(1, x.ndim), 0))
    check(a.reshape(-1), x.reshape(-1))
    check(a.reshape((x.size, 1)), x.reshape(x.size, 1))
    check(a.take([1, 1, 0], axis=1), x.take([1, 1, 0], axis=1))
    check(concatenate([a, a[:1], a * 2], axis=0), np.concatenate([x, x[:1], x * 2]))
    check(concatenate([a, a], axis=-1), np.concatenate([x, x], axis=-1))
    for axis in range(-x.ndim, x.ndim):
        check(a.sum(axis), x.sum(axis))
    check(a + x[0], x + x[0])
    check(a * x[:1], x * x[:1])
    check(a[:1] + a, x[:1] + x)


def test_empty_arrays_and_scalars():
    for shape in [(0,), (0, 3), (2, 0)]:
        x = np.zeros(shape)
        a = closed(x)
        check(a + a, x + x)
        check(a * 2.5, x * 2.5)
        check(a.sum(0), x.sum(0))
    check(closed(np.zeros((2, 0))) @ np.zeros((0, 3)), np.zeros((2, 3)))
    check(closed(np.float64(2.5)) * 3, np.float64(7.5))
    check(closed(np.int64(-4)).sum(), np.int64(-4))


def test_concatenation_aligns_fraction_bits():
    a, b = closed(np.array([1.5])), closed(np.array([2.0])) * 0.25
    joined = concatenate([a, b, closed(np.array([7]))])
    assert joined.fraction_bits == 48
    check(joined, np.array([1.5, 0.5, 7.0]))


@settings(max_examples=15)
@given(data=st.data(), n=st.integers(1, 12), features=st.integers(1, 3), count=st.integers(1, 4))
def test_bucket_sums_are_histograms(data, n, features, count):
    x = data.draw(reals((n, 2)))
    buckets = data.draw(arrays.arrays(np.int64, (n, features), elements=st.integers(-1, count - 1)))
    rows = data.draw(st.lists(st.integers(0, n - 1), unique=True, max_size=n))
    wanted = np.zeros((2, features, count, 2))
    for which, members in enumerate((range(n), rows)):
        for i in members:
            for f in range(features):
                if buckets[i, f] >= 0:
                    wanted[which, f, buckets[i, f]] += x[i]
    a = closed(x)
    check(feature_wise_bucket_sum(a, buckets, count), wanted[0])
    check(feature_wise_bucket_sum(a, buckets, count, rows=rows), wanted[1])
    check(feature_wise_bucket_sum(a[:, 0], buckets, count), wanted[0][..., 0])
    packed = encrypt(paillier().public, x, packing=Packing(2, 80))
    assert np.array_equal(opened(feature_wise_bucket_sum(packed, buckets, count, rows=rows)), wanted[1])


def test_bucket_sums_refuse_what_does_not_fit():
    a = closed(np.ones((4, 2)))
    with pytest.raises(ShapeError):
        feature_wise_bucket_sum(a, np.zeros((3, 1), np.int64), 2)
    with pytest.raises(DomainError, match="between"):
        feature_wise_bucket_sum(a, np.full((4, 1), 2), 2)
    with pytest.raises(DomainError, match="integers"):
        feature_wise_bucket_sum(a, np.zeros((4, 1)), 2)
    with pytest.raises(DomainError, match="outside the 4 samples"):
        feature_wise_bucket_sum(a, np.zeros((4, 1), np.int64), 2, rows=[4])


@settings(max_examples=15)
@given(data=st.data(), lanes=st.integers(1, 6), n=st.integers(1, 4))
def test_packed_lanes_travel_together_and_apart(data, lanes, n):
    x, y = data.draw(reals((n, lanes))), data.draw(reals((n, lanes)))
    packing = Packing(lanes, 120)
    a, b = (encrypt(paillier().public, values, packing=packing) for values in (x, y))
    assert a.shape == (n,)
    for array, wanted in [(a, x), (a + b, x + y), (a - b, x - y), (a + y, x + y), (a * -3, x * -3), (a[::-1], x[::-1])]:
        assert np.array_equal(opened(array), wanted)
    assert np.array_equal(opened(a.sum()), x.sum(0))
    assert np.array_equal(opened(a @ np.arange(n)), np.arange(n) @ x)


def test_a_full_plaintext_of_lanes_at_their_ends():
    packing, encoding = Packing(31, 64), Encoding(0, 2.0**62)
    ends = np.array([2**62, -(2**62), 0] * 10 + [-1])
    assert np.array_equal(opened(encrypt(paillier().public, ends, encoding=encoding, packing=packing)), ends)
    with pytest.raises(CiphertextOverflow, match="fewer or narrower lanes"):
        encrypt(paillier().public, np.zeros(32), packing=Packing(32, 64))
    with pytest.raises(ShapeError, match="last axis of 2"):
        encrypt(paillier().public, np.zeros(3), packing=Packing(2, 80))
    with pytest.raises(InputError):
        Packing(0, 64)


def test_an_operation_that_could_overflow_is_refused_before_it_is_made():
    a = encrypt(paillier().public, np.array([1.0]), packing=None)
    for _ in range(30):
        a = a * 2.0**40
    with pytest.raises(CiphertextOverflow, match="a product could reach") as caught:
        a * 2.0**40
    assert caught.value.bound > caught.value.limit == paillier().public.capacity
    packed = encrypt(paillier().public, np.array([[1.0, 2.0]]), encoding=Encoding(8, 7.0), packing=Packing(2, 14))
    twice = packed + packed
    with pytest.raises(CiphertextOverflow, match="lanes of 14 bits"):
        twice + twice + twice
    with pytest.raises(CiphertextOverflow, match="a sum of 5"):
        packed.take([0] * 5).sum()
    with pytest.raises(CiphertextOverflow, match="matrix product of 2"):
        packed.take([0, 0]) @ np.array([4, 4])
    with pytest.raises(CiphertextOverflow, match="fraction bits"):
        packed.rescale(20)
    with pytest.raises(CiphertextOverflow, match="an encoded value"):
        encrypt(elgamal().public, np.array([1.0]))
    with pytest.raises(CiphertextOverflow, match="a sum"):
        encrypt(elgamal().public, np.array([1])) + 1


def test_the_bound_follows_declarations_not_values():
    zeros, ones = (encrypt(paillier().public, np.full(3, v), encoding=Encoding(10, 5.0)) for v in (0.0, 5.0))
    assert zeros.bound == ones.bound == 5 * 2**10
    declared = [zeros.multiply(f, magnitude=100.0).bound for f in (0.5, 99.0)]
    assert declared[0] == declared[1]
    assert zeros.multiply(65.0).bound == zeros.multiply(100.0).bound, "to the power of two above"
    with pytest.raises(FixedPointOverflow):
        zeros.multiply(101.0, magnitude=100.0)


def test_a_value_beyond_its_bound_is_not_decrypted():
    a = encrypt(paillier().public, np.array([5]), encoding=Encoding(0, 5.0))
    a.bound = 4
    with pytest.raises(CiphertextOverflow, match="beyond"):
        opened(a)
    wide = encrypt(paillier().public, np.array([2**62])) * 4
    with pytest.raises(CiphertextOverflow, match="does not fit int64"):
        opened(wide)
    huge = encrypt(paillier().public, np.array([2.0**40]), encoding=Encoding(0)) * (2.0**600) * (2.0**600)
    with pytest.raises(CiphertextOverflow, match="does not fit float64"):
        opened(huge)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(InputError, match="not finite"):
        closed(np.array([1.0, value]))
    with pytest.raises(InputError, match="not finite"):
        closed(np.array([1.0])) * value


def test_what_cannot_be_encoded_is_refused():
    with pytest.raises(FixedPointOverflow):
        closed(np.array([2.0**41]))
    for values in (["a"], [1j], [None]):
        with pytest.raises(UnsupportedOperation):
            closed(np.array(values))
    with pytest.raises(UnsupportedOperation):
        closed(np.array([2**63], np.uint64))
    for options in ({"fraction_bits": -1}, {"magnitude": 0.0}, {"magnitude": np.inf}):
        with pytest.raises(InputError):
            Encoding(**options)


def test_the_ends_of_int64():
    ends = np.array([2**63 - 1, -(2**63)])
    a = closed(ends)
    check(a, ends)
    check(a + ends[::-1], ends + ends[::-1])
    with pytest.raises(DomainError, match="int64 has no"):
        a - ends


def test_rounding_is_half_to_even_at_the_fraction_bits():
    x = np.array([0.25, 0.5, 0.75, 1.5, 2.5, -0.5, -1.5])
    assert np.array_equal(opened(encrypt(paillier().public, x, encoding=Encoding(0, 10.0))), np.rint(x))


def test_what_additive_encryption_cannot_do_says_so():
    a = closed(np.array([1.0, 2.0]))
    with pytest.raises(UnsupportedOperation, match="two ciphertexts"):
        a * a
    with pytest.raises(UnsupportedOperation, match="two ciphertexts"):
        a @ a
    with pytest.raises(SecrecyError):
        bool(a)
    with pytest.raises(SecrecyError):
        a == a  # noqa: B015
    with pytest.raises(UnsupportedOperation, match="decrypt and encrypt again"):
        a.rescale(3)
    with pytest.raises(UnsupportedOperation, match="pack both alike"):
        a + encrypt(paillier().public, np.ones((2, 2)), packing=Packing(2, 80))
    for wrong in (lambda: a @ np.ones(3), lambda: a + np.ones(3), lambda: a.sum(1), lambda: concatenate([])):
        with pytest.raises(ShapeError):
            wrong()


def test_two_keys_do_not_meet():
    other = generate_paillier()
    a, b = closed(np.ones(2)), encrypt(other.public, np.ones(2))
    for attempt in (lambda: a + b, lambda: concatenate([a, b]), lambda: decrypt(other, a)):
        with pytest.raises(KeyMismatch):
            attempt()


def test_what_is_printed_shows_no_value():
    text = repr(closed(np.array([123456.0])))
    assert "123456" not in text
    assert "paillier-2048" in text


def test_the_other_schemes_compute_the_same():
    x = np.array([[1.5, -2.25], [0.5, 4.0]])
    key = okamoto_uchiyama()
    a = encrypt(key.public, x)
    assert np.array_equal(decrypt(key, a @ x - x * a), x @ x - x * x)
    key, y = elgamal(), np.array([[1, -2], [3, 4]])
    b = encrypt(key.public, y, encoding=Encoding(0, 4.0))
    assert np.array_equal(decrypt(key, b @ y - y * b + b.sum(0)), y @ y - y * y + y.sum(0))
