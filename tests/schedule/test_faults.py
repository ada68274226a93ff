"""Faults on real processes: a typed error that names peer, operation and line, soon; nothing revealed, nothing left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from processes import alive, gone

import tacit
from tacit import Session
from tacit.device.executor import Request
from tacit.foundation.errors import (
    AuthenticationError,
    InputError,
    PeerAborted,
    PeerDied,
    PeerStalled,
    ProtocolMismatch,
    SessionError,
    TacitError,
)
from tacit.foundation.ledger import verify
from tacit.resource.identity import Identity
from tacit.schedule import meeting

pytestmark = pytest.mark.multiprocess

HERE = Path(__file__).parent
PLACE = r"operation \d+ \(\w+\) at test_faults.py:\d+"


def long(x: Any) -> Any:
    return jax.lax.fori_loop(0, 400_000, lambda _, y: y * x, x)


def begin(session: Session) -> tuple[threading.Thread, list[BaseException]]:
    """Run a program without end in a thread; return when it is under way."""
    mpc = session.mpc()
    x = mpc.share(session.plain("alice").put(np.ones(16)))
    errors: list[BaseException] = []
    sent = threading.Event()
    send = session._send

    def note(party: str, message: Any) -> None:
        send(party, message)
        if b'"run"' in bytes(message[0]) and party == "carol":
            sent.set()

    session._send = note  # type: ignore[method-assign]

    def work() -> None:
        try:
            tacit.reveal(mpc(long)(x), to="alice", because="never")
        except BaseException as error:  # noqa: BLE001  what it raises is what the test looks at
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert sent.wait(30)
    time.sleep(0.3)
    assert thread.is_alive()
    return thread, errors


def outcome(thread: threading.Thread, errors: list[BaseException], seconds: float) -> BaseException:
    """The error of a run, which must come within `seconds`."""
    thread.join(seconds)
    assert not thread.is_alive(), "the run hangs"
    (error,) = errors
    return error


def is_over(session: Session, why: str) -> None:
    """Every way in says that the session is over, and why; nothing was revealed."""
    assert repr(session).endswith("over)")
    alice = session.plain("alice")
    for call in (lambda: alice.put([1.0]), session.profile, session.mpc):
        with pytest.raises(SessionError, match=f"this session is over: .*{why}.*Start a new one"):
            call()
    for party in session.parties:
        assert [record["kind"] for record in verify(session.ledger(party))] == []


@pytest.mark.parametrize("victim", ["alice", "bob", "carol"])
def test_a_party_that_is_killed(start: Callable[..., Session], victim: str) -> None:
    session = start()
    thread, errors = begin(session)
    os.kill(session._processes[victim].pid, signal.SIGKILL)
    error = outcome(thread, errors, 15)
    assert type(error) is PeerDied
    assert error.peer == victim
    told = " ".join([str(error), *error.__notes__])
    assert f"the process of {victim} ended (signal 9)" in told
    assert re.search(rf"{victim} (closed|stopped|was cut off).*{PLACE}", told)
    is_over(session, f"PeerDied: the process of {victim} ended")


@pytest.mark.parametrize("victim", ["alice", "carol"])
def test_a_party_that_is_killed_between_commands(start: Callable[..., Session], victim: str) -> None:
    session = start()
    pid = session._processes[victim].pid
    os.kill(pid, signal.SIGKILL)
    assert gone([pid])
    with pytest.raises(PeerDied, match=rf"the process of {victim} ended \(signal 9\)"):
        session.profile()
    is_over(session, "PeerDied")


@pytest.mark.parametrize("victim", ["alice", "bob", "carol"])
def test_a_party_that_is_stopped(start: Callable[..., Session], victim: str) -> None:
    session = start(deadline=1.5)
    thread, errors = begin(session)
    os.kill(session._processes[victim].pid, signal.SIGSTOP)
    began = time.monotonic()
    error = outcome(thread, errors, 15)
    assert time.monotonic() - began < 8
    assert isinstance(error, PeerStalled)
    told = " ".join([str(error), *getattr(error, "__notes__", [])])
    assert f"the process of {victim} is stopped" in told
    waited_for = victim if victim != "carol" else "(carol|bob)"  # bob waits for carol, and alice for bob, equally long
    assert re.search(rf"{waited_for} sent nothing before the deadline of 1.5 s .*{PLACE}", told)
    is_over(session, "PeerStalled")


def test_a_party_that_is_stopped_between_commands(start: Callable[..., Session]) -> None:
    session = start(deadline=1.0)
    value = session.plain("bob").put(np.ones(4))
    os.kill(session._processes["bob"].pid, signal.SIGSTOP)
    with pytest.raises(PeerStalled, match="the process of bob is stopped"):
        session.plain("bob").get(value)
    is_over(session, "PeerStalled")


def test_a_stopped_party_that_takes_no_large_value(start: Callable[..., Session]) -> None:
    session = start(deadline=1.0)
    os.kill(session._processes["bob"].pid, signal.SIGSTOP)
    session._processes["bob"].line.sock.settimeout(1.0)
    with pytest.raises(PeerStalled, match="the process of bob took nothing of a command"):
        session.plain("bob").put(np.zeros(1 << 22))
    is_over(session, "PeerStalled")


def test_an_error_inside_one_party(start: Callable[..., Session]) -> None:
    """One party lacks a value: it stops before the others, who are told; the error is the party's own."""
    session = start()
    mpc = session.mpc()
    x = mpc.share(session.plain("alice").put(np.ones(4)))
    session.command(["bob"], "drop", {"ids": [x.id]})
    with pytest.raises(InputError, match=rf"bob holds no value {x.id}") as caught:
        tacit.reveal(mpc(lambda v: v * v)(x), to="alice", because="a test")
    told = " ".join(caught.value.__notes__)
    assert re.search(rf"bob stopped: InputError .*{PLACE}", told)
    is_over(session, "InputError: bob holds no value")


