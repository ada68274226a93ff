"""What can go wrong with Ray itself: typed errors with a cure, nothing reserved and nothing running afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import alive, gone
from ray_rig import MARK, no_groups, processes_of, python_path, running

import tacit
from tacit import Session
from tacit.foundation.errors import ConfigError, MissingExtra, PeerDied, SessionError
from tacit.schedule.ray import RayLauncher, cluster, relay

pytestmark = [pytest.mark.multiprocess, pytest.mark.slow]

NAMES = ("alice", "bob", "carol")


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    with running() as ray:
        yield ray


def test_two_sessions_share_one_cluster(ray: Any, tmp_path: Path) -> None:
    """Sessions with parties of the same names do not meet, and the end of one is not the end of the other."""
    first = Session.ray(*NAMES, state=tmp_path / "first")
    with Session.ray(*NAMES, state=tmp_path / "second") as second:
        for number, session in enumerate((first, second)):
            mpc = session.mpc()
            x = mpc.share(session.plain("alice").put([float(number)]))
            assert tacit.reveal(x + 1, to="bob", because="own sum") == number + 1
        first.close()
        assert ray.is_initialized()
        x = second.mpc().share(second.plain("bob").put([5.0]))
        assert tacit.reveal(x, to="bob", because="still here") == 5.0
    assert ray.is_initialized(), "whoever connected to Ray disconnects"
    assert no_groups(ray)


def test_an_actor_that_dies_takes_its_process_along(ray: Any, tmp_path: Path) -> None:
    with Session.ray(*NAMES, state=tmp_path, deadline=30.0) as session:
        pids = [process.pid for process in session._processes.values()]
        ray.kill(session._processes["bob"]._actor)
        with pytest.raises(PeerDied, match=r"the process of bob ended \(its Ray actor died\)"):
            session.profile()
        assert gone(pids, 3.0)
    assert no_groups(ray)


def test_a_stopped_process_dies_with_its_actor(ray: Any, tmp_path: Path) -> None:
    """What is stopped cannot see its line end: the kernel ends it."""
    with Session.ray(*NAMES, state=tmp_path) as session:
        pid = session._processes["alice"].pid
        os.kill(pid, signal.SIGSTOP)
        ray.kill(session._processes["alice"]._actor)
        assert gone([pid], 5.0)


def test_no_room_for_the_parties(ray: Any, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(SessionError, match=r"no room for 3 processes of 1000 CPU each within 1 s.*cpus=") as caught:
        Session.ray(*NAMES, state=tmp_path, cpus=1000, start_timeout=1.0)
    assert time.monotonic() - began < 20
    assert "CPUs are free on 1 nodes" in str(caught.value)
    assert no_groups(ray)


def test_no_room_for_lanes_leaves_the_session_as_it_was(ray: Any, tmp_path: Path) -> None:
    free = ray.cluster_resources()["CPU"]
    with Session.ray(*NAMES, state=tmp_path, cpus=free // 4, start_timeout=2.0) as session:
        mpc = session.mpc()
        with pytest.raises(SessionError, match="no room for 3 processes"):
            session.lanes(mpc, 2)
        x = mpc.share(session.plain("alice").put([2.0]))
        assert tacit.reveal(x * x, to="bob", because="goes on") == 4.0
    assert no_groups(ray)


def test_a_node_without_tacit_says_so(ray: Any, tmp_path: Path) -> None:
    """An actor that cannot start its process: here its folder cannot be made."""
    (tmp_path / "file").write_text("")
    launcher = RayLauncher(None, cpus=1.0, strategy="PACK")
    from tacit.schedule.launch import Order

    config = {"ledger": str(tmp_path / "file" / "ledger")}
    (member,) = launcher.start([Order("alice", config, tmp_path / "alice.log", 5.0)], 20.0)
    with pytest.raises(PeerDied):
        member.line.receive()
    assert member.exit_reason() == (
        " (its Ray actor could not start it: has every node this version of Tacit, and a folder for its state?)"
    )
    member.kill()
    member.line.close()
    launcher.close()
    assert no_groups(ray)


def test_settings_that_make_no_sense(ray: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cpus must be above 0"):
        Session.ray(*NAMES, state=tmp_path, cpus=0)
    with pytest.raises(ConfigError, match="strategy one of SPREAD"):
        Session.ray(*NAMES, state=tmp_path, strategy="ANYHOW")
    with pytest.raises(ConfigError, match=r"connected to Ray at .* and cannot be to '192\.0\.2\.1:1'"):
        Session.ray(*NAMES, state=tmp_path, address="192.0.2.1:1")
    with pytest.raises(ConfigError, match="at least two parties"):
        Session.ray("alice", state=tmp_path)
    assert cluster._users == 1, "a session that did not start still holds the cluster"


def test_the_cluster_has_no_dashboard_and_sends_no_statistics(ray: Any) -> None:
    environment = Path(f"/proc/{cluster._head._process.pid}/environ").read_bytes()
    assert b"RAY_USAGE_STATS_ENABLED=0" in environment
    address = ray.get_runtime_context().gcs_address.encode()
    ours = [line for path in Path("/proc").glob("[0-9]*/cmdline") if address in (line := read(path))]
    assert ours
    # What Ray calls the dashboard's process is always there; it serves no page, and is where statistics would be sent from.
    assert all(b"--disable-frontend" in line for line in ours if b"dashboard/dashboard.py" in line)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_ray_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r'pip install "tacit\[ray\]"'):
        Session.ray(*NAMES, state=tmp_path)


# --- the relay, without Ray -----------------------------------------------------------------------------------------


def test_an_actor_that_does_not_answer_counts_as_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket
    import threading

    monkeypatch.setattr(relay, "SILENCE_SECONDS", 0.2)
    ours, theirs = socket.socketpair()
    release = threading.Event()

    def silent() -> Any:
        release.wait(10)
        return b"", True, False, " (exit status 0)"

    line = relay.Relay("alice", theirs, lambda _: True, silent)
    time.sleep(0.4)
    assert line.stopped
    release.set()
    assert line.over.wait(5)
    assert not line.stopped
    assert line.reason == " (exit status 0)"
    assert ours.recv(1) == b""
    line.close(1.0)
    ours.close()


# --- the user's program as a process of its own ---------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_outlives_the_users_process(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, or a kill: no party, no actor and no Ray is left."""
    pytest.importorskip("ray", reason='needs Ray: pip install "tacit[ray]"')
    family = tmp_path.name + str(time.time_ns())
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "ray_script.py"), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, MARK: family, "PYTHONPATH": python_path()},
    )
    try:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) == 3, process.communicate()
        assert all(map(alive, pids))
        time.sleep(1.0)
        everything = processes_of(family)
        assert set(pids) < set(everything)
        os.killpg(process.pid, number)  # what a terminal does
        _, errors = process.communicate(timeout=40)
        assert gone(everything, 20.0), "something is left"
        if number == signal.SIGINT:
            assert errors.rstrip().endswith("KeyboardInterrupt")
            assert "Exception ignored" not in errors
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_a_node_that_is_lost(tmp_path: Path) -> None:
    """Two processes of each of three nodes; the session ends when one node does, and so does all that ran on the others."""
    pytest.importorskip("ray.cluster_utils", reason='needs Ray: pip install "tacit[ray]"')
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "ray_nodes.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "PYTHONPATH": python_path()},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"total"')]
    assert lines, done.stderr[-2000:]
    found = json.loads(lines[0])
    assert (found["total"], found["nodes"], found["left"]) == (45.0, 3, [])
    kind, message, _ = found["error"]
    assert kind == "PeerDied"
    assert "(its Ray" in message


def test_data_on_the_way_is_whole(ray: Any, tmp_path: Path) -> None:
    with Session.ray(*NAMES, state=tmp_path) as session:
        data = np.arange(1_500_000.0)
        values = [session.plain(name).put(data + number) for number, name in enumerate(NAMES)]
        for number, (name, value) in enumerate(zip(NAMES, values, strict=True)):
            assert np.array_equal(session.plain(name).get(value), data + number)
