"""The measurement: case by case, and within a case run by run, one system after the other.

Every selected system is up at the same time and idle while another one computes, so that slow drift of the machine
(heat, neighbours) meets all of them alike.
"""

import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import STARTUP, Array, Case
from benchmarks.client import Worker, WorkerError
from benchmarks.network import Network
from benchmarks.variants import Variant


@dataclass(frozen=True)
class Options:
    """How long to measure a case on a variant.

    At most `runs` runs after the warm-up; none begins after `budget` seconds of them. A warm-up that takes longer than
    that is the only run, and its time the figure. A worker that is silent for `timeout` seconds is ended.
    """

    runs: int = 5
    budget: float = 180.0
    timeout: float = 1800.0


@dataclass(frozen=True)
class Row:
    """One line of the results. Bytes are of one run, all parties together unless said otherwise."""

    system: str
    protocol: str
    case: str
    shape: Sequence[int | str]
    seconds: float | None  # median
    seconds_min: float | None
    seconds_max: float | None
    runs: int
    warm_up_seconds: float | None
    bytes: int | None  # the system's own count if it keeps one, else `wire_bytes`
    wire_bytes: int | None  # the kernel's count, headers included
    busiest_bytes: int | None  # of the party that sends most, by the system's own count
    rounds: int | None
    max_error: float | None  # absolute, against float64
    network: str
    tls: bool
    dealing_seconds: float | None = None  # median; of making, before each run, what it spends: not in `seconds`
    dealing_bytes: int | None = None  # and its size: not in `bytes`
    failure: str | None = None

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass
class _Seat:
    """One variant at the table: its worker, and what it has shown of the current case."""

    variant: Variant
    worker: Worker | None = None
    times: list[float] = field(default_factory=list)
    warm_up: float | None = None
    wire: int | None = None
    dealing_times: list[float] = field(default_factory=list)
    dealing_bytes: int | None = None
    failure: str | None = None

    def clear(self) -> None:
        """Forget the last case; the worker stays."""
        self.times, self.warm_up, self.wire, self.failure = [], None, None, None
        self.dealing_times, self.dealing_bytes = [], None


