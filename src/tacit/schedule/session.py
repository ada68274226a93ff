"""A session: parties as separate processes on this machine, joined by mutually authenticated TLS.

`Session.local` starts one process per party. Nothing is simulated but the distance: keys, certificates, sockets and
protocol messages are those of parties on different machines. The session itself plays the users of all parties: it brings
their data in, and sees what is revealed to them.
"""

from __future__ import annotations

import os
import secrets
import select
import shutil
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, final

import numpy as np

from tacit.device.executor import Answer
from tacit.device.mpc import MPC
from tacit.device.plain import Plain, PlainValue
from tacit.device.secret import Secret
from tacit.foundation.errors import ConfigError, PeerDied, PeerStalled, SessionError, TacitError
from tacit.primitive.mpc.protocol import Assisted, Protocol
from tacit.resource.identity import LocalAuthority
from tacit.schedule.control import pack
from tacit.schedule.failure import Failure, rebuild, root_cause
from tacit.schedule.process import PartyProcess
from tacit.schedule.report import SessionProfile, collect

GRACE_SECONDS = 2.0
"""How long parties may take to end in good order."""
AFTERMATH_SECONDS = 5.0
"""How long the other parties may take to tell what they saw of a failure."""
GLANCE_SECONDS = 0.5
PROCEDURES = ("tacit.schedule.offline", "tacit.algorithm.table.procedures")
"""Modules that install the procedures every party knows; named, because they lie in a layer above this one."""


