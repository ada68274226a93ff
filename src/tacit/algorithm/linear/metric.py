"""How good shared scores are, without opening them. JAX functions, for use on a device."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np


def deviance(logits: Any, labels: Any) -> Any:
    """The mean negative log-likelihood of 0/1 labels under logits; natural logarithm."""
    return jnp.mean(jnp.logaddexp(0.0, logits) - labels * logits)


def auc(scores: Any, labels: Any) -> Any:
    """The area under the ROC curve by comparing every two rows; ties count as half. 0 where a class is missing.

    Cost: rows * (rows - 1) comparisons; for at most a thousand rows.
    """
    gap, lead = _pairs(scores, labels)
    balance = jnp.sum(jnp.where(gap > 0, lead, 0.0) - jnp.where(gap < 0, lead, 0.0))
    pairs = mixed_pairs(labels)
    return jnp.where(pairs > 0.5, 0.5 + 0.5 * balance / jnp.maximum(pairs, 1.0), 0.0)


def concordance(scores: Any, labels: Any) -> Any:
    """How many pairs of a positive and a negative row are ranked rightly, less how many are not: (2 auc - 1) * mixed_pairs.

    A tie counts as either, by the order of the rows. Cost: rows * (rows - 1) / 2 comparisons.
    """
    gap, lead = _pairs(scores, labels)
    return jnp.sum(jnp.where(gap > 0, lead, -lead))


def mixed_pairs(labels: Any) -> Any:
    """The number of pairs of a positive and a negative row."""
    positive = jnp.sum(labels)
    return positive * (labels.shape[0] - positive)


def _pairs(scores: Any, labels: Any) -> tuple[Any, Any]:
    """For every two rows, by how much the first is ahead in score, and in label."""
    first, second = np.triu_indices(scores.shape[0], 1)
    return scores[first] - scores[second], labels[first] - labels[second]
