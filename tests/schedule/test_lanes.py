"""Lanes on real processes, of this machine and of Ray: the same results as one lane, and nothing between parties for it."""

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
from tacit.foundation.errors import ConfigError, InputError, PeerDied, ShapeError
from tacit.foundation.ledger import verify
from tacit.primitive.mpc.protocol import Assisted, Replicated
from tacit.schedule.lanes import Lanes, Parts

pytestmark = pytest.mark.multiprocess

NAMES = ("alice", "bob", "carol")
ROWS = 41
ULP = 2.0**-18


@pytest.fixture(scope="module", params=["local", "ray"])
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    state = tmp_path_factory.mktemp("state")
    if request.param == "local":
        with Session.local(*NAMES, deadline=60.0, state=state) as session:
            yield session
        return
    with running() as ray:
        with Session.ray(*NAMES, deadline=60.0, state=state) as session:
            yield session
            pids = [process.pid for process in session._processes.values()]
        assert gone(pids, 3.0)
        assert no_groups(ray)


@pytest.fixture(scope="module", params=[Assisted(), Replicated()], ids=["assisted", "replicated"])
def lanes(request: pytest.FixtureRequest, session: Session) -> Lanes:
    return session.lanes(session.mpc(request.param), 2)


def between_parties(session: Session) -> int:
    return session.profile().bytes


def handed(session: Session) -> int:
    facts = session.ask(tuple(session._processes), "profile", {})
    return sum(sum(own["handed"].values()) for own, _ in facts.values())


def test_integer_sums_are_exact(session: Session, lanes: Lanes) -> None:
    """A histogram and a Gram matrix, as a tree learner and a regression need them."""
    x = np.arange(ROWS * 2).reshape(ROWS, 2) % 7
    parts = lanes.share(session.plain("alice").put(x))
    assert [piece.shape for piece in parts.pieces] == [(20, 2), (21, 2)]

    def statistics(x: Any) -> Any:
        return {"gram": x.T @ x, "histogram": jnp.sum(x[:, :1] == jnp.arange(7), axis=0), "sevens": jnp.int32(7)}

    found = tacit.reveal(lanes.sum(statistics, parts), to="bob", because="statistics")
    np.testing.assert_array_equal(found["gram"], x.T @ x)
    np.testing.assert_array_equal(found["histogram"], np.bincount(x[:, 0], minlength=7))
    assert found["sevens"] == 14, "what no secret enters counts once in every lane"


def test_a_vertical_gradient_over_lanes(session: Session, lanes: Lanes) -> None:
    generator = np.random.default_rng(5)
    left, right = generator.normal(size=(ROWS, 2)), generator.normal(size=(ROWS, 1))
    label = (generator.random(ROWS) < 0.5) * 1.0
    mpc = lanes.base
    values = [(session.plain("alice"), left), (session.plain("bob"), right), (session.plain("bob"), label)]
    parts = [lanes.share(device.put(data)) for device, data in values]

    def gradient(left: Any, right: Any, label: Any, weights: Any) -> Any:
        x = jnp.concatenate([left, right], axis=1)
        return x.T @ (x @ weights - label) / ROWS

    x, weights = np.hstack([left, right]), np.array([0.5, -0.25, 1.0])
    shared = mpc.constant(weights)
    for _ in range(3):
        shared = shared - 0.5 * lanes.sum(gradient, *parts, shared)
        weights = weights - 0.5 * x.T @ (x @ weights - label) / ROWS
    found = tacit.reveal(shared, to="alice", because="weights")
    # Per step: inputs rounded to half an ulp, one ulp per truncation and lane; each step contracts what the last one left.
    assert np.abs(found - weights).max() < 3 * 64 * ULP
    assert shared.owners == {"alice", "bob"}


def test_sharing_in_lanes_and_gathering_are_inverse(session: Session, lanes: Lanes) -> None:
    x = np.round(np.random.default_rng(1).normal(size=(ROWS, 3)) * 2**10) / 2**10
    plain = session.plain("alice").put(x)
    secret = lanes.base.share(plain)
    for value in (plain, secret):
        parts = lanes.share(value)
        session.run(parts)
        before = between_parties(session)
        whole = lanes.gather(parts)
        session.run(whole)
        assert between_parties(session) == before, "gathering sent something to another party"
        np.testing.assert_array_equal(tacit.reveal(whole, to="alice", because="the whole"), x)


def test_splitting_a_secret_sends_nothing_to_other_parties(session: Session, lanes: Lanes) -> None:
    secret = lanes.base.share(session.plain("bob").put(np.ones((ROWS, 2))))
    session.run(secret)
    before = between_parties(session)
    session.run(lanes.share(secret))
    assert between_parties(session) == before


def test_data_does_not_pass_through_the_users_process(session: Session, lanes: Lanes) -> None:
    alice = session.plain("alice")
    data = alice(lambda: jnp.ones((50_000, 2)))()
    sizes: list[int] = []
    send = session._send

    def count(party: str, message: Any) -> None:
        sizes.append(sum(map(len, message)))
        send(party, message)

    session._send = count  # type: ignore[method-assign]
    try:
        before = handed(session)
        total = lanes.sum(lambda x: jnp.sum(x, axis=0), lanes.share(data))
        assert tacit.reveal(total, to="bob", because="count").tolist() == [50_000, 50_000]
    finally:
        session._send = send  # type: ignore[method-assign]
    assert handed(session) - before > 8 * 50_000, "half of the rows go to another process of alice"
    assert sum(sizes) < 60_000


