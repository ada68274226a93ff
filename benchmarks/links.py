"""How fast links are: `python benchmarks/links.py [--links plain,tls,...] [--seconds 2]`.

Two processes on this machine. `us/exchange`: both sides post one 512-byte message, flush, and take the other's, as a
round of a protocol does. `us/round trip`: one side answers the other. `GB/s`: 8 MiB messages one way. Each is the median
of up to 200 windows, with the best window beside it, which other load on the machine disturbs less. `own us` is the
processor time of one party for one exchange, system calls included.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import secrets
import socket
import statistics
import struct
import time
from collections.abc import Callable
from typing import Any

from tacit.resource.channel import PROFILES, LinkSettings, ShapedChannel, connect_all, danger_plain_tcp
from tacit.resource.identity import Identity, TrustStore

SMALL = 512
LARGE = 8 << 20
NAMES = ("alice", "bob")
WINDOWS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--links", default="plain,tls,plain+lan,plain+wan", help="plain or tls, with +PROFILE for shaping"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each measurement")
    parser.add_argument("--spin", type=float, default=0.0, help="microseconds that `wait` looks before it sleeps")
    arguments = parser.parse_args()
    for link in arguments.links.split(","):
        print(json.dumps({"link": link, **measure(link, arguments.seconds, arguments.spin * 1e-6)}), flush=True)


def measure(link: str, seconds: float, spin: float) -> dict[str, Any]:
    """Run both parties and return alice's numbers."""
    listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in NAMES}
    addresses = {name: listener.getsockname()[:2] for name, listener in listeners.items()}
    identities = {name: Identity.create(name) for name in NAMES}
    trust = TrustStore.of(identities.values())
    session = secrets.token_bytes(8)
    kind, _, profile = link.partition("+")

    def party(me: str, answer: Callable[[dict[str, Any]], None]) -> None:
        settings = LinkSettings(spin_seconds=spin)
        options: dict[str, Any] = {"session": session, "listener": listeners[me], "settings": settings}
        if kind == "tls":
            channels = connect_all(me, addresses, identities[me], trust, **options)
        else:
            channels = danger_plain_tcp(me, addresses, **options)
        (channel,) = channels.values()
        if profile:
            shape = PROFILES[profile]
            channel = ShapedChannel(channel, shape.latency_seconds, shape.bits_per_second)
        answer(Party(channel, leads=me == NAMES[0]).run(seconds))
        channel.close()

    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    other = context.Process(target=party, args=(NAMES[1], lambda _: None))
    first = context.Process(target=party, args=(NAMES[0], there.send))
    other.start()
    first.start()
    numbers = here.recv()
    first.join()
    other.join()
    return numbers


def spread(numbers: list[float], unit: float, best: Callable[[list[float]], float] = min) -> dict[str, float]:
    return {"median": round(statistics.median(numbers) * unit, 3), "best": round(best(numbers) * unit, 3)}


class Party:
    """One side of every measurement; the other side does the same, in step."""

    def __init__(self, channel: Any, *, leads: bool) -> None:
        self.channel = channel
        self.leads = leads
        self.operation = 0
        self.small = memoryview(bytearray(SMALL))
        self.into = memoryview(bytearray(SMALL))

    def run(self, seconds: float) -> dict[str, Any]:
        for _ in range(20):
            self.exchange()
        windows, count = self.agree(self.timed(self.exchange, 20), seconds)
        cpu = time.process_time()
        exchange = [self.timed(self.exchange, count) for _ in range(windows)]
        cpu = (time.process_time() - cpu) / count / windows
        trip = [self.timed(self.ping if self.leads else self.pong, count) for _ in range(windows)]
        large = memoryview(bytearray(LARGE))
        windows, count = self.agree(self.timed(lambda: self.stream(large, 2), 1) / 2, seconds)
        stream = [(self.timed(lambda: self.stream(large, count), 1) - min(trip)) / count for _ in range(windows)]
        return {
            "us/exchange": spread(exchange, 1e6),
            "own us": round(cpu * 1e6, 1),
            "us/round trip": spread(trip, 1e6),
            "GB/s": spread([1 / each for each in stream], LARGE / 1e9, best=max),
            "Mbit/s": spread([1 / each for each in stream], LARGE * 8 / 1e6, best=max),
        }

    def timed(self, work: Callable[[], None], count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            work()
        return (time.perf_counter() - began) / count

    def agree(self, each: float, seconds: float) -> tuple[int, int]:
        """Let the leader say how many windows there are, and of how many repetitions each."""
        numbers = memoryview(bytearray(16))
        if self.leads:
            repetitions = max(3, int(seconds / each))
            windows = min(WINDOWS, repetitions)
            numbers[:] = struct.pack("<QQ", windows, repetitions // windows)
            self.send(numbers)
        else:
            self.receive(numbers)
        windows, count = struct.unpack("<QQ", numbers)
        return windows, count

    def exchange(self) -> None:
        self.operation += 1
        self.channel.post(self.operation, self.small)
        self.channel.flush()
        take, operation, into = self.channel.take, self.operation, self.into
        while not take(operation, into):
            self.channel.wait(60)

    def ping(self) -> None:
        self.send(self.small)
        self.receive(self.into)

    def pong(self) -> None:
        self.receive(self.into)
        self.send(self.small)

    def stream(self, large: memoryview, count: int) -> None:
        """Send `count` large messages from the leader, then a small one back."""
        for _ in range(count):
            if self.leads:
                self.send(large)
            else:
                self.receive(large)
        if self.leads:
            self.receive(self.into)
        else:
            self.send(self.small)

    def send(self, message: memoryview) -> None:
        self.channel.post(self.operation, message)
        self.channel.flush()

    def receive(self, into: memoryview) -> None:
        while not self.channel.take(self.operation, into):
            self.channel.wait(60)


if __name__ == "__main__":
    main()
