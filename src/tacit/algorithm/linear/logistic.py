"""Logistic regression on columns that different parties hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, TypeAlias, final

import jax
import jax.numpy as jnp
import numpy as np

from tacit.algorithm.linear.descent import SCORED_ROWS, epoch, inverse_curvature, judge, logits
from tacit.device.mpc import MPC
from tacit.device.plain import PlainValue
from tacit.device.reveal import reveal
from tacit.device.secret import Secret
from tacit.foundation.errors import ConfigError, InputError, ShapeError

Columns: TypeAlias = Secret | PlainValue
JUDGED_ROWS = 2048
"""Rows whose deviance decides when to stop, where none are held out."""
BATCH, STEPS = 2048, 8
"""Rows per step, and the least number of steps between two judgements."""
MAX_WIDTH = 512
"""Columns up to which the inverse curvature is worth its cost."""


@final
class LogisticRegression:
    """Binary logistic regression with an L2 penalty, by mini-batch descent with momentum, curvature and averaging, on shares.

    Follows scikit-learn's conventions, with an MPC device as first argument. `X` is a block of columns or a sequence of
    blocks, [rows, columns] each, held by different parties (rows aligned); `y` is [rows] of 0 and 1.

    Computes: the minimum of  mean_i log(1 + exp(-s_i z_i)) + |w|^2 / (2 C n),  s_i = +-1, intercept not penalised: the
        objective of sklearn.linear_model.LogisticRegression(C=C). The columns must be standardised: weights are found
        along the inverse of the curvature that such columns have, so that correlated columns do not slow it down.
    Reveals:  after every epoch one bit, whether training goes on, if `early_stopping`; else nothing. Weights, scores and the
        loss stay shared.
    Error:    that of the descent; the tests bound the AUC within 0.002 of scikit-learn's.
    Source:   Boehning and Lindsay 1988 (curvature); Polyak 1964 (momentum); Polyak and Juditsky 1992: the model is the average
        of the weights over the last epoch, which removes most of the noise of small batches.

    C: inverse penalty, as in scikit-learn.
    batch_size: rows per step. An epoch is one pass over the rows, or as many as make 8 steps.
    precondition: whether to use the curvature, which costs three products of columns squared once; by default up to 512
        columns.
    learning_rate: by default 0.5 with curvature, and else the smaller of 0.2 and 4 (1 + momentum) / columns: half of what is
        stable for standardised columns, however correlated.
    max_epochs, early_stopping: training stops when neither deviance nor AUC of the judged rows has improved by `tol` for
        `patience` epochs. Judged are the last `validation_fraction` of the rows, which are then held out of training; if
        that is 0, the last 2048 training rows, which tells convergence.
    """

    def __init__(
        self,
        device: MPC,
        *,
        C: float = 1.0,
        batch_size: int = BATCH,
        precondition: bool | None = None,
        learning_rate: float | None = None,
        momentum: float = 0.8,
        max_epochs: int = 40,
        early_stopping: bool = True,
        validation_fraction: float = 0.0,
        tol: float = 1e-4,
        patience: int = 3,
    ) -> None:
        self.device = device
        self.C = C
        self.batch_size = batch_size
        self.precondition = precondition
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.max_epochs = max_epochs
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.tol = tol
        self.patience = patience
        self.coef_: Secret | None = None
        self.n_iter_ = 0
        self.n_features_in_ = 0

    # --- scikit-learn's conventions -----------------------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002  scikit-learn passes it
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in _PARAMETERS}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments. Raises ConfigError for unknown names."""
        for name, value in params.items():
            if name not in _PARAMETERS:
                raise ConfigError(f"LogisticRegression has no parameter {name!r}; it has {', '.join(_PARAMETERS)}")
            setattr(self, name, value)
        return self

    def fit(
        self, X: Columns | Sequence[Columns], y: Columns, on_epoch: Callable[[int, bool], None] | None = None
    ) -> Self:
        """Train. `on_epoch` is told the epoch's number and whether training goes on, both public.

        Raises: ConfigError and ShapeError before anything is shared.
        """
        self._check()
        blocks = _blocks(X)
        rows = _rows(blocks, y)
        held = int(rows * self.validation_fraction) if self.early_stopping else 0
        if rows - held < 1 or (self.early_stopping and self.validation_fraction and held < 2):
            raise ShapeError(
                f"{rows} rows are too few to hold out {self.validation_fraction:.0%} of them. Set validation_fraction=0."
            )
        self.n_features_in_ = sum(block.shape[1] for block in blocks)
        secrets = [self._secret(block) for block in blocks]
        label = self._secret(y)
        run, inverse = self._plan(secrets, rows - held)
        weights, velocity = (self.device.constant(np.zeros(self.n_features_in_ + 1)) for _ in range(2))
        # Far above any deviance of a first epoch and below any concordance, so that the first one always counts as better.
        best = self.device.constant(np.array([64.0, -(SCORED_ROWS**2)]))
        waited = self.device.constant(np.array(0, np.int64))
        decide = self.device(judge(rows - held if held else max(0, rows - JUDGED_ROWS), rows, self.tol, self.patience))
        for number in range(1, self.max_epochs + 1):
            weights, velocity, average = run(secrets, label, weights, velocity, *inverse)
            self.n_iter_ = number
            stop = False
            if self.early_stopping:
                best, waited, over = decide(secrets, label, average, best, waited)
                self.device.run([weights, velocity, average, best, waited, over])
                stop = bool(reveal(over, to=self.device.names, because=f"epoch {number}: whether training goes on"))
            else:
                self.device.run([weights, velocity, average])
            if on_epoch is not None:
                on_epoch(number, not stop)
            if stop:
                break
        self.coef_ = average
        return self

    def decision_function(self, X: Columns | Sequence[Columns]) -> Secret:
        """[rows] of shared log odds."""
        return self._apply(logits, X)

    def predict_proba(self, X: Columns | Sequence[Columns]) -> Secret:
        """[rows, 2] of shared probabilities of 0 and 1. Error: that of the sigmoid, see `docs/functions.md`."""
        return self._apply(_probabilities, X)

    def predict(self, X: Columns | Sequence[Columns]) -> Secret:
        """[rows] of shared truth values: whether 1 is the likelier class."""
        return self._apply(_classes, X)

    # --- at rest ------------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Have every party write its shares of the model to a file of its own in `folder`. Reveals nothing."""
        self.device.save({"coef": self._fitted()}, folder)

    @classmethod
    def load(cls, device: MPC, folder: Path) -> Self:
        """A trained model from the files that `save` wrote, at the same parties."""
        model = cls(device)
        model.coef_ = device.restore(["coef"], folder)["coef"]
        model.n_features_in_ = model.coef_.shape[0] - 1
        return model

    # --- helpers ------------------------------------------------------------------------------------------------

    def _apply(self, function: Callable[..., Any], X: Columns | Sequence[Columns]) -> Any:
        weights = self._fitted()
        blocks = _blocks(X)
        columns = sum(block.shape[1] for block in blocks)
        if columns != self.n_features_in_:
            raise ShapeError(f"the model was trained on {self.n_features_in_} columns, these blocks have {columns}")
        return self.device(function)([self._secret(block) for block in blocks], weights)

    def _fitted(self) -> Secret:
        if self.coef_ is None:
            raise InputError("this LogisticRegression is not trained yet. Call fit, or load a saved model.")
        return self.coef_

    def _plan(self, secrets: list[Secret], rows: int) -> tuple[Callable[..., Any], list[Secret]]:
        """The function of an epoch, and the inverse curvature if it takes one."""
        columns = self.n_features_in_ + 1
        precondition = columns <= MAX_WIDTH if self.precondition is None else self.precondition
        rate = self.learning_rate or (0.5 if precondition else min(0.2, 4 * (1 + self.momentum) / columns))
        batch = min(self.batch_size, rows)
        passes = max(1, STEPS // -(-rows // batch))
        run = self.device(epoch(rows, batch, passes, rate, self.momentum, 1 / (self.C * rows)))
        if not precondition:
            return run, []
        inverse = self.device(inverse_curvature(rows))(secrets)
        self.device.run([inverse])  # by itself, so that all epochs are the same program
        return run, [inverse]

    def _secret(self, value: Columns) -> Secret:
        return value if isinstance(value, Secret) else self.device.share(value)

    def _check(self) -> None:
        for name in ("C", "learning_rate", "tol"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name} must be positive, not {value}")
        for name in ("batch_size", "max_epochs", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} must be at least 1, not {value}")
        if not 0 <= self.momentum < 1 or not 0 <= self.validation_fraction < 1:
            raise ConfigError("momentum and validation_fraction must lie in [0, 1)")


_PARAMETERS = (
    "device",
    "C",
    "batch_size",
    "precondition",
    "learning_rate",
    "momentum",
    "max_epochs",
    "early_stopping",
    "validation_fraction",
    "tol",
    "patience",
)


def _blocks(X: Columns | Sequence[Columns]) -> list[Columns]:
    blocks = [X] if isinstance(X, (Secret, PlainValue)) else list(X)
    if not blocks:
        raise ShapeError("X has no columns")
    for block in blocks:
        if len(block.shape) != 2:
            raise ShapeError(f"a block of columns has shape [rows, columns], not {list(block.shape)}")
        if block.shape[0] != blocks[0].shape[0]:
            raise ShapeError(
                f"blocks have {blocks[0].shape[0]} and {block.shape[0]} rows. Align the records first (psi)."
            )
    return blocks


def _rows(blocks: list[Columns], y: Columns) -> int:
    rows: int = blocks[0].shape[0]
    if y.shape != (rows,):
        raise ShapeError(f"y has shape {list(y.shape)}, but X has {rows} rows")
    return rows


def _probabilities(blocks: Sequence[Any], weights: Any) -> Any:
    positive = jax.nn.sigmoid(logits(blocks, weights))
    return jnp.stack([1 - positive, positive], axis=1)


def _classes(blocks: Sequence[Any], weights: Any) -> Any:
    return logits(blocks, weights) > 0
