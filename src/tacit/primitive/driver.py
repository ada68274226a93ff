"""The coroutine driver: protocols are `async def`, a round is an `await`.

A party's protocol code never touches a socket. It awaits exchanges; the driver steps every coroutine that can run,
lets the channels coalesce all messages that became ready into one frame per peer, and resumes the coroutines in the
order in which they began to wait.

That order is the whole trick. It depends on the program alone, never on timing, so all parties that run the same
program suspend and resume in the same order: message k that one party posts is message k that the other takes,
operation numbers and random streams need no negotiation, and a helper that receives nothing still follows the same
schedule by suspending where the others do. Rounds are counted as the length of the longest chain of exchanges.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np

from tacit.foundation.errors import (
    LinkError,
    PeerAborted,
    PeerStalled,
    ProtocolError,
    ProtocolMismatch,
    TacitError,
    UnknownParty,
)
from tacit.primitive.channel import Channel
from tacit.primitive.profile import Profile, Where

T = TypeVar("T")

MAX_OPERATIONS = 2**32
REASON_CHARACTERS = 500
SMALL_BYTES = 1 << 13
SLOW_SECONDS = 0.0005
MIN_HOLD_SECONDS, MAX_HOLD_SECONDS = 0.0002, 0.02


class Exchange:
    """One awaited exchange: what is still to arrive, and for which operation."""

    __slots__ = ("generation", "operation", "pending", "received", "wave")

    def __init__(self, operation: int) -> None:
        self.operation = operation
        self.pending: list[tuple[Channel, np.ndarray]] = []
        self.received: list[np.ndarray] = []
        self.generation = 0
        self.wave = 0

    def __await__(self) -> Generator[Any, Any, list[np.ndarray]]:
        yield self
        return self.received


class Deferred:
    """A value that a coroutine will produce; may be awaited by several others."""

    __slots__ = ("done", "generation", "value", "waiters")

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self.generation = 0
        self.waiters: list[Task] = []

    def __await__(self) -> Generator[Any, Any, Any]:
        if not self.done:
            yield self
        else:
            yield _Inherit(self.generation)
        return self.value


class _Inherit:
    """Raises the generation of a task that uses a finished value."""

    __slots__ = ("generation",)

    def __init__(self, generation: int) -> None:
        self.generation = generation


class _Gather:
    __slots__ = ("coroutines",)

    def __init__(self, coroutines: Sequence[Coroutine[Any, Any, Any]]) -> None:
        self.coroutines = coroutines

    def __await__(self) -> Generator[Any, Any, list[Any]]:
        return (yield self)


async def gather(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run the coroutines side by side, so that they share rounds; their results in order.

    Costs: the rounds of the longest, the bytes of all.
    """
    if len(coroutines) == 1:
        return [await coroutines[0]]
    return await _Gather(coroutines)


class Task:
    """One coroutine with its place in the schedule."""

    __slots__ = ("coroutine", "deferred", "generation", "missing", "parent", "results", "slot", "where")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], where: Where, generation: int) -> None:
        self.coroutine = coroutine
        self.where = where
        self.generation = generation
        self.deferred: Deferred | None = None
        self.parent: Task | None = None  # of a gather
        self.slot = 0
        self.results: list[Any] = []
        self.missing = 0


