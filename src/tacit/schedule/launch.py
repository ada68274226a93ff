"""How the processes of parties are started: one small interface, so that nothing above knows where they run.

`LocalLauncher` starts them on this machine, `tacit.schedule.ray.RayLauncher` on the nodes of a Ray cluster. Both start the
same program, `python -m tacit.schedule.worker`, and both hand the session a control line to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final

from tacit.schedule.control import ControlLine
from tacit.schedule.process import PartyProcess

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Order:
    """One process to start: its name, what it is told first (JSON), and the file on its machine that takes what it prints."""

    name: str
    config: Mapping[str, Any]
    log: Path
    patience: float
    """Seconds that the control line may go on without a byte in the middle of a message."""


class Member(Protocol):
    """A process of a party, as its session sees it."""

    name: str
    line: ControlLine

    @property
    def pid(self) -> int:
        """The process number, on the machine where it runs."""

    @property
    def stopped(self) -> bool:
        """Whether the process is stopped and would never answer."""

    def exit_reason(self) -> str:
        """How it ended, in words; empty while that is not known."""

    def ask_to_stop(self) -> None:
        """Tell the process that the session is over."""

    def wait(self, seconds: float) -> None:
        """Wait until the process ended, at most `seconds`."""

    def kill(self) -> None:
        """End the process whatever it is doing. Idempotent."""


class Launcher(Protocol):
    """Starts processes for one session."""

    def start(self, orders: Sequence[Order], timeout: float) -> Iterator[Member]:
        """Start one process for each order; each is handed out as soon as it can be ended.

        Raises: SessionError when there is no room for all of them within `timeout` seconds.
        """

    def threads(self, members: int) -> int:
        """Threads that each of so many processes may use."""

    def close(self) -> None:
        """Give back what the processes ran on, once all have ended. Idempotent."""


@final
class LocalLauncher:
    """Processes on this machine, which listen on loopback."""

    def start(self, orders: Sequence[Order], timeout: float) -> Iterator[PartyProcess]:  # noqa: ARG002
        """Start the processes, one after the other."""
        for order in orders:
            yield PartyProcess.start(order.name, {**order.config, "host": LOOPBACK}, order.log, order.patience)

    def threads(self, members: int) -> int:
        """This machine's cores, shared by all."""
        return max(1, (os.cpu_count() or 1) // members)

    def close(self) -> None:
        """Nothing is held."""
