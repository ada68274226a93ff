"""The two families of functions that split over a difference: right for every mask, across every wrap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit.primitive.mpc.separable import BLOCK, ExponentialWindow, TrigonometricSeries, sine_and_cosine, turn_of

BITS = 18
MASKS = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1]))
COEFFICIENTS = st.floats(-2, 2, allow_subnormal=False)


def joined(function, x, masks):
    """f(x) as a kernel computes it, rounded down, in ring units."""
    v = np.array(masks, np.uint64)
    u = np.array(x, np.int64).view(np.uint64) + v
    total = (function.left(u) * function.right(v)).sum(axis=0, dtype=np.uint64)
    return total.view(np.int64) >> function.scale


@given(x=st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=20), mask=MASKS, data=st.data())
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("parity", ["odd", "even", "both"])
def test_series(stride, parity, x, mask, data):
    count = data.draw(st.integers(1, 6))
    draw = lambda: tuple(data.draw(st.lists(COEFFICIENTS, min_size=count, max_size=count)))  # noqa: E731
    zeros = (0.0,) * count
    cosines = zeros if parity == "odd" else draw()
    sines = zeros if parity == "even" else draw()
    weight = max(1.0, sum(map(abs, cosines + sines)))
    turn = turn_of(data.draw(st.floats(2.0**16, 2.0**24)))
    series = TrigonometricSeries(turn, cosines, sines, stride, BITS, weight)
    # The angle as the ring has it: the period is 2**64 / turn exactly.
    angle = 2 * np.pi * np.array([v * turn % 2**64 / 2**64 for v in x])
    harmonics = np.outer(angle, 1 + stride * np.arange(count))
    exact = np.cos(harmonics) @ np.array(cosines) + np.sin(harmonics) @ np.array(sines)
    found = joined(series, x, [mask] * len(x)) / 2**BITS
    bound = 2.0**-BITS + (weight + count) * 2.0 ** (1 - min(series.split)) + weight * 2.0**-38
    assert np.all(np.abs(found - exact) <= bound)


@given(
    x=st.lists(st.integers(-(2**23), 2**23), min_size=1, max_size=20),
    mask=MASKS,
    slope=st.sampled_from([0.5, -1.0, 0.25]),
)
def test_the_linear_part_is_exact(x, mask, slope):
    series = TrigonometricSeries(turn_of(2.0**24), (0.0,), (1e-9,), 1, BITS, 32.0, slope / 2**BITS)
    assert np.all(np.abs(joined(series, x, [mask] * len(x)) - np.array(x) * slope) <= 1)


@given(mask=MASKS, data=st.data())
@pytest.mark.parametrize(("octaves", "top", "bits"), [(9, 13, 17), (9, 1, 26), (4, 3, 20)])
def test_exponentials_over_the_whole_window(octaves, top, bits, mask, data):
    low = top - 3 * octaves
    ends = [low * 2**BITS, top * 2**BITS, 0]
    x = data.draw(st.lists(st.one_of(st.integers(*ends[:2]), st.sampled_from(ends)), min_size=1, max_size=20))
    window = ExponentialWindow(turn_of(window_period(octaves)), octaves, top, bits)
    exact = 2.0 ** (np.array(x) / 2**BITS)
    found = joined(window, x, [mask] * len(x)) / 2.0**bits
    assert np.all(np.abs(found - exact) <= exact * 2.0 ** (octaves - 31) + 2.0 ** (top - 31) + 2.0**-bits)


def window_period(octaves):
    return ExponentialWindow.DIGITS * octaves * 2**BITS


@given(st.lists(MASKS, min_size=1, max_size=50))
def test_sine_and_cosine(angles):
    sine, cosine = sine_and_cosine(np.array(angles, np.uint64))
    exact = np.array([a / 2**64 if a < 2**63 else a / 2**64 - 1 for a in angles]) * 2 * np.pi
    assert np.max(np.abs(sine - np.sin(exact))) < 2**-42
    assert np.max(np.abs(cosine - np.cos(exact))) < 2**-42


def test_blocks_and_dry_runs_give_the_same_shapes():
    series = TrigonometricSeries(turn_of(2.0**20), (1.0, 0.5), (0.5, 1.0), 1, BITS, 4.0, 2.0**-19)
    window = ExponentialWindow(turn_of(2.0**24), 9, 13, 17)
    n = 2 * BLOCK + 3
    x = np.arange(n, dtype=np.uint64) * np.uint64(2**50 + 12345)
    for function in (series, window):
        for side in (function.left, function.right):
            whole = side(x)
            np.testing.assert_array_equal(whole[:, -3:], side(x[-3:]))
            dry = side(np.broadcast_to(np.uint64(0), n))
            assert whole.shape == dry.shape == (function.terms, n)
            assert not any(dry.strides)
