"""Secure aggregation at size: what a client and the server compute and send, with and without clients that fall silent.

    python -m benchmarks.secagg --json secagg.json
    python -m benchmarks.secagg --clients 200 --flower 100

All clients run in this one process, one after the other; seconds are those of one core. Clients that fall silent do so after they
shared their keys, which costs the server most. With `--flower N`, Flower's own SecAgg+ code (its server workflow and its client
mod) runs too, in an environment of its own, with N clients and as many neighbours: what a client does depends on its neighbours and
not on N, and what the server does is proportional to N.
"""

import argparse
import json
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np

from tacit.primitive.secagg import Encoding, Layout, Round, plan
from tacit.primitive.secagg.simulation import aggregate_masked

ROOT = Path(__file__).resolve().parents[1]
FLOWER = ROOT / ".bench" / "flower"
# Known to work; its modules move between versions.
FLOWER_VERSION = "flwr==1.41.0"


def main():
    arguments = parser().parse_args()
    rows = [tacit(arguments, drop_out) for drop_out in arguments.drop_out]
    if arguments.flower:
        rows += [flower(arguments, rows[0], drop_out) for drop_out in arguments.drop_out]
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


def tacit(arguments, drop_out):
    """One aggregation, its result compared with the plain mean."""
    n, size = arguments.clients, arguments.values
    numbers = plan(n, drop_out=arguments.planned_drop_out, corruption=arguments.corruption)
    silent = range(round(n * drop_out))
    encoding = Encoding(Layout.of(np.zeros(size)), n, weight_limit=1000, fraction_bits=arguments.fraction_bits)
    values = [np.full(size, (i % 97 - 48) / 48) for i in range(97)]
    weights = [1 + i % 1000 for i in range(n)]
    done = aggregate_masked(
        [values[i % 97] for i in range(n)],
        encoding,
        weights=weights,
        silent_from=dict.fromkeys(silent, Round.MASK),
        numbers=numbers,
        seed=bytes(32),
    )
    kept = range(len(silent), n)
    exact = sum(weights[i] * values[i % 97][0] for i in kept) / sum(weights[i] for i in kept)
    error = float(np.abs(done.aggregate.mean(values[0]) - exact).max())
    assert error <= encoding.mean_error, f"the mean is {error} off, and {encoding.mean_error} is allowed"
    return row(
        "tacit",
        n,
        numbers.neighbours,
        drop_out,
        size,
        [tally.client_seconds / max(len(tally.sent), 1) for tally in done.rounds],
        [tally.server_seconds for tally in done.rounds],
        [largest(tally.sent) for tally in done.rounds],
        [largest(tally.received) for tally in done.rounds],
        error,
        threshold=numbers.threshold,
        word_bytes=encoding.width,
    )


def flower(arguments, like, drop_out):
    """The same by Flower, at as many neighbours and the same threshold, in its own interpreter."""
    python = FLOWER / "bin" / "python"
    if not python.exists():
        print(f"setting up {FLOWER.relative_to(ROOT)}", file=sys.stderr)
        venv.create(FLOWER, with_pip=True)
    if subprocess.run([python, "-c", "import flwr"], capture_output=True, check=False).returncode:
        subprocess.run([python, "-m", "pip", "install", "-q", FLOWER_VERSION], check=True)
    work = {
        "clients": arguments.flower,
        "values": arguments.values,
        "neighbours": like["neighbours"],
        "threshold": like["threshold"],
        "drop_out": drop_out,
    }
    worker = Path(__file__).with_name("secagg_flower.py")
    done = subprocess.run([python, worker, json.dumps(work)], stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return row(
        f"flower {found.pop('version')}", arguments.flower, like["neighbours"], drop_out, arguments.values, **found
    )


def row(system, clients, neighbours, drop_out, values, client_seconds, server_seconds, sent, received, error, **more):
    """One line of the table. client_seconds, sent, received: of one client, by round; server_seconds: by round."""
    return {
        "system": system,
        "clients": clients,
        "neighbours": neighbours,
        "drop_out": drop_out,
        "values": values,
        "client_seconds": client_seconds,
        "server_seconds": server_seconds,
        "sent": sent,
        "received": received,
        "error": error,
        **more,
    }


def largest(counted):
    return max(counted.values(), default=0)


def table(rows):
    head = "system           clients    k  silent  client s  server s  s/1000 clients  sent kB  received kB     error"
    lines = [
        f"{r['system']:<15} {r['clients']:>8} {r['neighbours']:>4} {r['drop_out']:>6.0%} {sum(r['client_seconds']):>9.3f} "
        f"{sum(r['server_seconds']):>9.2f} {sum(r['server_seconds']) / r['clients'] * 1000:>15.1f} "
        f"{sum(r['sent']) / 1000:>8.1f} {sum(r['received']) / 1000:>12.1f} {r['error']:>9.1e}"
        for r in rows
    ]
    return "\n".join([head, *lines])


def parser():
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--clients", type=int, default=1000)
    found.add_argument("--values", type=int, default=100_000)
    found.add_argument("--drop-out", type=float, nargs="+", default=[0.0, 0.05], help="shares that fall silent")
    found.add_argument("--planned-drop-out", type=float, default=0.05, help="the share that the plan allows for")
    found.add_argument("--corruption", type=float, default=0.05, help="the share that may collude with the server")
    found.add_argument("--fraction-bits", type=int, default=10, help="1000 weighted clients then fit words of 4 bytes")
    found.add_argument("--flower", type=int, default=0, metavar="N", help="also run Flower's SecAgg+, with N clients")
    found.add_argument("--json", type=Path, help="write the rows to this file")
    return found


if __name__ == "__main__":
    main()
