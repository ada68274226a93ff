"""Privacy budgets on devices: what is refused, what is charged, and to whom."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log, sqrt
from pathlib import Path
from typing import Any

import dp_accounting
import numpy as np
import pytest
from dp_accounting import pld
from hypothesis import given
from hypothesis import strategies as st

import tacit
from tacit import MPC, DiscreteGaussian, DiscreteLaplace, Session
from tacit.device.executor import Request
from tacit.device.he import HE
from tacit.device.privacy import Drawn, Gate, charge_steps
from tacit.foundation.errors import (
    BudgetExhausted,
    ConfigError,
    DomainError,
    InputError,
    NoRoute,
    PolicyError,
)
from tacit.foundation.ledger import verify
from tacit.primitive.dp import LaplaceMechanism, RandomizedResponse, accountant

DELTA = 1e-6
X = np.array([1.0, -2.0, 3.5])

# --- without a session ------------------------------------------------------------------------------------------------


@given(
    stated=st.floats(1e-3, 1e3),
    error=st.none() | st.floats(0, 4),
    bits=st.integers(0, 24),
    size=st.integers(1, 1000),
    real=st.booleans(),
)
def test_a_sensitivity_covers_the_errors_of_both_neighbours(
    stated: float, error: float | None, bits: int, size: int, real: bool
) -> None:
    drawn = Drawn(DiscreteLaplace(1.0, stated, error), "secret", bits, size, real=real)
    units = (1.0 if real else 0.0) if error is None else error * 2**bits
    assert drawn.sensitivity("alice") == ceil(stated * 2.0**bits + 2 * units * size)
    gaussian = Drawn(DiscreteGaussian(1.0, {"alice": stated}, error), "secret", bits, size, real=real)
    assert gaussian.sensitivity("alice") == stated * 2.0**bits + 2 * units * sqrt(size)
    with pytest.raises(ConfigError, match="no sensitivity is stated"):
        gaussian.sensitivity("bob")


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf"), {"alice": 0.0}])
def test_noise_without_a_meaning_is_refused(bad: Any) -> None:
    for noise in (DiscreteLaplace, DiscreteGaussian):
        with pytest.raises(DomainError):
            noise(1.0, bad)
        with pytest.raises(DomainError):
            noise(bad if isinstance(bad, float) else -1.0, 1.0)
        with pytest.raises(DomainError):
            noise(1.0, 1.0, error=-1.0)
        with pytest.raises(DomainError):
            noise(1.0, 1.0, honest=0)


class Numbers:
    """An executor that only numbers."""

    def new_id(self) -> int:
        return 7


def test_owners_are_charged_together_or_not_at_all() -> None:
    charges = {owner: {"terms": {}, "what": "x", "because": "y"} for owner in ("alice", "bob", "carol")}
    good = charge_steps(Numbers(), charges)  # type: ignore[arg-type]
    said: list[tuple[str, set[str]]] = []
    request: Request | None = next(good)
    try:
        while True:
            said.append((next(iter(request.fields.values()))["name"], set(request.fields)))
            request = good.send({})
    except StopIteration:
        pass
    everybody = {"alice", "bob", "carol"}
    assert said == [*(("privacy.reserve", {owner}) for owner in charges), ("privacy.commit", everybody)]

    bad = charge_steps(Numbers(), charges)  # type: ignore[arg-type]
    next(bad)
    assert set(bad.send({}).fields) == {"bob"}
    undone = [bad.throw(PolicyError("no")), bad.send({})]
    assert [(next(iter(r.fields)), r.fields[next(iter(r.fields))]["name"]) for r in undone] == [
        ("alice", "privacy.cancel"),
        ("bob", "privacy.cancel"),
    ]
    with pytest.raises(PolicyError, match="no"):
        bad.send({})


# --- in a session: alice and bob have budgets, carol and dave have none ------------------------------------------------

pytestmark = pytest.mark.multiprocess


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Session.local(
        "alice", "bob", "carol", "dave", deadline=30.0, state=tmp_path_factory.mktemp("state")
    ) as session:
        session.budget("alice", epsilon=10.0, delta=DELTA)
        session.budget("bob", epsilon=0.05, delta=DELTA)
        yield session


@pytest.fixture(scope="module")
def mpc(session: Session) -> MPC:
    return session.mpc()


@pytest.fixture(scope="module")
def he(session: Session) -> HE:
    return session.he(key_holder="carol", evaluators=["alice", "dave"])


def records(session: Session, party: str, kind: str) -> list[dict[str, Any]]:
    return [record for record in verify(session.ledger(party)) if record["kind"] == kind]


def test_a_value_knows_whose_data_it_is(session: Session, mpc: MPC, he: HE) -> None:
    plain = session.plain
    a, d = plain("alice").put(X), plain("dave").put(X)
    assert a.owners == {"alice"}
    both = mpc(lambda x, y: x + y)(a, plain("carol").put(X))
    assert both.owners == (both * 2).owners == {"alice", "carol"}
    assert mpc.constant(X).owners == frozenset()
    assert (d.to(he).send("alice") * a).owners == {"alice", "dave"}
    assert plain("alice")(lambda x: x.sum())(a).owners == {"alice"}


def test_what_a_budget_guards_is_refused_without_noise(session: Session, mpc: MPC, he: HE) -> None:
    alice, carol = session.plain("alice"), session.plain("carol")
    x = alice.put(X)
    before = {party: len(list(verify(session.ledger(party)))) for party in session.parties}
    for open_it in (
        lambda: tacit.reveal(mpc.share(x) + 1, to="carol", because="a test"),
        lambda: tacit.reveal(mpc.share(x), to=["alice", "carol"], because="a test"),
        lambda: mpc.share(x).to(carol, because="a test"),
        lambda: x.to(carol, because="a test"),
        lambda: x.to(he).to(carol, because="a test"),
        lambda: (carol.put(X).to(he).send("alice") * x).to(carol, because="a test"),
    ):
        with pytest.raises(PolicyError, match="alice has a privacy budget"):
            open_it()
    with pytest.raises(PolicyError, match="alice and bob have a privacy budget"):
        session.procedure("table.align", {"alice": [x], "bob": [session.plain("bob").put(X)]}, {}, 1)
    assert before == {party: len(list(verify(session.ledger(party)))) for party in session.parties}


def test_ones_own_data_and_that_of_owners_without_a_budget_are_free(session: Session, mpc: MPC) -> None:
    alice = session.plain("alice")
    x, before = alice.put(X), session.budgets["alice"].spent()
    np.testing.assert_array_equal(alice.get(x), X)
    np.testing.assert_allclose(tacit.reveal(mpc.share(x) * 2, to="alice", because="her own"), 2 * X, atol=1e-4)
    np.testing.assert_array_equal(alice.get(session.plain("carol").put(X).to(alice, because="a test")), X)
    assert session.budgets["alice"].spent() == before


def test_an_exact_release_is_written_down_as_that(session: Session, mpc: MPC) -> None:
    alice, carol = session.plain("alice"), session.plain("carol")
    shown = alice.put(X).to(carol, because="a test", release_exact="alice publishes these")
    np.testing.assert_array_equal(carol.get(shown), X)
    tacit.reveal(mpc.share(alice.put(X)), to="carol", because="a test", release_exact="and those")
    kept = records(session, "alice", "exact release")[-2:]
    assert [record["release_exact"] for record in kept] == ["alice publishes these", "and those"]
    assert kept[0]["to"] == ["carol"]
    assert kept[0]["line"].startswith("test_privacy.py:")
    with pytest.raises(PolicyError):  # it is alice's data still
        shown.to(session.plain("dave"), because="a test")
    with pytest.raises(InputError, match="not both"):
        shown.to(session.plain("dave"), because="a test", privacy=DiscreteLaplace(1.0, 1.0), release_exact="x")


def test_an_enclave_has_no_noise_and_says_the_way(session: Session) -> None:
    tee = session.tee("counter", host="carol", parties=["alice", "carol"], backend="simulation", development=True)
    carol = session.plain("carol")
    sealed = tee(lambda x: x * 2)(session.plain("alice").put(X))
    with pytest.raises(NoRoute, match=r"Go by .to\(MPC device\)"):
        sealed.to(carol, because="a test", privacy=DiscreteLaplace(1.0, 1.0))
    with pytest.raises(PolicyError, match="alice has a privacy budget"):
        sealed.to(carol, because="a test")
    exact = sealed.to(carol, because="a test", release_exact="a rehearsal")
    np.testing.assert_array_equal(carol.get(exact), 2 * X)


def test_one_budget_for_all_devices(session: Session, mpc: MPC, he: HE) -> None:
    """Two releases from MPC, a statistic and a ciphertext: the owner's one budget holds what dp-accounting composes."""
    alice, carol = session.plain("alice"), session.plain("carol")
    budget = session.budgets["alice"]
    earlier = len(budget.charges())
    x = alice.put(X)
    secret = mpc.share(x) + carol.put(np.ones(3))
    laplace, gaussian = DiscreteLaplace(scale=40.0, sensitivity=1.0), DiscreteGaussian(deviation=60.0, sensitivity=1.0)
    expected = budget.preview(laplace, of=secret)
    tacit.reveal(secret, to="carol", because="first", privacy=laplace)
    assert budget.spent() == pytest.approx(expected, rel=1e-9)
    second = (secret * 2).to(carol, because="second", privacy=gaussian)
    assert second.owners == {"carol"}
    carol.get(second)
    carol.get(alice(lambda v: v.sum())(x).to(carol, because="third", privacy=laplace))
    carol.get(x.to(he).sum().to(carol, because="fourth", privacy=gaussian))

    charges = budget.charges()[earlier:]
    assert [charge.because for charge in charges] == ["first", "second", "third", "fourth"]
    whole = accountant("pld")
    for charge in budget.charges():
        whole = whole.compose(charge.event)
    assert budget.spent() == whole.epsilon(DELTA)
    if not earlier:
        book = pld.PLDAccountant(value_discretization_interval=1e-4)
        for event in (dp_accounting.LaplaceDpEvent(40.0), dp_accounting.GaussianDpEvent(60.0)):
            book.compose(event, 2)
        assert budget.spent() == pytest.approx(book.get_epsilon(DELTA), rel=2e-3)
    assert budget.remaining() == 10.0 - budget.spent()
    for record in records(session, "alice", "reveal")[-3:]:
        assert record["to"] == ["carol"]
    carol.get(second.to(carol, because="free"))
    session.plain("dave").get(second.to(session.plain("dave"), because="what was paid for is public"))
    assert budget.charges()[earlier:] == charges


