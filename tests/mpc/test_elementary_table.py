"""The constants of the fitted series: their stated errors, and that the method finds them again."""

from __future__ import annotations

import numpy as np
import pytest

from tacit.primitive.mpc.function.elementary import table
from tacit.primitive.mpc.function.elementary.fit import RECIPES, fit


@pytest.mark.parametrize("name", RECIPES)
def test_stated_error(name):
    series, recipe = getattr(table, name.upper()), RECIPES[name]
    x = np.linspace(recipe.low, recipe.high, 20001)[1:-1]
    exact = recipe.function(x)
    error = np.abs(series(x) - recipe.slope * x * (series.slope == recipe.slope) - exact)
    if recipe.relative:
        error /= np.abs(exact)
    assert np.max(error) <= series.error * 1.02
    assert sum(map(abs, series.cosines + series.sines)) < 512


@pytest.mark.parametrize("name", ["erf", "log", "atan"])
def test_the_method_finds_as_good_a_series(name):
    assert fit(RECIPES[name]).error <= getattr(table, name.upper()).error * 1.1


@pytest.mark.parametrize("name", RECIPES)
def test_symmetry(name):
    series, recipe = getattr(table, name.upper()), RECIPES[name]
    if recipe.parity == "none":
        assert (series.low, series.high) == (recipe.low, recipe.high)
        return
    assert series.low == -series.high == -recipe.high
    assert not any(series.cosines if recipe.parity == "odd" else series.sines)
