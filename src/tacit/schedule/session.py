"""A session: parties as separate processes on this machine, joined by mutually authenticated TLS.

`Session.local` starts one process per party. Nothing is simulated but the distance: keys, certificates, sockets and
protocol messages are those of parties on different machines. The session itself plays the users of all parties: it brings
their data in, and sees what is revealed to them.
"""

from __future__ import annotations

import itertools
import os
import secrets
import sys
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias, final

import numpy as np

from tacit.device.caller import user_line
from tacit.device.executor import Answer, Answers, Request, T, ask, tell
from tacit.device.handle import Handle, Record
from tacit.device.he import HE, Scheme
from tacit.device.mpc import MPC
from tacit.device.plain import Plain, PlainValue
from tacit.device.privacy import Gate, OwnerBudget, at
from tacit.device.tee import TEE, Backend
from tacit.foundation.errors import ConfigError, PolicyError, SessionError, TacitError
from tacit.primitive.mpc.protocol import Assisted, Protocol
from tacit.primitive.tee import Policy
from tacit.schedule.graph import Graph, Plan, describe_plan
from tacit.schedule.lanes import Lanes
from tacit.schedule.launch import Launcher, LocalLauncher, Member, Order
from tacit.schedule.lines import AFTERMATH_SECONDS, Lines, SessionEnds, Ticket
from tacit.schedule.meeting import meet
from tacit.schedule.progress import Progress
from tacit.schedule.report import SessionProfile, collect
from tacit.schedule.scheduler import run_graph

