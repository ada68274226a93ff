"""An enclave's process: what it is started with, and that nothing it does holds its host up."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from tacit.foundation.errors import ConfigError, EnclaveError, FrameCorrupted, FrameOversized, PeerDied, PeerStalled
from tacit.resource.enclave import EnclaveProcess, LineLimits, process


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_process_that_talks_nonsense_is_ended() -> None:
    started = EnclaveProcess.start("tee", "this", deadline=10.0)
    with pytest.raises(FrameCorrupted, match="no message"):
        started.ask("hello", {})
    assert not alive(started.pid)
    with pytest.raises(PeerDied):
        started.ask("hello", {})


def test_a_process_that_ends_is_said_with_its_status() -> None:
    with EnclaveProcess.start("tee", "tacit.no_such_module", deadline=10.0) as started, pytest.raises(
        PeerDied, match=r"enclave tee ended \(exit status 1\).*seal again"
    ):  # fmt: skip
        started.ask("hello", {})


def test_a_stopped_process_is_ended_at_the_deadline() -> None:
    started = EnclaveProcess.start("tee", "timeit", deadline=0.3)
    os.kill(started.pid, signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(PeerStalled, match=r"enclave tee did not answer within 0.3 s"):
        started.ask("hello", {})
    assert time.monotonic() - began < 20.0
    assert not alive(started.pid)


def test_a_killed_process_is_said_at_once() -> None:
    started = EnclaveProcess.start("tee", "tacit.schedule.enclave.worker", deadline=60.0)
    os.kill(started.pid, signal.SIGSTOP)
    threading.Timer(0.2, os.kill, (started.pid, signal.SIGKILL)).start()
    began = time.monotonic()
    with pytest.raises(PeerDied, match=r"\(signal 9\)"):
        started.ask("hello", {})
    assert time.monotonic() - began < 30.0


def test_an_oversized_question_is_not_sent_and_changes_nothing() -> None:
    limits = LineLimits(head=1000, blobs=2, total=100)
    with EnclaveProcess.start("tee", "timeit", deadline=5.0, limits=limits) as started:
        with pytest.raises(FrameOversized, match="at most 100"):
            started.ask("hello", {}, [bytes(101)])
        assert alive(started.pid)


def test_a_process_gets_neither_environment_nor_descriptors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TACIT_TEST_SECRET", "of the host")
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.1)
    with (tmp_path / "file").open("wb") as file:
        os.set_inheritable(file.fileno(), True)
        with EnclaveProcess.start("tee", "tacit.schedule.enclave.worker") as started:
            assert b"TACIT_TEST_SECRET" not in Path(f"/proc/{started.pid}/environ").read_bytes()
            links = [str(link.readlink()) for link in Path(f"/proc/{started.pid}/fd").iterdir()]
            assert not any(str(tmp_path) in link for link in links)


def test_closing_ends_a_process_that_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.1)
    started = EnclaveProcess.start("tee", "tacit.schedule.enclave.worker")
    os.kill(started.pid, signal.SIGSTOP)
    started.close()
    started.close()
    assert not alive(started.pid)


def test_a_launcher_is_one_of_a_list_and_must_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no launcher 'sh -c'"):
        EnclaveProcess.start("tee", "this", launcher="sh -c")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(EnclaveError, match="gramine-sgx is not installed"):
        EnclaveProcess.start("tee", "this", launcher="gramine")
