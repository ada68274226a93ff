"""The two families of functions that split over a difference: right for every mask, across every wrap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit import _native as native
from tacit.primitive.mpc.separable import ExponentialWindow, TrigonometricSeries, turn_of

BITS = 18
MASKS = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1]))
COEFFICIENTS = st.floats(-2, 2, allow_subnormal=False)


def joined(function, x, masks):
    """f(x) as a kernel computes it, rounded down, in ring units."""
    v = np.array(masks, np.uint64)
    u = np.array(x, np.int64).view(np.uint64) + v
    return function.close(u, factors(function, v)).view(np.int64) >> function.scale


def factors(function, v, minus=None):
    """The mask's side, [terms, n], less `minus`."""
    out = np.empty((function.terms, v.size), np.uint64)
    function.deal(v, np.zeros_like(out) if minus is None else minus, out)
    return out


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
    """One harmonic whose mask is zero: dealt are its coefficients, times 2**hidden and rounded."""
    exact = np.array([a / 2**64 if a < 2**63 else a / 2**64 - 1 for a in angles]) * 2 * np.pi
    series = TrigonometricSeries(1, (0.0,), (1.0,), 1, BITS, 2.0**-10)
    found = factors(series, np.array(angles, np.uint64)).view(np.int64) / 2.0 ** series.split[1]
    assert np.max(np.abs(found[0] - np.cos(exact))) < 2.0 ** -min(42, series.split[1])
    assert np.max(np.abs(found[1] + np.sin(exact))) < 2.0 ** -min(42, series.split[1])


SERIES = TrigonometricSeries(turn_of(2.0**20), (1.0, 0.5, -0.3), (0.5, 1.0, 0.2), 1, BITS, 4.0, 2.0**-19)
ODD = TrigonometricSeries(turn_of(2.0**20), (0.0, 0.0), (0.5, 1.0), 2, BITS, 4.0)
WINDOW = ExponentialWindow(turn_of(2.0**24), 9, 13, 17)


@pytest.mark.parametrize("function", [SERIES, ODD, WINDOW])
@pytest.mark.parametrize("n", [0, 1, 127, 128, 129, 5003])
def test_every_instruction_set_and_every_cut_gives_the_same_words(function, n):
    x = (np.arange(n, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    best, dealt, closed = native.isa(), [], []
    try:
        for isa in ["portable", "avx2", "avx512"][: 1 + ["portable", "avx2", "avx512"].index(native.best_isa())]:
            native.set_isa(isa)
            dealt.append(factors(function, x))
            closed.append(function.close(x, dealt[-1]))
    finally:
        native.set_isa(best)
    assert all(np.array_equal(d, dealt[0]) for d in dealt)
    assert all(np.array_equal(c, closed[0]) for c in closed)
    np.testing.assert_array_equal(dealt[0][:, -3:], factors(function, x[-3:]))
    np.testing.assert_array_equal(closed[0][-3:], function.close(x[-3:], dealt[0][:, -3:].copy()))
    minus = np.arange(function.terms * n, dtype=np.uint64).reshape(function.terms, n)
    np.testing.assert_array_equal(factors(function, x, minus), dealt[0] - minus)


def test_sizes_and_parameters_are_checked():
    x, out = np.zeros(4, np.uint64), np.zeros(4, np.uint64)
    with pytest.raises(ValueError, match="16"):
        native.window_close(x, x, 1, 0, 9, 3, out)
    with pytest.raises(ValueError, match="stride"):
        native.series_close(x, np.zeros(8, np.uint64), 1, 3, 1, 20, False, 0, out)
    with pytest.raises(ValueError, match="octaves"):
        native.window_close(x, np.zeros(16, np.uint64), 1, 0, 40, 3, out)
    with pytest.raises(ValueError, match="sines"):
        native.series_deal(
            x, np.zeros(1), np.zeros(2), np.zeros(8, np.uint64), 1, 1, 20, False, 0, np.zeros(8, np.uint64)
        )
