"""Aggregations of data that budgets guard: noise in each of the three ways, charged to every client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest

import tacit
from tacit import DiscreteGaussian, Masking, Session
from tacit.foundation.errors import BudgetExhausted, PolicyError
from tacit.foundation.ledger import verify

pytestmark = pytest.mark.multiprocess

NAMES = ("alice", "bob", "carol")


def read(session: Session, tree: Any, party: str = "server") -> Any:
    return jax.tree.map(lambda leaf: session.plain(party).get(leaf), tree)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Clients with budgets."""
    with Session.local("server", *NAMES, deadline=30.0, state=tmp_path_factory.mktemp("state")) as session:
        session.budget("alice", epsilon=3.0, delta=1e-6, by="rdp")
        session.budget("bob", epsilon=1.0, delta=1e-6, by="rdp")
        yield session


def test_every_way_charges_every_client(guarded: Session) -> None:
    """The noise is that on the result; a masked sum has it by shares, of which as many count as are sure to be there."""
    mpc = guarded.mpc(parties=NAMES)
    x = {name: [guarded.plain(name).put(np.zeros((20, 20))), guarded.plain(name).put(np.zeros(7))] for name in NAMES}
    noise = DiscreteGaussian(deviation=100.0, sensitivity=1.0)
    alice, bob = guarded.budgets["alice"], guarded.budgets["bob"]
    ways: dict[str, Any] = {
        "plain": {"to": "server"},
        "mpc": {"to": "carol", "device": mpc},
        "masked": {"server": "server", "masking": Masking(corruption=0.34)},
    }
    for mode, options in ways.items():
        with pytest.raises(PolicyError, match="a privacy budget"):
            tacit.aggregate(x, mode, because="a test", **options)  # type: ignore[arg-type]
        for weights in (None, dict.fromkeys(NAMES, 1.0)):
            before = len(alice.charges()), len(bob.charges())
            result = tacit.aggregate(x, mode, because="a test", privacy=noise, weights=weights, **options)  # type: ignore[arg-type]
            found = read(guarded, result, options.get("to", "server"))
            assert [leaf.shape for leaf in found] == [(20, 20), (7,)]
            drawn = np.concatenate([leaf.ravel() for leaf in found])
            variance = {"plain": 3.0, "mpc": 1.0, "masked": 1.5}[mode] * 100.0**2
            # The number within the quartile is binomial: 6.5 deviations are a false alarm of 1e-10.
            assert abs((np.abs(drawn) < 0.674490 * variance**0.5).sum() - drawn.size / 2) < 6.5 * drawn.size**0.5 / 2
            assert (len(alice.charges()), len(bob.charges())) == (before[0] + 1, before[1] + 1)
    assert "by shares of 3 parties, 2 of them honest" in alice.charges()[-1].mechanism
    assert alice.spent() == bob.spent() > 0


def test_a_client_that_cannot_pay_stops_all(guarded: Session) -> None:
    x = {name: guarded.plain(name).put(np.array([1, 2, 3])) for name in NAMES}
    alice, bob = guarded.budgets["alice"], guarded.budgets["bob"]
    before = alice.spent(), bob.spent()
    noise = DiscreteGaussian(deviation=4.0, sensitivity=1.0)  # alice could pay for this
    result = tacit.aggregate(x, "masked", server="server", because="a test", privacy=noise)
    with pytest.raises(BudgetExhausted, match="bob's privacy budget"):
        guarded.run(result)
    assert (alice.spent(), bob.spent()) == before
    exact = tacit.aggregate(x, "masked", server="server", because="a test", release_exact="a rehearsal")
    np.testing.assert_array_equal(read(guarded, exact), [3, 6, 9])
    kept = [record for record in verify(guarded.ledger("bob")) if record["kind"] == "exact release"]
    assert kept[-1]["release_exact"] == "a rehearsal"
