"""Sums and products: exact in the ring, or within one ulp of the exact quotient."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inputs import integers, pairs, reals, ring, truths
from worlds import BITS, Public, Scaled, World, equal

from tacit.foundation.errors import FixedPointOverflow, ShapeError, TypeMismatch
from tacit.primitive.mpc.function import FUNCTIONS as F

ULP = 2.0**-BITS


def wide(shape):
    return reals(2**33, shape)


def narrow(shape):
    return reals(2**12, shape)


def within(actual, exact, ulps=1):
    """0 <= actual - exact * (1 + rounding) <= ulps of 2**-BITS, for exact values that float64 holds."""
    np.testing.assert_array_less(np.abs(actual - exact), ulps * ULP * 1.0000001 + 1e-300)


@given(xy=pairs(wide))
def test_sums_are_exact(world: World, xy):
    x, y = xy
    for left, right in [(x, y), (x, Public(y)), (Public(x), y)]:
        equal(world.run(F["add"], left, right).value, x + y)
        equal(world.run(F["sub"], left, right).value, x - y)
    equal(world.run(F["neg"], x).value, -x)
    assert world.run(F["add"], x, y).profile.rounds == 0


@given(xy=pairs(lambda s: integers(shape=s)))
def test_integer_sums_are_exact(world: World, xy):
    x, y = xy[0] // 2, xy[1] // 2
    equal(world.run(F["add"], x, y).value, x + y)
    equal(world.run(F["sub"], Public(x), y).value, x - y)
    equal(world.run(F["neg"], x).value, -x)


@given(xy=pairs(narrow, lambda s: integers(2**20, s)), b=truths(()))
def test_kinds_meet_at_the_scale_of_the_real_one(world: World, xy, b):
    x, n = xy
    for right in (n, Public(n)):
        equal(world.run(F["add"], x, right).value, x + n)
        equal(world.run(F["sub"], right, x).value, n - x)
        equal(world.run(F["mul"], x, right).value, x * n)
    equal(world.run(F["add"], n, Public(x)).value, n + x)
    equal(world.run(F["add"], x, b).value, x + b)
    equal(world.run(F["sub"], n, b).value, n - b)
    equal(world.run(F["mul"], b, x).value, b * x)
    equal(world.run(F["mul"], n, b).value, n * b)
    equal(world.run(F["mul"], b, Public(n)).value, b * n)
    equal(world.run(F["mul"], b, b).value, b * 1)


@given(xy=pairs(narrow))
def test_products_are_the_floor_or_one_more(world: World, xy):
    x, y = xy
    exact = ring(x) * ring(y)
    actual = ring(world.run(F["mul"], x, y).value)
    low = np.vectorize(lambda v: v >> BITS, otypes=[object])(exact)
    assert np.all((actual == low) | ((actual == low + 1) & (not world.exact)))
    kept = world.run(F["mul"], x, y, keep=True).value
    equal(kept, np.float64(exact / 2 ** (2 * BITS)) if kept.size else kept)
    squared = ring(world.run(F["square"], x).value)
    low = np.vectorize(lambda v: (v * v) >> BITS, otypes=[object])(ring(x))
    assert np.all((squared == low) | ((squared == low + 1) & (not world.exact)))


@given(xy=pairs(lambda s: integers(2**30, s)))
def test_integer_products_are_exact(world: World, xy):
    x, y = xy
    equal(world.run(F["mul"], x, y).value, x * y)
    equal(world.run(F["mul"], Public(x), y).value, x * y)
    equal(world.run(F["square"], x).value, x * x)


@given(x=reals(2**12), c=st.floats(-4096, 4096))
def test_a_public_factor_costs_one_truncation_and_its_own_rounding(world: World, x, c):
    done = world.run(F["mul"], x, Public(c))
    factor_error = ULP * min(0.5, abs(c))
    assert np.all(np.abs(done.value - x * c) <= ULP + np.abs(x) * factor_error + 1e-12)
    assert set(done.tally) <= {"truncate"}


@given(x=reals(2**12), factor=st.sampled_from([0.0, 1.0, -3.0, 512.0, 7]))
def test_a_whole_factor_costs_nothing(world: World, x, factor):
    done = world.run(F["mul"], Public(factor), x)
    equal(done.value, x * factor)
    assert done.profile.rounds == 0


@pytest.mark.parametrize("power", [1, 5, 18, 30, 44])
def test_powers_of_two_are_exact_factors(world: World, power):
    x = np.array([2.0**40, -(2.0**40), 3.5])
    done = world.run(F["mul"], x, Public(2.0**-power)).value
    within(done, np.floor(x * 2.0 ** (BITS - power)) / 2**BITS, 1)


def test_sums_of_kept_products_are_truncated_once(world: World):
    async def program(k, x, y, b):
        kept = await F["add"](k, await F["mul"](k, x, y, keep=True), await F["mul"](k, y, y, keep=True))
        return await F["rescale"](k, await F["add"](k, kept, b), BITS)

    x, y, b = np.array([1.5, -2.25]), np.array([3.0, 0.125]), np.array([0.5, 1.0])
    done = world.run(program, x, y, b)
    within(done.value, x * y + y * y + b)
    if done.tally:
        assert done.tally == {"product": 4, "truncate": 2}


@given(xy=pairs(lambda s: reals(2**10, s, 10), lambda s: reals(2**10, s, 20)))
def test_different_scales_are_aligned(world: World, xy):
    x, y = xy
    equal(world.run(F["add"], Scaled(x, 10), Scaled(y, 20)).value, x + y)
    exact = x * y
    done = world.run(F["mul"], Scaled(x, 10), Scaled(y, 20))
    assert np.all(np.abs(done.value - exact) <= 2.0**-10)
    far = world.run(F["add"], Scaled(x, 10), Scaled(y, 44))
    assert np.all(np.abs(far.value - (x + y)) <= 2.0**-10)


@given(xy=pairs(lambda s: reals(2**8, (*s, 3, 2)), lambda s: reals(2**8, (*s, 2, 4)), min_side=1))
def test_matrix_products_are_within_one_ulp(world: World, xy):
    x, y = xy
    within(world.run(F["matmul"], x, y).value, x @ y)
    within(world.run(F["matmul"], x, Public(y)).value, x @ y, 1 + 2 * 2**8)
    whole = np.round(x)
    done = world.run(F["matmul"], Public(whole), y)
    equal(done.value, whole @ y)
    assert done.profile.rounds == 0


@pytest.mark.parametrize(
    "shapes",
    [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((3,), (4, 3, 2)), ((4, 2, 3), (3,)), ((5, 4, 2, 3), (3, 2))],
)
def test_vectors_and_stacks(world: World, shapes):
    x, y = [np.arange(np.prod(s), dtype=float).reshape(s) / 4 - 1 for s in shapes]
    equal(world.run(F["matmul"], x, y).value, x @ y)
    equal(world.run(F["matmul"], x, Public(y)).value, x @ y)
    equal(world.run(F["matmul"], np.int64(x * 4), np.int64(y * 4)).value, 16 * (x @ y))


def test_contractions(world: World):
    x, y = np.arange(120.0).reshape(2, 3, 4, 5) / 8, np.arange(90.0).reshape(3, 5, 2, 3) / 8
    done = world.run(F["dot_general"], x, y, axes=((3,), (1,)), batch=((1, 0), (0, 2)))
    exact = np.einsum("abcd,bdae->bace", x, y)
    equal(done.value, exact)
    if done.tally:
        assert done.tally == {"product": exact.size}
    done = world.run(F["dot_general"], Public(x), y, axes=((3,), (1,)), batch=((1, 0), (0, 2)))
    equal(done.value, exact)


def test_what_cannot_be_computed_is_refused(world: World):
    x = np.ones((2, 3))
    with pytest.raises(TypeMismatch, match="both operands are public"):
        world.run(F["add"], Public(x), Public(x))
    with pytest.raises(ShapeError):
        world.run(F["matmul"], x, x)
    with pytest.raises(ShapeError):
        world.run(F["mul"], x, np.ones(4))
    with pytest.raises(FixedPointOverflow):
        world.run(F["add"], x, Public(2.0**50))
