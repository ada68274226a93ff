"""The worker's side of the conversation: one JSON request per line in, one JSON answer per line out.

    {"op": "start", "protocol": "ABY3", "tls": false}           {"ok": {"seconds": 1.9}}
    {"op": "prepare", "case": "mul", "inputs": "mul.npz"}       {"ok": {}}
    {"op": "run", "warm_up": true}                              {"ok": {"seconds": 0.1, "wire_bytes": 52000000}}
    {"op": "collect", "outputs": "out.npz"}                     {"ok": {"bytes": 48000000, "rounds": 3}}
    {"op": "stop"}                                              {"ok": {}}

A request that fails is answered by {"error": "..."}, a case that the system does not have by {"unsupported": "..."}; arrays travel as .npz files.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Outcome:
    """What one run produced; `payload` is the system's own count of bytes sent by all parties, if it keeps one."""

    outputs: Sequence[Array]
    payload: int | None
    rounds: int | None


class System(Protocol):
    """One system under measurement. A run is timed from a barrier to a barrier, by the slowest party, on inputs
    that are shared already; its outputs stay shared."""

    def start(self, protocol: str, tls: bool) -> float:
        """Start the parties; return the seconds until all of them can compute."""

    def prepare(self, case: str, inputs: Sequence[Array]) -> None:
        """Compile the case and share its inputs."""

    def run(self, warm_up: bool) -> float:
        """Run once and return the seconds; the warm-up's outputs and counters are kept for `collect`."""

    def collect(self) -> Outcome:
        """Open the warm-up's outputs and forget the case."""

    def stop(self) -> None:
        """End every party."""


def serve(system: System) -> None:
    """Answer requests until standard input closes."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what the system's libraries print must not mix with the answers
    try:
        for line in sys.stdin:
            try:
                answer: dict[str, Any] = {"ok": _handle(system, json.loads(line))}
            except NotImplementedError as error:
                answer = {"unsupported": str(error)}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"[:400]}
            answers.write(json.dumps(answer) + "\n")
    finally:
        system.stop()


def _handle(system: System, request: dict[str, Any]) -> dict[str, Any]:
    match request["op"]:
        case "start":
            return {"seconds": system.start(request["protocol"], request["tls"])}
        case "prepare":
            with np.load(request["inputs"]) as file:
                system.prepare(request["case"], [file[name] for name in file.files])
        case "run":
            before = _sent_bytes()
            seconds = system.run(request["warm_up"])
            return {"seconds": seconds, "wire_bytes": _sent_bytes() - before}
        case "collect":
            outcome = system.collect()
            np.savez(request["outputs"], *outcome.outputs)
            return {"bytes": outcome.payload, "rounds": outcome.rounds}
        case "stop":
            system.stop()
        case unknown:
            raise ValueError(f"unknown operation {unknown!r}")
    return {}


def _sent_bytes() -> int:
    """Bytes sent on all interfaces of this network namespace, headers included."""
    lines = Path("/proc/self/net/dev").read_text().splitlines()[2:]
    return sum(int(line.split(":")[1].split()[8]) for line in lines)
