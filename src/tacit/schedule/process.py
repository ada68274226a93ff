"""A party's process on this machine, as its session sees it: how it starts, whether it lives, how it ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, final

from tacit.foundation.errors import PeerDied, TacitError
from tacit.schedule.control import ControlLine

STOP_SECONDS = 0.2


@final
class PartyProcess:
    """One party's process and the control line to it."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], line: ControlLine) -> None:
        self.name = name
        self.line = line
        self._process = process

    @classmethod
    def start(cls, name: str, config: Mapping[str, Any], log: Path, patience: float | None) -> PartyProcess:
        """Start `python -m tacit.schedule.worker`, which inherits its end of the control line.

        The process ends when this one does, also when this one is killed.
        """
        parent = {
            "parent": os.getpid(),
            "parent_is_main_thread": threading.current_thread() is threading.main_thread(),
        }
        ours, theirs = socket.socketpair()
        with ExitStack() as undo, theirs, log.open("wb") as output:
            undo.enter_context(ours)
            process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [sys.executable, "-m", "tacit.schedule.worker", "--control", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
            undo.pop_all()
        line = ControlLine(ours, name, patience=patience)
        with suppress(PeerDied):  # whoever listens to the line finds its end
            line.send("begin", {**config, **parent, "name": name})
        return cls(name, process, line)

    @property
    def pid(self) -> int:
        """The process number."""
        return self._process.pid

    @property
    def stopped(self) -> bool:
        """Whether the process is stopped (SIGSTOP) and would never answer."""
        with suppress(OSError, IndexError):
            stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
            return stat.rpartition(")")[2].split()[0] == "T"
        return False

    def exit_reason(self) -> str:
        """How it ended, in words; empty while that is not known."""
        try:
            status = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return ""
        return f" (signal {-status})" if status < 0 else f" (exit status {status})"

    def ask_to_stop(self) -> None:
        """Tell the process that the session is over."""
        self.line.sock.settimeout(STOP_SECONDS)
        with suppress(TacitError):
            self.line.send("stop")

    def wait(self, seconds: float) -> None:
        """Wait until the process ended, at most `seconds`."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=seconds)

    def kill(self) -> None:
        """End the process whatever it is doing. Idempotent."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
