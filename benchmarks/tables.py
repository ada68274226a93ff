"""The lines of one or more runs as a Markdown table: ours, the peers', and what the network alone takes.

For example: python -m benchmarks.tables wan.jsonl
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks.measure import Row
from benchmarks.network import NETWORKS, Network
from benchmarks.report import NOT_IN_MEAN, Comparison, compare, geometric_mean
from benchmarks.variants import OURS

TARGET = 5.0


def main() -> None:
    """Print the table of the files named on the command line, then the geometric means."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables", description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="what `--json` wrote, of one network")
    rows = read(parser.parse_args().files)
    print(markdown(rows))
    print()
    print("\n".join(summary(rows)))


def read(files: Iterable[Path]) -> list[Row]:
    """Return the rows of all files; of two for the same case and variant the later one counts."""
    rows = [Row(**json.loads(line)) for file in files for line in file.read_text().splitlines()]
    return list({(row.case, row.system, row.protocol, row.tls): row for row in rows}.values())


def least_seconds(row: Row, network: Network) -> float | None:
    """Return the time below which no machine runs this row's protocol on a network, however fast it computes.

    It is the larger of two: the busiest party's bytes at the rate of its line and their way to the peer, and half a
    round trip for each round. Only of `Assisted`, in whose rounds both parties wait for each other: in `Replicated` a
    party may send on without waiting, and what peers count as rounds are messages.
    """
    if row.busiest_bytes is None or row.rounds is None or not network.shaped or not row.protocol.startswith("Assisted"):
        return None
    way = network.rtt_seconds / 2
    return max(row.busiest_bytes * 8 / network.bits_per_second + way, row.rounds * way)


def markdown(rows: Sequence[Row]) -> str:
    """Return a line per case; seconds are medians, `*` marks a single run; `bound` is `least_seconds` of ours."""
    peers = list(dict.fromkeys((row.system, row.protocol) for row in rows if row.system != OURS))
    ours = list(dict.fromkeys(row.protocol for row in rows if row.system == OURS and not row.tls))
    heads = [
        "case",
        *ours,
        "dealt s, MB",
        "bound",
        *[f"{system} {protocol}" for system, protocol in peers],
        "ratio",
        "dealt beforehand",
    ]
    lines = [heads, ["---"] * len(heads)]
    for one in compare(rows, {}):
        found = {(row.system, row.protocol): row for row in rows if row.case == one.case and not row.tls}
        dealt = next((row for row in found.values() if row.dealing_bytes is not None), None)
        lines.append(
            [
                f"`{one.case}`",
                *[_seconds(found.get((OURS, protocol))) for protocol in ours],
                f"{dealt.dealing_seconds:.2g}, {dealt.dealing_bytes / 1e6:.3g}" if dealt else "-",
                _bound(found),
                *[_seconds(found.get(peer)) for peer in peers],
                _times(one.ratio(one.measured)),
                _times(one.ratio(one.measured, dealt=True)),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def summary(rows: Sequence[Row]) -> list[str]:
    """Return the geometric means, and in how many cases the target is met."""
    cases = [one for one in compare(rows, {}) if one.case not in NOT_IN_MEAN]
    return [
        _mean("without dealing beforehand", [one.ratio(one.measured) for one in cases]),
        _mean("dealt beforehand", [one.ratio(one.measured, dealt=True) for one in cases]),
        _mean("the better of the two", [_better(one) for one in cases]),
    ]


def _better(one: Comparison) -> float | None:
    ratios = [one.ratio(one.measured), one.ratio(one.measured, dealt=True)]
    return max((ratio for ratio in ratios if ratio), default=None)


def _mean(what: str, ratios: Sequence[float | None]) -> str:
    known = [ratio for ratio in ratios if ratio is not None]
    if not known:
        return f"{what}: no case"
    met = sum(ratio >= TARGET for ratio in known)
    return (
        f"{what}: geometric mean {geometric_mean(known):.2f}x over {len(known)} cases, lowest {min(known):.2f}x, "
        f"{met} at {TARGET:g}x or more"
    )


def _bound(found: Mapping[tuple[str, str], Row]) -> str:
    bounds = [least_seconds(row, NETWORKS[row.network]) for (system, _), row in found.items() if system == OURS]
    known = [bound for bound in bounds if bound is not None]
    return f"{min(known):.3g}" if known else "-"


def _seconds(row: Row | None) -> str:
    if row is None or row.seconds is None:
        return "-"
    return f"{row.seconds:.3g}{'*' if row.runs == 1 else ''}"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.1f}x"


if __name__ == "__main__":
    main()