def test_where_one_owner_refuses_none_is_charged_and_nothing_is_opened(session: Session, mpc: MPC) -> None:
    both = mpc(lambda x, y: x + y)(session.plain("alice").put(X), session.plain("bob").put(X))
    alice, bob = session.budgets["alice"], session.budgets["bob"]
    before = alice.spent(), bob.spent(), [len(records(session, party, "reveal")) for party in session.parties]
    noise = DiscreteLaplace(scale=5.0, sensitivity={"alice": 1.0, "bob": 1.0})
    with pytest.raises(BudgetExhausted, match="bob's privacy budget") as caught:
        tacit.reveal(both, to="carol", because="too much for bob", privacy=noise)
    assert caught.value.owner == "bob"
    lazily = both.to(session.plain("carol"), because="too much for bob", privacy=noise)
    with pytest.raises(BudgetExhausted, match="bob's privacy budget"):
        session.run(lazily)
    assert before == (alice.spent(), bob.spent(), [len(records(session, party, "reveal")) for party in session.parties])
    with pytest.raises(ConfigError, match="no sensitivity is stated"):
        tacit.reveal(both, to="carol", because="bob is missing", privacy=DiscreteLaplace(90.0, {"alice": 1.0}))
    fine = DiscreteLaplace(scale=400.0, sensitivity={"alice": 2.0, "bob": 1.0})
    tacit.reveal(both, to="carol", because="little", privacy=fine)
    assert bob.spent() - before[1] == pytest.approx(1 / 400, abs=2e-4)  # the accountant's grid rounds up
    assert alice.charges()[-1].sensitivity > 1.9 * bob.charges()[-1].sensitivity


