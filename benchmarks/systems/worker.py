"""The worker's side of the conversation: one JSON request per line in, one JSON answer per line out.

    {"op": "start", "protocol": "ABY3", "tls": false}           {"ok": {"seconds": 1.9}}
    {"op": "prepare", "case": "mul", "inputs": "mul.npz"}       {"ok": {}}
    {"op": "deal"}                                              {"ok": {"seconds": 0.2, "bytes": 16000000}}
    {"op": "run", "warm_up": true}                              {"ok": {"seconds": 0.1, "wire_bytes": 52000000}}
    {"op": "collect", "outputs": "out.npz"}                     {"ok": {"bytes": 48000000, "busiest": 24000000, "rounds": 3}}
    {"op": "stop"}                                              {"ok": {}}

A request that fails is answered by {"error": "..."}, a case that the system does not have by {"unsupported": "..."}; arrays travel as .npz files.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Outcome:
    """What one run produced; `payload` is the system's own count of bytes sent by each party, if it keeps one."""

    outputs: Sequence[Array]
    payload: Sequence[int] | None
    rounds: int | None


@dataclass(frozen=True)
class Dealt:
    """What was made before a run and is spent by it: the seconds that took, and its size."""

    seconds: float
    bytes: int


class System(Protocol):
    """One system under measurement. A run is timed from the first party's start to the last party's end (`elapsed`), on
    inputs that are shared already; its outputs stay shared."""

    def start(self, protocol: str, tls: bool) -> float:
        """Start the parties; return the seconds until all of them can compute."""

    def prepare(self, case: str, inputs: Sequence[Array]) -> None:
        """Compile the case and share its inputs; return when that is over at every party."""

    def run(self, warm_up: bool) -> float:
        """Run once and return the seconds; the warm-up's outputs and counters are kept for `collect`."""

    def collect(self) -> Outcome:
        """Open the warm-up's outputs and forget the case."""

    def stop(self) -> None:
        """End every party."""


class Beforehand(System, Protocol):
    """A system whose correlated randomness is dealt before the run that spends it."""

    def deal(self) -> Dealt:
        """Deal for one run."""


def elapsed(spans: Iterable[tuple[float, float]]) -> float:
    """Seconds from the first party's start to the last party's end.

    The parties' `time.perf_counter` is one clock, the machine's, on Linux. No barrier is needed, which would add a
    round trip of the network to the systems that have one and nothing to the others.
    """
    begins, ends = zip(*spans, strict=True)
    return max(ends) - min(begins)


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
        case "deal":
            dealt = cast("Beforehand", system).deal()
            return {"seconds": dealt.seconds, "bytes": dealt.bytes}
        case "run":
            before = _sent_bytes()
            seconds = system.run(request["warm_up"])
            return {"seconds": seconds, "wire_bytes": _sent_bytes() - before}
        case "collect":
            outcome = system.collect()
            np.savez(request["outputs"], *outcome.outputs)
            sent = outcome.payload
            return {
                "bytes": sum(sent) if sent else None,
                "busiest": max(sent) if sent else None,
                "rounds": outcome.rounds,
            }
        case "stop":
            system.stop()
        case unknown:
            raise ValueError(f"unknown operation {unknown!r}")
    return {}


def _sent_bytes() -> int:
    """Bytes sent on all interfaces of this network namespace, headers included."""
    lines = Path("/proc/self/net/dev").read_text().splitlines()[2:]
    return sum(int(line.split(":")[1].split()[8]) for line in lines)
