"""The descent's mathematics, in the clear: what the shares compute is compared with this in test_linear_model.py."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.metrics import roc_auc_score

from tacit.algorithm.linear.descent import DAMPING, epoch, inverse_curvature, judge, logits
from tacit.algorithm.linear.metric import auc, concordance, deviance, mixed_pairs


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def records(rows: int, columns: int, seed: int, *, correlated: bool = True) -> tuple[list[np.ndarray], np.ndarray]:
    """Standardised blocks of two parties, with nearly equal columns among them, and labels."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns))
    if correlated:
        X[:, 1:] = X[:, :1] + 0.05 * X[:, 1:]
    X = (X - X.mean(0)) / X.std(0)
    y = (X @ rng.normal(size=columns) + rng.logistic(size=rows) > 0).astype(float)
    return [X[:, : columns // 2], X[:, columns // 2 :]], y


@pytest.mark.parametrize("columns", [2, 10, 40])
def test_the_inverse_curvature_is_one(columns: int) -> None:
    blocks, _ = records(200, columns, 0)
    X = np.hstack([*blocks, np.ones((200, 1))])
    curvature = X.T @ X / (4 * 200) + DAMPING * np.eye(columns + 1)
    found = inverse_curvature(200)(blocks)
    assert np.abs(found @ curvature - np.eye(columns + 1)).max() < 0.15  # all that descent needs
    assert np.abs(found).max() <= 1 / DAMPING


@pytest.mark.parametrize(("rows", "batch"), [(150, 150), (1000, 300)])
def test_epochs_find_scikit_learns_minimum(rows: int, batch: int) -> None:
    blocks, y = records(rows, 8, 1)
    inverse = inverse_curvature(rows)(blocks)
    run = jax.jit(epoch(rows, batch, 4, 0.5, 0.8, 1 / rows))
    weights = velocity = average = jnp.zeros(9)
    for _ in range(25):
        weights, velocity, average = run(blocks, y, weights, velocity, inverse)
    X = np.hstack(blocks)
    reference = Reference(C=1.0, max_iter=10_000, tol=1e-8).fit(X, y)
    exact = X @ reference.coef_[0] + reference.intercept_

    def objective(z: np.ndarray, w: np.ndarray) -> float:
        return float(deviance(z, y) + np.sum(w**2) / (2 * rows))

    gap = objective(logits(blocks, average), average[:-1]) - objective(exact, reference.coef_[0])
    assert -1e-9 < gap < (1e-4 if batch == rows else 2e-3)


def test_without_curvature_the_same_objective_goes_down() -> None:
    blocks, y = records(200, 6, 2, correlated=False)
    weights, _, average = epoch(200, 50, 5, 0.2, 0.8, 1 / 200)(blocks, y, jnp.zeros(7), jnp.zeros(7))
    assert deviance(logits(blocks, average), y) < deviance(jnp.zeros(200), y) - 0.1
    assert weights.shape == average.shape == (7,)


def test_overlapping_batches_cover_every_row() -> None:
    blocks, y = records(10, 2, 3)
    seen = jax.jacobian(lambda t: epoch(10, 4, 1, 0.1, 0.0, 0.0)(blocks, t, jnp.zeros(3), jnp.zeros(3))[0])(y)
    assert (np.abs(seen).sum(axis=0) > 0).all()


def test_the_bit_says_stop_after_so_many_epochs_without_improvement() -> None:
    blocks, y = records(60, 2, 4)
    decide = judge(20, 60, 1e-4, 2)
    best, waited = jnp.array([64.0, -65536.0]), jnp.array(0)
    bits = []
    for weights in (np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)):
        best, waited, over = decide(blocks, y, jnp.asarray(weights), best, waited)
        bits.append(bool(over))
    assert bits == [False, False, True, True]


@given(
    st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=2, max_size=30).filter(
        lambda rows: len({label for _, label in rows}) == 2
    )
)
def test_the_auc_counts_ties_as_half(rows: list[tuple[int, bool]]) -> None:
    scores, labels = (np.array(column, np.float64) for column in zip(*rows, strict=True))
    assert auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))


def test_concordance_is_the_auc_in_pairs() -> None:
    rng = np.random.default_rng(5)
    scores, labels = rng.normal(size=40), (rng.random(40) < 0.3).astype(float)
    expected = (2 * roc_auc_score(labels, scores) - 1) * mixed_pairs(labels)
    assert concordance(scores, labels) == pytest.approx(expected)
    assert auc(scores, np.zeros(40)) == 0