def test_exhaustion_refuses_on_every_device(session: Session, mpc: MPC) -> None:
    bob, carol, budget = session.plain("bob"), session.plain("carol"), session.budgets["bob"]
    he = session.he(key_holder="carol", evaluators=["bob"])
    x = bob.put(X)
    noise, before = DiscreteGaussian(10.0, 1.0), budget.spent()
    with pytest.raises(BudgetExhausted):
        tacit.reveal(mpc.share(x), to="carol", because="mpc", privacy=noise)
    for source in (mpc.share(x), x, x.to(he), carol.put(X).to(he).send("bob") * x):
        shown = source.to(carol, because="elsewhere", privacy=noise)
        with pytest.raises((BudgetExhausted, ConfigError)):
            session.run(shown)
    with pytest.raises(BudgetExhausted):
        session.run(bob.put([1]).to(carol, because="an answer", privacy=RandomizedResponse.of(1.0)))
    assert budget.spent() == before
    side = DiscreteLaplace(scale=33.0, sensitivity=1.0)  # one fits, two do not
    pair = [bob(lambda v: v.sum())(x).to(carol, because=f"at once {i}", privacy=side) for i in range(2)]
    with pytest.raises(BudgetExhausted):
        session.run(pair)
    assert sum(handle.held for handle in pair) == 1
    assert before < budget.spent() <= 0.05


