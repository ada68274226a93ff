"""Pooling and its gradients, sorting, cumulative operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

RNG = np.random.default_rng(4)


def reals(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def max_pool(x: Any, padding: str = "VALID", window: int = 2, stride: int = 2) -> Any:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, window, window, 1), (1, stride, stride, 1), padding)


def sum_pool(x: Any, window: int = 2) -> Any:
    return lax.reduce_window(x, 0.0, lax.add, (1, window, window, 1), (1, 2, 2, 1), "SAME")


X = reals(2, 5, 5, 3)
CASES: dict[str, tuple[Any, ...]] = {
    "max": (max_pool, X),
    "max_overlapping": (lambda x: max_pool(x, "SAME", 3, 2), X),
    "min": (lambda x: lax.reduce_window(x, jnp.inf, lax.min, (1, 2, 2, 1), (1, 1, 1, 1), "SAME"), X),
    "sum": (sum_pool, X),
    "sum_large": (lambda x: lax.reduce_window(x, 0.0, lax.add, (9, 9), (1, 1), "SAME") / 9, reals(10, 10)),
    "general": (lambda x: lax.reduce_window(x, 1.0, lambda a, b: a * b, (2,), (1,), "VALID"), reals(6)),
    "max_gradient": (jax.grad(lambda v: (max_pool(v) ** 2).sum()), X),
    "max_gradient_overlapping": (jax.grad(lambda v: (max_pool(v, "SAME", 3, 2) ** 2).sum()), X),
    "max_tangent": (lambda x, t: jax.jvp(max_pool, (x,), (t,))[1], X, X[::-1]),
    "sum_gradient": (jax.grad(lambda v: (sum_pool(v) ** 2).sum()), X),
    "sort": (lambda x: (jnp.sort(x, axis=0), jnp.sort(x, axis=1, descending=True)), reals(4, 5)),
    "argsort": (lambda x: jnp.argsort(x, axis=1), reals(4, 5)),
    "sort_pairs": (lambda x, y: lax.sort((x, y), num_keys=1), reals(6), reals(6)),
    "sort_two_keys": (lambda x, y: lax.sort((x, y), num_keys=2), np.float32([1, 0, 1, 0]), np.float32([3, 2, 1, 4])),
    "top_k": (lambda x: lax.top_k(x, 2), reals(4, 5)),
    "median": (lambda x: (jnp.median(x, axis=1), jnp.percentile(x, 30, axis=1)), reals(4, 7)),
    "arg": (lambda x: (jnp.argmax(x, axis=1), jnp.argmin(x), jnp.argmax(x, axis=0, keepdims=True)), reals(4, 5)),
    "cumulative": (
        lambda x: (jnp.cumsum(x, 1), jnp.cumprod(x, 1), lax.cummax(x, 0), lax.cummin(x, 1, reverse=True)),
        reals(4, 5),
    ),
    "cumulative_truth": (lambda x: jnp.cumsum(x > 0), reals(5)),
    "sort_gradient": (jax.grad(lambda v: (jnp.sort(v) * np.arange(5)).sum()), reals(5)),
    "max_reduction_gradient": (jax.grad(lambda v: v.max(1).sum()), reals(3, 5)),
}


@pytest.mark.parametrize("name", CASES)
def test_window(name: str, compare: Callable[..., Any]) -> None:
    function, *arguments = CASES[name]
    compare(function, *arguments)


def test_relu_runs_after_pooling(compare: Callable[..., Any]) -> None:
    program = compare(lambda x: max_pool(jax.nn.relu(x)), X)
    names = [step.name for step in program.steps]
    assert names.index("max") < names.index("relu")


def test_the_gradient_of_pooling_compares_nothing_again(compiled: Callable[..., Any]) -> None:
    forward = compiled(lambda x: (max_pool(x) ** 2).sum(), X)
    both = compiled(jax.grad(lambda v: (max_pool(v) ** 2).sum()), X)
    assert "max" in {step.name for step in forward.steps}
    assert sum(step.name == "ge" for step in both.steps) == 2  # the two levels of a tournament of four
