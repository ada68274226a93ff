"""An enclave's process, as its host sees it: started with nothing of the host's, talked to over two pipes, ended for sure."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from types import MappingProxyType
from typing import Any, Final, Literal, Self, final

from tacit.foundation.errors import ConfigError, EnclaveError, FrameError, FrameTruncated, PeerDied, PeerStalled
from tacit.resource.enclave.line import EnclaveLine, LineLimits

Launcher = Literal["python", "gramine", "occlum"]


@final
class EnclaveProcess:
    """A started enclave worker and the line to it. `deadline` bounds every question, in seconds."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], line: EnclaveLine, deadline: float) -> None:
        self.name = name
        self.line = line
        self.deadline = deadline
        self._process = process
        self._turn = threading.Lock()

    @classmethod
    def start(
        cls,
        name: str,
        module: str,
        *,
        launcher: Launcher = "python",
        deadline: float = 60.0,
        limits: LineLimits | None = None,
    ) -> EnclaveProcess:
        """Start `module` as an enclave worker.

        The process inherits no environment, no descriptor but the two ends of its line (as standard input and output, which
        is all that Gramine and Occlum hand in), and no standard error: a traceback could hold plaintext.
        `launcher` is one of a fixed list: `python` for a simulation and inside a confidential VM, `gramine` and `occlum`
        for an enclave prepared in the current directory.

        Raises: EnclaveError when the launcher is not installed, ConfigError when it is not on the list.
        """
        if launcher not in LAUNCHERS:
            raise ConfigError(f"no launcher {launcher!r}; these are: {', '.join(LAUNCHERS)}")
        command = list(LAUNCHERS[launcher])
        if launcher != "gramine":  # there the manifest says what runs
            command += ["-I", "-m", module]
        program = shutil.which(command[0])
        if program is None:
            raise EnclaveError(f"{command[0]} is not installed here, so no enclave can start by {launcher}. Install it")
        with ExitStack() as undo:
            theirs_in, ours_out = _pipe(undo)
            ours_in, theirs_out = _pipe(undo)
            process = subprocess.Popen(  # noqa: S603  a command of the fixed list
                [program, *command[1:]],
                stdin=theirs_in,
                stdout=theirs_out,
                stderr=subprocess.DEVNULL,
                env=dict(ENVIRONMENT),
                close_fds=True,
            )
            undo.pop_all()
        os.close(theirs_in)
        os.close(theirs_out)
        return cls(name, process, EnclaveLine(ours_in, ours_out, f"enclave {name}", limits), deadline)

    @property
    def pid(self) -> int:
        """The process number."""
        return self._process.pid

    def ask(
        self, kind: str, fields: Mapping[str, Any], blobs: Sequence[bytes] = ()
    ) -> tuple[str, dict[str, Any], list[bytes]]:
        """Put a question and wait for the answer, each at most `deadline` seconds; one question at a time.

        A process that died, stalled or sent no proper message is ended and of no further use: one answer too late would be
        taken for the next. Raises: PeerDied, PeerStalled, FrameError; FrameOversized for a question leaves it running.
        """
        message = self.line.pack(kind, fields, blobs)
        try:
            with self._turn:
                self.line.send(message, deadline=self.deadline)
                return self.line.receive(deadline=self.deadline)
        except (PeerDied, FrameTruncated):
            reason = self._exit_reason()
            self.close()
            raise PeerDied(
                f"the process of enclave {self.name} ended{reason}; its keys and what was sealed to it are lost. "
                "Start a new one and seal again",
                peer=self.name,
            ) from None
        except (PeerStalled, FrameError):
            self.close()
            raise

    def close(self) -> None:
        """End the process. Idempotent."""
        self.line.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=GRACE_SECONDS)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _exit_reason(self) -> str:
        try:
            status = self._process.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            return ""
        return f" (signal {-status})" if status < 0 else f" (exit status {status})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"EnclaveProcess({self.name})"


def _pipe(undo: ExitStack) -> tuple[int, int]:
    reading, writing = os.pipe()
    undo.callback(os.close, reading)
    undo.callback(os.close, writing)
    with suppress(OSError):  # more than the kernel grants this user; the default works too
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 1 << 20)
    return reading, writing


LAUNCHERS: Final[Mapping[Launcher, Sequence[str]]] = MappingProxyType(
    {
        "python": (sys.executable,),
        "gramine": (
            "gramine-sgx",
            "tacit-enclave",
        ),
        "occlum": ("occlum", "run", "/bin/python3"),
    }
)
ENVIRONMENT: Final = MappingProxyType({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"})
GRACE_SECONDS: Final = 0.5
