"""What an enclave's process does to itself before it makes a key.

None of it protects from the host's administrator, or from its kernel, as long as the enclave is simulated.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from tacit.foundation.errors import EnclaveError


def take_line() -> tuple[int, int]:
    """Move standard input and output away, for the line only, and put nothing in their place; close all else.

    What a library prints afterwards goes nowhere, instead of into the line.
    """
    reading, writing = os.dup(0), os.dup(1)
    empty = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(empty, standard)
    kept = {0, 1, 2, reading, writing}
    for descriptor in _open_descriptors() - kept:
        with suppress(OSError):
            os.close(descriptor)
    return reading, writing


def harden(*, parent_thread_lives: bool, required: bool = True) -> tuple[str, ...]:
    """Forbid core dumps, tracing, new privileges; forget the environment; die with the parent.

    parent_thread_lives: whether the thread that started us lasts as long as the host; the kernel's death signal is tied
    to that thread, and is asked for only then. Whoever uses this also watches its line's end, see `die_with`.
    required: whether to go on only without core dumps and tracing. A library operating system inside an enclave need not
    know these calls, and its memory does not need them.
    Returns: the measures in force. Raises: EnclaveError when one that is required cannot be had.
    """
    measures = []
    os.environ.clear()
    measures.append("environment cleared")
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if resource.getrlimit(resource.RLIMIT_CORE) == (0, 0):
        measures.append("no core dumps")
    elif required:
        raise EnclaveError("core dumps cannot be forbidden here; a crash would write plaintext to disk")
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if not prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) and not prctl(PR_GET_DUMPABLE, 0, 0, 0, 0):
        measures.append("not traceable by its user")
    elif required:
        raise EnclaveError("this process cannot be made untraceable: PR_SET_DUMPABLE failed")
    if not prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        measures.append("no new privileges")
    if parent_thread_lives and not prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0):
        measures.append("killed with its parent")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return tuple(measures)


def die_with(reading: int) -> None:
    """End this process as soon as the other end of the line is closed, whatever it is computing."""
    poll = select.poll()
    poll.register(reading, 0)  # POLLHUP is always reported

    def watch() -> None:
        poll.poll()
        os._exit(0)

    threading.Thread(target=watch, name="line-watch", daemon=True).start()


def _open_descriptors() -> set[int]:
    try:
        return {int(path.name) for path in Path("/proc/self/fd").iterdir()}
    except OSError:  # no /proc in some library operating systems, which hand in no descriptors either
        return set(range(3, 256))


PR_SET_PDEATHSIG: Final = 1
PR_GET_DUMPABLE: Final = 3
PR_SET_DUMPABLE: Final = 4
PR_SET_NO_NEW_PRIVS: Final = 38
