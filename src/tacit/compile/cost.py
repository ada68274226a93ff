"""What a program costs before it runs: exact rounds and bytes by a dry run, seconds by a model of the network.

The dry run executes the program on kernels that have shapes and no data, so rounds and bytes are those of the real run. Time
is modelled: latency of the longest chain of rounds, bandwidth of the busiest party, and the interpreter's own overhead; the
arithmetic of large tensors is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, final

import numpy as np

from tacit.compile.execute import execute
from tacit.compile.plan import DEFAULT_BITS, prepare
from tacit.compile.program import Program, SlotType
from tacit.foundation.errors import ConfigError
from tacit.primitive.driver import Deferred, Driver
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Boolean, Fixed, Integer, Value
from tacit.primitive.profile import Where

Session: TypeAlias = Callable[[], tuple[Kernel, Driver]]
"""Makes a fresh kernel of one party that counts and computes nothing, and its driver."""

STEP_SECONDS = 4e-6
ROUND_SECONDS = 30e-6


@final
@dataclass(frozen=True, slots=True)
class Network:
    """A network between parties: round-trip time in seconds, bandwidth in bits per second."""

    name: str
    round_trip: float
    bandwidth: float


NETWORKS: Mapping[str, Network] = {
    network.name: network
    for network in (
        Network("loopback", 40e-6, 20e9),
        Network("lan", 0.5e-3, 1e9),
        Network("wan", 40e-3, 100e6),
    )
}


@final
@dataclass(frozen=True, slots=True)
class Row:
    """The cost of all steps of one name at one source line."""

    name: str
    line: str
    calls: int
    rounds: int
    """Rounds of one call."""
    critical: int
    """Rounds on the program's longest chain that are due to these steps."""
    payload: Mapping[str, int]
    """Bytes sent by each party."""


@final
@dataclass(frozen=True, slots=True)
class Cost:
    """Rounds and bytes of a program, exactly, and seconds by network, modelled. Print it for the table."""

    rounds: int
    payload: Mapping[str, int]
    """Bytes sent by each party, without framing."""
    messages: Mapping[str, int]
    steps: int
    network: Network
    rows: tuple[Row, ...] = field(default=())

    def seconds(self, network: str | Network | None = None) -> float:
        """The modelled time on a network (by default the one that was asked for)."""
        chosen = self.network if network is None else find_network(network)
        latency = self.rounds * (chosen.round_trip / 2 + ROUND_SECONDS)
        transfer = 8 * max(self.payload.values(), default=0) / chosen.bandwidth
        return latency + transfer + self.steps * STEP_SECONDS

    def __str__(self) -> str:
        parties = list(self.payload)
        head = f"{'operation':22} {'line':24} {'calls':>7} {'rounds':>7} {'on path':>8}"
        head += "".join(f" {party + ' bytes':>16}" for party in parties)
        lines = [head, "-" * len(head)]
        for row in self.rows:
            sent = "".join(f" {row.payload[party]:16,}" for party in parties)
            lines.append(f"{row.name:22} {row.line:24} {row.calls:7} {row.rounds:7} {row.critical:8}{sent}")
        return "\n".join([*lines, *self.totals()])

    def totals(self) -> list[str]:
        """The last lines of the table."""
        sent = ", ".join(f"{party} {size:,}" for party, size in self.payload.items())
        times = ", ".join(f"{name} {self.seconds(name):.3g} s" for name in NETWORKS)
        return [f"{self.rounds} rounds; bytes sent: {sent}", f"modelled time: {times} (without the arithmetic itself)"]

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(title=f"{self.rounds} rounds", caption="\n".join(self.totals()), caption_justify="left")
        table.add_column("operation")
        table.add_column("line")
        for name in ("calls", "rounds", "on path", *(f"{party} bytes" for party in self.payload)):
            table.add_column(name, justify="right")
        for row in self.rows:
            counts = (str(row.calls), str(row.rounds), str(row.critical))
            table.add_row(row.name, row.line, *counts, *(f"{row.payload[party]:,}" for party in self.payload))
        return table


def cost(
    program: Program, sessions: Mapping[str, Session], *, bits: int = DEFAULT_BITS, network: str | Network = "lan"
) -> Cost:
    """Price a program: one dry run for each party named in `sessions`.

    Inputs count as freshly shared by their owners. Sharing them and revealing the outputs is not part of the price. Computes nothing on data, sends nothing.
    """
    chosen = find_network(network)
    runs = {party: _DryRun(program, session, bits) for party, session in sessions.items()}
    if not runs:
        raise ConfigError("a cost needs the sessions of at least one party")
    longest = max(runs.values(), key=lambda run: run.rounds)
    return Cost(
        rounds=longest.rounds,
        payload={party: run.payload for party, run in runs.items()},
        messages={party: run.messages for party, run in runs.items()},
        steps=longest.steps,
        network=chosen,
        rows=tuple(sorted(_rows(runs, longest), key=lambda row: (-row.critical, -max(row.payload.values()), row.name))),
    )


