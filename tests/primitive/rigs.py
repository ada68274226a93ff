"""Drivers of several parties in one process, watched and delayed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
from trees import NAMES, talk

from tacit.primitive.driver import Driver, Exchange
from tacit.primitive.profile import Where
from tacit.resource.channel import MemoryChannel


class Watched:
    """A channel that notes what is posted, and delivers late: `late` says how often the next takes find nothing."""

    def __init__(self, channel: Any, late: Any = ()) -> None:
        self.channel = channel
        self.posted: list[tuple[int, str, int]] = []
        self.late = iter(late)
        self.left = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.channel, name)

    def post(self, operation: int, payload: Any) -> None:
        self.posted.append((operation, self.channel.peer, memoryview(payload).nbytes))
        self.channel.post(operation, payload)

    def take(self, operation: int, into: memoryview) -> bool:
        if self.left == 0:
            self.left = 1 + next(self.late, 0)
        self.left -= 1
        if self.left:
            return False
        return self.channel.take(operation, into)


def drivers(names=NAMES, *, late=None, threads=False, deadline=120.0) -> dict[str, Driver]:
    """One driver per party over memory channels."""
    mesh = MemoryChannel.mesh(names, threads=threads)
    made = {}
    for name in names:
        ends = {peer: Watched(channel, (late or {}).get((name, peer), ())) for peer, channel in mesh[name].items()}
        made[name] = Driver(name, ends, deadline=deadline)
    return made


def step(parties: list[Driver], order: Any = ()) -> None:
    """Advance one party after the other, in a given order and then in turn, until all are over."""
    left = list(parties)
    picks = iter(order)
    for _ in range(100_000):
        if not left:
            return
        driver = left[next(picks, 0) % len(left)]
        left.remove(driver)
        if not driver.advance():
            left.append(driver)
    raise AssertionError("the parties never came to an end")


def posted(driver: Driver) -> list[tuple[int, str, int]]:
    """What a party posted, in order of operations."""
    return sorted(entry for channel in driver.channels.values() for entry in channel.posted)


def in_threads(programs: dict[str, tuple[Driver, Coroutine[Any, Any, Any]]]) -> dict[str, Any]:
    """Run every party in a thread of its own; what each returned or raised."""
    results: dict[str, Any] = {}

    def work(name: str) -> None:
        driver, coroutine = programs[name]
        try:
            results[name] = driver.run(coroutine, Where(0, f"{name}'s program", f"{name}.py:1"))
        except BaseException as error:  # noqa: BLE001  what a party raises is what the test looks at
            results[name] = error

    workers = [threading.Thread(target=work, args=(name,)) for name in programs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert results.keys() == programs.keys(), "a party hangs"
    return results


def swap(driver: Driver, peer: str, size: int = 8, receive: int | None = None) -> Exchange:
    """Send `size` bytes to a peer and receive as many."""
    mine = np.zeros(size, np.uint8)
    theirs = np.empty(size if receive is None else receive, np.uint8)
    return driver.exchange([(peer, mine)], [(peer, theirs)])


def chain(driver: Driver, steps: int) -> Callable[[], Coroutine[Any, Any, None]]:
    """A program of `steps` rounds among all three parties."""

    async def program() -> None:
        for _ in range(steps):
            await talk(driver, "ring", 8)

    return program
