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

import time
from collections import deque
from collections.abc import Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from tacit.foundation.errors import LinkError, PeerStalled, ProtocolError, TacitError
from tacit.primitive.channel import Channel
from tacit.primitive.profile import Profile, Where

T = TypeVar("T")

MAX_OPERATIONS = 2**32


class Exchange:
    """One awaited exchange: what is still to arrive, and for which operation."""

    __slots__ = ("generation", "operation", "pending", "received", "task")

    def __init__(self, operation: int) -> None:
        self.operation = operation
        self.pending: list[tuple[Channel, np.ndarray]] = []
        self.received: list[np.ndarray] = []
        self.task: Task | None = None
        self.generation = 0

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
    """Steps the coroutines of one party. Lives as long as the session, so that numbers never repeat."""

    def __init__(self, me: str, channels: Mapping[str, Channel], *, deadline: float = 120.0) -> None:
        self.me = me
        self.channels = dict(channels)
        self.deadline = deadline
        self.profile = Profile()
        self.operation = 0
        self._ready: deque[tuple[Task, Any]] = deque()
        self._waiting: deque[Exchange] = deque()
        self._running: Task | None = None
        self._main: Task | None = None
        self._base = 0

    # --- what protocol code calls -------------------------------------------------------------------------------

    def exchange(
        self, sends: Iterable[tuple[str, np.ndarray]], receives: Iterable[tuple[str, np.ndarray]], *, silent: bool = False
    ) -> Exchange:
        """Post `sends` now; awaiting the result suspends until every buffer of `receives` is filled.

        Every party of the session must call this at the same point of the program, with empty lists if it neither
        sends nor receives there: suspending alike is what keeps the schedules equal. `silent` marks a point where no
        party talks (it then costs no round).
        Arrays are one-dimensional and contiguous; returns the filled `receives` in order.
        """
        task = self._running
        if task is None:
            raise RuntimeError("exchange outside of a running coroutine")
        operation = self.operation
        if operation >= MAX_OPERATIONS:
            raise ProtocolError("this session has used its 2**32 operations. Start a new session.")
        self.operation = operation + 1
        request = Exchange(operation)
        task.where.operation = operation
        for peer, array in sends:
            self.channels[peer].post(operation, array.data)
            self.profile.sent(task.where, peer, array.nbytes)
        for peer, array in receives:
            request.pending.append((self.channels[peer], array))
            request.received.append(array)
        request.generation = task.generation + (not silent)
        request.task = task
        return request

    def spawn(self, coroutine: Coroutine[Any, Any, Any], where: Where) -> Deferred:
        """Start a coroutine beside the running one; its result through the `Deferred`."""
        parent = self._running
        task = Task(coroutine, where, self._base if parent is None else parent.generation)
        task.deferred = Deferred()
        self._ready.append((task, None))
        return task.deferred

    def resolve(self, deferred: Deferred, value: Any) -> None:
        """Give a deferred value that the running coroutine made itself; whoever awaits it goes on."""
        assert self._running is not None
        self._resolve(deferred, value, self._running.generation)

    @contextmanager
    def detour(self) -> Iterator[None]:
        """Run something that not all parties take part in: operation numbers go back to where the others still are."""
        operation = self.operation
        yield
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
        self._base = self.profile.rounds
        self._main = Task(coroutine, where or Where(0, "program"), self._base)
        self._main.deferred = Deferred()
        self._ready.append((self._main, None))

    def advance(self, *, block: bool = False) -> bool:
        """Step until the program is over (True) or nothing can run (False; never when `block`)."""
        main = self._main
        assert main is not None
        assert main.deferred is not None
        try:
            return self._advance(main.deferred, block=block)
        except BaseException as error:
            self._fail(error)
            raise

    def result(self) -> Any:
        """The value of the finished program."""
        assert self._main is not None
        assert self._main.deferred is not None
        return self._main.deferred.value

    # --- the loop -----------------------------------------------------------------------------------------------

    def _advance(self, over: Deferred, *, block: bool) -> bool:
        ready, waiting = self._ready, self._waiting
        while True:
            while ready:
                self._step(*ready.popleft())
            if over.done and not waiting:
                self._flush()
                return True
            if not waiting:
                raise RuntimeError("the program waits for a value that nothing produces")
            request = waiting[0]
            while request.pending:
                channel, array = request.pending[0]
                if channel.take(request.operation, array.data):
                    request.pending.pop(0)
                    continue
                self._flush()
                if channel.take(request.operation, array.data):
                    request.pending.pop(0)
                    continue
                if not block:
                    return False
                self._running = request.task
                self._block(channel, request.operation, array)
                request.pending.pop(0)
            waiting.popleft()
            task = request.task
            assert task is not None
            task.generation = request.generation
            if request.generation > self.profile.rounds:
                self.profile.rounds = request.generation
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
            self._waiting.append(request)
        elif kind is _Gather:
            self._fan_out(task, request.coroutines)
        elif kind is _Inherit:
            task.generation = max(task.generation, request.generation)
            self._ready.appendleft((task, None))
        elif kind is Deferred:
            request.waiters.append(task)
        else:
            raise TypeError(f"a protocol awaited a {kind.__name__}; only exchanges, gather and deferred values can be")

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
            self._ready.append((child, None))

    def _finish(self, task: Task, value: Any) -> None:
        parent = task.parent
        if parent is not None:
            parent.results[task.slot] = value
            parent.missing -= 1
            parent.generation = max(parent.generation, task.generation)
            if not parent.missing:
                self._ready.append((parent, parent.results))
            return
        deferred = task.deferred
        assert deferred is not None
        self._resolve(deferred, value, task.generation)

    def _resolve(self, deferred: Deferred, value: Any, generation: int) -> None:
        deferred.value = value
        deferred.done = True
        deferred.generation = generation
        for waiter in deferred.waiters:
            waiter.generation = max(waiter.generation, generation)
            self._ready.append((waiter, None))

    # --- waiting and failing ------------------------------------------------------------------------------------

    def _flush(self) -> None:
        for channel in self.channels.values():
            channel.flush()

    def _block(self, channel: Channel, operation: int, array: np.ndarray) -> None:
        """Wait until `array` is filled. Flushes first: the peer may be waiting for us."""
        self._flush()
        began = time.perf_counter()
        limit = began + self.deadline
        while not channel.take(operation, array.data):
            left = limit - time.perf_counter()
            if left <= 0:
                raise PeerStalled(f"{self.me} waited {self.deadline:g} s for {channel.peer}")
            channel.wait(left)
        self.profile.waited += time.perf_counter() - began

    def _fail(self, error: BaseException) -> None:
        """Tell every peer, drop all coroutines, and let the error name the place. Never reveals a value."""
        where = self._running.where if self._running is not None else None
        if where is not None and isinstance(error, TacitError):
            error.args = (f"{error} [{self.me}, {where}]", *error.args[1:])
        reason = f"{type(error).__name__}: {error}" if isinstance(error, TacitError) else type(error).__name__
        for channel in self.channels.values():
            try:
                channel.abort(reason[:500])
            except (LinkError, OSError):
                continue
        self.drop()

    def drop(self) -> None:
        """Give up every coroutine."""
        for task, _ in self._ready:
            task.coroutine.close()
        for request in self._waiting:
            if request.task is not None:
                request.task.coroutine.close()
        self._ready.clear()
        self._waiting.clear()
        self._running = None


def run_together(*pairs: tuple[Driver, Coroutine[Any, Any, Any]]) -> list[Any]:
    """Run one program at several parties in this thread, over memory channels; their results in order.

    Errors: a party's error is raised as it comes; a set of parties that all wait is a ProtocolError.
    """
    for driver, coroutine in pairs:
        driver.start(coroutine)
    left = [driver for driver, _ in pairs]
    try:
        while left:
            before = _progress(left)
            still = [driver for driver in left if not driver.advance()]
            if still == left and _progress(left) == before:
                raise ProtocolError("all parties wait for each other; the programs differ")
            left = still
    except BaseException:
        for driver, _ in pairs:
            driver.drop()
        raise
    return [driver.result() for driver, _ in pairs]


def _progress(drivers: Sequence[Driver]) -> list[tuple[int, int]]:
    return [(d.operation, sum(c.traffic.messages_received for c in d.channels.values())) for d in drivers]
