"""The shaped network, measured: it may be slower than it says (the machine may be busy) but never faster."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from benchmarks.network import AT_ONCE, NETWORKS, NetworkError
from benchmarks.variants import SYSTEMS

# One process sends to two others at once; each of these says when it has everything.
TWO_RECEIVERS = """
import os, socket, threading, time
size = 1_000_000
servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
for server in servers:
    if os.fork() == 0:
        link, _ = server.accept()
        left = size
        while left:
            left -= len(link.recv(1 << 20))
        link.sendall(b"!")
        os._exit(0)
links = [socket.create_connection(server.getsockname()) for server in servers]
begin = time.perf_counter()
def send(link):
    link.sendall(bytes(size))
    link.recv(1)
threads = [threading.Thread(target=send, args=(link,)) for link in links]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(time.perf_counter() - begin)
"""


@pytest.fixture(scope="module")
def wan():
    try:
        NETWORKS["wan"].describe()
    except NetworkError as error:
        pytest.skip(str(error))
    return NETWORKS["wan"]


def run(command: list[str], root) -> str:
    return subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_a_round_trip_takes_at_least_the_distance_and_bytes_their_time(wan, root) -> None:
    measured = json.loads(run(wan.wrap([sys.executable, "-m", "benchmarks.network", "probe", "wan"]), root))
    assert measured["rtt_seconds"] >= wan.rtt_seconds
    assert measured["bits_per_second"] <= wan.bits_per_second
    assert len(measured["bits_per_second_at_once"]) == AT_ONCE
    assert max(measured["bits_per_second_at_once"]) <= wan.bits_per_second


def test_the_calibration_is_in_the_line_that_the_output_begins_with(wan) -> None:
    line = wan.describe()
    assert "100 Mbit/s for what each process sends, 40 ms round trip" in line
    assert re.search(r"measured between two processes: \d+\.\d+ ms, \d+ Mbit/s", line)


def test_every_system_enters_its_network_by_the_same_command(wan) -> None:
    workers = [["python", "-m", variant.worker] for variants in SYSTEMS.values() for variant in variants]
    assert len({tuple(wan.wrap(worker)[: -len(worker)]) for worker in workers}) == 1


def test_one_process_has_one_line_whatever_the_number_of_its_connections(wan, root) -> None:
    seconds = float(run(wan.wrap([sys.executable, "-c", TWO_RECEIVERS]), root))
    assert seconds >= 2 * 1_000_000 * 8 / wan.bits_per_second + wan.rtt_seconds
