"""A session: parties as separate processes on this machine, joined by mutually authenticated TLS.

`Session.local` starts one process per party. Nothing is simulated but the distance: keys, certificates, sockets and
protocol messages are those of parties on different machines. The session itself plays the users of all parties: it brings
their data in, and sees what is revealed to them.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, final

import numpy as np

from tacit.device.executor import Answer
from tacit.device.mpc import MPC
from tacit.device.plain import Plain, PlainValue
from tacit.device.secret import Secret
from tacit.foundation import errors
from tacit.foundation.errors import ConfigError, PeerDied, SessionError, TacitError
from tacit.primitive.mpc.protocol import Assisted, Protocol
from tacit.resource.identity import LocalAuthority
from tacit.schedule.control import ControlLine
from tacit.schedule.report import SessionProfile, collect

GRACE_SECONDS = 2.0
PROCEDURES = ("tacit.schedule.offline", "tacit.algorithm.table.procedures")
"""Modules that install the procedures every party knows; named, because they lie in a layer above this one."""


@final
class Session:
    """Parties that can be computed with. Use it as a context manager; leaving it ends every process.

    Make one with `Session.local`.
    """

    def __init__(
        self,
        parties: Sequence[str],
        *,
        deadline: float,
        plain_tcp: bool,
        state: Path | None,
        start_timeout: float,
        procedures: Sequence[str],
    ) -> None:
        names = tuple(parties)
        if len(names) < 2 or len(set(names)) != len(names):
            raise ConfigError(f"a session needs at least two parties with different names, not {list(names)}")
        for name in names:
            if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum() or len(name) > 64:
                raise ConfigError(f"party name {name!r}: use up to 64 letters, digits, '-' and '_'")
        self.parties = names
        self.id = secrets.token_hex(8)
        self.plain_tcp = plain_tcp
        self.procedures = tuple(procedures)
        self._next = 1
        self._dropped: list[int] = []
        self._lock = threading.RLock()
        self._closed = False
        self._lines: dict[str, ControlLine] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._devices: list[MPC] = []
        self._plain = {name: Plain(self, name) for name in names}
        self._cleanup = ExitStack()
        self.state = (state or _state_folder()) / self.id
        self.state.mkdir(parents=True, mode=0o700)
        try:
            self._start(deadline, start_timeout)
        except BaseException:
            self.close()
            raise

    @classmethod
    def local(
        cls,
        *parties: str,
        deadline: float = 120.0,
        state: Path | None = None,
        danger_plain_tcp: bool = False,
        start_timeout: float = 30.0,
        procedures: Sequence[str] = PROCEDURES,
    ) -> Session:
        """Start one process per party on this machine, with TLS 1.3 between every two of them.

        deadline: seconds a party waits for a peer before it gives up with PeerStalled.
        state: folder for ledgers and logs; default is the user's state folder. Kept after the session.
        danger_plain_tcp: no encryption and no authentication; for measuring beside systems that have none.
        procedures: modules of Tacit that install the procedures a party may be asked to run; no other module is loaded.
        Raises: SessionError when a party does not come up; ConfigError for unusable names.
        """
        return cls(
            parties,
            deadline=deadline,
            plain_tcp=danger_plain_tcp,
            state=state,
            start_timeout=start_timeout,
            procedures=procedures,
        )

    # --- devices ------------------------------------------------------------------------------------------------

    def plain(self, party: str) -> Plain:
        """The plain device of a party."""
        if party not in self._plain:
            raise ConfigError(f"no party {party!r} in this session; there are {', '.join(self.parties)}")
        return self._plain[party]

    def mpc(self, protocol: Protocol | None = None, parties: Sequence[str] | None = None) -> MPC:
        """An MPC device: by default `Assisted()` on the first three parties (two compute, the third deals)."""
        names = tuple(parties or self.parties[:3])
        if len(names) != 3:
            raise ConfigError(
                f"the protocols here take three parties, not {len(names)}: two that compute and one that helps (Assisted), "
                "or three that compute (Replicated). Add a party to Session.local(...)."
            )
        unknown = [name for name in names if name not in self.parties]
        if unknown:
            raise ConfigError(f"no party {unknown[0]!r} in this session; there are {', '.join(self.parties)}")
        device = MPC(self, protocol or Assisted(), names)
        self._devices.append(device)
        return device

    def run(self, *values: Any, timing: bool = False) -> None:
        """Compute pending secrets now; they stay shared."""
        import jax

        leaves = jax.tree.leaves(values, is_leaf=lambda leaf: isinstance(leaf, Secret))
        for device in self._devices:
            device.run([leaf for leaf in leaves if isinstance(leaf, Secret) and leaf.device is device], timing=timing)

    def procedure(
        self,
        name: str,
        inputs: Mapping[str, Sequence[PlainValue]],
        params: Mapping[str, Any],
        count: int,
        *,
        blobs: Sequence[np.ndarray] = (),
    ) -> tuple[dict[str, list[PlainValue]], dict[str, Mapping[str, Any]]]:
        """Run a named multi-party procedure (such as private set intersection) at the parties of `inputs`.

        Returns, by party, its `count` plain results and its public facts.
        """
        ids = {party: [self.new_id() for _ in range(count)] for party in inputs}
        requests = {
            party: {"name": name, "inputs": [v.id for v in values], "outputs": ids[party], "params": dict(params)}
            for party, values in inputs.items()
        }
        answers = self._ask_each("procedure", requests, blobs)
        values = {
            party: [
                PlainValue(self._plain[party], id, tuple(shape), np.dtype(dtype))
                for id, (shape, dtype) in zip(ids[party], facts["shapes"], strict=False)
            ]
            for party, (facts, _) in answers.items()
        }
        return values, {party: facts for party, (facts, _) in answers.items()}

    def profile(self) -> SessionProfile:
        """What every party spent so far: rounds, messages, bytes, seconds, by operation and source line."""
        return collect({party: facts for party, (facts, _) in self.ask(self.parties, "profile", {}).items()})

    def ledger(self, party: str) -> Path:
        """The ledger file of a party."""
        self.plain(party)
        return self.state / f"{party}.ledger.jsonl"

    # --- the executor interface of the devices ------------------------------------------------------------------

    def new_id(self) -> int:
        """A fresh number for a value."""
        with self._lock:
            self._next += 1
            return self._next

    def drop_later(self, ids: Sequence[int]) -> None:
        """Forget values, before the next command."""
        if not self._closed:
            self._dropped.extend(ids)

    def command(
        self, parties: Sequence[str], kind: str, fields: Mapping[str, Any], blobs: Sequence[np.ndarray] = ()
    ) -> None:
        """Send a command that has no answer."""
        with self._lock:
            self._alive()
            self._drop()
            for party in parties:
                self._send(party, kind, fields, blobs)

    def ask(
        self, parties: Sequence[str], kind: str, fields: Mapping[str, Any], blobs: Sequence[np.ndarray] = ()
    ) -> dict[str, Answer]:
        """Send a command and wait for every answer."""
        return self._ask_each(kind, dict.fromkeys(parties, fields), blobs)

    def _ask_each(
        self, kind: str, requests: Mapping[str, Mapping[str, Any]], blobs: Sequence[np.ndarray] = ()
    ) -> dict[str, Answer]:
        with self._lock:
            self._alive()
            self._drop()
            for party, fields in requests.items():
                self._send(party, kind, fields, blobs)
            return self._answers(list(requests))

    def _send(self, party: str, kind: str, fields: Mapping[str, Any], blobs: Sequence[np.ndarray]) -> None:
        try:
            self._lines[party].send(kind, fields, blobs)
        except PeerDied:
            self._answers([party])  # reads the error that the party left behind
            raise

    def _drop(self) -> None:
        if self._dropped:
            ids, self._dropped = self._dropped, []
            for party in self.parties:
                self._send(party, "drop", {"ids": ids}, [])

    def _answers(self, parties: list[str]) -> dict[str, Answer]:
        """One answer of every party, or the error that explains best why there is none."""
        waiting = {self._lines[party].sock: party for party in parties}
        answers: dict[str, Answer] = {}
        failures: dict[str, TacitError] = {}
        limit: float | None = None
        while waiting:
            timeout = None if limit is None else max(0.0, limit - time.monotonic())
            readable, _, _ = select.select(list(waiting), [], [], timeout)
            if not readable:
                break
            for sock in readable:
                party = waiting.pop(sock)
                try:
                    kind, fields, blobs = self._lines[party].receive()
                except PeerDied:
                    failures[party] = PeerDied(f"the process of {party} ended{self._exit_reason(party)}")
                    kind = ""
                if kind == "error":
                    failures[party] = _rebuild(fields)
                elif kind:
                    answers[party] = (fields, blobs)
            if failures and limit is None:
                limit = time.monotonic() + 10.0  # the others notice by their channels; do not wait for ever
        if failures:
            self.close()
            raise _root_cause(failures)
        return {party: answers[party] for party in parties}

    def _exit_reason(self, party: str) -> str:
        try:
            status = self._processes[party].wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return ""
        return f" (signal {-status})" if status < 0 else f" (exit status {status})"

    def _alive(self) -> None:
        if self._closed:
            raise SessionError("this session is over; start a new one")

    # --- processes ----------------------------------------------------------------------------------------------

    def _start(self, deadline: float, timeout: float) -> None:
        folder = Path(tempfile.mkdtemp(prefix="tacit-"))
        self._cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        if not self.plain_tcp:
            LocalAuthority.create(folder, self.parties)
        listeners = {name: socket.create_server(("127.0.0.1", 0), backlog=len(self.parties)) for name in self.parties}
        addresses = {name: listener.getsockname()[:2] for name, listener in listeners.items()}
        for name in self.parties:
            ours, theirs = socket.socketpair()
            config = {
                "name": name,
                "addresses": addresses,
                "folder": str(folder),
                "session": self.id,
                "deadline": deadline,
                "connect_timeout": timeout,
                "danger_plain_tcp": self.plain_tcp,
                "ledger": str(self.ledger(name)),
                "procedures": self.procedures,
            }
            path = folder / f"{name}.json"
            path.write_text(json.dumps(config), encoding="utf-8")
            with (self.state / f"{name}.log").open("wb") as log:
                self._processes[name] = subprocess.Popen(  # noqa: S603  our own interpreter and module
                    [
                        *(sys.executable, "-m", "tacit.schedule.worker"),
                        *(
                            "--control",
                            str(theirs.fileno()),
                            "--listen",
                            str(listeners[name].fileno()),
                            "--config",
                            str(path),
                        ),
                    ],
                    pass_fds=[theirs.fileno(), listeners[name].fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                )
            theirs.close()
            listeners[name].close()
            self._lines[name] = ControlLine(ours, name)
        self._answers(list(self.parties))
        threads = max(1, (os.cpu_count() or 1) // len(self.parties))
        self.command(self.parties, "threads", {"count": threads})

    def close(self) -> None:
        """End every party's process. Idempotent; called on leaving the context."""
        if self._closed:
            return
        self._closed = True
        for line in self._lines.values():
            try:
                line.send("stop")
            except TacitError:
                continue
            finally:
                line.close()
        limit = time.monotonic() + GRACE_SECONDS
        for process in self._processes.values():
            try:
                process.wait(timeout=max(0.0, limit - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._cleanup.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "over" if self._closed else "plain TCP" if self.plain_tcp else "TLS"
        return f"Session({', '.join(self.parties)}; {state})"


def _rebuild(fields: Mapping[str, Any]) -> TacitError:
    """The error a party reported, by the name of its class; only our own classes are made."""
    kind = getattr(errors, str(fields.get("type")), SessionError)
    if not (isinstance(kind, type) and issubclass(kind, TacitError)):
        kind = SessionError
    error: TacitError = kind.__new__(kind)
    Exception.__init__(error, str(fields.get("message")))
    return error


def _root_cause(failures: Mapping[str, TacitError]) -> TacitError:
    """The failure that explains the others: a party that only saw its peer go is the last to ask."""
    secondary = (errors.PeerAborted, errors.PeerStalled, errors.PeerDied)
    ranked = sorted(failures.values(), key=lambda error: isinstance(error, secondary))
    dead = [
        error for error in failures.values() if isinstance(error, PeerDied) and str(error).startswith("the process of")
    ]
    first = ranked[0] if not isinstance(ranked[0], secondary) else (dead or ranked)[0]
    others = [error for error in failures.values() if error is not first]
    for error in others:
        first.add_note(f"and: {error}")
    return first


def _state_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "tacit" / "sessions"
