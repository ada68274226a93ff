"""The comparison that a real deployment could not make: the same model, trained by scikit-learn on the pooled data."""

from __future__ import annotations

import numpy as np

from tacit.algorithm.table.score import area, roc, thin
from tacit.algorithm.table.table import Part
from tacit.foundation.errors import ConfigError
from tacit.interface.report.record import Curve
from tacit.schedule.session import Session


def reference_curve(session: Session, parts: tuple[Part, Part], C: float) -> Curve:
    """Read both parties' rows in the clear, as their owners, and train and test on the same split.

    Raises: ConfigError where scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise ConfigError(
            "the plaintext reference needs scikit-learn: pip install 'tacit[demo]', or set reference: false"
        ) from None

    def pooled(name: str) -> np.ndarray:
        blocks = [getattr(part, name) for part in parts]
        return np.hstack([session.plain(block.device.party).get(block) for block in blocks])

    owner = next(part for part in parts if part.train_label is not None)
    assert owner.train_label is not None
    assert owner.test_label is not None
    plain = session.plain(owner.party)
    model = LogisticRegression(C=C, max_iter=10_000).fit(pooled("train"), plain.get(owner.train_label))
    false, true = roc(model.predict_proba(pooled("test"))[:, 1], plain.get(owner.test_label))
    return Curve(area(false, true), tuple(thin(false)), tuple(thin(true)))
