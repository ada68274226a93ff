"""The network a worker runs on: loopback as it is, or a local or a wide area network played on it.

Each worker gets a network namespace of its own, so that this machine's loopback is never touched and byte counters
see one system only. `Network.wrap` turns a command into one that runs inside; this module as a program
(`python -m benchmarks.network wan -- command`) is what prepares the inside.
"""

import json
import os
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from benchmarks.emulator import Wire

AT_ONCE = 3  # pairs of the second part of the probe: as many as the largest system has parties


class NetworkError(Exception):
    """This machine cannot play the network that was asked for."""


@dataclass(frozen=True)
class Network:
    """A profile; zero means as fast as loopback is."""

    name: str
    rtt_seconds: float = 0.0
    bits_per_second: float = 0.0

    @property
    def shaped(self) -> bool:
        return self.bits_per_second > 0

    @property
    def isolated(self) -> bool:
        """Whether workers run in network namespaces of their own."""
        return _unshare() is not None

    def wrap(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs `command` on this network."""
        enter = _unshare()
        if enter is None:
            if self.shaped:
                raise NetworkError(
                    f"network {self.name} needs `unshare` and `ip` (util-linux, iproute2), and either root or user namespaces"
                )
            return list(command)
        return [*enter, sys.executable, "-m", "benchmarks.network", self.name, "--", *command]

    def describe(self) -> str:
        """Say how the network is made and, if it is shaped, what it measures."""
        if not self.shaped:
            where = (
                "in a network namespace per worker" if self.isolated else "of this machine, shared with everything else"
            )
            return f"network loopback: unshaped, {where}"
        probe = [sys.executable, "-m", "benchmarks.network", "probe", self.name]
        done = subprocess.run(self.wrap(probe), capture_output=True, text=True, check=False)
        if done.returncode:
            raise NetworkError(f"network {self.name} cannot be made here: {done.stderr.strip().splitlines()[-1]}")
        measured = json.loads(done.stdout)
        return (
            f"network {self.name}: {self.bits_per_second / 1e6:.0f} Mbit/s for what each process sends, "
            f"{self.rtt_seconds * 1e3:g} ms round trip, no loss; packet emulator on a TUN device in a network namespace per "
            f"worker, TCP {measured['congestion']}; measured between two processes: {measured['rtt_seconds'] * 1e3:.2f} ms, "
            f"{measured['bits_per_second'] / 1e6:.0f} Mbit/s; of three that send at once each: "
            f"{', '.join(f'{rate / 1e6:.0f}' for rate in measured['bits_per_second_at_once'])} Mbit/s"
        )


NETWORKS: Mapping[str, Network] = {
    network.name: network
    for network in (Network("loopback"), Network("lan", 0.5e-3, 1e9), Network("wan", 40e-3, 100e6))
}


@cache
def _unshare() -> list[str] | None:
    """Return the command that enters a fresh network namespace, or None where that is not possible."""
    if not shutil.which("ip") or not shutil.which("unshare"):
        return None
    for command in (["unshare", "--net"], ["unshare", "--user", "--map-root-user", "--net"]):
        if not subprocess.run([*command, "true"], stderr=subprocess.DEVNULL, check=False).returncode:
            return command
    return None


# ------------------------------------------------------------------------------------------- inside the namespace


def _enter(network: Network, command: Sequence[str]) -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if not network.shaped:
        os.execvp(command[0], list(command))  # noqa: S606 - becomes the worker
    wire = Wire(network.rtt_seconds, network.bits_per_second)
    child = subprocess.Popen(command)
    wire.run(child)
    return child.wait()


def _probe(network: Network) -> None:
    """Print the round trip and the throughput between two processes, and what each of three pairs gets at once, as JSON."""
    alone = _measure_pair(network)
    with ThreadPoolExecutor() as pool:
        command = [sys.executable, "-m", "benchmarks.network", "pair", network.name]
        together = pool.map(lambda _: json.loads(subprocess.check_output(command)), range(AT_ONCE))
        rates = [pair["bits_per_second"] for pair in together]
    print(json.dumps(alone | {"bits_per_second_at_once": rates}))


def _measure_pair(network: Network) -> dict[str, Any]:
    """Measure between two processes: a median round trip, then one second's worth of bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if os.fork() == 0:
            _swallow(server)
            os._exit(0)
        with socket.create_connection(server.getsockname()) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            rtt = statistics.median(_send(link, 1) for _ in range(15))
            size = int(network.bits_per_second / 8)
            _send(link, size)  # lets the congestion window grow
            seconds = _send(link, size) - rtt
            congestion = link.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()
    os.wait()
    return {"rtt_seconds": rtt, "bits_per_second": size * 8 / seconds, "congestion": congestion}


def _send(link: socket.socket, size: int) -> float:
    """Return the seconds until the other side says that it has all `size` bytes."""
    begin = time.perf_counter()
    link.sendall(struct.pack("!Q", size) + bytes(size))
    link.recv(1)
    return time.perf_counter() - begin


def _swallow(server: socket.socket) -> None:
    link, _ = server.accept()
    with link, link.makefile("rb") as stream:
        while header := stream.read(8):
            (left,) = struct.unpack("!Q", header)
            while left:
                left -= len(stream.read(min(left, 1 << 20)))
            link.sendall(b"!")


if __name__ == "__main__":
    if sys.argv[1] == "probe":
        _probe(NETWORKS[sys.argv[2]])
    elif sys.argv[1] == "pair":
        print(json.dumps(_measure_pair(NETWORKS[sys.argv[2]])))
    else:
        sys.exit(_enter(NETWORKS[sys.argv[1]], sys.argv[sys.argv.index("--") + 1 :]))
