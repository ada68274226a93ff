"""Sessions that are watched: whatever a test does to them, no process and no folder may be left."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tacit import Session


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


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Session]]:
    """Start a session; afterwards all its processes and key files must be gone."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    sessions: list[Session] = []
    pids: list[int] = []

    def start(*names: str, **options: Any) -> Session:
        session = Session.local(
            *(names or ("alice", "bob", "carol")), **{"state": tmp_path, "deadline": 60.0, **options}
        )
        sessions.append(session)
        pids.extend(process.pid for process in session._processes.values())
        assert list(folder.iterdir()) == [], "key files stay on disk while the session runs"
        return session

    yield start
    for session in sessions:
        session.close()
    assert gone(pids, 0.5), "a party's process is left"
    assert list(folder.iterdir()) == [], "a temporary folder is left"
