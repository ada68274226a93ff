"""LogisticRegression on shares against scikit-learn on the same rows, and its conventions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.metrics import roc_auc_score

from tacit.algorithm.linear import LogisticRegression
from tacit.device.mpc import MPC
from tacit.device.plain import PlainValue
from tacit.device.reveal import reveal
from tacit.foundation.errors import ConfigError, InputError, ShapeError
from tacit.foundation.ledger import verify
from tacit.primitive.mpc.protocol import Assisted, Replicated
from tacit.schedule.session import Session

pytestmark = pytest.mark.multiprocess
PARTIES = ("alice", "bob", "carol")


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Session.local(*PARTIES, state=tmp_path_factory.mktemp("state")) as session:
        yield session


@pytest.fixture(scope="module", params=[Assisted, Replicated], ids=["assisted", "replicated"])
def device(request: pytest.FixtureRequest, session: Session) -> MPC:
    return session.mpc(request.param())


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_breast_cancer(return_X_y=True)
    return (X - X.mean(0)) / X.std(0), y.astype(float)


def put(session: Session, X: np.ndarray) -> list[PlainValue]:
    """Columns of alice and of bob."""
    return [session.plain("alice").put(X[:, :10]), session.plain("bob").put(X[:, 10:])]


def test_training_scoring_saving_and_loading(
    session: Session, device: MPC, data: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    X, y = data
    before = sum(1 for _ in verify(session.ledger("alice")))
    seen: list[tuple[int, bool]] = []
    model = LogisticRegression(device).fit(
        put(session, X[:400]), session.plain("alice").put(y[:400]), on_epoch=lambda *news: seen.append(news)
    )
    assert [number for number, _ in seen] == list(range(1, model.n_iter_ + 1))
    assert all(goes_on for _, goes_on in seen[:-1])
    told = list(verify(session.ledger("alice")))[before:]
    assert [record["what"] for record in told] == ["bool"] * model.n_iter_  # Reveals: one bit after every epoch
    assert all(record["shape"] == [] for record in told)

    test = put(session, X[400:])
    reference = Reference(max_iter=10_000).fit(X[:400], y[:400])
    scores = reveal(model.predict_proba(test), to="alice", because="test")
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-4)
    exact = reference.predict_proba(X[400:])[:, 1]
    assert abs(roc_auc_score(y[400:], scores[:, 1]) - roc_auc_score(y[400:], exact)) <= 0.002
    assert np.abs(scores[:, 1] - exact).mean() < 0.02

    classes = reveal(model.predict(test), to="bob", because="test")
    sure = np.abs(scores[:, 1] - 0.5) > 1e-3
    assert (classes == (scores[:, 1] > 0.5))[sure].all()

    model.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{party}.share" for party in PARTIES)
    again = LogisticRegression.load(device, tmp_path)
    assert again.n_features_in_ == 30
    restored = reveal(again.predict_proba(test)[:, 1], to="alice", because="test")
    np.testing.assert_allclose(restored, scores[:, 1], atol=1e-3)


def test_without_early_stopping_nothing_is_revealed(session: Session, data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    before = sum(1 for _ in verify(session.ledger("bob")))
    model = LogisticRegression(session.mpc(), early_stopping=False, max_epochs=2, precondition=False, batch_size=64)
    model.fit(put(session, X[:128]), session.plain("alice").put(y[:128]))
    assert model.n_iter_ == 2
    assert sum(1 for _ in verify(session.ledger("bob"))) == before


def test_scikit_learns_conventions(session: Session) -> None:
    model = LogisticRegression(session.mpc(), C=0.5)
    assert model.get_params()["C"] == 0.5
    assert model.set_params(C=2.0, patience=1) is model
    assert (model.C, model.patience) == (2.0, 1)
    with pytest.raises(ConfigError, match="no parameter 'gamma'; it has device, C, batch_size"):
        model.set_params(gamma=1)
    with pytest.raises(InputError, match="not trained yet"):
        model.predict(session.plain("alice").put(np.zeros((2, 2))))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"C": 0}, "C must be positive"),
        ({"learning_rate": -1}, "learning_rate must be positive"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"momentum": 1.0}, r"momentum and validation_fraction must lie in \[0, 1\)"),
    ],
)
def test_settings_are_checked_before_anything_is_shared(session: Session, options: dict[str, float], said: str) -> None:
    blocks = [session.plain("alice").put(np.zeros((20, 2)))]
    with pytest.raises(ConfigError, match=said):
        LogisticRegression(session.mpc(), **options).fit(blocks, session.plain("alice").put(np.zeros(20)))


def test_shapes_are_checked_before_anything_is_shared(session: Session) -> None:
    alice = session.plain("alice")
    model = LogisticRegression(session.mpc())
    with pytest.raises(ShapeError, match=r"\[rows, columns\]"):
        model.fit([alice.put(np.zeros(20))], alice.put(np.zeros(20)))
    with pytest.raises(ShapeError, match="20 and 21 rows"):
        model.fit([alice.put(np.zeros((20, 1))), alice.put(np.zeros((21, 1)))], alice.put(np.zeros(20)))
    with pytest.raises(ShapeError, match="X has 20 rows"):
        model.fit([alice.put(np.zeros((20, 1)))], alice.put(np.zeros(19)))
    with pytest.raises(ShapeError, match="X has no columns"):
        model.fit([], alice.put(np.zeros(19)))
    with pytest.raises(ShapeError, match="5 rows are too few to hold out 20%"):
        LogisticRegression(session.mpc(), validation_fraction=0.2).fit(
            [alice.put(np.zeros((5, 1)))], alice.put(np.zeros(5))
        )
