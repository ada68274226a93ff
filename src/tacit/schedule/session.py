"""A session: parties as separate processes on this machine, joined by mutually authenticated TLS.

`Session.local` starts one process per party. Nothing is simulated but the distance: keys, certificates, sockets and
protocol messages are those of parties on different machines. The session itself plays the users of all parties: it brings
their data in, and sees what is revealed to them.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, final

import numpy as np

from tacit.device.executor import Answer, Answers, Request, T, ask, tell
from tacit.device.handle import Handle, Record
from tacit.device.he import HE, Scheme
from tacit.device.mpc import MPC
from tacit.device.plain import Plain, PlainValue
from tacit.device.tee import TEE, Backend
from tacit.foundation.errors import ConfigError, PolicyError, SessionError, TacitError
from tacit.primitive.mpc.protocol import Assisted, Protocol
from tacit.primitive.tee import Policy
from tacit.resource.identity import LocalAuthority
from tacit.schedule.graph import Graph, Plan, describe_plan
from tacit.schedule.lines import AFTERMATH_SECONDS, Lines, SessionEnds, Ticket
from tacit.schedule.process import PartyProcess
from tacit.schedule.progress import Progress
from tacit.schedule.report import SessionProfile, collect
from tacit.schedule.scheduler import run_graph

GRACE_SECONDS = 2.0
"""How long parties may take to end in good order."""
KEPT_RECORDS = 10_000
PROCEDURES = (
    "tacit.schedule.offline",
    "tacit.schedule.encrypted",
    "tacit.schedule.enclave.procedure",
    "tacit.algorithm.table.procedures",
)
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
        progress: bool | None,
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
        self._ids = itertools.count(2)
        self._dropped: deque[int] = deque()
        self._lock = threading.RLock()
        self._over = ""  # why, once it is
        self._ending = threading.Lock()
        self._progress = Progress(shown=sys.stderr.isatty() if progress is None else progress)
        self._lines = Lines(deadline, self._progress.told)
        self._records: deque[Record] = deque(maxlen=KEPT_RECORDS)
        self._plain = {name: Plain(self, name) for name in names}
        self._cleanup = ExitStack()
        self.state = (state or _state_folder()) / self.id
        self.state.mkdir(parents=True, mode=0o700)
        try:
            with self._talking():
                self._start(start_timeout)
        except BaseException:
            self._end("it did not start", polite=False)
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
        progress: bool | None = None,
    ) -> Session:
        """Start one process per party on this machine, with TLS 1.3 between every two of them.

        deadline: seconds a party waits for a peer before it gives up with PeerStalled.
        state: folder for ledgers and logs; default is the user's state folder. Kept after the session.
        danger_plain_tcp: no encryption and no authentication; for measuring beside systems that have none.
        procedures: modules of Tacit that install the procedures a party may be asked to run; no other module is loaded.
        progress: whether programs that take longer than a second show a bar; by default on a terminal.
        Raises: SessionError when a party does not come up; ConfigError for unusable names.
        """
        return cls(
            parties,
            deadline=deadline,
            plain_tcp=danger_plain_tcp,
            state=state,
            start_timeout=start_timeout,
            procedures=procedures,
            progress=progress,
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
        return MPC(self, protocol or Assisted(), names)

    def he(self, *, key_holder: str, evaluators: Sequence[str], scheme: Scheme = "paillier", bits: int = 2048) -> HE:
        """An HE device: `key_holder` makes a key pair, `evaluators` compute on what is encrypted under it.

        scheme: "paillier", or "ec-elgamal" for small integers. bits: 2048 or 3072, of a Paillier key.
        """
        for party in (key_holder, *evaluators):
            self.plain(party)
        return HE(self, key_holder, evaluators, scheme, bits)

    def tee(
        self,
        name: str,
        *,
        host: str,
        parties: Sequence[str] | None = None,
        backend: Backend = "attested",
        policy: Policy | None = None,
        development: bool = False,
    ) -> TEE:
        """A TEE device: an enclave at `host`, attested by `parties` (all, by default), who may seal to it and receive.

        backend: "attested" needs a policy: measurements, programs, receivers. "simulation" is a process without protection,
        for building without hardware: it is refused unless development=True or a policy of that profile is given.
        """
        if backend == "simulation" and policy is None and not development:
            raise PolicyError(
                "a simulated enclave protects nothing from its host. Say development=True to use one where that does not "
                "matter, or use backend='attested'"
            )
        for party in (host, *(parties or ())):
            self.plain(party)
        return TEE(self, self.id, name, host, parties or self.parties, backend, policy)

    def run(self, *values: Any, timing: bool = False) -> None:
        """Compute whatever is pending behind the values, on all devices; they stay where they are.

        Values: handles of any device, in any structure. What does not depend on each other runs at the same time.
        Raises: the error of a computation that failed, when all that do not need it are done; its notes name the node, its
        inputs, device and source line. What depends on it raises NodeCancelled from then on; all else stays usable.
        """
        import jax

        leaves = jax.tree.leaves(values, is_leaf=lambda leaf: isinstance(leaf, Handle))
        targets = [leaf for leaf in leaves if isinstance(leaf, Handle) and not leaf.held]
        if targets:
            with self._talking():
                run_graph(targets, self, self.drop_later, timing=timing)

    def graph(self) -> Graph:
        """What was computed so far and what is pending: print it, or draw it."""
        return Graph(tuple(self._records))

    def plan(self, *values: Any) -> Plan:
        """What `run` would do for the values, as data: canonical, hashable, comparable with another plan."""
        import jax

        leaves = jax.tree.leaves(values, is_leaf=lambda leaf: isinstance(leaf, Handle))
        return describe_plan([leaf for leaf in leaves if isinstance(leaf, Handle)])

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
        self.run([list(values) for values in inputs.values()])
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
        answers = self.call(Request("procedure", requests, blobs))
        values = {
            party: [
                PlainValue(self._plain[party], shape, dtype, id=id)
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
        return next(self._ids)

    def note(self, record: Record) -> None:
        """Keep a node's record for the graph."""
        self._records.append(record)

    def drop_later(self, ids: Sequence[int]) -> None:
        """Forget values, before the next command."""
        if not self._over:
            self._dropped.extend(ids)

    def command(
        self, parties: Sequence[str], kind: str, fields: Mapping[str, Any], blobs: Sequence[np.ndarray] = ()
    ) -> None:
        """Send a command that has no answer."""
        with self._talking():
            self.submit(tell(parties, kind, fields, blobs))

    def ask(
        self, parties: Sequence[str], kind: str, fields: Mapping[str, Any], blobs: Sequence[np.ndarray] = ()
    ) -> dict[str, Answer]:
        """Send a command and wait for every answer.

        Raises: what a party reports. An error that its party could handle alone leaves the session as it was.
        """
        return self.call(ask(parties, kind, fields, blobs))

    def call(self, request: Request) -> dict[str, Answer]:
        """The same for a command with fields of their own for every party."""
        with self._talking():
            ticket = self.submit(request)
            self.wait([ticket])
        return ticket.result()

    def perform(self, steps: Generator[Request, Answers, T]) -> T:
        """Do the requests of `steps` one after the other; what it returns."""
        with self._talking():
            try:
                request = next(steps)
                while True:
                    ticket = self.submit(request)
                    if request.answered:
                        self.wait([ticket])
                    request = steps.send(ticket.result())
            except StopIteration as over:
                result: T = over.value
                return result

    def submit(self, request: Request) -> Ticket:
        """Send a command, and a `Ticket` for its answers."""
        ticket, messages = self._lines.pack(request.kind, request.fields, request.blobs, answered=request.answered)
        self._drop()
        for party, message in messages.items():
            self._send(party, message)
        return ticket

    def wait(self, tickets: Sequence[Ticket]) -> list[Ticket]:
        """Wait until one of the tickets is done; those that are."""
        with self._progress.shown_while():
            return self._lines.wait(tickets)

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Hold the lines. Whatever goes wrong meanwhile ends the session: answers would no longer fit their questions."""
        with self._lock:
            if self._over:
                raise SessionError(f"this session is over: {self._over}. Start a new one.")
            try:
                yield
            except TacitError:  # nothing was sent, or a party that was alone said no
                raise
            except BaseException as reason:  # noqa: BLE001  an interrupt too; it is raised again
                if self._over:  # another thread closed the session
                    raise SessionError(f"this session ended during the call: {self._over}. Start a new one.") from None
                error = reason.error if isinstance(reason, SessionEnds) else reason
                what = f"{type(error).__name__}: {error}" if isinstance(error, TacitError) else type(error).__name__
                self._end(f"it ended with {what}", polite=False)
                raise error from None

    def _send(self, party: str, message: Sequence[memoryview]) -> None:
        self._lines.send(party, message)

    def _drop(self) -> None:
        ids = []
        while self._dropped:
            ids.append(self._dropped.popleft())
        if ids:
            request = tell(self.parties, "drop", {"ids": ids})
            _, messages = self._lines.pack(request.kind, request.fields, [], answered=False)
            for party, message in messages.items():
                self._send(party, message)

    @property
    def _processes(self) -> dict[str, PartyProcess]:
        return self._lines.processes

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
            ready = Ticket(self.parties)
            for name, listener in listeners.items():
                own = {**config, "ledger": str(self.ledger(name))}
                log = self.state / f"{name}.log"
                patience = self._deadline + AFTERMATH_SECONDS
                self._lines.add(PartyProcess.start(name, own, folder, log, listener, patience), ready)
        self._lines.wait([ready], limit=time.monotonic() + timeout + AFTERMATH_SECONDS)
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
