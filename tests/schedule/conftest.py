"""Sessions that are watched: whatever a test does to them, no process and no folder may be left."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import gone

from tacit import Session


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
