"""Sums and means of the parties' trees: three ways, one result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import pytest

import tacit
from tacit import MPC, DiscreteGaussian, DiscreteLaplace, Masking, Session
from tacit.device.masked import _Run
from tacit.device.privacy import at
from tacit.foundation.errors import (
    ClipExceeded,
    ConfigError,
    InputError,
    SessionError,
    ShapeError,
    TooFewClients,
)
from tacit.foundation.ledger import verify

pytestmark = pytest.mark.multiprocess

CLIENTS = ("alice", "bob", "carol", "dave")
ROUNDS = range(5)
ONE_MAY_DROP = 0.25
FLOATS = np.random.default_rng(5).uniform(-3, 3, (len(CLIENTS), 2, 3))
WHOLE = np.random.default_rng(6).integers(-1000, 1000, (len(CLIENTS), 2))
WEIGHTS = {"alice": 1.0, "bob": 2.0, "carol": 3.0, "dave": 4.0}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Four clients and a server."""
    with Session.local("server", *CLIENTS, deadline=30.0, state=tmp_path_factory.mktemp("state")) as session:
        yield session


@pytest.fixture(scope="module")
def mpc(session: Session) -> MPC:
    return session.mpc(parties=CLIENTS[:3])


@pytest.fixture(scope="module")
def values(session: Session) -> dict[str, Any]:
    """Each client's tree."""
    return {
        name: {"w": session.plain(name).put(FLOATS[i]), "n": (session.plain(name).put(WHOLE[i]),)}
        for i, name in enumerate(CLIENTS)
    }


def expected(names: Any = CLIENTS, weights: Mapping[str, float] | None = None) -> dict[str, Any]:
    rows = [CLIENTS.index(name) for name in names]
    if weights is None:
        return {"w": FLOATS[rows].sum(0), "n": (WHOLE[rows].sum(0),)}
    share = np.array([weights[name] for name in names])
    share = share / share.sum()
    return {"w": np.tensordot(share, FLOATS[rows], 1), "n": (share @ WHOLE[rows],)}


def read(session: Session, tree: Any, party: str = "server") -> Any:
    return jax.tree.map(lambda leaf: session.plain(party).get(leaf), tree)


def close(found: Any, wanted: Any, bound: float) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= bound


@pytest.mark.parametrize("weights", [None, WEIGHTS, {**WEIGHTS, "bob": 0.0, "carol": 2.5}])
def test_three_ways_give_one_result(
    session: Session, mpc: MPC, values: dict[str, Any], weights: dict[str, float] | None
) -> None:
    wanted = expected(weights=weights)
    options: dict[str, Any] = {"weights": weights, "because": "a test"}
    plain = read(session, tacit.aggregate(values, "plain", to="server", **options))
    close(plain, wanted, 1e-9)
    secret = tacit.aggregate(values, "mpc", device=mpc, weights=weights)
    half = 2.0**-19
    close(tacit.reveal(secret, to="alice", because="a test"), wanted, len(CLIENTS) * half)
    opened = tacit.aggregate(values, "mpc", device=mpc, to="bob", **options)
    close(read(session, opened, "bob"), wanted, len(CLIENTS) * half)
    masked = read(session, tacit.aggregate(values, "masked", server="server", **options))
    close({"w": masked["w"]}, {"w": wanted["w"]}, half * (len(CLIENTS) if weights is None else 1.001))
    if weights is None:
        assert all(result["n"][0].dtype == np.int64 for result in (plain, masked))
    close(masked, wanted, 1e-5)


def test_secret_weights(session: Session, mpc: MPC, values: dict[str, Any]) -> None:
    weights = {name: session.plain(name).put(np.array(weight)) for name, weight in WEIGHTS.items()}
    wanted = expected(weights=WEIGHTS)
    options: dict[str, Any] = {"weights": weights, "because": "a test"}
    close(read(session, tacit.aggregate(values, "plain", to="server", **options)), wanted, 1e-9)
    shared = tacit.aggregate(values, "mpc", device=mpc, to="alice", **options)
    for a, b in zip(jax.tree.leaves(read(session, shared, "alice")), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)
    masking = Masking(weight_limit=10)
    close(read(session, tacit.aggregate(values, "masked", server="server", masking=masking, **options)), wanted, 1e-5)
    with pytest.raises(ConfigError, match="need a public bound"):
        tacit.aggregate(values, "masked", server="server", **options)


@pytest.mark.parametrize("step", ROUNDS)
def test_a_client_may_drop_out_in_every_round(session: Session, values: dict[str, Any], step: int) -> None:
    masking = Masking(drop_out=ONE_MAY_DROP, silent_from={"carol": step})
    there = CLIENTS if step > 2 else ("alice", "bob", "dave")  # its words arrived in round 2, or did not
    for weights in (None, WEIGHTS):
        result = tacit.aggregate(values, "masked", server="server", because="a test", masking=masking, weights=weights)
        close(read(session, result), expected(there, weights), 1e-5)
    last = list(verify(session.ledger("server")))[-1]
    assert (last["kind"], last["what"], last["clients"]) == ("reveal", "masked mean", list(there))


@pytest.mark.parametrize("step", ROUNDS)
def test_too_few_is_an_error_and_the_session_goes_on(session: Session, values: dict[str, Any], step: int) -> None:
    masking = Masking(drop_out=ONE_MAY_DROP, silent_from={"carol": step, "alice": 4})
    before = len(list(verify(session.ledger("server"))))
    result = tacit.aggregate(values, "masked", server="server", because="a test", masking=masking)
    with pytest.raises(TooFewClients):
        session.run(result)
    assert len(list(verify(session.ledger("server")))) == before
    again = tacit.aggregate(values, "masked", server="server", because="a test")
    close(read(session, again), expected(), 1e-5)