def test_mechanisms_of_the_library_apply_to_a_partys_own_values(session: Session) -> None:
    alice, carol = session.plain("alice"), session.plain("carol")
    noisy = alice.put(X).to(carol, because="a mechanism", privacy=LaplaceMechanism(100.0, 1.0, size=3))
    assert carol.get(noisy).shape == (3,)
    assert session.budgets["alice"].charges()[-1].mechanism == "laplace"
    with pytest.raises(InputError, match="made for 1 numbers"):
        alice.put(X).to(carol, because="a test", privacy=LaplaceMechanism(100.0, 1.0))
    with pytest.raises(InputError, match="not a LaplaceMechanism"):
        tacit.reveal(session.mpc().share(alice.put(X)), "carol", "a test", privacy=LaplaceMechanism(1.0, 1.0))


def test_products_of_ciphertexts_need_their_error_stated(session: Session, he: HE) -> None:
    carol = session.plain("carol")
    product = session.plain("alice").put(X).to(he) * 0.5
    with pytest.raises(ConfigError, match="say error="):
        session.run(product.to(carol, because="a test", privacy=DiscreteGaussian(50.0, 1.0)))
    said = DiscreteGaussian(50.0, 1.0, error=2.0**-20)
    assert np.all(np.abs(carol.get(product.to(carol, because="a test", privacy=said))) < 2000)


def within(noise: np.ndarray, radius: float) -> None:
    """Half of all draws lie within the radius: 6.5 standard deviations are a false alarm of 1e-10."""
    assert abs(int((np.abs(noise) < radius).sum()) - noise.size / 2) < 6.5 * sqrt(noise.size) / 2