class Driver:
    """Steps the coroutines of one party. Lives as long as the session, so that numbers never repeat.

    An error in any coroutine ends the program as a whole: no coroutine can catch what happens in another, every peer is
    told, and every coroutine is closed.
    """

    def __init__(
        self,
        me: str,
        channels: Mapping[str, Channel],
        *,
        deadline: float = 120.0,
        entropy: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.me = me
        self.channels = dict(channels)
        self.deadline = deadline
        self.entropy = entropy  # where keys come from: the operating system, or a transcript that is replayed
        self.profile = Profile()
        self.operation = 0
        self._ready: deque[tuple[Task, Any]] = deque()
        self._waiting: deque[tuple[Exchange, Task]] = deque()
        self._live: set[Task] = set()
        self._running: Task | None = None
        self._over = Deferred()
        self._base = 0
        self._wave = 0  # how often everything posted was sent, when last, and how many bytes had been posted by then
        self._sent_at = 0.0
        self._sent_payload = 0
        self._hold = MIN_HOLD_SECONDS

    # --- what protocol code calls -------------------------------------------------------------------------------

    def exchange(
        self,
        sends: Iterable[tuple[str, np.ndarray]],
        receives: Iterable[tuple[str, np.ndarray]],
        *,
        silent: bool = False,
    ) -> Exchange:
        """Post `sends` now; awaiting the result suspends until every buffer of `receives` is filled.

        Every party of the session must call this at the same point of the program, with empty lists if it neither
        sends nor receives there: suspending alike is what keeps the schedules equal. `silent` marks a point where no
        party talks (it then costs no round).
        Arrays are one-dimensional and contiguous; what is sent must not change before the program ends. Returns the filled
        `receives` in order.
        Raises: UnknownParty for a peer that this party has no channel to; what `Channel.post` raises.
        """
        task = self._running
        if task is None:
            raise RuntimeError("exchange outside of a running coroutine")
        operation = self.operation
        if operation >= MAX_OPERATIONS:
            raise ProtocolError("this session has used its 2**32 operations. Start a new session.")
        self.operation = operation + 1
        request = Exchange(operation)
        request.wave = self._wave
        task.where.operation = operation
        channels = self.channels
        try:
            for peer, array in sends:
                channels[peer].post(operation, array.data)
                self.profile.sent(task.where, peer, array.nbytes)
            for peer, array in receives:
                request.pending.append((channels[peer], array))
                request.received.append(array)
        except KeyError:
            raise UnknownParty(
                f"{self.me} has no channel to {peer!r}; there are {', '.join(channels)}", peer=peer
            ) from None
        request.generation = task.generation + (not silent)
        return request

    @property
    def where(self) -> Where | None:
        """The operation that the running coroutine is at; None between programs."""
        return None if self._running is None else self._running.where

    @property
    def generation(self) -> int:
        """The round that the running coroutine is in: the length of the chain of exchanges behind it."""
        return self._base if self._running is None else self._running.generation

    def spawn(self, coroutine: Coroutine[Any, Any, Any], where: Where, generation: int | None = None) -> Deferred:
        """Start a coroutine beside the running one; its result through the `Deferred`.

        `generation` is the round of the last operand it uses, where that is not the running coroutine's.
        """
        task = Task(coroutine, where, self.generation if generation is None else generation)
        task.deferred = Deferred()
        self._live.add(task)
        self._ready.append((task, None))
        return task.deferred

    def resolve(self, deferred: Deferred, value: Any) -> None:
        """Give a deferred value that the running coroutine made itself; whoever awaits it goes on."""
        self._resolve(deferred, value, self.generation)

    @contextmanager
    def detour(self) -> Iterator[None]:
        """Run something that not all parties take part in: operation numbers go back to where the others still are."""
        operation = self.operation
        try:
            yield
        finally:
            self.operation = operation

    # --- what a session calls -----------------------------------------------------------------------------------

    def run(self, coroutine: Coroutine[Any, Any, T], where: Where | None = None) -> T:
        """Run one program to its end, blocking where needed.

        Errors: every LinkError and ProtocolError names the operation and source line this party was at; peers are
        told before it is raised, so that all of them stop.
        """
        self.start(coroutine, where)
        while not self.advance(block=True):
            pass
        return self.result()

    def start(self, coroutine: Coroutine[Any, Any, Any], where: Where | None = None) -> None:
        """Begin a program without running it; `advance` then steps it."""
        if self._live:
            coroutine.close()
            raise RuntimeError("a driver runs one program at a time: use gather or spawn inside of it")
        self._base = self.profile.rounds
        self._hold = MIN_HOLD_SECONDS
        self._over = self.spawn(coroutine, where or Where(0, "program"))

    def advance(self, *, block: bool = False) -> bool:
        """Step until the program is over (True) or nothing can run (False; never when `block`)."""
        try:
            return self._advance(block=block)
        except BaseException as error:
            told = self._fail(error)
            if told is error:
                raise
            raise told from error

    def result(self) -> Any:
        """The value of the finished program."""
        return self._over.value

    # --- the loop -----------------------------------------------------------------------------------------------

    def _advance(self, *, block: bool) -> bool:
        ready, waiting = self._ready, self._waiting
        while True:
            while ready:
                self._step(*ready.popleft())
            if not waiting:
                self._end()
                return True
            request, task = waiting[0]
            try:
                if request.wave == self._wave:
                    self._send_wave(request)
                if request.pending and not self._receive(request, block=block):
                    return False
            except BaseException:
                self._running = task  # the error belongs to the operation that waited
                task.where.operation = request.operation
                raise
            waiting.popleft()
            task.generation = max(task.generation, request.generation)
            self.profile.rounds = max(self.profile.rounds, request.generation)
            ready.append((task, None))

    def _step(self, task: Task, value: Any) -> None:
        self._running = task
        profile = self.profile
        began = time.perf_counter() if profile.timing else 0.0
        try:
            request = task.coroutine.send(value)
        except StopIteration as stop:
            if profile.timing:
                profile.spent(task.where, time.perf_counter() - began)
            self._finish(task, stop.value)
            return
        if profile.timing:
            profile.spent(task.where, time.perf_counter() - began)
        kind = type(request)
        if kind is Exchange:
            self._waiting.append((request, task))
        elif kind is _Gather:
            self._fan_out(task, request.coroutines)
        elif kind is _Inherit:
            task.generation = max(task.generation, request.generation)
            self._ready.appendleft((task, None))
        elif kind is Deferred:
            request.waiters.append(task)
        else:
            raise TypeError(f"a protocol awaited a {kind.__name__}; only exchanges, gather and deferred values can be")

    def _send_wave(self, request: Exchange) -> None:
        """Send what was posted since everything was sent last: all coroutines that could run have run since.

        Large messages, and all messages of slow rounds, go out before this party computes on, so that its peers compute
        meanwhile. Small messages of fast rounds wait until it blocks: one more frame would cost the peers more. A party
        that needs no answer (a dealer runs ahead of those it deals to) sends early at first, then ever larger frames.
        """
        since = time.perf_counter() - self._sent_at
        if request.pending:
            if since > SLOW_SECONDS or self.profile.payload - self._sent_payload > SMALL_BYTES:
                self._flush()
        elif since > self._hold:
            self._flush()
            self._hold = min(2 * self._hold, MAX_HOLD_SECONDS)

    def _receive(self, request: Exchange, *, block: bool) -> bool:
        """Fill what is pending, in order; flush before waiting, because the peer may be waiting for us."""
        pending, operation = request.pending, request.operation
        while pending:
            channel, array = pending[0]
            if not channel.take(operation, array.data):
                self._flush()
                if not channel.take(operation, array.data):
                    if not block:
                        return False
                    self._wait(channel, operation, array)
            pending.pop(0)
        return True

    def _fan_out(self, parent: Task, coroutines: Sequence[Coroutine[Any, Any, Any]]) -> None:
        parent.results = [None] * len(coroutines)
        parent.missing = len(coroutines)
        if not coroutines:
            self._ready.append((parent, []))
        generation = parent.generation
        for slot, coroutine in enumerate(coroutines):
            child = Task(coroutine, parent.where, generation)
            child.parent = parent
            child.slot = slot
            self._live.add(child)
            self._ready.append((child, None))

    def _finish(self, task: Task, value: Any) -> None:
        self._live.remove(task)
        parent = task.parent
        if parent is not None:
            parent.results[task.slot] = value
            parent.missing -= 1
            parent.generation = max(parent.generation, task.generation)
            if not parent.missing:
                self._ready.append((parent, parent.results))
            return
        if task.deferred is not None:
            self._resolve(task.deferred, value, task.generation)

    def _resolve(self, deferred: Deferred, value: Any, generation: int) -> None:
        deferred.value = value
        deferred.done = True
        deferred.generation = generation
        for waiter in deferred.waiters:
            waiter.generation = max(waiter.generation, generation)
            self._ready.append((waiter, None))

    def _end(self) -> None:
        """Nothing waits for a peer any more: every coroutine must have returned."""
        if self._live:
            names = ", ".join(sorted({task.where.name for task in self._live}))
            raise RuntimeError(f"{self.me} waits in {names} for a value that nothing produces")
        self._running = None
        self._flush()

    # --- waiting and failing ------------------------------------------------------------------------------------

    def _flush(self) -> None:
        self._wave += 1
        self._sent_at = time.perf_counter()
        self._sent_payload = self.profile.payload
        for channel in self.channels.values():
            channel.flush()

    def _wait(self, channel: Channel, operation: int, array: np.ndarray) -> None:
        """Wait until `array` is filled, at most until the deadline."""
        began = time.perf_counter()
        channel.wait(self.deadline)
        while not channel.take(operation, array.data):
            left = began + self.deadline - time.perf_counter()
            if left <= 0:
                raise PeerStalled(
                    f"{channel.peer} sent a part of what {self.me} waited {self.deadline:g} s for",
                    peer=channel.peer,
                    operation=operation,
                )
            channel.wait(left)
        self.profile.waited += time.perf_counter() - began

    def _fail(self, error: BaseException) -> BaseException:
        """Tell every peer, drop all coroutines, and return the error with the place in it.

        Peers learn the kind of the error and the operation, which are public. The message travels only where it speaks of
        links and programs alone: any other may quote an input of this party's own.
        """
        if isinstance(error, PeerAborted) and f" stopped: {ProtocolMismatch.__name__}" in str(error):
            # The peer saw first that the programs differ: that is what happened to this party too.
            error = ProtocolMismatch(str(error), peer=error.peer, operation=error.operation)
        where = self._running.where if self._running is not None else None
        reason = type(error).__name__
        if isinstance(error, (LinkError, ProtocolMismatch)):
            reason = f"{reason}: {error}"
        if where is not None:
            reason = f"{reason} [{self.me}, {where}]"
            if isinstance(error, TacitError):
                error.args = (f"{error} [{self.me}, {where}]", *error.args[1:])
        for channel in self.channels.values():
            with suppress(LinkError, OSError):
                channel.abort(reason[:REASON_CHARACTERS])
        self.drop()
        return error

    def drop(self) -> None:
        """Give up every coroutine. Idempotent."""
        self._ready.clear()
        self._waiting.clear()
        self._running = None
        live, self._live = self._live, set()
        for task in live:
            with suppress(Exception):  # what a coroutine does on its way out must not hide why it was ended
                task.coroutine.close()

    def waits(self) -> str:
        """What this party waits for, in words; empty when it does not."""
        if not self._waiting or not self._waiting[0][0].pending:
            return ""
        request, task = self._waiting[0]
        task.where.operation = request.operation
        return f"{self.me} waits for {request.pending[0][0].peer} at {task.where}"


def run_together(*pairs: tuple[Driver, Coroutine[Any, Any, Any]]) -> list[Any]:
    """Run one program at several parties in this thread, over memory channels; their results in order.

    Errors: a party's error is raised as it comes; a set of parties that all wait is a ProtocolMismatch.
    """
    for driver, coroutine in pairs:
        driver.start(coroutine)
    left = [driver for driver, _ in pairs]
    try:
        while left:
            before = _progress(left)
            still = [driver for driver in left if not driver.advance()]
            if still == left and _progress(left) == before:
                _give_up(left)
            left = still
    except BaseException:
        for driver, _ in pairs:
            driver.drop()
        raise
    return [driver.result() for driver, _ in pairs]


def _give_up(drivers: Sequence[Driver]) -> None:
    waits = "; ".join(words for driver in drivers if (words := driver.waits()))
    raise ProtocolMismatch(f"the programs differ: {waits}, and nothing is on its way")


def _progress(drivers: Sequence[Driver]) -> list[tuple[int, int]]:
    return [(d.operation, sum(c.traffic.messages_received for c in d.channels.values())) for d in drivers]
