"""The TEE device, simulated: what goes in stays in, what comes out goes to whom it was agreed, and ways to other devices."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import tacit
from tacit import MPC, PlainValue, Session
from tacit.device.tee import TEE, Sealed
from tacit.foundation.errors import (
    ConfigError,
    DomainError,
    EnclaveError,
    EvidenceUnavailable,
    InputError,
    JobRefused,
    NodeCancelled,
    NoRoute,
    PolicyError,
    TacitError,
)
from tacit.foundation.ledger import verify
from tacit.primitive.mpc.protocol import Assisted, Replicated
from tacit.primitive.tee import SIMULATION, Policy

X = np.array([[1.5, -2.25], [0.5, 4.0]])
W = np.array([0.5, -1.0])


@pytest.fixture(scope="module")
def tee(session: Session) -> TEE:
    """An enclave at Carol's."""
    return session.tee("vault", host="carol", backend="simulation", development=True)


def test_a_function_of_two_parties_inputs(session: Session, tee: TEE) -> None:
    alice, bob = session.plain("alice"), session.plain("bob")
    scores = tee(lambda x, w: {"score": x @ w, "mean": jnp.mean(x)})(alice.put(X), bob.put(W))
    assert isinstance(scores["score"], Sealed)
    assert "SIMULATED" in repr(scores["score"])
    with pytest.raises(InputError, match="would learn"):
        scores["score"].to(bob)
    got = bob.get(scores["score"].to(bob, because="bob pays for scores"))
    np.testing.assert_allclose(got, X @ W, rtol=1e-15)
    with pytest.raises(InputError, match="cannot read it"):
        alice.get(scores["score"].to(bob, because="a test"))
    for party in ("alice", "bob"):
        approvals = [record for record in verify(session.ledger(party)) if record["kind"] == "tee-approve"]
        assert approvals[-1]["because"] == "bob pays for scores"
        assert approvals[-1]["outputs"] == {"y0": ["bob"]}
        assert approvals[-1]["assurance"] == "SIMULATED"
        assert approvals[-1]["inputs"] == {"x0": "alice", "x1": "bob"}


def test_calls_in_a_row_are_one_job(session: Session, tee: TEE) -> None:
    alice = session.plain("alice")
    value = alice.put(X).to(tee)
    for _ in range(30):
        value = tee(lambda v: v * 0.5 + 1)(value)
    expected = X
    for _ in range(30):
        expected = expected * 0.5 + 1

    def jobs() -> int:
        return sum(record["kind"] == "tee-run" for record in verify(session.ledger("carol")))

    before = jobs()
    np.testing.assert_array_equal(alice.get(value.to(alice, because="a test")), expected)
    assert jobs() == before + 1


def test_results_together_in_one_job(session: Session, tee: TEE) -> None:
    bob = session.plain("bob")
    low, high = tee(lambda v: (v.min(), v.max()))(session.plain("alice").put(X))
    first, second = tee.open([low, high], "bob", "a test")
    assert (bob.get(first), bob.get(second)) == (-2.25, 4.0)


def test_a_value_that_is_still_to_be_computed_goes_in(session: Session, tee: TEE) -> None:
    alice = session.plain("alice")
    late = alice(lambda a: a + 1)(alice.put(X))
    result = late.to(tee).to(session.plain("carol"), because="a test")
    np.testing.assert_array_equal(session.plain("carol").get(result), X + 1)


def test_a_library_function_by_name(session: Session, tee: TEE) -> None:
    alice, bob = session.plain("alice"), session.plain("bob")
    inputs = alice.put(W), alice.put(0.25), bob.put(X)
    (scores,) = tee.function(
        "linear.score", *inputs, outputs=["scores"], to="bob", because="bob's own rows", link="logistic"
    )
    assert isinstance(scores, PlainValue)
    np.testing.assert_allclose(bob.get(scores), 1 / (1 + np.exp(-(X @ W + 0.25))), rtol=1e-12)
    ids = alice.put(np.array([3, 1, 2])), bob.put(np.array([2, 9]))
    joined = tee.function(
        "table.join",
        ids[0],
        alice.put(np.eye(3)),
        ids[1],
        bob.put(X),
        outputs=["id", "row"],
        to="alice",
        because="a join",
    )
    assert [tuple(value.shape) for value in joined] == [(1,), (1, 5)]
    with pytest.raises(JobRefused, match="no enclave function"):
        tee.function("os.system", *inputs, outputs=["o"], to="bob", because="an attack")
    np.testing.assert_array_equal(alice.get(joined[0]), [2])


