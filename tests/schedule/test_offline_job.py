"""An offline job on real processes: dealt to files, run by two parties alone, once."""

import jax.numpy as jnp
import numpy as np
import pytest

from tacit import Session
from tacit.foundation.errors import CorrelationReused, InputError, ShapeError
from tacit.foundation.ledger import verify
from tacit.schedule.offline import OfflineJob

X = np.linspace(-3.0, 3.0, 24).reshape(4, 6)
Y = np.linspace(1.0, 2.0, 6)


def score(x, y):
    z = jnp.maximum(x @ y, 0.0)
    return z, z > 1.0


def planned():
    return OfflineJob(
        score, [("alice", X.shape), ("bob", Y.shape)], reveal_to=["alice"], because="alice asked for her scores"
    )


@pytest.mark.multiprocess
def test_a_job_runs_once_without_its_dealer(tmp_path):
    planned().deal(tmp_path / "correlations")
    with Session.local("alice", "bob", state=tmp_path) as session:
        x, y = session.plain("alice").put(X), session.plain("bob").put(Y)
        with pytest.raises(ShapeError, match="planned for an array"):
            planned().run(session, tmp_path / "correlations", [y, x])
        scores, above = planned().run(session, tmp_path / "correlations", [x, y])
        expected = np.maximum(X @ Y, 0)
        np.testing.assert_allclose(scores, expected, atol=2**-14)
        np.testing.assert_array_equal(above, expected > 1)
        for party in ("alice", "bob"):
            assert [r["kind"] for r in verify(session.ledger(party))] == ["reveal", "reveal"]
        with pytest.raises(CorrelationReused, match="used before"):
            planned().run(session, tmp_path / "correlations", [x, y])


def test_a_job_has_two_parties_and_reveals_to_them():
    with pytest.raises(InputError, match="exactly two"):
        OfflineJob(score, [("alice", X.shape), ("alice", Y.shape)], reveal_to=["alice"], because="why")
    with pytest.raises(InputError, match="reveals to its parties"):
        OfflineJob(score, [("alice", X.shape), ("bob", Y.shape)], reveal_to=["carol"], because="why")
