"""How the coefficients of `table.py` were found: Fourier extensions, fitted for the smallest largest error.

A function on [low, high] is written as a short series whose period is longer than the interval, so that it need not be
periodic itself. Saturating functions take a quarter wave of odd harmonics (stride 2): a square or triangle wave with
rounded corners is what they look like. Run `python -m tacit.primitive.mpc.function.elementary.fit` to print the table;
all parties must use the printed numbers, not refit them, so that what a release computes never depends on a machine.

Method: linear least squares on Chebyshev nodes, repeated with weights that grow where the error is largest (Lawson 1961),
for each of a range of periods; the best of all is kept.
Sources: Boyd, J. Comput. Phys. 178 (2002) 118; Huybrechs, SIAM J. Numer. Anal. 47 (2010) 4326.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
Function = Callable[[Any], Any]

NODES = 800
ROUNDS = 40
HEAVIEST = 512.0
"""Sums of |coefficients| above this would cost precision when the factors are rounded."""


@final
@dataclass(frozen=True)
class Recipe:
    """What to fit: a function on an interval, without `slope` times x."""

    function: Function
    low: float
    high: float
    harmonics: int
    parity: Literal["even", "odd", "none"] = "none"
    stride: int = 1
    periods: Iterable[float] = ()
    slope: float = 0.0
    relative: bool = False


def erf(x: Any) -> Any:
    """The error function of an array."""
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def _arc(x: Any) -> Any:
    """acos(x) / sqrt(1 - x), smooth at 1."""
    rest = np.maximum(1 - np.asarray(x, np.float64), 1e-12)
    return np.where(rest > 1e-9, np.arccos(1 - rest) / np.sqrt(rest), math.sqrt(2))


def _quarters(high: float, start: float = 0.85, stop: float = 1.1) -> Reals:
    """Periods of which a quarter is about `high`."""
    return 4 * high * np.linspace(start, stop, 126)


OCTAVES = (16.0,)  # a power of two, because the unit of a normalised number is one
NEAR_ONE = 63 / 64  # a normalised number may fall short of 1 by so much: see `Kernel.octaves`

RECIPES: dict[str, Recipe] = {
    "sigmoid": Recipe(lambda x: np.tanh(x / 2) / 2, 0, 9.15, 8, "odd", 2, _quarters(9.15)),
    "tanh": Recipe(np.tanh, 0, 5.0, 9, "odd", 2, _quarters(5.0)),
    "erf": Recipe(erf, 0, 2.9, 5, "odd", 2, _quarters(2.9)),
    "gelu": Recipe(lambda x: x / 2 * erf(x / math.sqrt(2)), 0, 4.3, 5, "even", 2, _quarters(4.3), 0.5),
    "gelu_tanh": Recipe(
        lambda x: x / 2 * np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)),
        0,
        4.3,
        5,
        "even",
        2,
        _quarters(4.3),
        0.5,
    ),
    "silu": Recipe(lambda x: x / 2 * np.tanh(x / 2), 0, 11.2, 9, "even", 2, _quarters(11.2), 0.5),
    "softplus": Recipe(lambda x: np.logaddexp(0, x) - x / 2, 0, 9.2, 7, "even", 2, _quarters(9.2), 0.5),
    "log": Recipe(np.log, NEAR_ONE, 8, 7, periods=OCTAVES),
    "reciprocal": Recipe(lambda x: 1 / x, NEAR_ONE, 8, 9, periods=OCTAVES, relative=True),
    "sqrt": Recipe(np.sqrt, NEAR_ONE, 8, 6, periods=OCTAVES, relative=True),
    "rsqrt": Recipe(lambda x: x**-0.5, NEAR_ONE, 8, 7, periods=OCTAVES, relative=True),
    "cbrt": Recipe(np.cbrt, NEAR_ONE, 8, 6, periods=OCTAVES, relative=True),
    "arc": Recipe(_arc, 0, 1, 4, periods=np.linspace(1.5, 2.6, 12)),
    "atan": Recipe(np.arctan, 0, 1, 5, "odd", 2, 2 * np.linspace(2, 5, 61)),
}


@final
@dataclass(frozen=True)
class Fit:
    """A fitted series; `error` is its largest error on the interval, relative if the recipe says so."""

    period: float
    constant: float
    cosines: tuple[float, ...]
    sines: tuple[float, ...]
    error: float


def fit(recipe: Recipe) -> Fit:
    """The best series over all periods of the recipe."""
    x = _nodes(recipe.low, recipe.high)
    y = np.asarray(recipe.function(x), np.float64)
    weight = 1 / np.abs(y) if recipe.relative else np.ones_like(x)
    fits = [_fit_at(recipe, period, x, y, weight) for period in recipe.periods]
    light = [f for f in fits if sum(map(abs, f.cosines + f.sines)) < HEAVIEST]
    return min(light, key=lambda f: f.error)


def _nodes(low: float, high: float) -> Reals:
    return np.asarray(low + (high - low) * (0.5 - 0.5 * np.cos(np.pi * np.arange(NODES) / (NODES - 1))))


def _fit_at(recipe: Recipe, period: float, x: Reals, y: Reals, weight: Reals) -> Fit:
    angles = 2 * np.pi / period * (1 + recipe.stride * np.arange(recipe.harmonics))
    columns: list[Reals] = [] if recipe.parity == "odd" else [np.ones_like(x), *[np.cos(a * x) for a in angles]]
    columns += [] if recipe.parity == "even" else [np.sin(a * x) for a in angles]
    basis = np.stack(columns, axis=1) * weight[:, None]
    target = y * weight
    lawson = np.ones_like(x)
    best: Reals = np.zeros(len(columns))
    error = np.inf
    for _ in range(ROUNDS):
        root = np.sqrt(lawson)
        found: Reals = np.linalg.lstsq(basis * root[:, None], target * root, rcond=1e-10)[0].astype(np.float64)
        residual = np.abs(basis @ found - target)
        if residual.max() < error:
            best, error = found, float(residual.max())
        lawson *= residual / residual.max() + 1e-3
        lawson /= lawson.mean()
    coefficients = tuple(float(c) for c in best)
    zeros = (0.0,) * recipe.harmonics
    if recipe.parity == "odd":
        return Fit(float(period), 0.0, zeros, coefficients, error)
    cosines = coefficients[1 : 1 + recipe.harmonics]
    return Fit(float(period), coefficients[0], cosines, coefficients[1 + recipe.harmonics :] or zeros, error)


def main() -> None:
    """Print the table."""
    for name, recipe in RECIPES.items():
        found = fit(recipe)
        low = -recipe.high if recipe.parity != "none" else recipe.low
        lines = [
            f"{name.upper()} = Series(",
            f"    low={low!r}, high={recipe.high!r}, period={found.period!r}, stride={recipe.stride},",
            f"    slope={recipe.slope!r}, constant={found.constant!r},",
            f"    cosines={_row(found.cosines)},",
            f"    sines={_row(found.sines)},",
            f"    error={found.error:.3g},  # 2**{math.log2(found.error):.2f}",
            ")",
            "",
        ]
        sys.stdout.write("\n".join(lines) + "\n")


def _row(values: tuple[float, ...]) -> str:
    return f"(0.0,) * {len(values)}" if not any(values) else "(" + ", ".join(map(repr, values)) + ")"


if __name__ == "__main__":
    main()
