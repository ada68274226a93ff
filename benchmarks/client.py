"""The controller's side of the conversation with one worker process."""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.environments import ROOT


class WorkerError(Exception):
    """A worker refused a request, died or did not answer in time."""


class Worker:
    """A worker process, its own process group, answering one request at a time."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONDONTWRITEBYTECODE": "1"},
                start_new_session=True,
            )
        assert self._process.stdin
        assert self._process.stdout
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._unread, self._ended = b"", False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def request(self, op: str, seconds: float, **fields: Any) -> dict[str, Any]:
        """Send one request and return its answer; a worker that does not answer in time is ended."""
        try:
            self._requests.write(json.dumps({"op": op, **fields}).encode() + b"\n")
            self._requests.flush()
            answer = json.loads(self._read_line(time.monotonic() + seconds))
        except (BrokenPipeError, EOFError):
            self.kill()
            raise WorkerError(f"the worker died at {op!r}; see {self.log}") from None
        except TimeoutError:
            self.kill()
            raise WorkerError(f"no answer to {op!r} within {seconds:.0f} s") from None
        if "unsupported" in answer:
            raise WorkerError(f"unsupported: {answer['unsupported']}")
        if "error" in answer:
            self.kill()  # its parties may wait for each other for ever
            raise WorkerError(f"{answer['error']}; see {self.log}")
        return answer["ok"]

    def stop(self) -> None:
        """Let the worker end its parties, then end what is left."""
        if self.alive:
            self._requests.close()  # the end of its input is the worker's signal
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(15)
        self.kill()

    def kill(self) -> None:
        """End the worker and every process it started; once, as its number may be another's afterwards."""
        if self._ended:
            return
        self._ended = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._answers.close()
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()

    def _read_line(self, deadline: float) -> bytes:
        pipe = self._answers.fileno()
        while b"\n" not in self._unread:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            piece = os.read(pipe, 1 << 16)
            if not piece:
                raise EOFError
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return line
