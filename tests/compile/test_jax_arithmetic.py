"""Arithmetic, comparison, selection, logic and shapes: Ideal computes what JAX computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

RNG = np.random.default_rng(1)


def reals(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def integers(high: int, *shape: int, low: int = 0) -> Any:
    return RNG.integers(low, high, size=shape).astype(np.int32)


def bits(*shape: int) -> Any:
    return RNG.integers(0, 2, size=shape).astype(bool)


X, Y = reals(4, 5), reals(4, 5)
SCALE = np.full(9, 1.5, np.float32)

CASES: dict[str, tuple[Any, ...]] = {
    "add": (lambda x, y: x + y, X, Y),
    "sub_scalar": (lambda x: 1 - x, X),
    "mul": (lambda x, y: x * y, X, Y),
    "divide_by_public": (lambda x: x / 3, X),
    "square": (jnp.square, X),
    "cube": (lambda x: x**3, X),
    "seventh": (lambda x: x**7 / 10, X),
    "where": (lambda x, y: jnp.where(x > y, x, 2 * y), X, Y),
    "comparisons": (lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != x), X, Y),
    "with_constants": (
        lambda x: (x < 0, x > 0, x >= 0.5, x <= -0.5, x < 1, x <= 0, x + 1.5, 1.5 - x, x - 1.5, x * 0.3),
        X,
    ),
    "integer_with_constants": (lambda i: (i < 7, i > 7, i >= 7, i <= 7, i + 3, 3 - i, i * 5), integers(20, 6)),
    "extrema": (lambda x, y: (jnp.maximum(x, y), jnp.minimum(x, y), jnp.clip(x, -0.5, 0.5)), X, Y),
    "clip_by_secret": (lambda x, y: jnp.clip(x, y, y + 1), X, Y),
    "abs_sign": (lambda x: (jnp.abs(x), jnp.sign(x), jnp.fabs(x)), X),
    "rounding": (lambda x: (jnp.floor(x), jnp.ceil(x), jnp.trunc(x), jnp.rint(x), jnp.round(x, 1)), 3 * X),
    "round_away": (lambda x: lax.round(x, lax.RoundingMethod.AWAY_FROM_ZERO), np.float32([-2.5, -0.5, 0.5, 1.5, 1.4])),
    "finite": (lambda x: (jnp.isfinite(x), jnp.isnan(x), jnp.isinf(x), jnp.nan_to_num(x), jnp.nanmean(x)), X),
    "casts": (lambda x: (x.astype(int), (x > 0).astype(jnp.float32), (x > 0) * 3, x.astype(bool)), 3 * X),
    "reductions": (
        lambda x: (x.sum(), x.mean(0), x.max(1), x.min(), x.prod(1), jnp.ptp(x), x.sum((0, 1), keepdims=True)),
        X,
    ),
    "variance": (lambda x: (jnp.var(x, 0), jnp.cov(x)), X),
    "sum_of_squares": (lambda x: (x**2).sum(1), X),
    "truth_reductions": (lambda x: (x.any(), x.all(1), x.any(0), x.sum(), jnp.count_nonzero(x)), bits(4, 5)),
    "truth": (lambda x, y: (x & y, x | y, x ^ y, ~x, x == y, x != y, x < y, x >= y), bits(6), bits(6)),
    "integers": (
        lambda x, y: ((x + y) * 2 - x * y, abs(x - y), x**3, jnp.maximum(x, y)),
        integers(20, 6),
        integers(20, 6),
    ),
    "integer_division": (
        lambda x, y: (x // y, x % y, lax.div(x, y), lax.rem(x, y)),
        integers(10, 6, low=-9),
        integers(5, 6, low=1),
    ),
    "division_by_public_integer": (lambda x: (x // 3, x % 3), integers(10, 6, low=-9)),
    "bitwise": (lambda x, y: (x & y, x | y, x ^ y, ~x, x << 2, x >> 1), integers(20, 6), integers(20, 6)),
    "popcount": (lambda x: (jnp.bitwise_count(x), lax.clz(x)), integers(99, 6)),
    "mod": (lambda x, y: (jnp.mod(x, y), jnp.fmod(x, y), jnp.floor_divide(x, y)), 5 * reals(9), SCALE),
    "mod_of_negative": (lambda x: jnp.mod(x, -1.5), 5 * reals(9)),
    "select_n": (lambda i, x: lax.select_n(i, x, 2 * x, 3 * x), integers(3, 4), reals(4)),
    "select": (lambda x: jnp.select([x > 1, x > 0], [x, 2 * x], -x), reals(5)),
    "heaviside": (jnp.heaviside, reals(5), reals(5)),
    "reshape": (lambda x: (x.reshape(2, 10), x.ravel(order="F"), x.T, x[None], jnp.squeeze(x[:1])), X),
    "slices": (lambda x: (x[1:3, ::2], x[-1], x[::-1], jnp.flip(x, 1), jnp.roll(x, 2, axis=1), x[:, 1]), X),
    "join": (
        lambda x, y: (jnp.concatenate([x, y], 1), jnp.stack([x, y], 1), jnp.split(x, [2], 1), jnp.tile(x, (2, 1))),
        X,
        Y,
    ),
    "join_with_public": (lambda x: jnp.concatenate([x, jnp.ones((1, 5))]), X),
    "pad": (lambda x: [jnp.pad(x, 1, mode=m) for m in ("constant", "edge", "reflect", "wrap")], X),
    "pad_value": (lambda x: jnp.pad(x, ((1, 0), (0, 2)), constant_values=3), X),
    "pad_interior": (lambda x: lax.pad(x, 1.0, [(1, -1, 1), (-1, 0, 0)]), X),
    "pad_by_secret": (lambda x, y: lax.pad(x, y, [(1, 1, 0), (0, 0, 1)]), X, np.float32(2)),
    "triangles": (lambda x: (jnp.tril(x), jnp.triu(x, 1), jnp.diag(x), jnp.trace(x), jnp.eye(4) * x), reals(4, 4)),
    "diagonal": (jnp.diag, reals(4)),
    "broadcasting": (lambda x, y: x[:, None] * y[None, :], reals(3), reals(4)),
    "unused": (lambda x, y: x, X, Y),
    "public_output": (lambda x: (x, jnp.arange(3)), X),
    "kron": (lambda x, y: (jnp.kron(x, y), jnp.outer(x, y), jnp.vdot(x, x)), reals(2, 2), reals(2, 2)),
    "polynomial": (lambda x: jnp.polyval(np.float32([1, 2, 3]), x), reals(5)),
    "interpolation": (lambda x: jnp.interp(x, np.float32([-1, 0, 1]), np.float32([0, 3, 1])), reals(5)),
    "searchsorted": (
        lambda x: (jnp.searchsorted(np.float32([-1, 0, 1]), x), jnp.digitize(x, np.float32([-1, 0, 1]))),
        reals(5),
    ),
    "histogram": (lambda x: jnp.histogram(x, bins=np.float32([-1, 0, 1]))[0], reals(5)),
    "differences": (lambda x: (jnp.diff(x), jnp.ediff1d(x), jnp.gradient(x), jnp.trapezoid(x)), reals(6)),
    "general_reduction": (lambda x: lax.reduce(x, 1.0, lambda a, b: a * b, (0,)), reals(5)),
    "piecewise": (lambda x: jnp.piecewise(x, [x > 0, x < -1], [lambda v: v * 2, lambda v: v - 1, 0.0]), reals(5)),
}


@pytest.mark.parametrize("name", CASES)
def test_arithmetic(name: str, compare: Callable[..., Any]) -> None:
    function, *arguments = CASES[name]
    compare(function, *arguments)


@pytest.mark.parametrize("name", ["add", "where", "sum_of_squares", "extrema", "join", "truth"])
def test_arithmetic_without_passes(name: str, compare: Callable[..., Any]) -> None:
    function, *arguments = CASES[name]
    compare(function, *arguments, passes=False)


def test_public_numbers_are_computed_while_tracing(compiled: Callable[..., Any]) -> None:
    program = compiled(lambda x: x * (jnp.sin(jnp.arange(5.0)) + jax.random.normal(jax.random.key(0), (5,))), reals(5))
    assert [step.name for step in program.steps] == ["mul"]


def test_infinities_saturate_and_compare(compare: Callable[..., Any]) -> None:
    compare(lambda x: (jnp.maximum(x, -jnp.inf), x < jnp.inf, jnp.max(jnp.where(x > 0, x, -jnp.inf))), reals(5))
