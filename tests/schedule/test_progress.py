"""Progress bars: nothing for short work, the slowest party for long."""

from __future__ import annotations

from io import StringIO
from typing import Any

import jax
import numpy as np
from rich.console import Console

from tacit import Session
from tacit.schedule.progress import Progress


def bar(*, shown: bool = True) -> tuple[Progress, StringIO]:
    text = StringIO()
    return Progress(shown=shown, console=Console(file=text, force_terminal=True, width=100)), text


def test_short_work_shows_nothing() -> None:
    progress, text = bar()
    with progress.shown_while():
        progress.told("alice", {"done": 5, "of": 10})
    assert text.getvalue() == ""


def test_the_slowest_party_counts() -> None:
    progress, text = bar()
    with progress.shown_while():
        for _ in range(3):
            progress.told("alice", {"done": 9, "of": 10})
            progress.told("bob", {"done": 4, "of": 10})
    assert "40%" in text.getvalue()
    assert "90%" not in text.getvalue().split("40%")[-1]


def test_a_bar_that_is_not_wanted() -> None:
    progress, text = bar(shown=False)
    with progress.shown_while():
        for _ in range(3):
            progress.told("alice", {"done": 1, "of": 2})
    assert text.getvalue() == ""


def test_parties_report_during_a_long_program(tmp_path: Any) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    with Session.local("alice", "bob", "carol", state=tmp_path) as session:

        def note(party: str, fields: Any) -> None:
            told.setdefault(party, []).append((fields["done"], fields["of"]))

        session._lines._on_progress = note
        mpc = session.mpc()
        x = mpc.share(session.plain("alice").put(np.ones(4)))
        session.run(mpc(lambda v: jax.lax.fori_loop(0, 8000, lambda _, y: y * v, v))(x))
    assert told, "a program of several seconds reports"
    for reports in told.values():
        done = [count for count, _ in reports]
        assert done == sorted(done)
        assert all(0 <= count <= of for count, of in reports)
        assert {of for _, of in reports} == {reports[0][1]}
