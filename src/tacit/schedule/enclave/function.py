"""Functions that an enclave offers by name: installed with the library, measured with it, never sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from tacit.foundation.errors import InputError, ShapeError

EnclaveFunction: TypeAlias = Callable[..., Sequence[np.ndarray]]
"""Takes the job's inputs in order and its parameters by name; returns the job's outputs in order."""

ENCLAVE_FUNCTIONS: dict[str, EnclaveFunction] = {}


def enclave_function(name: str) -> Callable[[EnclaveFunction], EnclaveFunction]:
    """Install a function under a name."""

    def keep(function: EnclaveFunction) -> EnclaveFunction:
        if name in ENCLAVE_FUNCTIONS:
            raise ValueError(f"enclave function {name!r} is installed already")
        ENCLAVE_FUNCTIONS[name] = function
        return function

    return keep


@enclave_function("linear.score")
def linear_score(
    weights: np.ndarray, intercept: np.ndarray, rows: np.ndarray, *, link: str = "identity"
) -> Sequence[np.ndarray]:
    """Scores of a sealed linear model: weights (d,), intercept (), rows (n, d), float64 -> scores (n,).

    link: `identity`, or `logistic` for probabilities.
    """
    if weights.ndim != 1 or intercept.shape != () or rows.ndim != 2 or rows.shape[1] != weights.shape[0]:
        raise ShapeError(
            f"a model of weights {list(weights.shape)} and intercept {list(intercept.shape)} does not score rows of "
            f"shape {list(rows.shape)}"
        )
    scores = np.asarray(rows @ weights + intercept, np.float64)
    if link == "identity":
        return [scores]
    if link == "logistic":
        return [0.5 * (1.0 + np.tanh(0.5 * scores))]
    raise InputError(f"link {link!r} is not known; identity and logistic are")


@enclave_function("table.join")
def table_join(
    left_ids: np.ndarray, left: np.ndarray, right_ids: np.ndarray, right: np.ndarray, **_: Any
) -> Sequence[np.ndarray]:
    """Inner join by identifier: ids (n,) and (m,) int64, columns (n, p) and (m, q) float64 -> ids (k,), rows (k, p + q).

    The result is sorted by identifier; its length k, the number of common identifiers, is visible to the host.
    """
    for ids, rows in ((left_ids, left), (right_ids, right)):
        if ids.ndim != 1 or rows.ndim != 2 or len(ids) != len(rows):
            raise ShapeError(f"identifiers of shape {list(ids.shape)} do not go with rows of shape {list(rows.shape)}")
        if len(np.unique(ids)) != len(ids):
            raise InputError("an identifier stands in several rows of one table; make them unique before the join")
    common, first, second = np.intersect1d(left_ids, right_ids, assume_unique=True, return_indices=True)
    return [common, np.hstack([left[first], right[second]])]