def test_secrets_are_copied_to_a_lane_once(session: Session, lanes: Lanes) -> None:
    parts = lanes.share(session.plain("alice").put(np.ones(ROWS)))
    weight = lanes.base.share(session.plain("bob").put(np.full(1000, 2.0)))
    session.run(lanes.map(lambda x, w: x * w[0], parts, weight))
    before = handed(session)
    result = lanes.map(lambda x, w: x * w[1], parts, weight)
    assert isinstance(result, Parts)
    session.run(result)
    assert handed(session) == before


def test_lanes_compute_at_the_same_time(session: Session, lanes: Lanes) -> None:
    x = lanes.share(session.plain("alice").put(np.ones(ROWS)))
    weight = lanes.base.share(session.plain("bob").put(1.0))

    def slow(x: Any, w: Any) -> Any:
        return jnp.sum(jax.lax.fori_loop(0, 300, lambda _, y: y * w, x))

    session.run(lanes.map(slow, x, weight))
    # A weight that is still to be computed: neither that nor copying it may wait for lane 0's part of the work.
    session.run(lanes.map(slow, x, weight + 0))
    times = [next(iter(device.last_run.values())) for device in lanes.devices]
    assert max(time["began"] for time in times) < min(time["ended"] for time in times)


def test_only_what_is_revealed_is_in_a_ledger(session: Session, lanes: Lanes) -> None:
    parts = lanes.share(session.plain("alice").put(np.ones(ROWS)))
    before = {name: len(list(verify(session.ledger(name)))) for name in session._processes}
    total = lanes.sum(jnp.sum, parts)
    tacit.reveal(total, to="carol", because="the count")
    after = {name: len(list(verify(session.ledger(name)))) for name in session._processes}
    assert {name: after[name] - before[name] for name in after} == {
        name: int(name in NAMES) for name in session._processes
    }


def test_what_cannot_be_split_or_summed_is_refused(session: Session, lanes: Lanes) -> None:
    alice, base = session.plain("alice"), lanes.base
    parts = lanes.share(alice.put(np.ones(ROWS)))
    other = session.lanes(base, 1)
    assert (len(lanes), len(other)) == (2, 1)
    with pytest.raises(ShapeError, match="1 rows, fewer than the 2 lanes"):
        lanes.share(alice.put([1.0]))
    with pytest.raises(ShapeError, match="0 rows"):
        lanes.share(alice.put(1.0))
    with pytest.raises(InputError, match="no argument is split"):
        lanes.sum(jnp.sum, base.constant([1.0]))
    with pytest.raises(InputError, match="belongs to other lanes"):
        other.sum(jnp.sum, parts)
    with pytest.raises(InputError, match="truth values"):
        lanes.sum(lambda x: x > 0, parts)
    with pytest.raises(InputError, match="different devices cannot be revealed"):
        tacit.reveal(parts, to="bob", because="not gathered")
    with pytest.raises(InputError, match="belongs to another device"):
        lanes.sum(lambda x, y: x[0] * y, parts, lanes.devices[1].constant(1.0))
    with pytest.raises(ConfigError, match="0 lanes"):
        session.lanes(base, 0)
    assert "2 lanes" in repr(parts)
    assert tacit.reveal(other.sum(jnp.sum, other.share(alice.put([1.0, 2.0]))), to="bob", because="one lane") == 3.0


@pytest.fixture
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Session]]:
    sessions: list[Session] = []

    def start() -> Session:
        sessions.append(Session.local(*NAMES, state=tmp_path, deadline=60.0))
        return sessions[-1]

    yield start
    for session in sessions:
        session.close()


@pytest.mark.parametrize("victim", ["bob.1", "carol.1", "alice"])
def test_a_process_of_a_lane_that_is_killed(start: Callable[[], Session], victim: str) -> None:
    """One process of one party in one lane: the session ends with its name, and nothing is left."""
    session = start()
    lanes = session.lanes(session.mpc(), 2)
    pids = {name: process.pid for name, process in session._processes.items()}
    assert set(pids) == {*NAMES, "alice.1", "bob.1", "carol.1"}
    x = lanes.share(session.plain("alice").put(np.ones(ROWS)))
    forever = lanes.sum(lambda x: jnp.sum(jax.lax.fori_loop(0, 400_000, lambda _, y: y * x, x)), x)
    send = session._send
    sent: set[str] = set()

    def kill(party: str, message: Any) -> None:
        send(party, message)
        if b'"run"' in bytes(message[0]):
            sent.add(party)
            if len(sent) == len(pids):
                os.kill(pids[victim], signal.SIGKILL)

    session._send = kill  # type: ignore[method-assign]
    with pytest.raises(PeerDied, match=rf"the process of {victim} ended \(signal 9\)") as caught:
        tacit.reveal(forever, to="alice", because="never")
    assert caught.value.peer == victim
    assert gone(list(pids.values()), 3.0)
    assert not any(list(verify(session.ledger(name))) for name in pids)
