"""Budgets: what is spent stays spent, whoever asks, however often, and whatever happens in between."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit.foundation.errors import BudgetExhausted, ConfigError, DomainError, LedgerError
from tacit.foundation.ledger import Ledger, verify
from tacit.primitive.dp import (
    AboveThreshold,
    Budget,
    ComposedEvent,
    DiscreteGaussianMechanism,
    DiscreteLaplaceMechanism,
    ExponentialMechanism,
    GaussianEvent,
    GaussianMechanism,
    LaplaceMechanism,
    Pld,
    PureEvent,
    Rdp,
    Release,
    TreeAggregation,
)

WHY = {"what": "mean age", "because": "the study's table 1", "mechanism": "test", "sensitivity": 1.0}


def opened(path, epsilon=1.0, delta=1e-6, by="pld", session="study"):
    return Budget(Ledger(path, "alice"), session, epsilon=epsilon, delta=delta, by=by)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alice.jsonl"


def test_a_charge_is_spent_written_and_named(path):
    budget = opened(path)
    assert (budget.spent(), budget.remaining()) == (0.0, 1.0)
    value = budget.release(
        DiscreteLaplaceMechanism(4.0, 1), [10, 20], what="counts by ward", because="the weekly report"
    )
    assert value.shape == (2,)
    assert budget.spent() == pytest.approx(0.25, rel=1e-3)
    assert budget.remaining() == pytest.approx(0.75, rel=1e-3)
    record = list(verify(path))[-1]
    assert record["kind"] == "privacy charge"
    assert (record["what"], record["because"]) == ("counts by ward", "the weekly report")
    assert (record["mechanism"], record["sensitivity"]) == ("discrete laplace", 1.0)
    assert record["cost"] == {"event": "discrete-laplace", "scale": 4.0, "sensitivity": 1, "distance": 0.0}
    (charge,) = budget.charges()
    assert charge.event == DiscreteLaplaceMechanism(4.0, 1).event
    assert "alice" in repr(budget)


def test_exhaustion_names_spent_asked_and_total_and_charges_nothing(path):
    budget = opened(path)
    for _ in range(4):
        budget.charge(PureEvent(0.25), **WHY)
    before = path.read_bytes()
    with pytest.raises(
        BudgetExhausted, match=r"alice's privacy budget of epsilon 1 .* (1|0.9999\d*) is spent, 0.12\d* was asked"
    ) as e:
        budget.charge(PureEvent(0.125), **WHY)
    assert (e.value.spent, e.value.asked, e.value.total) == pytest.approx((1.0, 0.125, 1.0), rel=1e-3)
    assert path.read_bytes() == before
    assert budget.preview(PureEvent(0.125)) > 1.0
    assert len(budget.charges()) == 4


def test_a_preview_is_what_the_charge_then_costs(path):
    budget = opened(path, epsilon=5.0)
    for event in (GaussianEvent(3.0), PureEvent(0.1), GaussianEvent(2.0)):
        shown = budget.preview(event)
        assert shown == budget.preview(event)
        budget.charge(event, **WHY)
        assert budget.spent() == shown


@pytest.mark.parametrize("by", ["pld", "rdp"])
def test_composition_over_mechanisms(path, by):
    """Several mechanisms on one budget cost what the accountant says of all their events together."""
    budget = opened(path, epsilon=20.0, by=by)
    budget.release(LaplaceMechanism(5.0, 1.0, 3), [1.0, 2.0, 3.0], what="a", because="b")
    budget.release(GaussianMechanism(4.0, 1.0), [1.0], what="a", because="b")
    budget.release(DiscreteLaplaceMechanism(3.0, 2), [1], what="a", because="b")
    budget.release(DiscreteGaussianMechanism(3.0, 1.0), [1], what="a", because="b")
    budget.release(ExponentialMechanism(10.0, 1.0), [1.0, 2.0], what="a", because="b")
    asking = budget.release(AboveThreshold(3.0, 0.2, 1.0), None, what="a", because="b")
    asking.ask(1.0)
    running = budget.release(TreeAggregation(GaussianMechanism(9.0, 1.0), 4), None, what="a", because="b")
    running.add(1.0)
    together = ComposedEvent(tuple(charge.event for charge in budget.charges()))
    exact = {"pld": Pld(), "rdp": Rdp()}[by].compose(together).epsilon(1e-6)
    assert budget.spent() == pytest.approx(exact, rel=1e-6)
    assert len(budget.charges()) == 7


def test_spent_budget_survives_a_restart(path):
    first = opened(path)
    first.charge(PureEvent(0.6), **WHY)
    spent = first.spent()
    again = opened(path)
    assert again.spent() == spent
    assert again.charges() == first.charges()
    with pytest.raises(BudgetExhausted):
        again.charge(PureEvent(0.6), **WHY)
    again.charge(PureEvent(0.3), **WHY)
    assert opened(path).spent() == pytest.approx(0.9, rel=1e-3)


def test_terms_do_not_change(path):
    opened(path)
    for other in ({"epsilon": 9.0}, {"delta": 1e-3}, {"by": "rdp"}):
        with pytest.raises(ConfigError, match="terms do not change"):
            opened(path, **other)
    assert opened(path, session="another", epsilon=9.0).spent() == 0.0


def test_sessions_and_other_records_are_kept_apart(path):
    ledger = Ledger(path, "alice")
    one = Budget(ledger, "one", epsilon=1.0, delta=0.0)
    two = Budget(ledger, "two", epsilon=1.0, delta=0.0)
    one.charge(PureEvent(0.5), **WHY)
    ledger.append("reveal", session="one", what="w", to=["bob"])
    two.charge(PureEvent(0.25), **WHY)
    assert (one.spent(), two.spent()) == pytest.approx((0.5, 0.25), rel=1e-3)


def test_two_budgets_of_one_session_are_one_budget(path):
    ledger = Ledger(path, "alice")
    one, two = (Budget(ledger, "s", epsilon=1.0, delta=0.0) for _ in range(2))
    one.charge(PureEvent(0.75), **WHY)
    assert two.spent() == pytest.approx(0.75, rel=1e-3)
    with pytest.raises(BudgetExhausted):
        two.charge(PureEvent(0.5), **WHY)


@dataclass(frozen=True)
class Watching:
    """A mechanism that looks at the ledger while it draws."""

    path: object
    seen: list
    fail: bool = False
    name = "watching"
    sensitivity = 1.0
    event = PureEvent(0.5)

    def release(self, value, /):
        self.seen.append(list(verify(self.path))[-1]["kind"])
        if self.fail:
            raise DomainError("no")
        return Release(value, self.event)


def test_the_ledger_is_written_before_the_noise_is_drawn(path):
    budget = opened(path)
    seen = []
    budget.release(Watching(path, seen), 3, what="a", because="b")
    assert seen == ["privacy charge"]
    with pytest.raises(DomainError):
        budget.release(Watching(path, seen, fail=True), 3, what="a", because="b")
    assert budget.spent() == pytest.approx(1.0, rel=1e-3)


def test_a_crash_between_charge_and_release_has_paid(path):
    script = f"""
        import os
        from pathlib import Path
        from tacit.foundation.ledger import Ledger
        from tacit.primitive.dp import Budget, PureEvent

        class Dies:
            name, sensitivity, event = "dies", 1.0, PureEvent(0.5)
            def release(self, value, /):
                os._exit(7)

        budget = Budget(Ledger(Path({str(path)!r}), "alice"), "study", epsilon=1.0, delta=1e-6)
        budget.release(Dies(), 1, what="a", because="b")
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, timeout=100)
    assert done.returncode == 7
    assert opened(path).spent() == pytest.approx(0.5, rel=1e-3)


