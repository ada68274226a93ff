"""Sharing: any t recover, fewer say nothing, changed shares do not pass for the secret."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tacit.foundation.errors import InputError
from tacit.primitive.secagg import shamir

secrets = st.binary(min_size=32, max_size=32)


@settings(max_examples=40)
@given(st.lists(secrets, min_size=1, max_size=3), st.data())
def test_any_t_recover(held, data):
    points = data.draw(st.lists(st.integers(1, shamir.PRIME - 1), min_size=1, max_size=12, unique=True))
    t = data.draw(st.integers(1, len(points)))
    shares = shamir.share(held, points, t)
    assert all(shamir.well_formed(one) for row in shares for one in row)
    chosen = [data.draw(st.permutations(range(len(points))))[:t] for _ in held]
    found = shamir.recover(
        [[points[i] for i in row] for row in chosen],
        [[shares[i][which] for i in row] for which, row in enumerate(chosen)],
    )
    assert found == held


def test_shares_lie_on_one_polynomial_of_the_right_degree():
    """By integers: the shares of points 1..t+3 have vanishing t-th differences, and in general not earlier ones."""
    t, p = 5, shamir.PRIME
    rows = shamir.share([bytes(range(32))], range(1, t + 4), t)
    values = [[int(x) for x in np.frombuffer(row[0], "<u4")] for row in rows]
    differences = values
    for step in range(t):
        assert step == 0 or any(any(row) for row in differences)
        differences = [[(b - a) % p for a, b in zip(x, y, strict=True)] for x, y in itertools.pairwise(differences)]
    assert not any(any(row) for row in differences)


def test_fewer_than_t_shares_are_uniform_whatever_the_secret():
    """t - 1 shares of two extreme secrets: chi-square of the high bits of every element, 16 classes, below the 1e-10 quantile."""
    for secret in (bytes(32), b"\xff" * 32):
        rows = [shamir.share([secret], [1, 2, 3], 3)[:2] for _ in range(1500)]
        words = np.frombuffer(b"".join(one[0] for row in rows for one in row), "<u4")
        counts = np.bincount(words >> 27, minlength=16)
        expected = words.size / 16
        assert ((counts - expected) ** 2 / expected).sum() < 85
        pairs = words.reshape(-1, 2, 9)
        mixed = np.bincount(((pairs[:, 0] >> 29) * 4 + (pairs[:, 1] >> 29)).ravel(), minlength=16)
        expected = mixed.sum() / 16
        assert ((mixed - expected) ** 2 / expected).sum() < 85


def test_a_changed_share_gives_another_secret_or_none():
    secret = bytes(range(32))
    rows = [row[0] for row in shamir.share([secret], [1, 2, 3], 3)]
    rows[1] = bytes([rows[1][0] ^ 1]) + rows[1][1:]
    assert shamir.recover([[1, 2, 3]], [rows]) != [secret]
    # All limbs at their largest: beyond 256 bits.
    beyond = np.full(9, shamir.PRIME - 1, "<u4").tobytes()
    assert shamir.recover([[1]], [[beyond]]) == [None]


def test_what_cannot_be_shared_is_refused():
    for held, points, t in [([bytes(31)], [1], 1), ([bytes(32)], [0], 1), ([bytes(32)], [1], 2), ([bytes(32)], [1], 0)]:
        with pytest.raises(InputError):
            shamir.share(held, points, t)
    one = shamir.share([bytes(32)], [1, 2], 2)[0][0]
    with pytest.raises(InputError, match="distinct"):
        shamir.recover([[1, 1]], [[one, one]])
    with pytest.raises(InputError, match="field elements"):
        shamir.recover([[1]], [[one[:-1]]])
    assert not shamir.well_formed(b"\xff" * 36)
    assert shamir.recover([], []) == []


def test_coefficients_are_new_each_time():
    first, second = (shamir.share([bytes(32)], [1, 2], 2) for _ in range(2))
    assert first != second
    assert math.prod(shamir._uniform(3, 5).shape) == 15
