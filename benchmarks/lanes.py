"""The gradient of a vertical logistic regression over lanes: seconds, bytes and processor time by number of lanes.

    python -m benchmarks.lanes [--lanes 1 2] [--rows N] [--columns N] [--network wan] [--repeats N] [--ray] [--json FILE]

Alice and Bob hold half of the columns each, Bob the label; Carol is the helper of `Assisted`. One gradient is: the weights
are copied to the lanes, every lane computes X^T (sigmoid(X w) - y) on its rows, the lanes' gradients are handed to lane 0
inside each party and added. Everything is shared before. Lane counts take turns, repeat by repeat, in one session.

All processes run on this machine, on whichever cores it has, under the packet emulator of `benchmarks/network.py`: each
process has a line of its own, as if it were on a machine of its own, and every link is as slow as the network named,
those between the processes of one party too. With --ray the processes are actors, and the network is this machine's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.network import NETWORKS
from tacit import Session, reveal

INSIDE = "--inside"
NAMES = ("alice", "bob", "carol")
TICKS = os.sysconf("SC_CLK_TCK")


def gradient(left: Any, right: Any, label: Any, weights: Any) -> Any:
    x = jnp.concatenate([left, right], axis=1)
    return x.T @ (jax.nn.sigmoid(x @ weights) - label)


def main() -> None:
    arguments = parse()
    if arguments.inside or arguments.ray:
        measure(arguments)
        return
    network = NETWORKS[arguments.network]
    print(network.describe())
    command = [sys.executable, "-m", "benchmarks.lanes", INSIDE, *sys.argv[1:]]
    sys.exit(subprocess.run(network.wrap(command), check=False).returncode)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lanes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--network", choices=list(NETWORKS), default="wan")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        start = Session.ray if arguments.ray else Session.local
        with start(*NAMES, state=Path(folder), deadline=600.0) as session:
            results = run(session, arguments)
    report(results, arguments)
    if arguments.json:
        with arguments.json.open("a") as file:
            file.writelines(json.dumps(result) + "\n" for result in results)


def run(session: Session, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    generator = np.random.default_rng(7)
    data = generator.normal(size=(arguments.rows, arguments.columns))
    label = (generator.random(arguments.rows) < 0.5) * 1.0
    weights = generator.normal(size=arguments.columns) * 0.1
    half = arguments.columns // 2
    mpc = session.mpc()
    alice, bob = session.plain("alice"), session.plain("bob")
    plain = [alice.put(data[:, :half]), bob.put(data[:, half:]), bob.put(label)]
    groups = {count: session.lanes(mpc, count) for count in arguments.lanes}
    parts = {count: [lanes.share(value) for value in plain] for count, lanes in groups.items()}
    expected = data.T @ (1 / (1 + np.exp(-data @ weights)) - label)
    found: dict[int, list[dict[str, Any]]] = {count: [] for count in groups}
    for repeat in range(arguments.repeats + 1):
        for count, lanes in groups.items():
            shared = mpc.constant(weights)
            session.run(shared)
            busy, began = processor_seconds(session), time.perf_counter()
            total = lanes.sum(gradient, *parts[count], shared)
            session.run(total)
            seconds = time.perf_counter() - began
            busy = processor_seconds(session) - busy
            if not repeat:  # compiled, and what is opened once is open
                error = float(np.abs(reveal(total, to="alice", because="check") - expected).max())
                assert error < 1e-2 * np.abs(expected).max() + 1, error
                continue
            lane = lanes.devices[-1].last_run
            found[count].append(
                {
                    "seconds": seconds,
                    "processor_seconds": busy,
                    "lane_seconds": max(facts["ended"] - facts["began"] for facts in lane.values()),
                    "lane_rounds": max(facts["rounds"] for facts in lane.values()),
                    "lane_bytes": {party: facts["bytes"] for party, facts in lane.items()},
                }
            )
    setting = {
        "rows": arguments.rows,
        "columns": arguments.columns,
        "network": "ray" if arguments.ray else arguments.network,
        "cores": os.cpu_count(),
    }
    return [{"lanes": count, **setting, **row} for count, rows in found.items() for row in rows]


def processor_seconds(session: Session) -> float:
    """What all processes of the session have used so far."""
    total = 0
    for process in session._processes.values():  # noqa: SLF001  what is measured
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def report(results: list[dict[str, Any]], arguments: argparse.Namespace) -> None:
    print(f"{arguments.rows} rows, {arguments.columns} columns, {os.cpu_count()} cores for all processes")
    print("lanes  seconds (min-max)       speed-up  processor s  rounds  bytes a lane's processes send")
    base = 0.0
    for count in arguments.lanes:
        rows = [row for row in results if row["lanes"] == count]
        times = [row["seconds"] for row in rows]
        median = statistics.median(times)
        base = base or median
        busy = statistics.median(row["processor_seconds"] for row in rows)
        sent = ", ".join(f"{name} {size:,}" for name, size in rows[-1]["lane_bytes"].items())
        print(
            f"{count:5}  {median:7.3f} ({min(times):.3f}-{max(times):.3f})  {base / median:7.2f}  {busy:11.2f}"
            f"  {rows[-1]['lane_rounds']:6}  {sent}"
        )


if __name__ == "__main__":
    main()