GRACE_SECONDS = 2.0
"""How long parties may take to end in good order."""
KEPT_RECORDS = 10_000
Placement: TypeAlias = Literal["SPREAD", "PACK", "STRICT_SPREAD", "STRICT_PACK"]
PROCEDURES = (
    "tacit.schedule.offline",
    "tacit.schedule.encrypted",
    "tacit.schedule.private",
    "tacit.schedule.aggregation",
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
        launcher: Launcher,
        ledgers: Path | None = None,
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
        self._launcher = launcher
        self._lane_numbers = itertools.count(1)
        self._start_timeout = start_timeout
        self.state = (state or _state_folder()) / self.id
        self.state.mkdir(parents=True, mode=0o700)
        self._ledgers = ledgers or self.state
        self._ledgers.mkdir(parents=True, mode=0o700, exist_ok=True)
        self.budgets: dict[str, OwnerBudget] = {}
        try:
            with self._talking():
                self._start(names, self.id, start_timeout)
        except BaseException:
            self._end("it did not start", polite=False)
            raise
        if ledgers is not None:
            self._continue_budgets()

    @classmethod
    def local(
        cls,
        *parties: str,
        deadline: float = 120.0,
        state: Path | None = None,
        ledgers: Path | None = None,
        danger_plain_tcp: bool = False,
        start_timeout: float = 30.0,
        procedures: Sequence[str] = PROCEDURES,
        progress: bool | None = None,
    ) -> Session:
        """Start one process per party on this machine, with TLS 1.3 between every two of them.

        deadline: seconds a party waits for a peer before it gives up with PeerStalled.
        state: folder for ledgers and logs; default is the user's state folder. Kept after the session.
        ledgers: folder of ledgers that sessions continue, one file for each party, so that privacy budgets outlive a session;
        by default every session begins new ones in `state`. One session at a time may use it.
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
            launcher=LocalLauncher(),
            ledgers=ledgers,
        )

    @classmethod
    def ray(
        cls,
        *parties: str,
        address: str | None = None,
        cpus: float = 1.0,
        strategy: Placement = "SPREAD",
        deadline: float = 120.0,
        state: Path | None = None,
        ledgers: Path | None = None,
        start_timeout: float = 60.0,
        procedures: Sequence[str] = PROCEDURES,
        progress: bool | None = None,
    ) -> Session:
        """Start one actor per party on a Ray cluster, each in a bundle of its own of one placement group.

        Everything else is as in `Session.local`: an actor starts the same process on its node, with the same TLS links.
        Whoever runs the cluster can read all its nodes: it is for one organisation's parties and lanes, and for
        experiments. `state` and `ledgers` are folders on every node; a party's ledger stays on the node of that party.

        address: of a running cluster ("auto" finds this machine's). None: the one this process is connected to, else a
        new one on this machine that ends with the last session on it.
        cpus: what a process is given of Ray's count of processors. strategy: SPREAD over nodes, or PACK onto few.
        Raises: MissingExtra without Ray; SessionError when it cannot be reached, or has no room within `start_timeout`
        seconds; what `Session.local` raises.
        """
        from tacit.schedule.ray import RayLauncher

        return cls(
            parties,
            deadline=deadline,
            plain_tcp=False,
            state=state,
            start_timeout=start_timeout,
            procedures=procedures,
            progress=progress,
            launcher=RayLauncher(address, cpus=cpus, strategy=strategy),
            ledgers=ledgers,
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

    def he(self, *, key_holder: str, evaluators: Sequence[str], scheme: Scheme = "paillier", **options: int) -> HE:
        """An HE device: `key_holder` makes a key pair, `evaluators` compute on what is encrypted under it.

        scheme: "paillier"; "okamoto-uchiyama", for values that go on to MPC; "ec-elgamal" for small integers; "ckks" for
        packed real numbers and "bfv" for packed integers, which multiply ciphertexts. options: of the keys, such as bits=3072
        (Paillier), levels=4 (CKKS) or multiplications=2 (BFV).
        """
        for party in (key_holder, *evaluators):
            self.plain(party)
        return HE(self, key_holder, evaluators, scheme, options)

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

    def budget(self, owner: str, *, epsilon: float, delta: float, by: str = "pld") -> OwnerBudget:
        """Open an owner's privacy budget in the owner's process and ledger, or find it there with all that was spent.

        From then on values that depend on the owner's data are shown to others with noise that is charged to it, or not at all: see
        `tacit.device.privacy`. A ledger has one budget; where sessions continue a ledger (`ledgers=`), they continue its budget.
        by: the accountant: "pld" (tight), "rdp" (takes every event), "gdp".
        Raises: ConfigError where the ledger holds the budget with other terms; LedgerError where it is broken.
        """
        self.plain(owner)
        facts, _ = self.call(at(owner, "privacy.open", {"epsilon": epsilon, "delta": delta, "by": by}))[owner]
        return self.budgets.setdefault(owner, OwnerBudget(self, owner, **facts["facts"]))

    def _continue_budgets(self) -> None:
        """Guard what earlier sessions on these ledgers guarded, whether or not somebody asks for it again."""
        for party in self.parties:
            facts, _ = self.call(at(party, "privacy.standing", {}))[party]
            if facts["facts"]:
                self.budgets[party] = OwnerBudget(self, party, **facts["facts"])

    def lanes(self, device: MPC, count: int) -> Lanes:
        """`count` lanes of an MPC device, for parties that outgrow one process: the device itself, and new ones like it.

        Each new lane is one more process of every party of the device, started where the session's processes are, with
        links of its own to the lane's other parties and to its own party's lanes. They end with the session.
        Raises: SessionError when there is no room for them; ConfigError for fewer than one lane, or another's device.
        """
        if count < 1 or device.executor is not self:
            raise ConfigError(f"{count} lanes of {device!r}: give a device of this session, and one lane or more")
        names = self._grow(device.names, count - 1) if count > 1 else []
        return Lanes([device, *[device.lane(lane) for lane in names]])

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
        release_exact: str = "",
    ) -> tuple[dict[str, list[PlainValue]], dict[str, Mapping[str, Any]]]:
        """Run a named multi-party procedure (such as private set intersection) at the parties of `inputs`.

        Returns, by party, its `count` plain results and its public facts. release_exact: why parties may learn what the procedure
        tells them, where one of the others has a privacy budget; without it, that is a PolicyError.
        """
        given = [value for values in inputs.values() for value in values]
        gate = Gate(
            given,
            list(inputs),
            because=name,
            line=user_line(),
            release_exact=release_exact,
            owners=inputs,
            executor=self,
        )
        if len(inputs) > 1:
            gate.check()
        self.run([list(values) for values in inputs.values()])
        if len(inputs) > 1:
            self.perform(gate.pay(None))
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
                PlainValue(self._plain[party], shape, dtype, id=id, owners=gate.owners)
                for id, (shape, dtype) in zip(ids[party], facts["shapes"], strict=False)
            ]
            for party, (facts, _) in answers.items()
        }
        return values, {party: facts for party, (facts, _) in answers.items()}

    def profile(self) -> SessionProfile:
        """What every party spent so far: rounds, messages, bytes, seconds, by operation and source line."""
        answers = self.ask(tuple(self._processes) or self.parties, "profile", {})
        return collect({party: facts for party, (facts, _) in answers.items()})

    def ledger(self, party: str) -> Path:
        """The ledger file of a party."""
        if party not in self._processes:
            self.plain(party)
        return self._ledger(party)

    def _ledger(self, member: str) -> Path:
        return self._ledgers / f"{member}.ledger.jsonl"

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
                    try:
                        answers = ticket.result()
                    except TacitError as error:
                        request = steps.throw(error)
                    else:
                        request = steps.send(answers)
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
            request = tell(tuple(self._processes), "drop", {"ids": ids})
            _, messages = self._lines.pack(request.kind, request.fields, [], answered=False)
            for party, message in messages.items():
                self._send(party, message)

    @property
    def _processes(self) -> dict[str, Member]:
        return self._lines.processes

    # --- processes ----------------------------------------------------------------------------------------------

    def _start(self, members: Sequence[str], session: str, timeout: float) -> None:
        """Start processes and connect them with each other."""
        self._launch(members, timeout)
        self._meet(members, session, timeout)
        self._share_cores()

    def _grow(self, parties: Sequence[str], lanes: int) -> list[tuple[str, ...]]:
        """Start more processes of the parties, lane by lane: those of a lane are peers, those of a party siblings."""
        timeout = self._start_timeout
        with self._talking():
            numbers = [next(self._lane_numbers) for _ in range(lanes)]
            names = [tuple(f"{party}.{number}" for party in parties) for number in numbers]
            self._launch([name for lane in names for name in lane], timeout)
            for lane in names:
                self._meet(lane, secrets.token_hex(8), timeout)
            for siblings in zip(parties, *names, strict=True):
                self._meet(siblings, secrets.token_hex(8), timeout, siblings=True)
            self._share_cores()
        return names

    def _launch(self, members: Sequence[str], timeout: float) -> None:
        config = {
            "deadline": self._deadline,
            "danger_plain_tcp": self.plain_tcp,
            "procedures": self.procedures,
        }
        patience = self._deadline + AFTERMATH_SECONDS
        orders = [
            Order(name, {**config, "ledger": str(self._ledger(name))}, self.state / f"{name}.log", patience)
            for name in members
        ]
        limit = time.monotonic() + timeout + AFTERMATH_SECONDS
        ready = Ticket(members)
        for process in self._launcher.start(orders, timeout):
            self._lines.add(process, ready)
        self._lines.wait([ready], limit=limit)

    def _share_cores(self) -> None:
        everybody = tuple(self._lines.processes)
        self.command(everybody, "threads", {"count": self._launcher.threads(len(everybody))})

    def _meet(self, members: Sequence[str], session: str, timeout: float, *, siblings: bool = False) -> None:
        def ask_in_time(parties: Sequence[str], kind: str, fields: Mapping[str, Any]) -> dict[str, Answer]:
            ticket = self.submit(ask(parties, kind, fields))
            self._lines.wait([ticket], limit=time.monotonic() + timeout + AFTERMATH_SECONDS)
            return ticket.result()

        meet(ask_in_time, members, session=session, timeout=timeout, siblings=siblings)

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
            self._launcher.close()
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
