"""Reports: merged ledgers, the page, the terminal."""

from __future__ import annotations

import io
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from tacit.foundation.errors import LedgerError
from tacit.foundation.ledger import Ledger
from tacit.interface.job.phase import Phase
from tacit.interface.report.page import render, save_page
from tacit.interface.report.plot import epoch_plot, phase_plot, roc_plot
from tacit.interface.report.record import (
    Curve,
    Epoch,
    LedgerState,
    PartySummary,
    Report,
    Reveal,
    read_ledgers,
)
from tacit.interface.report.terminal import Terminal, describe_reveal, show

CURVE = Curve(0.75, (0.0, 0.5, 1.0), (0.0, 1.0, 1.0))


def report(**changes: Any) -> Report:
    fields: dict[str, Any] = {
        "title": "A <title> & more",
        "version": "1",
        "protocol": "Assisted: three parties\nSecurity: semi-honest",
        "parties": (
            PartySummary("a", "data", "a.csv", 50, 2, 3, 4, has_label=True),
            PartySummary("b", "data", "b.csv", 40, 0, 2, 2, has_label=False),
            PartySummary("c", "helper", "", 0, 0, 0, 0, has_label=False),
        ),
        "common": 30,
        "train": 20,
        "test": 10,
        "epochs": (Epoch(1, 0.5, True), Epoch(2, 0.1, False)),
        "phases": (Phase("start", 1.0, 0, 0, 0, "ready"), Phase("train", 2.0, 7, 9, 1_234_567, "2 epochs")),
        "bytes_by_party": {"a": 1000, "b": 2000, "c": 3000},
        "secure": CURVE,
        "plain": Curve(0.7512, (0.0, 1.0), (0.0, 1.0)),
        "auc_on_shares": 0.7499,
        "accuracy": 0.9,
        "disagreements": 0,
        "reveals": (Reveal("bool", (), ("a", "b"), "each epoch: x", 2, ("a", "b")),),
        "ledgers": (LedgerState("a", "a.jsonl", 2, "ab" * 32),),
        "model": "out",
    }
    return Report(**{**fields, **changes})


def test_the_json_has_what_it_promises(tmp_path: Path) -> None:
    report().save_json(tmp_path / "r.json")
    data = json.loads((tmp_path / "r.json").read_text())
    assert data["rows"] == {"a": 50, "b": 40, "common": 30, "train": 20, "test": 10}
    assert (data["auc_secure"], data["auc_plain"], data["auc_on_shares"]) == (0.75, 0.7512, 0.7499)
    assert (data["rounds"], data["bytes"], data["columns"]) == (7, 1_234_567, 6)
    assert data["seconds"] == {"start": 1.0, "train": 2.0}
    assert data["reveals"][0]["count"] == 2


def test_the_auc_on_shares_stands_in_where_no_scores_were_revealed() -> None:
    assert report(secure=None).auc_secure == 0.7499
    assert report(secure=None, auc_on_shares=None).auc_secure is None


def test_ledgers_are_verified_and_merged(tmp_path: Path) -> None:
    files = {}
    for party in ("a", "b"):
        files[party] = tmp_path / f"{party}.jsonl"
        ledger = Ledger(files[party], party)
        for epoch in (1, 2, 3):
            ledger.append("reveal", what="bool", shape=[], to=["a", "b"], because=f"epoch {epoch}: whether", line="")
        ledger.append("save", what=["w"], model="m", file="f")
        if party == "a":
            ledger.append("opened", what="order", shape=[4], to="all parties")
    reveals, states = read_ledgers(files)
    assert reveals == (
        Reveal("bool", (), ("a", "b"), "each epoch: whether", 3, ("a", "b")),
        Reveal("order", (4,), ("all parties",), "the protocol opens it by design", 1, ("a",)),
    )
    assert [(state.party, state.records) for state in states] == [("a", 5), ("b", 4)]
    files["b"].write_text(files["b"].read_text().replace("whether", "whence"))
    with pytest.raises(LedgerError, match=r"b\.jsonl line 1"):
        read_ledgers(files)


@pytest.mark.parametrize(
    ("reveal", "said"),
    [
        (Reveal("bool", (), (), "", 5, ()), "1 bit, 5 times"),
        (Reveal("fixed", (3, 4), (), "", 1, ()), "12 numbers"),
        (Reveal("int", (), (), "", 1, ()), "1 whole number"),
        (Reveal("identifiers", (7,), (), "", 1, ()), "identifiers (7)"),
    ],
)
def test_reveals_in_words(reveal: Reveal, said: str) -> None:
    assert describe_reveal(reveal) == said


class Balanced(HTMLParser):
    """Checks that everything that must be closed is, and collects what a browser would load."""

    OPTIONAL = frozenset({"tr", "td", "th", "p", "meta", "html", "body", "head"})

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.loads: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [(name, value) for name, value in attrs if name in {"src", "href", "action"}]
        self.loads += [("script", None)] if tag == "script" else []
        if tag not in self.OPTIONAL:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.OPTIONAL:
            assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"plain": None},
        {"secure": None, "plain": None, "auc_on_shares": None, "accuracy": None},
        {"epochs": (Epoch(1, 0.0, True),)},
    ],
    ids=["full", "no reference", "nothing revealed", "one epoch"],
)
def test_the_page_is_whole_and_loads_nothing(changes: dict[str, Any], tmp_path: Path) -> None:
    save_page(report(**changes), tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    parser = Balanced()
    parser.feed(page)
    assert parser.stack == []
    assert parser.loads == []
    assert "url(" not in page
    assert "<title>A &lt;title&gt; &amp; more</title>" in page
    for words in ("Who learnt what", "Cost by phase", "Training", "each epoch: x", "1 bit, 2 times", "1.2 MB"):
        assert words in parser.text


@pytest.mark.parametrize(
    "plot",
    [
        roc_plot([("one", "secure", CURVE), ("two & three", "plain", CURVE)]),
        phase_plot(report().phases),
        phase_plot([]),
        epoch_plot(report().epochs),
        epoch_plot([]),
    ],
)
def test_plots_are_drawings(plot: str) -> None:
    root = ET.fromstring(plot)  # noqa: S314  our own drawing
    assert root.tag == "svg"
    for element in root.iter():
        for name in ("x", "y", "x1", "x2", "y1", "y2", "width", "height", "cx", "cy"):
            assert float(element.get(name, 0)) >= 0


def test_the_terminal_shows_phases_and_tables() -> None:
    out = io.StringIO()
    console = Console(file=out, width=140)
    with Terminal(console) as watch:
        for phase in report().phases:
            watch.begin(phase.name)
            watch.epoch(1, 5)
            watch.end(phase)
    show(report(), console)
    for words in (
        "train",
        "2 epochs",
        "1.2 MB",
        "30 in common",
        "0.7500",
        "difference -0.0012",
        "1 bit, 2 times",
        "ledger of a",
    ):
        assert words in out.getvalue()


def test_render_is_reproducible() -> None:
    assert render(report()) == render(report())
