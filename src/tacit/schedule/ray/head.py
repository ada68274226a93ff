"""A Ray cluster on this machine, in a process of its own: it lives as long as whoever holds the other end of its input.

Run as `python -m tacit.schedule.ray.head SLOTS`. It writes the cluster's address as one line, and ends the cluster when its
input ends, which it does however the process that started it ends. Ray forks to start its processes; a program that has
JAX's threads running must not.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from typing import final

from tacit.foundation.errors import SessionError

START_SECONDS = 90.0
END_SECONDS = 15.0
SHORT = 30
"""Ray keeps sockets in a folder below its temporary folder, and the path of a socket has at most 107 characters."""


@final
class Head:
    """The process, and the address of its cluster."""

    def __init__(self, slots: int) -> None:
        self.token = secrets.token_hex(32)
        """Without it nobody can use the cluster."""
        tokens = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}
        with tempfile.TemporaryFile() as complaints:
            self._process = subprocess.Popen(  # noqa: S603  our own interpreter and module
                [sys.executable, "-m", "tacit.schedule.ray.head", str(slots)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **tokens},
                start_new_session=True,  # an interrupt at the terminal is for the sessions, which then end this
            )
            try:
                self.address = self._first_line()
            except BaseException:
                self.close()
                raise
            if not self.address:
                self.close()
                complaints.seek(0)
                said = complaints.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
                raise SessionError(
                    f"Ray did not start on this machine within {START_SECONDS:g} s: {said[-1]}. Start one with "
                    "`ray start --head`, and give Session.ray its address"
                )

    def _first_line(self) -> str:
        """What the process writes when its cluster is up; empty when it ends before, or takes too long."""
        assert self._process.stdout is not None
        number = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(number, select.POLLIN)
        limit = time.monotonic() + START_SECONDS
        said = b""
        while not said.endswith(b"\n"):
            if not poll.poll(max(0.0, limit - time.monotonic()) * 1000) or not (piece := os.read(number, 1024)):
                return ""
            said += piece
        return said.decode().strip()

    def close(self) -> None:
        """End the cluster. Idempotent."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()


def main() -> None:
    """Hold a cluster until the input ends."""
    import ray

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ray.init(
        address="local",
        num_cpus=int(sys.argv[1]),
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        _temp_dir=None if len(tempfile.gettempdir()) <= SHORT else "/tmp/ray",  # noqa: S108  Ray's own default
    )
    sys.stdout.write(f"{ray.get_runtime_context().gcs_address}\n")
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):
        sys.stdin.read()
    ray.shutdown()


if __name__ == "__main__":
    main()