def test_an_unforeseen_error_inside_a_party_is_told_by_its_type_alone(start: Callable[..., Session]) -> None:
    session = start()
    mpc = session.mpc()
    with pytest.raises(SessionError, match=r"alice failed with TypeError; its log has the trace"):
        session.ask(["alice"], "share", {"device": mpc.number, "secret": 424242})
    log = (session.state / "alice.log").read_text()
    assert "TypeError" in log
    assert "424242" not in log
    is_over(session, "alice failed with TypeError")


def test_parties_that_run_different_programs(start: Callable[..., Session]) -> None:
    session = start()
    mpc = session.mpc()
    x = mpc.share(session.plain("alice").put(np.ones((4, 4))))
    one, two = mpc.compile([x * x]), mpc.compile([x[:2] * x[:2]])
    requests = {}
    for party in session.parties:
        compiled = two if party == "bob" else one
        session.command([party], "program", {"digest": compiled.digest}, [np.frombuffer(compiled.data, np.uint8)])
        fields = {"device": mpc.number, "digest": compiled.digest, "inputs": [x.id], "outputs": [900], "timing": False}
        requests[party] = fields
    with pytest.raises(ProtocolMismatch) as caught:
        session.call(Request("run", requests))
    told = " ".join([str(caught.value), *caught.value.__notes__])
    assert caught.value.peer in session.parties
    assert re.search(rf"(alice|carol) runs program {one.digest[:16]}..., bob runs {two.digest[:16]}.*{PLACE}", told)
    is_over(session, "ProtocolMismatch")


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 100,
        b"\x10\x00\x00\x00" + b"no JSON at all!!",
        b"\x02\x00\x00\x00{}",
        json.dumps({"kind": "fly", "fields": {}, "blobs": []}),
        json.dumps({"kind": "put", "fields": {"id": 1}, "blobs": [["|O", [3]]]}),
        json.dumps({"kind": "put", "fields": {"id": 1}, "blobs": [["<f8", [1 << 40]]]}),
        json.dumps({"kind": "put", "fields": {"id": 1}, "blobs": [["<f8", [-1]]]}),
        json.dumps({"kind": "__init__", "fields": {}, "blobs": []}),
    ],
)
def test_garbage_on_the_control_line(start: Callable[..., Session], garbage: bytes | str) -> None:
    session = start()
    data = garbage if isinstance(garbage, bytes) else len(garbage).to_bytes(4, "little") + garbage.encode()
    session._processes["bob"].line.sock.sendall(data)
    with pytest.raises((SessionError, PeerDied), match="bob"):
        session.profile()
    is_over(session, "bob")


def test_a_session_that_is_closed_while_it_runs(start: Callable[..., Session]) -> None:
    session = start()
    thread, errors = begin(session)
    began = time.monotonic()
    session.close()
    error = outcome(thread, errors, 5)
    assert time.monotonic() - began < 5
    assert type(error) is SessionError
    assert "this session ended during the call: it was closed" in str(error)
    is_over(session, "it was closed")


def test_an_error_in_the_users_block_ends_the_session(start: Callable[..., Session]) -> None:
    session = start()
    pids = [process.pid for process in session._processes.values()]
    with pytest.raises(ZeroDivisionError), session:
        raise ZeroDivisionError
    assert gone(pids, 0)
    is_over(session, "it was closed")