@final
class Session:
    """Parties that can be computed with. Use it as a context manager; leaving it ends every process.

    Make one with `Session.local`. Threads may share a session: commands run one after the other.

    Errors: an input that cannot be used (InputError, CompileError, SecrecyError) is refused before anything moves, and the
    session goes on. An error in a protocol, a party that dies or stalls, and an interrupt (Ctrl-C) end it: no partial result
    is revealed, every process is gone when the error arrives, and every later call is a SessionError that says why.
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
        self._deadline = deadline
        self._next = 1
        self._dropped: deque[int] = deque()
        self._lock = threading.RLock()
        self._over = ""  # why, once it is
        self._ending = threading.Lock()
        self._processes: dict[str, PartyProcess] = {}
        self._devices: list[MPC] = []
        self._plain = {name: Plain(self, name) for name in names}
        self._cleanup = ExitStack()
        self.state = (state or _state_folder()) / self.id
        self.state.mkdir(parents=True, mode=0o700)
        with self._talking():
            self._start(start_timeout)

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
            party: {
                "name": name,
                "inputs": [value.id for value in values],
                "outputs": ids[party],
                "params": dict(params),
                "alone": len(inputs) == 1,
            }
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
        if not self._over:
            self._dropped.extend(ids)

    def command(
        self, parties: Sequence[str], kind: str, fields: Mapping[str, Any], blobs: Sequence[np.ndarray] = ()
    ) -> None:
        """Send a command that has no answer."""
        message = pack(kind, fields, blobs)
        with self._talking():
            self._drop()
            for party in parties:
                self._send(party, message)

    def ask(
        self, parties: Sequence[str], kind: str, fields: Mapping[str, Any], blobs: Sequence[np.ndarray] = ()
    ) -> dict[str, Answer]:
        """Send a command and wait for every answer.

        Raises: what a party reports. An error that its party could handle alone leaves the session as it was.
        """
        return self._ask_each(kind, dict.fromkeys(parties, fields), blobs)

    def _ask_each(
        self, kind: str, requests: Mapping[str, Mapping[str, Any]], blobs: Sequence[np.ndarray] = ()
    ) -> dict[str, Answer]:
        messages = {party: pack(kind, fields, blobs) for party, fields in requests.items()}
        with self._talking():
            self._drop()
            for party, message in messages.items():
                self._send(party, message)
            answers, failures = self._answers(list(requests))
            if any(failure.fatal for failure in failures.values()):
                raise root_cause(failures)
        if failures:
            raise root_cause(failures)
        return answers

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Hold the lines. Whatever goes wrong meanwhile ends the session: answers would no longer fit their questions."""
        with self._lock:
            if self._over:
                raise SessionError(f"this session is over: {self._over}. Start a new one.")
            try:
                yield
            except BaseException as error:
                if self._over:  # another thread closed the session
                    raise SessionError(f"this session ended during the call: {self._over}. Start a new one.") from None
                what = f"{type(error).__name__}: {error}" if isinstance(error, TacitError) else type(error).__name__
                self._end(f"it ended with {what}", polite=False)
                raise

    def _send(self, party: str, message: Sequence[memoryview]) -> None:
        line = self._processes[party].line
        try:
            line.write(message)
        except (PeerDied, PeerStalled) as error:
            failure = self._receive(party) if isinstance(error, PeerDied) else error
            raise (failure.error if isinstance(failure, Failure) else error) from None

    def _drop(self) -> None:
        ids = []
        while self._dropped:
            ids.append(self._dropped.popleft())
        if ids:
            message = pack("drop", {"ids": ids})
            for party in self.parties:
                self._send(party, message)

    def _answers(
        self, parties: Sequence[str], limit: float | None = None
    ) -> tuple[dict[str, Answer], dict[str, Failure]]:
        """One answer of every party, or why there is none. After a fatal failure the others have a moment to tell."""
        waiting = {self._processes[party].line.sock.fileno(): party for party in parties}
        poll = select.poll()
        for descriptor in waiting:
            poll.register(descriptor, select.POLLIN)
        answers: dict[str, Answer] = {}
        failures: dict[str, Failure] = {}
        stopped_since: dict[str, float] = {}
        while waiting:
            for descriptor, _ in poll.poll(GLANCE_SECONDS * 1000):
                poll.unregister(descriptor)
                party = waiting.pop(descriptor)
                answer = self._receive(party)
                if isinstance(answer, Failure):
                    failures[party] = answer
                else:
                    answers[party] = answer
            now = time.monotonic()
            over = any(failure.fatal for failure in failures.values())
            if over and limit is None:
                limit = now + AFTERMATH_SECONDS
            for descriptor, party in list(waiting.items()):
                if not self._processes[party].stopped:
                    stopped_since.pop(party, None)
                    continue
                seconds = now - stopped_since.setdefault(party, now)
                if over or seconds >= self._deadline:
                    stalled = PeerStalled(f"the process of {party} is stopped", peer=party)
                    failures[party] = Failure(stalled, gone=True)
                    del waiting[descriptor]
            if limit is not None and now > limit:
                break
        for party in waiting.values():
            failures[party] = Failure(PeerStalled(f"the process of {party} did not answer", peer=party), gone=True)
        return {party: answers[party] for party in parties if party in answers}, failures

    def _receive(self, party: str) -> Answer | Failure:
        process = self._processes[party]
        try:
            kind, fields, blobs = process.line.receive()
        except PeerDied:
            reason = f"the process of {party} ended{process.exit_reason()}"
            return Failure(PeerDied(reason, peer=party), gone=True)
        except TacitError as error:
            return Failure(error)
        return rebuild(party, fields) if kind == "error" else (fields, blobs)

    # --- processes ----------------------------------------------------------------------------------------------

    def _start(self, timeout: float) -> None:
        folder = Path(tempfile.mkdtemp(prefix="tacit-"))
        self._cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        if not self.plain_tcp:
            LocalAuthority.create(folder, self.parties)
        with ExitStack() as inherited:
            listeners = {
                name: inherited.enter_context(socket.create_server(("127.0.0.1", 0), backlog=len(self.parties)))
                for name in self.parties
            }
            config = {
                "addresses": {name: listener.getsockname()[:2] for name, listener in listeners.items()},
                "folder": str(folder),
                "session": self.id,
                "deadline": self._deadline,
                "connect_timeout": timeout,
                "danger_plain_tcp": self.plain_tcp,
                "procedures": self.procedures,
            }
            for name, listener in listeners.items():
                own = {**config, "ledger": str(self.ledger(name))}
                log = self.state / f"{name}.log"
                self._processes[name] = PartyProcess.start(
                    name, own, folder, log, listener, self._deadline + AFTERMATH_SECONDS
                )
        _, failures = self._answers(self.parties, limit=time.monotonic() + timeout + AFTERMATH_SECONDS)
        if failures:
            raise root_cause(failures)
        self._cleanup.close()  # every party has read its key; the files go now
        threads = max(1, (os.cpu_count() or 1) // len(self.parties))
        self.command(self.parties, "threads", {"count": threads})

    def close(self) -> None:
        """End every party's process. Idempotent; called on leaving the context; ends what another thread is waiting for."""
        self._end("it was closed", polite=True)

    def _end(self, why: str, *, polite: bool) -> None:
        with self._ending:
            if self._over:
                return
            self._over = why
        idle = self._lock.acquire(blocking=False)
        try:
            if idle:
                for process in self._processes.values():
                    if polite:
                        process.ask_to_stop()
                    process.line.close()
                limit = time.monotonic() + GRACE_SECONDS
                for process in self._processes.values():
                    process.wait(max(0.0, limit - time.monotonic()))
        finally:
            for process in self._processes.values():
                process.kill()
            self._cleanup.close()
            if idle or self._lock.acquire(timeout=GRACE_SECONDS):  # whoever waited has seen the ends of its lines
                for process in self._processes.values():
                    process.line.close()
                self._lock.release()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "over" if self._over else "plain TCP" if self.plain_tcp else "TLS"
        return f"Session({', '.join(self.parties)}; {state})"


def _state_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "tacit" / "sessions"
