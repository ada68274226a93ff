"""The graph of a session as a person sees it: printed, drawn, and, for what is still to run, as a plan."""

from __future__ import annotations

import difflib
import hashlib
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from tacit.device.graph import Job, plan
from tacit.device.handle import Handle, Record, Task
from tacit.device.mpc import MPC
from tacit.device.secret import Secret

COLOURS = {"plain": "#8fb8de", "mpc": "#9ad0a2", "he": "#f2c279", "tee": "#c9a6e4"}
WIDTH, HEIGHT, GAP_X, GAP_Y = 210, 46, 40, 44
MAX_LABEL = 30


@final
@dataclass(frozen=True, slots=True)
class Graph:
    """Computations of a session: what, on which device, from what, and who can see the results. It holds no values."""

    records: tuple[Record, ...]

    def __str__(self) -> str:
        return "\n".join(
            f"{r.number:>5} {r.state:<9} {r.what} on {r.device}"
            + (f" <- {', '.join(map(str, r.inputs))}" if r.inputs else "")
            + (f"  [{r.line}]" if r.line else "")
            + (f"  {r.seconds:.4f} s" if r.state == "done" else "")
            + (f"  {r.error}" if r.error else "")
            + f"  seen by: {r.sees}"
            for r in self.records
        )

    def svg(self) -> str:
        """A drawing: devices as colours, who can see a value on every edge, failures framed in red."""
        places = _places(self.records)
        width = max((x for x, _ in places.values()), default=0) + WIDTH + GAP_X
        height = max((y for _, y in places.values()), default=0) + HEIGHT + GAP_Y
        edges = "".join(_edge(self._record(i), r, places) for r in self.records for i in r.inputs if i in places)
        boxes = "".join(_box(r, *places[r.number]) for r in self.records)
        legend = "".join(
            f"<rect x='{8 + 90 * i}' y='4' width='14' height='14' fill='{colour}'/>"
            f"<text x='{27 + 90 * i}' y='16'>{kind}</text>"
            for i, (kind, colour) in enumerate(COLOURS.items())
        )
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}' "
            "font-family='system-ui' font-size='12'><defs><marker id='a' markerWidth='8' markerHeight='8' refX='7' refY='4' "
            f"orient='auto'><path d='M0,0 8,4 0,8z'/></marker></defs>{legend}{edges}{boxes}</svg>"
        )

    def _record(self, number: int) -> Record:
        return next(record for record in self.records if record.number == number)

    def save(self, path: Path) -> None:
        """Write the drawing."""
        path.write_text(self.svg(), encoding="utf-8")

    _repr_svg_ = svg


def _places(records: Sequence[Record]) -> dict[int, tuple[int, int]]:
    """A row for each depth, boxes side by side."""
    depth: dict[int, int] = {}
    for record in records:
        depth[record.number] = 1 + max((depth[i] for i in record.inputs if i in depth), default=-1)
    columns: dict[int, int] = {}
    places = {}
    for number, row in depth.items():
        column = columns[row] = columns.get(row, -1) + 1
        places[number] = (GAP_X // 2 + column * (WIDTH + GAP_X), GAP_Y + row * (HEIGHT + GAP_Y))
    return places


def _edge(source: Record, target: Record, places: Mapping[int, tuple[int, int]]) -> str:
    (x1, y1), (x2, y2) = places[source.number], places[target.number]
    x1, y1, x2 = x1 + WIDTH // 2, y1 + HEIGHT, x2 + WIDTH // 2
    return (
        f"<path d='M{x1},{y1} C{x1},{y1 + GAP_Y // 2} {x2},{y2 - GAP_Y // 2} {x2},{y2}' fill='none' stroke='#555' "
        f"marker-end='url(#a)'><title>seen by: {html.escape(source.sees)}</title></path>"
        f"<text x='{(x1 + x2) // 2 + 4}' y='{(y1 + y2) // 2}' fill='#555' font-size='10'>"
        f"{html.escape(_short(source.sees))}</text>"
    )


def _box(record: Record, x: int, y: int) -> str:
    frame = "#c22" if record.state in ("failed", "cancelled") else "#333"
    dash = " stroke-dasharray='4'" if record.state == "pending" else ""
    facts = html.escape(
        f"{record.device} {record.line} {record.state} {record.error} seen by: {record.sees}", quote=True
    )
    return (
        f"<g><title>{facts}</title><rect x='{x}' y='{y}' width='{WIDTH}' height='{HEIGHT}' rx='6' "
        f"fill='{COLOURS.get(record.kind, '#ddd')}' stroke='{frame}'{dash}/>"
        f"<text x='{x + 8}' y='{y + 18}' font-weight='bold'>{html.escape(_short(record.what))}</text>"
        f"<text x='{x + 8}' y='{y + 35}'>{html.escape(_short(record.device))}</text></g>"
    )


def _short(text: str) -> str:
    return text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "…"


@final
@dataclass(frozen=True, slots=True)
class Plan:
    """What a session would do, as canonical data: no numbers of its own, no lines, no values."""

    steps: tuple[Mapping[str, Any], ...]

    @property
    def text(self) -> str:
        """Canonical JSON, one step in a line."""
        lines = [json.dumps(step, sort_keys=True, separators=(",", ":")) for step in self.steps]
        return "[\n" + ",\n".join(lines) + "\n]\n"

    @property
    def digest(self) -> str:
        """SHA-256 of the text: the same for two plans exactly if they do the same."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def diff(self, other: Plan) -> str:
        """What differs, line by line; empty where nothing does."""
        before, after = self.text.splitlines(), other.text.splitlines()
        return "\n".join(difflib.unified_diff(before, after, "this", "other", lineterm="", n=0))

    def save(self, path: Path) -> None:
        """Write `plan.json`."""
        path.write_text(self.text, encoding="utf-8")


def describe_plan(targets: Sequence[Handle]) -> Plan:
    """The plan of what leads to the targets."""
    jobs = plan(targets)
    names: dict[int, str] = {}
    steps = []
    for number, job in enumerate(jobs):
        inputs = [_name(handle, names) for handle in _taken(job)]
        for index, handle in enumerate(job.wanted.values()):
            names[handle.id] = f"{number}.{index}"
        steps.append(
            {
                "device": repr(job.device),
                **_what(job),
                "inputs": inputs,
                "outputs": [[str(handle.dtype), list(handle.shape)] for handle in job.wanted.values()],
            }
        )
    return Plan(tuple(steps))


def _taken(job: Job) -> list[Handle]:
    inside = set(job.nodes)
    seen: dict[int, Handle] = {}
    for node in job.nodes:
        for handle in node.inputs:
            if handle.node not in inside:
                seen[handle.id] = handle
    return list(seen.values())


def _name(handle: Handle, names: dict[int, str]) -> str:
    if handle.id not in names:
        given = sum(name.startswith("given") for name in names.values())
        names[handle.id] = f"given {given}: {handle.dtype}{list(handle.shape)} on {handle.device!r}"
    return names[handle.id]


def _what(job: Job) -> dict[str, Any]:
    first = job.nodes[0]
    if isinstance(first, Task):
        return {"do": first.record.what, **first.detail}
    device = job.device
    assert isinstance(device, MPC)
    secrets = [handle for handle in job.wanted.values() if isinstance(handle, Secret)]
    return {"do": "program", "program": device.program(secrets, set(job.nodes)).digest}
