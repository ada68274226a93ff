"""A party's process: how it keeps its memory, when it ends, and what it says of an error."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
import time
import traceback

from tacit.foundation.errors import TacitError
from tacit.schedule.control import ControlLine

PR_SET_PDEATHSIG = 1
FAREWELL_SECONDS = 1.0
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h


def die_with(line: ControlLine, *, parent: int, by_signal: bool) -> None:
    """End this process when the session's ends, however that comes about.

    The kernel's parent death signal reaches a stopped process too, but is tied to the thread that started us: it is asked
    for only where that is the session's main thread. A thread of our own watches the control line in any case.
    """
    if by_signal:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    poll = select.poll()
    poll.register(line.sock, select.POLLRDHUP)

    def watch() -> None:
        poll.poll()
        time.sleep(FAREWELL_SECONDS)  # a stop command may stand in the line before its end
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def keep_memory() -> None:
    """Have the allocator keep freed memory: protocols make the same large temporaries again and again, and taking
    fresh pages from the kernel for each would cost more than computing on them (products of 1e6: three times).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return  # another C library than glibc
    for option, value in ((M_MMAP_THRESHOLD, 32 << 20), (M_TRIM_THRESHOLD, (1 << 31) - 1), (M_TOP_PAD, 64 << 20)):
        mallopt(option, value)


def report(line: ControlLine, name: str, error: Exception, command: str, *, fatal: bool, call: int = 0) -> None:
    """Tell the session about an error: ours as it is, any other by its type, because its message may quote a value.

    The log has the trace, without messages.
    """
    if isinstance(error, TacitError):
        kind, message = type(error).__name__, str(error)
        facts = {k: v for k, v in vars(error).items() if isinstance(v, (int, float, str)) and not k.startswith("_")}
    else:
        print("".join(traceback.format_tb(error.__traceback__)), type(error).__name__, file=sys.stderr, flush=True)  # noqa: T201
        during = f" in {command!r}" if command else ""
        kind, facts = ("SessionError" if fatal else "TacitError"), {}
        message = f"{name} failed with {type(error).__name__}{during}; its log has the trace"
    try:
        line.send("error", {"type": kind, "message": message, "facts": facts, "fatal": fatal}, call=call)
    except TacitError:
        print(f"{kind}: {message}", file=sys.stderr)  # noqa: T201  the session is gone; its log is all there is