def test_concurrent_charges_never_overspend(path):
    ledger = Ledger(path, "alice")
    budgets = [Budget(ledger, "s", epsilon=1.0, delta=0.0) for _ in range(4)]
    granted, refused = [], []
    start = threading.Barrier(8)

    def charge(budget):
        start.wait()
        for _ in range(5):
            try:
                budget.charge(PureEvent(0.0625), **WHY)
                granted.append(1)
            except BudgetExhausted:
                refused.append(1)

    threads = [threading.Thread(target=charge, args=(budgets[i % 4],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(granted), len(refused)) == (16, 24)
    assert len(list(verify(path))) == 17
    assert all(budget.spent() == pytest.approx(1.0, rel=1e-3) for budget in budgets)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_changed_ledger_stops_everything(path, number):
    budget = opened(path)
    for _ in range(2):
        budget.charge(PureEvent(0.25), **WHY)
    lines = path.read_bytes().splitlines(keepends=True)
    changed = [line.replace(b"0.25", b"0.01").replace(b'"epsilon":1.0', b'"epsilon":9.0') for line in lines]
    path.write_bytes(b"".join(changed[i] if i == number else line for i, line in enumerate(lines)))
    for action in (lambda: budget.charge(PureEvent(0.1), **WHY), budget.spent, lambda: opened(path)):
        with pytest.raises(LedgerError, match=f"line {number + 1}"):
            action()


def test_cut_replaced_and_foreign_ledgers_are_refused(path, monkeypatch):
    monkeypatch.setattr("tacit.primitive.dp.budget.PATIENCE_SECONDS", 0.05)
    budget = opened(path)
    budget.charge(PureEvent(0.25), **WHY)
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    with pytest.raises(LedgerError, match="does not end where alice left it"):
        budget.charge(PureEvent(0.1), **WHY)
    path.write_bytes(whole)
    Ledger(path, "alice").append("reveal", what="from another process")
    with pytest.raises(LedgerError, match="somebody else wrote"):
        budget.spent()
    path.unlink()
    with pytest.raises(LedgerError):
        budget.spent()


def test_a_charge_that_this_version_cannot_read_is_refused(path):
    opened(path)
    ledger = Ledger(path, "alice")
    ledger.append(
        "privacy charge",
        session="study",
        what="a",
        because="b",
        mechanism="c",
        sensitivity=1.0,
        cost={"event": "magic"},
    )
    with pytest.raises(LedgerError, match="record 1 is no charge"):
        opened(path)


def test_a_full_disk_charges_and_releases_nothing(path):
    budget = opened(path)
    seen = []
    budget._ledger.close()
    with pytest.raises(LedgerError):
        budget.release(Watching(path, seen), 1, what="a", because="b")
    assert seen == []


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf"), "1", None])
def test_numbers_that_mean_nothing_are_refused(path, bad):
    budget = opened(path)
    with pytest.raises(DomainError):
        budget.charge(PureEvent(0.1), what="a", because="b", mechanism="c", sensitivity=bad)
    with pytest.raises(DomainError):
        opened(path.with_name("other"), epsilon=bad)
    assert len(list(verify(path))) == 1


def test_words_are_needed_and_events_are_events(path):
    budget = opened(path)
    for missing in ("what", "because", "mechanism"):
        with pytest.raises(DomainError, match=missing):
            budget.charge(PureEvent(0.1), **{**WHY, missing: " "})
    with pytest.raises(DomainError, match="no privacy event"):
        budget.charge("free", **WHY)
    with pytest.raises(ConfigError):
        opened(path.with_name("other"), by="moments")


def test_ledger_lines_show_no_value(path):
    budget = opened(path, epsilon=9.0)
    budget.release(DiscreteLaplaceMechanism(1.0, 1), [123456789], what="a", because="b")
    assert "12345" not in json.dumps(list(verify(path)), default=str)


@given(asked=st.lists(st.floats(0.01, 0.6), max_size=8))
def test_no_sequence_of_charges_exceeds_the_total(tmp_path_factory, asked):
    path = tmp_path_factory.mktemp("budget") / "ledger"
    budget, granted = opened(path, delta=0.0), []
    for epsilon in asked:
        try:
            budget.charge(PureEvent(epsilon), **WHY)
            granted.append(epsilon)
        except BudgetExhausted:
            assert sum(granted) + epsilon > 1.0 - 1e-3
    assert sum(granted) <= 1.0 + 1e-9
    assert np.isclose(opened(path, delta=0.0).spent(), min(sum(granted), budget.spent()), rtol=2e-3)
