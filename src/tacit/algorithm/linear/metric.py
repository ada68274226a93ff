"""How good shared scores are, without opening them. JAX functions, for use on a device."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp


def deviance(logits: Any, labels: Any) -> Any:
    """The mean negative log-likelihood of 0/1 labels under logits; natural logarithm."""
    return jnp.mean(jnp.logaddexp(0.0, logits) - labels * logits)


def auc(scores: Any, labels: Any) -> Any:
    """The area under the ROC curve by comparing every positive with every negative; ties count as half.

    Cost: rows**2 comparisons; for at most a few hundred rows. 0 where a class is missing.
    """
    wins = (scores[:, None] > scores[None, :]).astype(jnp.float32)
    ahead = wins - wins.T  # 1, -1, or 0 for a tie
    positive, negative = labels, 1.0 - labels
    pairs = jnp.sum(positive) * jnp.sum(negative) / scores.shape[0] ** 2
    balance = positive @ (ahead @ negative) / scores.shape[0] ** 2
    return jnp.where(pairs > 0, 0.5 + 0.5 * balance / jnp.maximum(pairs, 1e-3), 0.0)