def test_a_client_that_fails_on_the_way_counts_as_silent(
    session: Session, values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    close_round, lost = _Run._close, []

    def lose(run: _Run) -> Any:
        if not lost:
            lost.append((yield at("carol", "secagg.forget", {"number": run.number})))
        return (yield from close_round(run))

    monkeypatch.setattr(_Run, "_close", lose)
    masking = Masking(drop_out=ONE_MAY_DROP)
    result = tacit.aggregate(values, "masked", server="server", because="a test", masking=masking)
    close(read(session, result), expected(("alice", "bob", "dave")), 1e-5)
    lost.clear()
    with pytest.raises(TooFewClients) as caught:
        session.run(tacit.aggregate(values, "masked", server="server", because="a test"))
    assert any(note.startswith("carol stopped: SessionError") for note in caught.value.__notes__)


def test_ledgers_name_who_learns_what(session: Session, values: dict[str, Any]) -> None:
    session.run(tacit.aggregate(values, "masked", server="server", because="round 3 of the study"))
    for party in (*CLIENTS, "server"):
        last = list(verify(session.ledger(party)))[-1]
        assert (last["kind"], last["to"], last["because"]) == ("reveal", ["server"], "round 3 of the study")
        assert last["what"] == "masked sum"
        assert last["clients"] == list(CLIENTS)
        assert last["line"].startswith("test_aggregate.py:")


def test_values_beyond_their_bounds_are_refused_or_clipped(session: Session) -> None:
    values = {name: session.plain(name).put(np.array([1.0, 40.0])) for name in CLIENTS}
    with pytest.raises(ClipExceeded, match="1 of 2 numbers"):
        session.run(tacit.aggregate(values, "masked", server="server", because="a test"))
    values["bob"] = session.plain("bob").put(np.array([1.0, np.nan]))
    with pytest.raises(ClipExceeded, match="not finite"):
        session.run(tacit.aggregate(values, "masked", server="server", because="a test"))
    values["bob"] = values["alice"].to(session.plain("bob"), because="a test")
    clipped = tacit.aggregate(
        values, "masked", server="server", because="a test", masking=Masking(clip=8.0, beyond="clip")
    )
    np.testing.assert_allclose(read(session, clipped), [4.0, 32.0])


def test_aggregations_run_side_by_side(session: Session, values: dict[str, Any]) -> None:
    several = [tacit.aggregate(values, "masked", server="server", because=f"number {i}") for i in range(2)]
    beside = session.plain("alice")(lambda x: x * 2)(values["alice"]["w"])
    session.run(several, beside)
    for one in several:
        close(read(session, one), expected(), 1e-5)


def test_misuse(session: Session, mpc: MPC, values: dict[str, Any]) -> None:
    ok: dict[str, Any] = {"server": "server", "because": "a test"}
    x = {name: session.plain(name).put(np.ones(2)) for name in CLIENTS}
    with pytest.raises(ConfigError, match="server and client"):
        tacit.aggregate(x, "masked", server="alice", because="a test")
    with pytest.raises(InputError, match="because="):
        tacit.aggregate(x, "masked", server="server")
    with pytest.raises(ShapeError, match="bob's tree"):
        tacit.aggregate({**x, "bob": session.plain("bob").put(np.ones(3))}, "masked", **ok)
    with pytest.raises(ShapeError, match="bob's tree"):
        tacit.aggregate({**x, "bob": session.plain("bob").put([1, 2])}, "masked", **ok)
    with pytest.raises(InputError, match="no plain value of bob"):
        tacit.aggregate({**x, "bob": x["alice"]}, "plain", to="server", because="a test")
    with pytest.raises(ConfigError, match="needs device="):
        tacit.aggregate(x, "mpc")
    with pytest.raises(ConfigError, match="needs to="):
        tacit.aggregate(x, "plain")
    with pytest.raises(ConfigError, match="there is no 'secret'"):
        tacit.aggregate(x, "secret")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="two parties or more"):
        tacit.aggregate({"alice": x["alice"]}, "masked", **ok)
    with pytest.raises(InputError, match="each party has one"):
        tacit.aggregate(x, "masked", weights={"alice": 1.0}, **ok)
    with pytest.raises(InputError, match="all weights are zero"):
        tacit.aggregate(x, "masked", weights=dict.fromkeys(CLIENTS, 0.0), **ok)
    with pytest.raises(ConfigError, match="honest clients cannot be counted on"):
        tacit.aggregate(x, "masked", privacy=DiscreteGaussian(1.0, 1.0, honest=5), **ok)
    with pytest.raises(ConfigError, match="corrupted plus twice"):
        tacit.aggregate(x, "masked", masking=Masking(drop_out=0.5), **ok)
    with pytest.raises(ConfigError, match="erin is no client"):
        tacit.aggregate(x, "masked", masking=Masking(silent_from={"erin": 0}), **ok)
    with pytest.raises(SessionError, match="takes no part"):
        session.plain("alice").procedure("secagg.toss", [], {"number": 1, "commitments": {}}, 0)
    with pytest.raises(InputError, match="reals or to integers"):
        tacit.aggregate(values, "plain", to="server", because="a test", privacy=DiscreteLaplace(1.0, 1.0))
