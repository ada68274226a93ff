"""What a node of the graph costs: `python benchmarks/graph.py [--nodes 200] [--json FILE]`.

Plain calls on one element, in a row and side by side, and small programs on MPC; beside Ray's own remote calls on actors where
Ray is installed. Microseconds for each node, building and running; medians of the repeats.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tacit import Session


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [*tacit_rows(options.nodes, options.repeats), *ray_rows(options.nodes, options.repeats)]
    for row in rows:
        print(f"{row['system']:<6} {row['case']:<46} {row['microseconds']:9.0f} us per node")
    if options.json:
        options.json.write_text("".join(json.dumps(row) + "\n" for row in rows))


def row(system: str, case: str, nodes: int, repeats: int, work: Callable[[], object]) -> dict[str, object]:
    work()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return {"system": system, "case": case, "nodes": nodes, "microseconds": 1e6 * statistics.median(seconds) / nodes}


def tacit_rows(nodes: int, repeats: int) -> list[dict[str, object]]:
    def increase(x):
        return x + 1

    with Session.local("alice", "bob", "carol", progress=False) as session:
        alice, bob, mpc = session.plain("alice"), session.plain("bob"), session.mpc()
        start = alice.put(np.zeros(1))
        other = bob.put(np.zeros(1))
        secret = mpc.share(start)

        def chain() -> None:
            value = start
            for _ in range(nodes):
                value = alice(increase)(value)
            session.run(value)

        def wide() -> None:
            session.run([place(increase)(x) for x, place in ((start, alice), (other, bob)) for _ in range(nodes // 2)])

        def programs() -> None:
            value = secret
            for _ in range(nodes):
                value = mpc(increase)(value)
                session.run(value)

        def fused() -> None:
            value = secret
            for _ in range(nodes):
                value = mpc(increase)(value)
            session.run(value)

        return [
            row("tacit", "plain calls in a row", nodes, repeats, chain),
            row("tacit", "plain calls side by side at two parties", nodes, repeats, wide),
            row("tacit", "MPC programs of one addition, each run alone", nodes, repeats, programs),
            row("tacit", "MPC calls fused into one program", nodes, repeats, fused),
        ]


def ray_rows(nodes: int, repeats: int) -> list[dict[str, object]]:
    try:
        import ray
    except ImportError:
        return []
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)

    @ray.remote
    class Place:
        def increase(self, x):
            return x + 1

    alice, bob = Place.remote(), Place.remote()

    def chain() -> None:
        value = ray.put(np.zeros(1))
        for _ in range(nodes):
            value = alice.increase.remote(value)
        ray.get(value)

    def wide() -> None:
        start = ray.put(np.zeros(1))
        ray.get([place.increase.remote(start) for place in (alice, bob) for _ in range(nodes // 2)])

    rows = [
        row("ray", "plain calls in a row", nodes, repeats, chain),
        row("ray", "plain calls side by side at two parties", nodes, repeats, wide),
    ]
    ray.shutdown()
    return rows


if __name__ == "__main__":
    main()
