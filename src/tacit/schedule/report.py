"""What a session cost: one table over all parties, and a page that shows where time, rounds and bytes went."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Line:
    """One operation at one source line, summed over parties (seconds: the slowest party's)."""

    operation: str
    source: str
    messages: int
    bytes: int
    seconds: float
    calls: int


@dataclass(frozen=True, slots=True)
class SessionProfile:
    """Counters of a session, exact in rounds, messages and bytes (payload without framing)."""

    rounds: int
    messages: int
    bytes: int
    bytes_by_party: Mapping[str, int]
    waited: Mapping[str, float]
    lines: tuple[Line, ...]

    def __str__(self) -> str:
        with StringIO() as text:
            Console(width=120, file=text).print(self.__rich__())
            return text.getvalue()

    def __rich__(self) -> Table:
        table = Table(title=f"{self.rounds} rounds, {self.messages} messages, {size(self.bytes)} in all")
        for name, justify in (("operation", "left"), ("at", "left"), ("calls", "right"), ("messages", "right")):
            table.add_column(name, justify=justify)  # type: ignore[arg-type]
        table.add_column("bytes", justify="right")
        table.add_column("seconds", justify="right")
        for line in self.lines:
            table.add_row(
                line.operation,
                line.source,
                str(line.calls),
                str(line.messages),
                size(line.bytes),
                f"{line.seconds:.4f}",
            )
        return table

    def save_html(self, path: Path) -> None:
        """Write a self-contained page: bars of bytes and seconds by operation and source line."""
        path.write_text(_page(self), encoding="utf-8")


def collect(facts: Mapping[str, Mapping[str, Any]]) -> SessionProfile:
    """Sum the counters that the parties reported."""
    table: dict[tuple[str, str], list[Any]] = {}
    for report in facts.values():
        for name, source, messages, payload, seconds, calls in report["by_operation"]:
            row = table.setdefault((name, source), [0, 0, 0.0, 0])
            row[0] += messages
            row[1] += payload
            row[2] = max(row[2], seconds)
            row[3] = max(row[3], calls)
    lines = tuple(
        Line(name, source, *row) for (name, source), row in sorted(table.items(), key=lambda item: -item[1][1])
    )
    return SessionProfile(
        rounds=max(report["rounds"] for report in facts.values()),
        messages=sum(report["messages"] for report in facts.values()),
        bytes=sum(report["bytes"] for report in facts.values()),
        bytes_by_party={party: report["bytes"] for party, report in facts.items()},
        waited={party: report["waited"] for party, report in facts.items()},
        lines=lines,
    )


def size(count: float) -> str:
    """Bytes as a person reads them, in powers of ten."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def _page(profile: SessionProfile) -> str:
    most_bytes = max((line.bytes for line in profile.lines), default=0) or 1
    most_seconds = max((line.seconds for line in profile.lines), default=0.0) or 1.0
    rows = "".join(
        f"<tr><td>{html.escape(line.operation)}</td><td>{html.escape(line.source)}</td>"
        f"<td class=n>{line.calls}</td><td class=n>{line.messages}</td>"
        f"<td><div class=b style='width:{100 * line.bytes / most_bytes:.1f}%'></div>{size(line.bytes)}</td>"
        f"<td><div class=s style='width:{100 * line.seconds / most_seconds:.1f}%'></div>{line.seconds:.4f} s</td></tr>"
        for line in profile.lines
    )
    parties = "".join(
        f"<li>{html.escape(party)}: sent {size(count)}, waited {profile.waited[party]:.3f} s</li>"
        for party, count in profile.bytes_by_party.items()
    )
    return f"""<!doctype html><html lang=en><meta charset=utf-8><title>Tacit profile</title><style>
body{{font:15px system-ui;margin:2rem;max-width:70rem}}table{{border-collapse:collapse;width:100%}}
td,th{{padding:.25rem .6rem;text-align:left;border-bottom:1px solid #ddd}}.n{{text-align:right}}
.b,.s{{height:.5rem;background:#3b7dd8}}.s{{background:#d8833b}}</style>
<h1>{profile.rounds} rounds, {profile.messages} messages, {size(profile.bytes)}</h1><ul>{parties}</ul>
<table><tr><th>operation<th>at<th>calls<th>messages<th>bytes<th>seconds (slowest party)</tr>{rows}</table></html>"""
