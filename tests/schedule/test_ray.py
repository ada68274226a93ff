"""The same tests on both executors: processes of this machine, and actors of a Ray cluster."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from processes import gone
from ray_rig import no_groups, running

import tacit
from tacit import Session
from tacit.foundation.errors import FixedPointOverflow, InputError, NodeCancelled, PeerDied, PeerStalled, SessionError
from tacit.foundation.ledger import verify
from tacit.primitive.mpc.protocol import Assisted, Replicated

pytestmark = pytest.mark.multiprocess

NAMES = ("alice", "bob", "carol")
HALF_ULP = 2.0**-19
COSTS: dict[str, Any] = {}  # what the first executor said


@pytest.fixture(scope="module", params=["local", "ray"])
def executor(request: pytest.FixtureRequest) -> Iterator[Callable[..., Session]]:
    """How sessions are started. Ray runs as long as the tests on it."""
    if request.param == "local":
        yield Session.local
        return
    with running() as ray:
        yield Session.ray
        assert no_groups(ray)


@pytest.fixture(scope="module")
def session(executor: Callable[..., Session], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with executor(*NAMES, deadline=60.0, state=tmp_path_factory.mktemp("state")) as session:
        yield session


@pytest.fixture
def start(executor: Callable[..., Session], tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """Sessions that a test may spoil: their processes must be gone in the end."""
    sessions: list[tuple[Session, list[int]]] = []

    def start(**options: Any) -> Session:
        session = executor(*NAMES, **{"state": tmp_path, "deadline": 60.0, **options})
        sessions.append((session, [process.pid for process in session._processes.values()]))
        return session

    yield start
    for session, pids in sessions:
        session.close()
        assert gone(pids, 3.0), "a party's process is left"


@pytest.mark.parametrize("protocol", [Assisted(), Replicated()])
def test_a_program_on_shares(session: Session, protocol: Any) -> None:
    mpc = session.mpc(protocol)
    x, y = np.linspace(-2, 2, 12).reshape(3, 4), np.linspace(0, 1, 8).reshape(4, 2)
    a, b = mpc.share(session.plain("alice").put(x)), mpc.share(session.plain("bob").put(y))
    product = mpc(lambda a, b: jnp.maximum(a @ b, 0.0))(a, b)
    found = tacit.reveal(product, to="carol", because="the product is carol's")
    # Rounding an input moves a product by half an ulp times the other factor; truncation adds one ulp.
    assert np.abs(found - np.maximum(x @ y, 0.0)).max() <= HALF_ULP * (4 * (2 + 1) + 2)


def test_plain_calls_stay_at_their_party(session: Session) -> None:
    bob = session.plain("bob")
    value, total = bob(lambda x: (x * 2, jnp.sum(x)))(bob.put(np.arange(5.0)))
    assert bob.get(value).tolist() == [0, 2, 4, 6, 8]
    assert bob.get(total) == 10
    with pytest.raises(InputError, match="alice cannot read it"):
        session.plain("alice").get(value)


def test_values_move_between_devices(session: Session) -> None:
    alice, bob = session.plain("alice"), session.plain("bob")
    value = alice.put(np.array([1.5, -2.25]))
    shown = (value.to(session.mpc()) * 2).to(bob, because="bob may know the double")
    assert bob.get(shown).tolist() == [3.0, -4.5]
    moved = value.to(bob, because="alice gives it to bob")
    assert bob.get(moved).tolist() == [1.5, -2.25]


def test_every_reveal_is_in_every_ledger(session: Session) -> None:
    mpc = session.mpc()
    x = mpc.share(session.plain("alice").put([1.0, 2.0]))
    tacit.reveal(x.sum(), to="bob", because="a reason of this test")
    for party in NAMES:
        (record,) = [r for r in verify(session.ledger(party)) if r.get("because") == "a reason of this test"]
        assert (record["kind"], record["to"], record["party"]) == ("reveal", ["bob"], party)
        assert "test_ray.py" in record["line"]


def test_a_graph_runs_over_devices_and_survives_a_failed_node(session: Session) -> None:
    mpc, alice, bob = session.mpc(), session.plain("alice"), session.plain("bob")
    good = mpc.share(alice(jnp.square)(alice.put([3.0])))
    bad = mpc.share(bob(lambda x: x * 1e30)(bob.put([1.0])))
    both = good + bad
    with pytest.raises(FixedPointOverflow):
        session.run(both)
    with pytest.raises(NodeCancelled):
        session.run(both)
    assert tacit.reveal(good + 1, to="alice", because="what does not need it goes on") == 10.0
    assert "hand" not in str(session.graph())


def test_large_values_pass_the_control_line(session: Session) -> None:
    carol = session.plain("carol")
    data = np.arange(2_000_000, dtype=np.float64)  # 16 MB: several pieces of a relay
    assert np.array_equal(carol.get(carol.put(data)), data)


def test_what_a_session_costs_is_the_same_everywhere(session: Session) -> None:
    """Rounds and bytes between parties do not know the executor."""
    mpc = session.mpc()
    x = mpc.share(session.plain("alice").put(np.ones(100)))
    session.run(mpc(lambda x: jax.nn.relu(x) * x)(x))
    costs = {party: (facts["rounds"], facts["bytes"]) for party, facts in mpc.last_run.items()}
    assert all(rounds > 1 and payload > 0 for rounds, payload in costs.values())
    assert COSTS.setdefault("costs", costs) == costs


def test_a_party_that_is_killed(start: Callable[..., Session]) -> None:
    session, victim = start(), "carol"
    os.kill(session._processes[victim].pid, signal.SIGKILL)
    with pytest.raises(PeerDied, match=rf"the process of {victim} ended \(signal 9\)") as caught:
        session.profile()
    assert caught.value.peer == victim
    with pytest.raises(SessionError, match=r"this session is over: it ended with PeerDied.*Start a new one"):
        session.profile()


def test_a_party_that_is_stopped(start: Callable[..., Session]) -> None:
    session = start(deadline=2.0)
    os.kill(session._processes["bob"].pid, signal.SIGSTOP)
    with pytest.raises(PeerStalled, match="bob"):
        session.profile()


def test_leaving_a_session_ends_its_processes(executor: Callable[..., Session], tmp_path: Path) -> None:
    with executor(*NAMES, state=tmp_path) as session:
        pids = [process.pid for process in session._processes.values()]
    assert gone(pids, 1.0)
    assert [record["kind"] for record in verify(session.ledger("alice"))] == []
