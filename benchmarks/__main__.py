"""Run the cases on the selected systems and print what came out.

For example: python -m benchmarks --cases mul,less --systems tacit,spu --network wan --json results.jsonl
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.cases import STARTUP, Case, catalogue
from benchmarks.environments import ENVIRONMENTS, SetupError, python_of
from benchmarks.measure import Options, Table
from benchmarks.network import NETWORKS, NetworkError
from benchmarks.report import compare, read_quoted, render
from benchmarks.variants import SYSTEMS, Variant, VariantError, select


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print a JSON line per case and variant, then the tables; the last line is the geometric mean."""
    arguments = _parser().parse_args(words)
    network = NETWORKS[arguments.network]
    cases = catalogue(arguments.scale)
    try:
        names = _case_names(arguments.cases, cases)
        variants = select(arguments.systems)
        print(network.describe(), flush=True)
        commands = {variant: network.wrap(_worker(variant)) for variant in variants}
        options = Options(arguments.runs, arguments.budget, arguments.timeout)
        rows = []
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(arguments.json.open("w")) if arguments.json else None
            for row in Table(commands, network, options, ENVIRONMENTS / "logs").measure(cases, names):
                rows.append(row)
                line = json.dumps(row.as_dict())
                print(line, flush=True)
                if file:
                    print(line, file=file, flush=True)
    except (VariantError, CaseError, SetupError, NetworkError) as error:
        print(error, file=sys.stderr)
        return 2
    quoted = read_quoted(network.name) if arguments.scale == 1.0 else {}
    print("\n" + render(rows, compare(rows, quoted)))
    return 0


class CaseError(ValueError):
    """A selection names a case that does not exist."""


def _worker(variant: Variant) -> list[str]:
    return [str(python_of(variant.system)), "-m", variant.worker]


def _case_names(text: str, cases: Mapping[str, Case]) -> list[str]:
    known = [STARTUP, *cases]
    names = known if text == "all" else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise CaseError(f"no case {name!r}; there are {', '.join(known)}")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Tacit beside its peers, in one run.")
    parser.add_argument("--cases", default="all", help="names separated by commas; all of them by default")
    parser.add_argument(
        "--systems", default=",".join(SYSTEMS), help="e.g. tacit,spu:ABY3; a system alone means all of its protocols"
    )
    parser.add_argument(
        "--network", default="loopback", choices=NETWORKS, help="lan: 1 Gbit/s, 0.5 ms; wan: 100 Mbit/s, 40 ms"
    )
    parser.add_argument("--runs", type=int, default=5, help="measured runs per case and variant, after one warm-up")
    parser.add_argument("--budget", type=float, default=180.0, help="seconds of runs after which no other begins")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds after which a worker counts as hanging")
    parser.add_argument("--scale", type=float, default=1.0, help="below 1: smaller cases, to try the machinery")
    parser.add_argument("--json", type=Path, help="also write the JSON lines to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
