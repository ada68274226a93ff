"""From rows to the comparison: the ratios against the best peer, two tables, one number.

A ratio is the peer's seconds over ours: 5 means that we take a fifth of the time.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Row
from benchmarks.variants import OURS

QUOTED = Path(__file__).with_name("quoted.json")
NOT_IN_MEAN = frozenset({"startup"})  # not a computation
RATIOS = """Ratios, the peer's seconds over ours, plain TCP on both sides. Against the same figure (best of both): `TLS` is ours over TLS,
`dealt` ours on correlations dealt beforehand, their dealing not counted:"""


@dataclass(frozen=True)
class Figure:
    """Seconds, and whose."""

    who: str
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """One case: our best figure without and with TLS, the best peer's of this run and the best on record.

    What was computed on correlations dealt beforehand stands apart, as no peer's time leaves its own out.
    """

    case: str
    ours: Figure | None
    ours_tls: Figure | None
    ours_dealt: Figure | None
    measured: Figure | None
    recorded: Figure | None

    @property
    def best(self) -> Figure | None:
        """Return the best figure that any peer reached."""
        return _fastest(figure for figure in (self.measured, self.recorded) if figure)

    def ratio(self, peer: Figure | None, *, tls: bool = False, dealt: bool = False) -> float | None:
        """Return how many times faster we are than `peer`."""
        ours = self.ours_dealt if dealt else self.ours_tls if tls else self.ours
        return peer.seconds / ours.seconds if peer and ours else None


def compare(rows: Sequence[Row], quoted: Mapping[str, Mapping[str, float]]) -> list[Comparison]:
    """Return a comparison per case, in the order of the rows."""

    def best(case: str, *, ours: bool, tls: bool = False, dealt: bool = False) -> Figure | None:
        return _fastest(
            Figure(f"{row.system} {row.protocol}", row.seconds)
            for row in rows
            if row.seconds is not None
            and (row.case, row.tls) == (case, tls)
            and (row.system == OURS) == ours
            and (row.dealing_bytes is not None) == dealt
        )

    return [
        Comparison(
            case,
            ours=best(case, ours=True),
            ours_tls=best(case, ours=True, tls=True),
            ours_dealt=best(case, ours=True, dealt=True),
            measured=best(case, ours=False),
            recorded=_fastest(Figure(who, seconds) for who, seconds in quoted.get(case, {}).items()),
        )
        for case in dict.fromkeys(row.case for row in rows)
    ]


def read_quoted(network: str) -> Mapping[str, Mapping[str, float]]:
    """Return the seconds on record by case and peer; empty for a network on which nothing was recorded."""
    record = json.loads(QUOTED.read_text())
    return record["seconds"] if record["network"] == network else {}


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean of positive numbers; 1 for none."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else 1.0


def render(rows: Sequence[Row], comparisons: Sequence[Comparison]) -> str:
    """Return the two tables and, as the last line, the geometric mean."""
    parts = [
        "Seconds (median), megabytes sent by all parties, rounds, largest absolute error; what was dealt before each run:",
        _results(rows),
    ]
    failures = [f"  {row.case}, {_who(row)}: {row.failure}" for row in rows if row.failure]
    if failures:
        parts += ["Without a result:", "\n".join(failures)]
    parts += [RATIOS, _ratios(comparisons)]
    if any(one.ours_dealt for one in comparisons):
        parts += [f"dealt beforehand, {_mean_line(comparisons, dealt=True)}"]
    parts += [_mean_line(comparisons)]
    return "\n\n".join(parts)


def _results(rows: Sequence[Row]) -> str:
    lines = [["case", "system", "seconds", "min", "max", "runs", "MB", "rounds", "max error", "dealt s", "MB"]]
    for row in rows:
        times = [_number(seconds) for seconds in (row.seconds, row.seconds_min, row.seconds_max)]
        error = "-" if row.max_error is None else f"{row.max_error:.1e}"
        dealt = [_number(row.dealing_seconds), _megabytes(row.dealing_bytes)]
        lines.append(
            [row.case, _who(row), *times, str(row.runs), _megabytes(row.bytes), _text(row.rounds), error, *dealt]
        )
    return _align(lines)


def _ratios(comparisons: Sequence[Comparison]) -> str:
    lines = [
        [
            "case",
            "tacit",
            "",
            "best peer here",
            "",
            "ratio",
            "best on record",
            "",
            "ratio",
            "best of both",
            "TLS",
            "dealt",
        ]
    ]
    for one in comparisons:
        measured = [*_cells(one.measured), _times(one.ratio(one.measured))]
        recorded = [*_cells(one.recorded), _times(one.ratio(one.recorded))]
        overall = [_times(one.ratio(one.best, **kind)) for kind in ({}, {"tls": True}, {"dealt": True})]
        lines.append([one.case, *_cells(one.ours), *measured, *recorded, *overall])
    return _align(lines)


def _mean_line(comparisons: Sequence[Comparison], *, dealt: bool = False) -> str:
    counted = [one for one in comparisons if one.case not in NOT_IN_MEAN]
    ratios = [ratio for one in counted if (ratio := one.ratio(one.best, dealt=dealt)) is not None]
    if not ratios:
        return "geometric mean: none, because no case has a figure of both Tacit and a peer"
    return (
        f"geometric mean: {geometric_mean(ratios):.2f}x against the best figure of any peer, "
        f"{len(ratios)} of {len(counted)} cases, lowest {min(ratios):.2f}x"
    )


def _fastest(figures: Iterable[Figure]) -> Figure | None:
    return min(figures, key=lambda figure: figure.seconds, default=None)


def _who(row: Row) -> str:
    return f"{row.system} {row.protocol}{' TLS' if row.tls else ''}"


def _cells(figure: Figure | None) -> list[str]:
    return [_number(figure.seconds), figure.who] if figure else ["-", ""]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _megabytes(count: int | None) -> str:
    return _number(count / 1e6 if count is not None else None)


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def _text(value: int | None) -> str:
    return "-" if value is None else str(value)


def _align(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
