"""The session's side of all control lines: commands go out in one order, answers come as they come.

Every party takes its commands in the order in which the session sent them, so parties that share a command always meet. A
command that is answered gets a `Ticket`, which is done when every party asked has answered or told why not.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np

from tacit.device.executor import Answer
from tacit.foundation.errors import PeerDied, PeerStalled, SessionError, TacitError
from tacit.schedule.control import Message, pack
from tacit.schedule.failure import Failure, rebuild, root_cause
from tacit.schedule.launch import Member

AFTERMATH_SECONDS = 5.0
"""How long the other parties may take to tell what they saw of a failure."""
GLANCE_SECONDS = 0.5
READY = 0
"""The number of the answer that a party gives without being asked, when it is up."""


class SessionEnds(Exception):
    """What happened leaves no way to go on; `error` is what the user is told."""

    def __init__(self, error: TacitError) -> None:
        super().__init__(str(error))
        self.error = error


@final
class Ticket:
    """One command that is answered: who still has to answer, and what came."""

    __slots__ = ("answers", "failures", "parties", "waiting")

    def __init__(self, parties: Sequence[str]) -> None:
        self.parties = tuple(parties)
        self.waiting = set(parties)
        self.answers: dict[str, Answer] = {}
        self.failures: dict[str, Failure] = {}

    def result(self) -> dict[str, Answer]:
        """Every party's answer, in the order they were asked. Raises the error that explains why there is none."""
        if self.failures:
            raise root_cause(self.failures)
        return {party: self.answers[party] for party in self.parties}


@final
class Lines:
    """The lines to all parties, as one thread at a time uses them. Raises SessionEnds when a party is lost."""

    def __init__(self, deadline: float, on_progress: Callable[[str, Mapping[str, Any]], None]) -> None:
        self.processes: dict[str, Member] = {}
        self._deadline = deadline
        self._on_progress = on_progress
        self._open: dict[str, dict[int, Ticket]] = {}
        self._failures: dict[str, Failure] = {}
        self._calls = READY
        self._stopped_since: dict[str, float] = {}

    def add(self, process: Member, ready: Ticket) -> None:
        """A party that was started; its first answer goes to `ready`."""
        self.processes[process.name] = process
        self._open[process.name] = {READY: ready}

    def pack(
        self, kind: str, fields: Mapping[str, Mapping[str, Any]], blobs: Sequence[np.ndarray], *, answered: bool
    ) -> tuple[Ticket, dict[str, list[memoryview]]]:
        """A command's messages, before anything of it is sent. Raises InputError for what cannot travel."""
        self._calls += 1
        ticket = Ticket(list(fields) if answered else [])
        call = self._calls if answered else 0
        messages = {party: pack(kind, own, blobs, call=call) for party, own in fields.items()}
        for party in ticket.parties:
            self._open[party][call] = ticket
        return ticket, messages

    def send(self, party: str, message: Sequence[memoryview]) -> None:
        """Send a party one message. Raises SessionEnds, with what the party itself said where it is gone."""
        try:
            self.processes[party].line.write(message)
        except PeerDied:
            raise SessionEnds(self._last_words(party)) from None
        except PeerStalled as error:
            raise SessionEnds(error) from None

    def wait(self, tickets: Sequence[Ticket], limit: float | None = None) -> list[Ticket]:
        """Wait until one ticket is done, and return those that are.

        limit: a time (monotonic) after which parties that did not answer count as stalled.
        Raises: SessionEnds with the root cause of a failure that is no single party's affair.
        """
        while not (done := [ticket for ticket in tickets if not ticket.waiting]):
            self._listen()
            if limit is not None and time.monotonic() > limit:
                for party in {party for ticket in tickets for party in ticket.waiting}:
                    self._fail(party, _silent(party))
                self._aftermath()
        return done

    # --- receiving ----------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Take what has come from the parties that have something to answer; notice those that cannot."""
        waiting = self._waiting()
        if self._read(waiting):
            self._aftermath()
        now = time.monotonic()
        for party in waiting:
            if not self.processes[party].stopped:
                self._stopped_since.pop(party, None)
            elif now - self._stopped_since.setdefault(party, now) >= self._deadline:
                self._fail(party, _stopped(party))
                self._aftermath()

    def _waiting(self) -> list[str]:
        return [party for party, tickets in self._open.items() if tickets]

    def _read(self, parties: Sequence[str]) -> bool:
        """One message of each party that has one; whether any of them ends the session."""
        by_number = {self.processes[party].line.sock.fileno(): party for party in parties}
        poll = select.poll()
        for number in by_number:
            poll.register(number, select.POLLIN)
        fatal = False
        for number, _ in poll.poll(GLANCE_SECONDS * 1000):
            party = by_number[number]
            try:
                message = self.processes[party].line.receive()
            except PeerDied:
                self._fail(party, self._gone(party))
                fatal = True
            except TacitError as error:
                self._fail(party, Failure(error))
                fatal = True
            else:
                fatal |= self._take(party, message)
        return fatal

    def _take(self, party: str, message: Message) -> bool:
        if message.kind == "progress":
            self._on_progress(party, message.fields)
            return False
        failure = rebuild(party, message.fields) if message.kind == "error" else None
        if failure is not None and failure.fatal:
            self._fail(party, failure)
            return True
        ticket = self._open[party].pop(message.call, None)
        if ticket is None:
            self._fail(party, Failure(SessionError(f"{party} answered what nobody asked (call {message.call})")))
            return True
        ticket.waiting.discard(party)
        if failure is not None:
            ticket.failures[party] = failure
        else:
            ticket.answers[party] = (message.fields, message.blobs)
        return False

    # --- failing ------------------------------------------------------------------------------------------------

    def _fail(self, party: str, failure: Failure) -> None:
        """Nothing more comes from this party."""
        for ticket in self._open.pop(party, {}).values():
            ticket.waiting.discard(party)
        self._failures[party] = failure

    def _aftermath(self) -> None:
        """After what ends the session: hear the other parties out, and raise what explains it all."""
        limit = time.monotonic() + AFTERMATH_SECONDS
        while (waiting := self._waiting()) and time.monotonic() < limit:
            self._read(waiting)
            for party in self._waiting():
                if self.processes[party].stopped:
                    self._fail(party, _stopped(party))
        for party in self._waiting():
            self._fail(party, _silent(party))
        raise SessionEnds(root_cause(self._failures))

    def _last_words(self, party: str) -> TacitError:
        """What a party that takes no command any more has said before it ended."""
        while True:
            try:
                message = self.processes[party].line.receive()
            except TacitError:
                return self._gone(party).error
            if message.kind == "error":
                return rebuild(party, message.fields).error

    def _gone(self, party: str) -> Failure:
        reason = f"the process of {party} ended{self.processes[party].exit_reason()}"
        return Failure(PeerDied(reason, peer=party), gone=True)


def _stopped(party: str) -> Failure:
    return Failure(PeerStalled(f"the process of {party} is stopped", peer=party), gone=True)


def _silent(party: str) -> Failure:
    return Failure(PeerStalled(f"the process of {party} did not answer", peer=party), gone=True)
