"""Gather, scatter and dynamic slices at public and at secret positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

RNG = np.random.default_rng(2)
X = RNG.normal(size=(4, 5)).astype(np.float32)
ROW = RNG.normal(size=5).astype(np.float32)
ROWS = RNG.normal(size=(3, 5)).astype(np.float32)
PAIR = RNG.normal(size=(2, 3)).astype(np.float32)
AT = np.array([2, 0, 3], np.int32)
ACROSS = np.array([4, 1, 0], np.int32)
ONE = np.int32(1)

CASES: dict[str, tuple[Any, ...]] = {
    "rows": (lambda x: x[np.array([2, 0]), 1:3], X),
    "pairs": (lambda x: x[np.array([2, 0]), np.array([1, 4])], X),
    "mask": (lambda x: x[np.array([True, False, True, True])], X),
    "clipped": (lambda x: jnp.take(x, np.array([0, 9]), axis=1, mode="clip"), X),
    "wrapped": (lambda x: jnp.take(x, np.array([-1, 9]), axis=1, mode="wrap"), X),
    "secret_rows": (lambda x, i: x[i], X, AT),
    "secret_columns": (lambda x, i: x[:, i], X, AT.reshape(3, 1)),
    "secret_negative": (lambda x, i: x[i], X, -1 - AT),
    "secret_pairs": (lambda x, i, j: x[i, j], X, AT, ACROSS),
    "secret_clipped": (lambda x, i: jnp.take(x, i, axis=0, mode="clip"), X, np.array([-3, 1, 9], np.int32)),
    "secret_one": (lambda x, i: x[i], X, ONE),
    "along_axis": (lambda x, i: jnp.take_along_axis(x, i, 1), X, RNG.integers(0, 5, (4, 2)).astype(np.int32)),
    "along_first": (lambda x, i: jnp.take_along_axis(x, i, 0), X, RNG.integers(0, 4, (2, 5)).astype(np.int32)),
    "batched": (jax.vmap(lambda a, b: a[b]), X, RNG.integers(0, 5, 4).astype(np.int32)),
    "of_integers": (lambda i: (10 * i)[::-1][np.array([0, 0])], AT),
    "of_truth": (lambda x, i: (x > 0)[i], X, AT),
    "slice_at_secret": (lambda x, i: lax.dynamic_slice(x, (i, 1), (2, 3)), X, ONE),
    "slice_at_secrets": (lambda x, i, j: lax.dynamic_slice(x, (i, j), (2, 3)), X, np.int32(3), np.int32(-1)),
    "overwrite_at_public": (lambda x, u: lax.dynamic_update_slice(x, u, (1, 4)), X, PAIR),
    "overwrite_at_secret": (lambda x, u, i: lax.dynamic_update_slice(x, u, (i, 1)), X, PAIR, ONE),
    "overwrite_at_secrets": (lambda x, u, i, j: lax.dynamic_update_slice(x, u, (i, j)), X, PAIR, np.int32(9), ONE),
    "set": (lambda x, u: x.at[np.array([1, 3, 0])].set(u), X, ROWS),
    "set_public": (lambda x: x.at[1:3].set(7.0), X),
    "add_repeated": (lambda x, u: x.at[np.array([1, 1, 0])].add(u), X, ROWS),
    "mul_repeated": (lambda x, u: x.at[np.array([1, 1, 0])].multiply(u), X, ROWS),
    "extrema_repeated": (lambda x, u: (x.at[np.array([1, 1, 0])].max(u), x.at[np.array([1, 1, 0])].min(u)), X, ROWS),
    "into_public": (jnp.zeros((4, 5)).at[np.array([1, 1, 0])].add, ROWS),
    "set_at_secret": (lambda x, i, u: x.at[i].set(u), X, ONE, ROW),
    "set_at_secrets": (lambda x, i, u: x.at[i].set(u), X, AT, ROWS),
    "set_at_unique_secrets": (lambda x, i, u: x.at[i].set(u, unique_indices=True), X, AT, ROWS),
    "add_at_secrets": (lambda x, i, u: x.at[i].add(u), X, np.array([2, 2, 0], np.int32), ROWS),
    "add_at_secret_pairs": (lambda x, i, j, u: x.at[i, j].add(u), X, AT, ACROSS, ROWS[:, 0]),
    "segments": (lambda x, i: jax.ops.segment_sum(x, i, 4), ROWS, AT),
    "segments_public": (lambda x: jax.ops.segment_sum(x, np.array([0, 1, 0]), 2), ROWS),
    "one_hot": (lambda i: jax.nn.one_hot(i, 4), AT),
    "choose": (lambda i, x: jnp.choose(i, [x, 2 * x, 3 * x, 4 * x], mode="clip"), AT, ROWS[:, 0]),
    "gradient": (jax.grad(lambda v: (v[np.array([1, 1, 3])] ** 2).sum()), X),
    "gradient_at_secret": (lambda x, i: jax.grad(lambda v: (v[i] ** 2).sum())(x), X, AT),
    "embedding": (lambda w, i: jax.grad(lambda v: (v[i].mean(0) ** 2).sum())(w), X, AT),
}


@pytest.mark.parametrize("name", CASES)
def test_indexing(name: str, compare: Callable[..., Any]) -> None:
    function, *arguments = CASES[name]
    compare(function, *arguments)


@pytest.mark.parametrize("name", ["rows", "pairs", "set", "add_repeated", "slices", "into_public"])
def test_public_positions_cost_no_round(name: str, compiled: Callable[..., Any]) -> None:
    function, *arguments = CASES.get(name, (lambda x: x[1:2, ::3], X))
    local = {"reshape", "take", "concatenate", "scatter_add", "slice", "pad", "transpose", "add"}
    assert {step.name for step in compiled(function, *arguments).walk()} <= local
