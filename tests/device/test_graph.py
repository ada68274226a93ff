"""The graph that calls build: what is lazy, what runs as one program, what a failure leaves usable."""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jax.numpy as jnp
import numpy as np
import pytest

import tacit
from tacit import MPC, PlainValue, Session
from tacit.device.graph import plan
from tacit.foundation.errors import (
    ConfigError,
    FixedPointOverflow,
    InputError,
    NodeCancelled,
    NoRoute,
)
from tacit.foundation.ledger import verify
from tacit.primitive.mpc.protocol import Replicated

X = np.array([[1.0, -2.5], [0.25, 3.0]])


def test_a_call_on_a_plain_device_runs_when_its_result_is_needed(session: Session) -> None:
    alice = session.plain("alice")
    x = alice.put(X)
    y = alice(lambda a: a * 2)(x)
    assert not y.held
    assert (y.shape, y.dtype) == ((2, 2), np.float64)
    np.testing.assert_array_equal(alice.get(y), X * 2)
    assert y.held


def test_devices_are_decorators_with_any_structure_in_and_out(session: Session, mpc: MPC) -> None:
    alice = session.plain("alice")

    @alice
    def split(data: dict[str, Any]) -> dict[str, Any]:
        """Halves."""
        return {"low": data["x"][:1], "rest": (data["x"][1:], data["n"] + 1)}

    @mpc
    def combine(parts: dict[str, Any]) -> tuple[Any, list[Any]]:
        return parts["low"] + parts["rest"][0], [parts["rest"][1] * 2]

    assert split.__name__ == "split"
    assert split.__doc__ == "Halves."
    total, (count,) = combine(split({"x": alice.put(X), "n": alice.put(3)}))
    opened = tacit.reveal({"t": total, "c": count}, to="bob", because="a test")
    np.testing.assert_allclose(opened["t"], X[:1] + X[1:], atol=1e-5)
    assert opened["c"] == 8


def test_calls_with_the_same_inputs_make_one_program_and_later_ones_another(session: Session, mpc: MPC) -> None:
    alice = session.plain("alice")
    x = mpc.share(alice.put(X))
    late = alice(lambda a: a + 1)(alice.put(X))
    early = mpc(jnp.square)(x)
    both = mpc(lambda a, b: a + b)(early, late)
    also = mpc(lambda a: a - 1)(early)
    jobs = plan([both, also])
    programs = [job for job in jobs if (job.device is mpc and len(job.nodes) > 1) or "lambda" in str(job)]
    early_job = next(job for job in jobs if early.node in job.nodes)
    late_job = next(job for job in jobs if both.node in job.nodes)
    assert early_job is not late_job
    assert also.node in early_job.nodes
    assert early_job in late_job.needs
    assert not early_job.needs, "what does not wait for the plain call runs beside it"
    assert len(programs) == 3
    session.run(both, also)
    np.testing.assert_allclose(tacit.reveal(both, to="bob", because="a test"), X**2 + X + 1, atol=1e-4)
    np.testing.assert_allclose(tacit.reveal(also, to="bob", because="a test"), X**2 - 1, atol=1e-4)


def test_a_failed_node_cancels_what_needs_it_and_nothing_else(session: Session, mpc: MPC) -> None:
    alice, bob = session.plain("alice"), session.plain("bob")
    huge = alice(lambda a: a * 1e30)(alice.put(X))
    good = bob(lambda a: a + 1)(bob.put(X))
    poisoned = mpc(lambda a, b: a + b)(huge, good)
    downstream = mpc(jnp.sum)(poisoned)
    beside = mpc(lambda b: b * 3)(good)
    with pytest.raises(FixedPointOverflow) as caught:
        session.run(downstream, beside)
    (note,) = [note for note in caught.value.__notes__ if note.startswith("in node")]
    assert "'share' on MPC(assisted" in note
    assert "test_graph.py:" in note
    assert "PlainValue(float64[2, 2] at alice)" in note
    assert beside.held
    np.testing.assert_allclose(tacit.reveal(beside, to="alice", because="a test"), (X + 1) * 3, atol=1e-4)
    for late in (poisoned, downstream):
        with pytest.raises(NodeCancelled, match="FixedPointOverflow") as cancelled:
            session.run(late)
        assert cancelled.value.__cause__ is not None
    np.testing.assert_allclose(alice.get(huge), X * 1e30)
    np.testing.assert_allclose(tacit.reveal(mpc.share(alice.put(X)), to="bob", because="still there"), X)


def test_results_that_nobody_wants_are_dropped(session: Session) -> None:
    def held() -> int:
        return int(session.ask(["alice"], "profile", {})["alice"][0]["values"])

    alice = session.plain("alice")
    x = alice.put(X)
    before = held()
    kept, dropped = alice(lambda a: (a + 1, a + 2))(x)
    gone = weakref.ref(dropped)
    del dropped
    assert gone() is None
    session.run(kept)
    assert held() == before + 1
    del kept
    assert held() == before


def test_a_value_computed_for_one_purpose_is_there_for_the_next(session: Session, mpc: MPC) -> None:
    alice = session.plain("alice")
    y = alice(lambda a: a * 2)(alice.put(X))
    secret = mpc(jnp.negative)(y)
    assert secret.result() is secret
    assert secret.held
    assert y.held
    assert plan([secret, y]) == []