def test_an_interrupt_while_waiting_ends_the_session(start: Callable[..., Session]) -> None:
    session = start()
    mpc = session.mpc()
    x = mpc.share(session.plain("alice").put(np.ones(16)))
    pids = [process.pid for process in session._processes.values()]
    threading.Timer(1.5, signal.raise_signal, [signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        session.run(mpc(long)(x))
    assert gone(pids, 0)
    is_over(session, "it ended with KeyboardInterrupt")


def test_a_certificate_that_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed_on = meeting.meet

    def forge(ask: Any, members: Any, **options: Any) -> None:
        def swap(parties: Any, kind: str, fields: dict[str, Any]) -> Any:
            if kind == "connect":
                fields["offers"]["bob"]["certificate"] = Identity.create("bob").certificate.decode()
            return ask(parties, kind, fields)

        passed_on(swap, members, **options)

    monkeypatch.setattr("tacit.schedule.session.meet", forge)
    before = workers()
    began = time.monotonic()
    with pytest.raises(AuthenticationError) as caught:
        Session.local("alice", "bob", "carol", state=tmp_path, start_timeout=6.0)
    assert time.monotonic() - began < 15
    assert "bob" in " ".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    assert workers() <= before


def test_a_party_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = workers()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(PeerDied, match=r"the process of alice ended \(exit status 1\)"):
        Session.local("alice", "bob", "carol", state=tmp_path)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(FileNotFoundError):
        Session.local("alice", "bob", "carol", state=tmp_path)
    assert workers() <= before


def workers() -> set[str]:
    """Party processes of this process: sessions that other tests hold open have theirs."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {child for child in children if _is_worker(Path(f"/proc/{child}/cmdline"))}


def _is_worker(command: Path) -> bool:
    try:
        return b"tacit.schedule.worker" in command.read_bytes()
    except FileNotFoundError:
        return False


# --- the user's program as a process of its own -------------------------------------------------------------------


@pytest.fixture
def script(tmp_path: Path) -> Any:
    """Start script.py and wait until its session computes; kill it and its parties in the end."""
    started: list[tuple[subprocess.Popen[str], list[int]]] = []
    folder = tmp_path / "tmp"
    folder.mkdir()

    def start(*arguments: str) -> tuple[subprocess.Popen[str], list[int]]:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "script.py"), str(tmp_path), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        started.append((process, pids))
        assert len(pids) == 3, process.communicate()
        assert all(map(alive, pids))
        time.sleep(1.0)
        return process, pids

    yield start
    for process, pids in started:
        left = [pid for pid in pids if alive(pid)]
        for pid in (*left, *([] if process.poll() is not None else [process.pid])):
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        assert left == []
    assert [entry.name for entry in folder.iterdir() if entry.name.startswith("tacit-")] == []


def test_control_c_leaves_no_process(script: Any) -> None:
    process, pids = script()
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # what a terminal does: the parties get it too
    _, errors = process.communicate(timeout=10)
    assert time.monotonic() - began < 8
    assert gone(pids, 0.5)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "Exception ignored" not in errors


def test_control_c_twice_leaves_no_process(script: Any) -> None:
    process, pids = script()
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.2)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=10)
    assert gone(pids, 1.0)


@pytest.mark.parametrize("where", ["", "thread"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_parties_end_with_the_users_process(script: Any, where: str, number: signal.Signals) -> None:
    process, pids = script(*filter(None, [where]))
    os.kill(process.pid, number)
    process.communicate(timeout=10)
    assert gone(pids, 5.0)


def test_a_session_outlives_the_thread_that_started_it(start: Callable[..., Session]) -> None:
    made: list[Session] = []
    thread = threading.Thread(target=lambda: made.append(start()))
    thread.start()
    thread.join()
    time.sleep(0.5)
    mpc = made[0].mpc()
    x = mpc.share(made[0].plain("alice").put([1.5]))
    assert tacit.reveal(x * 2, to="bob", because="still there") == 3.0


def test_kinds_of_errors_survive_the_way_to_the_user(start: Callable[..., Session]) -> None:
    """What a peer saw second-hand is told as a note, and every error is one of ours."""
    session = start()
    thread, errors = begin(session)
    os.kill(session._processes["carol"].pid, signal.SIGTERM)
    error = outcome(thread, errors, 15)
    assert isinstance(error, TacitError)
    assert "carol" in str(error)
    assert "signal 15" in str(error)
    assert not isinstance(error, PeerAborted)