def find_network(network: str | Network) -> Network:
    """A network by name, or as it is."""
    if isinstance(network, Network):
        return network
    if network not in NETWORKS:
        raise ConfigError(f"the network {network!r} is unknown; known are {', '.join(NETWORKS)}")
    return NETWORKS[network]


class _DryRun:
    """One party's run without data, every interactive step noted with the rounds between which it ran."""

    def __init__(self, program: Program, session: Session, bits: int) -> None:
        kernel, driver = session()
        before = (driver.profile.rounds, driver.profile.payload, driver.profile.messages)
        ledger = _Ledger(driver)
        inputs = [placeholder(kernel, program.slots[slot], bits) for slot in program.inputs]
        driver.run(execute(kernel, ledger, prepare(program, bits), inputs))
        profile = driver.profile
        self.rounds = profile.rounds - before[0]
        self.payload = profile.payload - before[1]
        self.messages = profile.messages - before[2]
        self.steps = len(ledger.entries) + sum(1 for _ in program.walk())
        self.ledger = ledger
        self.sent = {key: entry.payload for key, entry in profile.by_operation.items()}


def _rows(runs: Mapping[str, _DryRun], longest: _DryRun) -> list[Row]:
    """The cost by operation and source line."""
    calls: dict[tuple[str, str], int] = {}
    rounds: dict[tuple[str, str], int] = {}
    for entry in longest.ledger.entries:
        if entry.where.name in _CONTROL:
            continue
        key = (entry.where.name, entry.where.line)
        calls[key] = calls.get(key, 0) + 1
        rounds[key] = max(rounds.get(key, 0), entry.deferred.generation - entry.base)
    critical = longest.ledger.critical()
    return [
        Row(
            *key, count, rounds[key], critical.get(key, 0), {party: run.sent.get(key, 0) for party, run in runs.items()}
        )
        for key, count in calls.items()
    ]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A step that was spawned: by which other, in which round, and what will tell when it ended."""

    where: Where
    parent: Where | None
    base: int
    deferred: Deferred


class _Ledger:
    """Stands between the interpreter and the driver and notes what is spawned."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.entries: list[_Entry] = []

    @property
    def generation(self) -> int:
        """The driver's present round."""
        return self._driver.generation

    def spawn(self, coroutine: Coroutine[Any, Any, Any], where: Where, generation: int | None = None) -> Deferred:
        """Spawn and note."""
        parent = self._driver.where
        base = self._driver.generation if generation is None else generation
        deferred = self._driver.spawn(coroutine, where, generation)
        self.entries.append(_Entry(where, parent, base, deferred))
        return deferred

    def critical(self) -> dict[tuple[str, str], int]:
        """The rounds of the longest chain by operation and line: from the last step back to what it waited for."""
        by_where = {id(entry.where): entry for entry in self.entries}
        steps = [entry for entry in self.entries if entry.where.name not in _CONTROL]
        last = {entry.deferred.generation: entry for entry in steps}
        entry = max(steps, key=lambda entry: entry.deferred.generation, default=None)
        due: dict[tuple[str, str], int] = {}
        ended = 0 if entry is None else entry.deferred.generation
        while entry is not None:
            if entry.where.name in _CONTROL and ended > entry.base:
                entry = last.get(ended)  # what waited for a loop waited for the last step in it
                continue
            if entry.where.name not in _CONTROL:
                key = (entry.where.name, entry.where.line)
                due[key] = due.get(key, 0) + ended - entry.base
            ended = entry.base
            entry = None if entry.parent is None else by_where.get(id(entry.parent))
        return due


def placeholder(kernel: Kernel, declared: SlotType, bits: int) -> Value:
    """A shared value of a slot's type and no content, for kernels that compute nothing."""
    if declared.public:
        return np.zeros(declared.shape, {"fixed": np.float64, "int": np.int64, "bool": np.bool_}[declared.kind])
    if declared.kind == "bool":
        return Boolean(kernel.public_bits(np.zeros(declared.shape, np.bool_)))
    share = kernel.public(np.broadcast_to(np.uint64(0), declared.shape))
    return Integer(share) if declared.kind == "int" else Fixed(share, bits)


_CONTROL = frozenset({"scan", "switch"})
