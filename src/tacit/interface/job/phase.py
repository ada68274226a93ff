"""Phases of a job: what each took in seconds, rounds, messages and bytes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, final

from tacit.schedule.session import Session


@final
@dataclass(frozen=True, slots=True)
class Phase:
    """One finished phase. Rounds: the longest party's; messages and bytes: all parties', payload."""

    name: str
    seconds: float
    rounds: int
    messages: int
    bytes: int
    note: str


class Watcher(Protocol):
    """Who is told how far a job is."""

    def begin(self, name: str) -> None:
        """A phase begins."""

    def epoch(self, number: int, limit: int) -> None:
        """An epoch of training is over, of at most `limit`."""

    def end(self, phase: Phase) -> None:
        """A phase is over."""


@final
@dataclass(slots=True)
class Note:
    """What a phase has to say for itself; its body sets the text."""

    text: str = ""


@final
@dataclass(slots=True)
class Meter:
    """Measures phases one after the other, from the counters of all parties."""

    watch: Watcher
    session: Session | None = None
    phases: list[Phase] = field(default_factory=list)

    @contextmanager
    def phase(self, name: str) -> Iterator[Note]:
        """Measure the body. The counters are asked of the parties, which also waits for their pending work."""
        self.watch.begin(name)
        before = self._counters()
        began = time.perf_counter()
        note = Note()
        yield note
        rounds, messages, payload = (now - then for now, then in zip(self._counters(), before, strict=True))
        phase = Phase(name, time.perf_counter() - began, rounds, messages, payload, note.text)
        self.phases.append(phase)
        self.watch.end(phase)

    def _counters(self) -> tuple[int, int, int]:
        if self.session is None:
            return 0, 0, 0
        profile = self.session.profile()
        return profile.rounds, profile.messages, profile.bytes
