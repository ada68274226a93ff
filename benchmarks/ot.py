"""Oblivious transfer: correlations per second, and bits of communication each.

    python -m benchmarks.ot --json ot.json
    python -m benchmarks.ot --protocols silent-small,softspoken-4 --links memory --semi-honest

`memory`: both parties in one thread of one process, one after the other. `tcp` and `tls`: a process each on this machine, over
loopback, so that two cores work at the same time. `--threads` is the number of threads of every process's kernels.

`M/s` is by the wall clock; `M/s cpu` is what the busier party's processor time allows, which other load on the machine disturbs less
(in `memory`, both parties' time together). `bits` is what both parties send for one correlation, frames apart; what it takes to
open, base transfers included, is listed beside. Base transfers are counted as such. Correlations are taken 2**18 at a time.
"""

import argparse
import json
import multiprocessing
import secrets
import socket
import time
from pathlib import Path

from tacit import _native
from tacit.primitive.driver import Driver, run_together
from tacit.primitive.ot import LARGE, MEDIUM, SMALL, base, silent, softspoken
from tacit.primitive.ot.session import open_session
from tacit.resource.channel import MemoryChannel, connect_all, danger_plain_tcp
from tacit.resource.identity import Identity, TrustStore

NAMES = ("sender", "receiver")
PIECE = 1 << 18
SILENT = {"silent-small": SMALL, "silent-medium": MEDIUM, "silent-large": LARGE}
SOFTSPOKEN = {"iknp": 1, "softspoken-2": 2, "softspoken-4": 4, "softspoken-8": 8}
PUBLISHED = [
    "Ferret (eprint 2020/924): 22 ns per COT at 50 Mbit/s, malicious; 0.1-0.5 bits with expand-accumulate codes (PROTOCOLS.md 2.3)",
]


def main():
    arguments = parser().parse_args()
    _native.set_threads(arguments.threads)
    rows = []
    print(
        f"{'protocol':<15}{'link':<8}{'model':<13}{'n':>10}{'M/s':>9}{'M/s cpu':>9}{'bits':>9}{'open s':>8}{'open KiB':>10}"
    )
    for link in arguments.links.split(","):
        for protocol in arguments.protocols.split(","):
            for malicious in [True, False] if arguments.semi_honest else [True]:
                if protocol == "base" and not malicious:
                    continue
                row = measure(protocol, link, arguments.seconds, malicious)
                rows.append({"threads": arguments.threads, **row})
                print(line(row), flush=True)
    print("\n".join(["published:", *PUBLISHED]))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


def measure(protocol, link, seconds, malicious):
    """One row: enough correlations to fill about `seconds`, found by a first short run."""
    trial = run(protocol, link, first_count(protocol), malicious)
    rate = trial["n"] / max(trial["seconds"], 1e-6)
    count = first_count(protocol)
    done = run(protocol, link, max(count, int(rate * seconds) // count * count), malicious)
    best = max(done, trial, key=lambda row: row["n"] / row["seconds"])
    return {"protocol": protocol, "link": link, "malicious": malicious, **best}


def first_count(protocol):
    if protocol == "base":
        return 128
    return SILENT[protocol].fresh if protocol in SILENT else 2 * PIECE


def run(protocol, link, n, malicious):
    parties = in_one_thread if link == "memory" else in_two_processes
    sender, receiver = parties(link, protocol, n, malicious)
    clocks = [[party[clock] for party in (sender, receiver)] for clock in ("wall", "cpu")]
    wall, cpu = (max(end for _, end in clock) - min(begin for begin, _ in clock) for clock in clocks)
    if link != "memory":  # processor time is a process's own
        cpu = max(end - begin for begin, end in clocks[1])
    return {
        "n": n,
        "seconds": wall,
        "cpu_seconds": cpu,
        "bits": 8 * (sender["bytes"] + receiver["bytes"]) / n,
        "open_seconds": max(sender["open_seconds"], receiver["open_seconds"]),
        "open_bytes": sender["open_bytes"] + receiver["open_bytes"],
    }


def in_one_thread(_link, protocol, n, malicious):
    mesh = MemoryChannel.mesh(NAMES)
    drivers = [Driver(name, mesh[name]) for name in NAMES]
    return run_together(*[(driver, party(driver, i, protocol, n, malicious)) for i, driver in enumerate(drivers)])


def in_two_processes(link, protocol, n, malicious):
    listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in NAMES}
    addresses = {name: listener.getsockname()[:2] for name, listener in listeners.items()}
    identities = {name: Identity.create(name) for name in NAMES}
    trust = TrustStore.of(identities.values())
    session = secrets.token_bytes(8)

    def process(me, answer):
        options = {"session": session, "listener": listeners[me]}
        if link == "tls":
            channels = connect_all(me, addresses, identities[me], trust, **options)
        else:
            channels = danger_plain_tcp(me, addresses, **options)
        driver = Driver(me, channels)
        answer.send(driver.run(party(driver, NAMES.index(me), protocol, n, malicious)))
        for channel in channels.values():
            channel.close()

    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in NAMES]
    workers = [context.Process(target=process, args=(me, pipe[1])) for me, pipe in zip(NAMES, pipes, strict=True)]
    for worker in workers:
        worker.start()
    results = [pipe[0].recv() for pipe in pipes]
    for worker in workers:
        worker.join()
    return results


async def party(driver, role, protocol, n, malicious):
    """One party's program, and its clock."""
    session = await open_session(driver, NAMES[1 - role])
    began, sent = time.perf_counter(), driver.profile.payload
    source = await opened(session, role, protocol, malicious)
    ready, cpu, open_sent = time.perf_counter(), time.process_time(), driver.profile.payload
    if protocol == "base":
        await (base.send(session, n) if role == 0 else base.receive(session, [i & 1 for i in range(n)]))
    else:
        for begin in range(0, n, PIECE):
            await source(min(PIECE, n - begin))
    return {
        "wall": (ready, time.perf_counter()),
        "cpu": (cpu, time.process_time()),
        "bytes": driver.profile.payload - open_sent,
        "open_seconds": ready - began,
        "open_bytes": open_sent - sent,
    }


async def opened(session, role, protocol, malicious):
    """What yields correlations."""
    if protocol in SOFTSPOKEN:
        make = softspoken.open_sender if role == 0 else softspoken.open_receiver
        return (await make(session, bits=SOFTSPOKEN[protocol], malicious=malicious)).extend
    if protocol in SILENT:
        make = silent.open_sender if role == 0 else silent.open_receiver
        return (await make(session, noise=SILENT[protocol], malicious=malicious)).take
    return None


def line(row):
    rate, cpu = row["n"] / row["seconds"] / 1e6, row["n"] / row["cpu_seconds"] / 1e6
    digits = 4 if row["protocol"] == "base" else 1
    model = "malicious" if row["malicious"] else "semi-honest"
    return (
        f"{row['protocol']:<15}{row['link']:<8}{model:<13}{row['n']:>10}{rate:>9.{digits}f}{cpu:>9.{digits}f}"
        f"{row['bits']:>9.2f}{row['open_seconds']:>8.2f}{row['open_bytes'] / 1024:>10.0f}"
    )


def parser():
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = ["base", *SOFTSPOKEN, *SILENT]
    made.add_argument("--protocols", default=",".join(every), help=f"of {', '.join(every)}")
    made.add_argument("--links", default="memory,tcp,tls")
    made.add_argument("--seconds", type=float, default=2.0, help="about how long each figure is measured")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--semi-honest", action="store_true", help="without the checks too")
    made.add_argument("--json", type=Path)
    return made


if __name__ == "__main__":
    main()
