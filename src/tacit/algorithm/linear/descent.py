"""Descending a logistic loss on shares: an approximate inverse of its curvature, steps along it, and when to stop.

JAX functions of blocks of columns [rows, columns], for use on a device; every shape and constant in them is public.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, log2
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tacit.algorithm.linear.metric import concordance, deviance, mixed_pairs

DAMPING = 0.01
"""Added to the curvature of standardised columns: bounds the inverse by 100, which keeps it exact enough in fixed point."""
SCORED_ROWS = 256
"""Judged rows that are ranked: ranking compares every pair."""


def logits(blocks: Sequence[Any], weights: Any) -> Any:
    """[rows] of log odds; the last weight is the intercept."""
    return jnp.concatenate(list(blocks), axis=1) @ weights[:-1] + weights[-1]


def inverse_curvature(rows: int) -> Callable[[Sequence[Any]], Any]:
    """The inverse of a bound of the logistic loss's second derivative over the first `rows` rows: [columns + 1] squared.

    Computes: (X'X / 4n + DAMPING)^-1 by Newton and Schulz's iteration. The columns must be standardised: then the trace, and
        so the largest eigenvalue, is at most (columns + 1) / 4, and the number of iterations is public.
    Source:   Boehning and Lindsay 1988 for the bound; Schulz 1933 for the iteration.
    """

    def invert(blocks: Sequence[Any]) -> Any:
        X = _with_ones([block[:rows] for block in blocks])
        width = X.shape[1]
        bound = width / 4 + DAMPING
        curvature = (X.T @ X) * (1 / (4 * rows)) + DAMPING * np.eye(width)
        # The error of the smallest eigenvalue is (1 - DAMPING / bound) squared again and again; e^-3 is small enough.
        steps = ceil(log2(3 * bound / DAMPING))

        def refine(inverse: Any, _: None) -> tuple[Any, None]:
            return inverse @ (2 * np.eye(width) - curvature @ inverse), None

        start = jnp.asarray(np.eye(width) / bound)
        return jax.lax.scan(refine, start, None, length=steps)[0]

    return invert


def epoch(rows: int, batch: int, passes: int, rate: float, momentum: float, penalty: float) -> Callable[..., Any]:
    """`passes` passes over the first `rows` rows in batches; rows beyond the last full batch join it by overlapping.

    The function takes blocks, labels, weights, velocity and, unless it is None, the inverse curvature; it returns weights
    and velocity after the epoch, and the average of the weights over it. penalty: 1 / (C n).
    """
    count = -(-rows // batch)
    starts = np.minimum(np.arange(count) * batch, rows - batch)
    order = (starts[:, None] + np.arange(batch)[None, :]).reshape(-1)

    def train(blocks: Sequence[Any], y: Any, weights: Any, velocity: Any, inverse: Any = None) -> tuple[Any, Any, Any]:
        X = _with_ones(blocks)
        penalties = np.append(np.full(X.shape[1] - 1, penalty * batch), 0.0)
        batches = X[order].reshape(count, batch, -1), y[order].reshape(count, batch)

        def step(state: tuple[Any, Any, Any], rows_of: tuple[Any, Any]) -> tuple[tuple[Any, Any, Any], None]:
            w, v, total = state
            x, t = rows_of
            slope = x.T @ (jax.nn.sigmoid(x @ w) - t) + penalties * w
            # The sum's slope is scaled down last, so that fixed point rounds the step and not what leads to it.
            v = momentum * v - (rate / batch) * (slope if inverse is None else inverse @ slope)
            return (w + v, v, total + w + v), None

        def run(state: tuple[Any, Any, Any], _: None) -> tuple[tuple[Any, Any, Any], None]:
            return jax.lax.scan(step, state, batches)

        state = weights, velocity, jnp.zeros_like(weights)
        weights, velocity, total = (
            jax.lax.scan(run, state, None, length=passes)[0] if passes > 1 else run(state, None)[0]
        )
        return weights, velocity, total / (count * passes)

    return train


def judge(first: int, rows: int, tol: float, patience: int) -> Callable[..., Any]:
    """Whether rows from `first` on still improve: new best values, epochs waited, and the one bit that is revealed."""
    scored = min(rows - first, SCORED_ROWS)

    def decide(blocks: Sequence[Any], y: Any, weights: Any, best: Any, waited: Any) -> tuple[Any, Any, Any]:
        z = logits([block[first:] for block in blocks], weights)
        t = y[first:]
        now = jnp.stack([deviance(z, t), concordance(z[:scored], t[:scored])])
        enough = 2 * tol * mixed_pairs(t[:scored])  # `tol` of AUC
        better = (now[0] < best[0] - tol) | (now[1] > best[1] + enough)
        waited = jnp.where(better, 0, waited + 1)
        best = jnp.stack([jnp.minimum(now[0], best[0]), jnp.maximum(now[1], best[1])])
        return best, waited, waited >= patience

    return decide


def _with_ones(blocks: Sequence[Any]) -> Any:
    return jnp.concatenate([*blocks, jnp.ones((blocks[0].shape[0], 1))], axis=1)
