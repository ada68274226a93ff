"""How good scores are, for the party that has both scores and labels in the clear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import LabelNotBinary


def roc(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rates at every distinct score, from (0, 0) to (1, 1). Raises LabelNotBinary for one class."""
    order = np.argsort(-scores, kind="stable")
    hits = labels[order] > 0.5
    positive = int(hits.sum())
    if not 0 < positive < hits.size:
        raise LabelNotBinary(f"the {hits.size} records to score have one class only. Use more of them (test_fraction).")
    last = np.append(np.diff(scores[order]) != 0, True)
    true, false = np.cumsum(hits)[last], np.cumsum(~hits)[last]
    return np.insert(false / (hits.size - positive), 0, 0.0), np.insert(true / positive, 0, 0.0)


def area(false: NDArray[np.float64], true: NDArray[np.float64]) -> float:
    """Area under a ROC curve; ties count as half."""
    return float(np.sum(np.diff(false) * (true[1:] + true[:-1]) / 2))


def thin(curve: NDArray[np.float64], limit: int = 200) -> list[float]:
    """At most `limit` points of a curve, for drawing."""
    keep = np.unique(np.linspace(0, len(curve) - 1, min(limit, len(curve))).round().astype(int))
    return [round(float(value), 5) for value in curve[keep]]