class Table:
    """All selected variants on one network: `commands` says how each one's worker is started."""

    def __init__(
        self, commands: Mapping[Variant, Sequence[str]], network: Network, options: Options, logs: Path
    ) -> None:
        self._commands, self._network, self._options, self._logs = commands, network, options, logs
        self._seats = [_Seat(variant) for variant in commands]

    def measure(self, cases: Mapping[str, Case], names: Sequence[str]) -> Iterator[Row]:
        """Yield a row per case and variant, as soon as the case is done."""
        try:
            for name in names:
                for seat in self._seats:
                    seat.clear()
                print(f"{name}: {', '.join(str(seat.variant) for seat in self._seats)}", file=sys.stderr)
                yield from self._startup() if name == STARTUP else self._case(cases[name])
        finally:
            for seat in self._seats:
                if seat.worker:
                    seat.worker.stop()

    def _startup(self) -> Iterator[Row]:
        for _ in range(self._options.runs):
            for seat in self._seats:
                if seat.failure:
                    continue
                with _Failures(seat):
                    if seat.worker:
                        seat.worker.stop()
                    seat.times.append(self._seat_worker(seat))
        for seat in self._seats:
            yield self._row(seat, STARTUP, ())

    def _case(self, case: Case) -> Iterator[Row]:
        inputs = case.inputs()
        reference = case.reference(inputs)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            np.savez(Path(folder, "inputs.npz"), *inputs)
            for seat in self._seats:
                with _Failures(seat):
                    if not (seat.worker and seat.worker.alive):
                        self._seat_worker(seat)
                    self._ask(seat, "prepare", case=case.name, inputs=f"{folder}/inputs.npz")
            for turn in range(self._options.runs + 1):
                for seat in self._seats:
                    if not seat.failure and self._affordable(seat):
                        with _Failures(seat):
                            self._run(seat, warm_up=turn == 0)
            for seat in self._seats:
                yield self._collect(seat, case, reference, Path(folder, "outputs.npz"))

    def _affordable(self, seat: _Seat) -> bool:
        return max(seat.warm_up or 0.0, sum(seat.times)) < self._options.budget

    def _seat_worker(self, seat: _Seat) -> float:
        seat.worker = Worker(self._commands[seat.variant], self._logs / f"{str(seat.variant).replace(' ', '-')}.log")
        return self._ask(seat, "start", protocol=seat.variant.protocol, tls=seat.variant.tls)["seconds"]

    def _run(self, seat: _Seat, *, warm_up: bool) -> None:
        if seat.variant.offline:
            dealt = self._ask(seat, "deal")
            seat.dealing_times.append(dealt["seconds"])
            seat.dealing_bytes = dealt["bytes"]
        answer = self._ask(seat, "run", warm_up=warm_up)
        if warm_up:
            seat.warm_up = answer["seconds"]
            seat.wire = answer["wire_bytes"] if self._network.isolated else None
        else:
            seat.times.append(answer["seconds"])

    def _collect(self, seat: _Seat, case: Case, reference: Sequence[Array], path: Path) -> Row:
        error = payload = busiest = rounds = None
        with _Failures(seat):
            if not seat.failure:
                answer = self._ask(seat, "collect", outputs=str(path))
                payload, busiest, rounds = answer["bytes"] or seat.wire, answer["busiest"], answer["rounds"]
                error = _largest_error(path, reference)
        return self._row(seat, case.name, case.shape, payload=payload, busiest=busiest, rounds=rounds, error=error)

    def _ask(self, seat: _Seat, op: str, **fields: object) -> dict[str, Any]:
        assert seat.worker
        return seat.worker.request(op, self._options.timeout, **fields)

    def _row(
        self,
        seat: _Seat,
        case: str,
        shape: Sequence[int | str],
        *,
        payload: int | None = None,
        busiest: int | None = None,
        rounds: int | None = None,
        error: float | None = None,
    ) -> Row:
        times = [] if seat.failure else seat.times or [seat.warm_up or 0.0]
        return Row(
            system=seat.variant.system,
            protocol=seat.variant.protocol,
            case=case,
            shape=shape,
            seconds=round(statistics.median(times), 6) if times else None,
            seconds_min=round(min(times), 6) if times else None,
            seconds_max=round(max(times), 6) if times else None,
            runs=len(times),
            warm_up_seconds=round(seat.warm_up, 6) if seat.warm_up is not None else None,
            bytes=payload,
            wire_bytes=seat.wire,
            busiest_bytes=busiest,
            rounds=rounds,
            max_error=error,
            network=self._network.name,
            tls=seat.variant.tls,
            dealing_seconds=round(statistics.median(seat.dealing_times), 6) if seat.dealing_times else None,
            dealing_bytes=seat.dealing_bytes,
            failure=seat.failure,
        )


class _Failures:
    """A failure of one worker is that variant's result, not the end of the run."""

    def __init__(self, seat: _Seat) -> None:
        self._seat = seat

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, WorkerError):
            return False
        self._seat.failure = str(error)
        print(f"  {self._seat.variant}: {error}", file=sys.stderr)
        return True


def _largest_error(path: Path, reference: Sequence[Array]) -> float:
    with np.load(path) as file:
        outputs = [file[name].astype(np.float64) for name in file.files]
    if [output.shape for output in outputs] != [expected.shape for expected in reference]:
        raise WorkerError(f"outputs of shape {[o.shape for o in outputs]}, expected {[r.shape for r in reference]}")
    if not all(np.isfinite(output).all() for output in outputs):
        raise WorkerError("an output is not a finite number")
    return max(float(np.max(np.abs(output - expected))) for output, expected in zip(outputs, reference, strict=True))