@pytest.mark.parametrize("data", [np.zeros(1200), np.zeros(1200, int)])
def test_the_noise_is_as_wide_as_it_says(session: Session, mpc: MPC, data: np.ndarray) -> None:
    """On data of an owner without a budget: noise needs none."""
    dave, carol, scale = session.plain("dave"), session.plain("carol"), 1000.0
    x = dave.put(data)
    laplace, gaussian = DiscreteLaplace(scale, 1.0), DiscreteGaussian(scale, 1.0)
    half = scale * log(2), scale * 0.674490
    shared = mpc.share(session.plain("carol").put(data))
    for noise, radius in zip((laplace, gaussian), half, strict=True):
        within(tacit.reveal(shared, to="alice", because="noise", privacy=noise), radius)
        within(carol.get(x.to(carol, because="noise", privacy=noise)), radius)


def test_every_evaluator_adds_its_noise(session: Session, he: HE) -> None:
    """One honest evaluator is enough, so both add all of it: the sum has twice the variance."""
    carol = session.plain("carol")
    cipher = he.encrypt(session.plain("dave").put(np.zeros(400, int)))
    noise = carol.get(cipher.to(carol, because="noise", privacy=DiscreteGaussian(1000.0, 1.0)))
    within(noise, 1000.0 * sqrt(2) * 0.674490)
    assert len(np.unique(noise)) > 300
    with pytest.raises(ConfigError, match="3 of 2 evaluators"):
        session.run(cipher.to(carol, because="noise", privacy=DiscreteGaussian(1000.0, 1.0, honest=3)))


def test_misuse(session: Session, mpc: MPC) -> None:
    secret = mpc.share(session.plain("carol").put(X))
    noise = DiscreteLaplace(1.0, 1.0)
    with pytest.raises(InputError, match="convert truth values"):
        tacit.reveal(secret > 0, "carol", "a test", privacy=noise)
    with pytest.raises(InputError, match="reals and integers apart"):
        tacit.reveal([secret, mpc.share(session.plain("carol").put(np.array([1])))], "carol", "a test", privacy=noise)
    with pytest.raises(InputError, match="hides values from everybody"):
        session.plain("carol").put(X).to(mpc, privacy=noise)
    with pytest.raises(InputError, match="preview"):
        session.budgets["alice"].preview(noise)
    with pytest.raises(InputError, match="in words"):
        Gate([secret], ["carol"], because="x", line="", release_exact=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="terms do not change"):
        session.budget("alice", epsilon=100.0, delta=DELTA)
    assert session.budget("alice", epsilon=10.0, delta=DELTA) is session.budgets["alice"]
    with pytest.raises(ConfigError, match="no party 'eve'"):
        session.budget("eve", epsilon=1.0, delta=DELTA)


def test_a_budget_outlives_its_session(tmp_path: Path) -> None:
    """Who continues the ledgers continues what was spent, and the guard, also without asking for it."""
    folders = {"state": tmp_path / "state", "ledgers": tmp_path / "ledgers"}
    with Session.local("alice", "bob", deadline=30.0, **folders) as first:
        budget = first.budget("alice", epsilon=1.0, delta=DELTA)
        bob = first.plain("bob")
        bob.get(first.plain("alice").put(X).to(bob, because="first", privacy=DiscreteLaplace(2.0, 1.0)))
        spent = budget.spent()
    assert spent == pytest.approx(0.5, rel=1e-3)
    with Session.local("alice", "bob", deadline=30.0, **folders) as second:
        bob, x = second.plain("bob"), second.plain("alice").put(X)
        with pytest.raises(PolicyError):
            x.to(bob, because="nobody asked for the budget")
        assert second.budgets["alice"].spent() == spent
        with pytest.raises(ConfigError, match="terms do not change"):
            second.budget("alice", epsilon=2.0, delta=DELTA)
        again = x.to(bob, because="too much", privacy=DiscreteLaplace(1.5, 1.0))
        with pytest.raises(BudgetExhausted):
            second.run(again)
        assert second.budget("alice", epsilon=1.0, delta=DELTA).spent() == spent
