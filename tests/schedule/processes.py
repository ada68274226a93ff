"""Whether processes are there."""

from __future__ import annotations

import time
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def gone(pids: list[int], seconds: float = 10.0) -> bool:
    """Whether all processes are gone, now or soon."""
    limit = time.monotonic() + seconds
    while any(map(alive, pids)):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True