@pytest.mark.parametrize("data", [X, np.array(0.5), np.array([3, -(2**40)]), np.zeros((0, 2))])
@pytest.mark.parametrize("protocol", [Assisted(fraction_bits=20), Replicated()])
def test_to_mpc_and_back(session: Session, tee: TEE, protocol: Any, data: np.ndarray) -> None:
    mpc = session.mpc(protocol)
    secret = tee(lambda v: v + 1)(session.plain("alice").put(data)).to(mpc)
    np.testing.assert_allclose(tacit.reveal(secret * 2, to="bob", because="a test"), (data + 1) * 2, atol=1e-4)
    back = (secret * 2).to(tee)
    carol = session.plain("carol")
    np.testing.assert_allclose(carol.get(back.to(carol, because="a test")), (data + 1) * 2, atol=1e-4)


def test_a_value_that_does_not_fit_is_refused_on_the_way_to_mpc(session: Session, mpc: MPC, tee: TEE) -> None:
    for bad in (np.inf, np.nan, 2.0**50):
        secret = tee(lambda v: v)(session.plain("alice").put([1.0, bad])).to(mpc)
        with pytest.raises(DomainError, match="not finite, or too large"):
            session.run(secret)
        with pytest.raises(NodeCancelled):
            session.run(secret * 2)


def test_from_encrypted_values(session: Session, tee: TEE) -> None:
    he = session.he(key_holder="alice", evaluators=["bob"])
    cipher = he.encrypt(session.plain("alice").put(X), magnitude=64, fraction_bits=12) + 1
    bob = session.plain("bob")
    out = bob.get(tee(lambda v: v * 2)(cipher.to(tee)).to(bob, because="a test"))
    np.testing.assert_allclose(out, (X + 1) * 2, atol=1e-3)
    whole = he.encrypt(bob.put(np.array([4, -5]))).to(tee)
    np.testing.assert_array_equal(bob.get(whole.to(bob, because="a test")), [4, -5])


def test_missing_pairs_name_a_way(session: Session, tee: TEE) -> None:
    he = session.he(key_holder="alice", evaluators=["bob"])
    with pytest.raises(NoRoute, match=r"Go by .to\(MPC device\), then .to\(HE device\)"):
        session.plain("alice").put(X).to(tee).to(he)


def test_what_is_refused(tmp_path: Any) -> None:
    with Session.local("alice", "bob", "carol", "dave", state=tmp_path) as session:
        with pytest.raises(PolicyError, match="protects nothing from its host"):
            session.tee("v", host="carol", backend="simulation")
        with pytest.raises((EvidenceUnavailable, ConfigError)):
            session.tee("v", host="carol")
        measured = Policy("development", {SIMULATION: ("00" * 48,)}, ["alice"], (), ("11" * 32,))
        with pytest.raises(EnclaveError):
            session.tee("v", host="carol", backend="simulation", policy=measured)
        narrow = session.tee("n", host="carol", parties=["alice", "bob"], backend="simulation", development=True)
        with pytest.raises(ConfigError, match="dave has not attested"):
            narrow(lambda v: v)(session.plain("dave").put(X))
        sealed = narrow(lambda v: v)(session.plain("alice").put(X))
        with pytest.raises(ConfigError, match="dave has not attested"):
            sealed.to(session.plain("dave"), because="curious")
        with pytest.raises(InputError, match=r"bring it here with x.to\(tee\)"):
            narrow(lambda v: v)(session.mpc().share(session.plain("alice").put(X)))


def test_a_killed_enclave_fails_its_jobs_only(tmp_path: Any) -> None:
    import os
    import signal
    from pathlib import Path

    with Session.local("alice", "bob", "carol", state=tmp_path) as session:
        tee = session.tee("vault", host="carol", backend="simulation", development=True)
        alice = session.plain("alice")
        children = Path(f"/proc/{session._processes['carol'].pid}/task").glob("*/children")
        (pid,) = {int(word) for path in children for word in path.read_text().split()}
        os.kill(pid, signal.SIGKILL)
        doomed = tee(lambda v: v)(alice.put(X)).to(alice, because="a test")
        beside = alice(lambda v: v + 1)(alice.put(X))
        with pytest.raises(TacitError) as caught:
            session.run(doomed, beside)
        assert "vault" in str(caught.value) or any("vault" in note for note in caught.value.__notes__)
        assert beside.held
        np.testing.assert_array_equal(alice.get(beside), X + 1)