def test_the_graph_is_printed_and_drawn(session: Session, mpc: MPC, tmp_path: Path) -> None:
    alice = session.plain("alice")
    named = alice(jnp.tanh)(alice.put(X))
    secret = mpc(jnp.square)(named)
    session.run(secret)
    graph = session.graph()
    text = str(graph)
    assert "tanh on Plain('alice')" in text
    assert "square on MPC(assisted: alice, bob, carol)" in text
    assert "seen by: alice alone" in text
    assert "shared between alice, bob, carol: no single party" in text
    graph.save(tmp_path / "graph.svg")
    root = ET.parse(tmp_path / "graph.svg").getroot()  # noqa: S314  written two lines above
    space = "{http://www.w3.org/2000/svg}"
    titles = [element.text or "" for element in root.iter(f"{space}title")]
    assert any("seen by: alice alone" in title for title in titles)
    fills = {element.get("fill") for element in root.iter(f"{space}rect")}
    assert {"#8fb8de", "#9ad0a2"} <= fills
    assert len(list(root.iter(f"{space}path"))) > 2


def test_a_plan_is_canonical_hashable_and_can_be_compared(session: Session, mpc: MPC, tmp_path: Path) -> None:
    alice = session.plain("alice")

    def double(a: Any) -> Any:
        return a * 2

    def build(factor: float) -> Any:
        return mpc(lambda a, b: a @ b * factor)(alice(double)(alice.put(X)), mpc.share(alice.put(X)))

    one, same, other = (session.plan(build(factor)) for factor in (1.5, 1.5, 2.5))
    assert one.digest == same.digest
    assert one.diff(same) == ""
    assert one.digest != other.digest
    difference = one.diff(other)
    assert difference.count('\n-{"device":"MPC') == 1
    one.save(tmp_path / "plan.json")
    steps = json.loads((tmp_path / "plan.json").read_text())
    assert [step["do"] for step in steps] == ["double", "share", "program"]
    assert steps[2]["inputs"][0] in ("1.0", "given 1: float32[2, 2] on MPC(assisted: alice, bob, carol)")
    assert "lambda" not in one.text
    assert ".py" not in one.text


# --- conversions ------------------------------------------------------------------------------------------------------


def test_plain_to_plain_needs_a_reason_and_is_written_down(session: Session) -> None:
    alice, bob = session.plain("alice"), session.plain("bob")
    x = alice.put(X)
    with pytest.raises(InputError, match="say why with because"):
        x.to(bob)
    moved = x.to(bob, because="a public table")
    assert not moved.held
    np.testing.assert_array_equal(bob.get(moved), X)
    for party in ("alice", "bob"):
        last = list(verify(session.ledger(party)))[-1]
        assert (last["kind"], last["to"], last["because"]) == ("reveal", ["bob"], "a public table")
        assert "test_graph.py" in last["line"]
    assert x.to(alice) is x


@pytest.mark.parametrize("data", [X, np.array([3, -4]), np.array([True, False]), np.array(0.5), np.zeros((0, 3))])
def test_mpc_to_plain(session: Session, mpc: MPC, data: np.ndarray) -> None:
    bob = session.plain("bob")
    secret = mpc.share(session.plain("alice").put(data))
    with pytest.raises(InputError, match="would learn"):
        secret.to(bob)
    opened = secret.to(bob, because="a test")
    assert isinstance(opened, PlainValue)
    got = bob.get(opened)
    np.testing.assert_allclose(got, data, atol=1e-5)
    assert got.dtype == opened.dtype
    with pytest.raises(InputError, match="cannot read it"):
        session.plain("alice").get(opened)


def test_from_one_protocol_to_another(session: Session, mpc: MPC) -> None:
    other = session.mpc(Replicated(fraction_bits=20), parties=["carol", "bob", "alice"])
    alice = session.plain("alice")
    x, n = mpc.share(alice.put(X)), mpc.share(alice.put([5, -6]))
    there = x.to(other)
    np.testing.assert_allclose(tacit.reveal(there @ there, to="bob", because="a test"), X @ X, atol=1e-3)
    back = there.to(mpc)
    np.testing.assert_allclose(tacit.reveal(back, to="bob", because="a test"), X, atol=1e-4)
    np.testing.assert_array_equal(tacit.reveal(n.to(other) * 2, to="bob", because="a test"), [10, -12])
    with pytest.raises(InputError, match="truth value"):
        (x > 0).to(other)
    with pytest.raises(InputError, match=r"bring it here with x.to\(mpc\)"):
        mpc(lambda a, b: a + b)(x, there)


def test_a_missing_pair_names_a_way_round(session: Session, mpc: MPC) -> None:
    class Elsewhere:
        executor = session

        def __repr__(self) -> str:
            return "Elsewhere()"

    with pytest.raises(NoRoute, match=r"nothing brings a value from MPC.* to Elsewhere.*no way round"):
        mpc.share(session.plain("alice").put(X)).to(Elsewhere())


def test_a_stranger_receives_nothing(tmp_path: Path) -> None:
    with Session.local("alice", "bob", "carol", "dave", state=tmp_path) as session:
        secret = session.mpc().share(session.plain("alice").put(X))
        with pytest.raises(ConfigError, match="dave takes no part"):
            secret.to(session.plain("dave"), because="curious")


def test_moves_beside_work_that_parties_do_alone(session: Session) -> None:
    """What a party does alone runs beside what it does with peers, and must not touch the count of operations."""
    alice, bob = session.plain("alice"), session.plain("bob")
    he = session.he(key_holder="alice", evaluators=["bob"])
    busy = [he.encrypt(place.put(np.ones(3)), magnitude=2) for place in (alice, bob) for _ in range(12)]
    moved = [alice.put(X + i).to(bob, because="a test") for i in range(30)]
    session.run(busy, moved)
    for i, value in enumerate(moved):
        np.testing.assert_array_equal(bob.get(value), X + i)
