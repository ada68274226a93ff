"""Whether draws come from a distribution: chi-square with a false-alarm probability below 1e-9."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import chi2

ALARM = 1e-10
LEAST = 50


def assert_from(draws: Any, values: Any, probabilities: Any) -> None:
    """Draws lie among `values` (what is left of 1 lies elsewhere) and are as frequent as `probabilities` say.

    Neighbouring values are pooled until a cell expects 50 draws.
    """
    draws, probabilities = np.asarray(draws).reshape(-1), np.asarray(probabilities, float)
    at = {value: i for i, value in enumerate(values)}
    counts = np.zeros(len(probabilities))
    outside = 0
    for value, count in zip(*np.unique(draws, return_counts=True), strict=True):
        if value.item() in at:
            counts[at[value.item()]] += count
        else:
            outside += count
    observed, expected = [], []
    seen, awaited = float(outside), max(0.0, 1 - probabilities.sum()) * draws.size
    for count, probability in zip(counts, probabilities, strict=True):
        seen, awaited = seen + count, awaited + probability * draws.size
        if awaited >= LEAST:
            observed.append(seen)
            expected.append(awaited)
            seen = awaited = 0.0
    observed[-1] += seen
    expected[-1] += awaited
    far = float(sum((o - e) ** 2 / e for o, e in zip(observed, expected, strict=True)))
    degrees = len(expected) - 1
    assert degrees > 0
    assert far < chi2.isf(ALARM, degrees), f"{far:.0f} for {degrees} degrees of freedom"


def discrete_laplace(scale: float, reach: int) -> tuple[list[int], Any]:
    """Values and probabilities, those of zero and of the centre in cells of their own where they are large."""
    x = np.arange(-reach, reach + 1)
    return x.tolist(), np.exp(-np.abs(x) / scale) * np.tanh(0.5 / scale)


def discrete_gaussian(deviation: float, reach: int) -> tuple[list[int], Any]:
    """Values and probabilities."""
    x = np.arange(-reach, reach + 1)
    p = np.exp(-(x**2) / (2 * deviation**2))
    return x.tolist(), p / p.sum()


def cells_of(draws: Any, cdf: Any, count: int = 32) -> tuple[Any, list[int], Any]:
    """Real draws as equally likely cells of a continuous distribution."""
    cells = np.minimum((cdf(np.asarray(draws)) * count).astype(int), count - 1)
    return cells, list(range(count)), np.full(count, 1 / count)
