"""One party's wait for all of its peers.

A party that blocks on one peer, in sending or in waiting, must go on reading from the others: three parties that each
send a large share to the next would otherwise wait for each other for ever. So the channels of one party share a
switchboard, and whatever they block on, it polls all of them and lets those that nobody takes from read ahead.

Reading ahead is bounded. A peer that runs ahead of the others (a dealer does) is left unread once its channel is full,
until some of it was taken: the system's own buffers fill up, and the peer waits in sending.
"""

from __future__ import annotations

import math
import select
import time
from typing import Protocol, final


class Member(Protocol):
    """A channel as the switchboard sees it."""

    def fileno(self) -> int:
        """Return what to poll."""

    @property
    def full(self) -> bool:
        """Whether so much lies unread that the peer should wait."""

    def absorb(self, *, patient: bool = False) -> bool:
        """Read ahead everything that came, when `patient` until this is full; return False when no more will come.

        Raises the typed error of a bad end.
        """


class Board(Protocol):
    """What a channel needs to block."""

    def add(self, member: Member, /) -> None:
        """Watch a channel."""

    def remove(self, descriptor: int, /) -> None:
        """Stop watching a channel. Idempotent."""

    def wait(self, member: Member, seconds: float, /, *, writable: bool = False) -> bool:
        """Block until `member` has something to read, or room to write; return False after `seconds`."""


@final
class Switchboard:
    """Polls the sockets of all channels of one party. For one thread at a time, like its channels."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._members: dict[int, Member] = {}
        self._unread: set[int] = set()  # full: not polled until something was taken

    def add(self, member: Member) -> None:
        """Watch a channel from now on."""
        self._members[member.fileno()] = member
        self._poll.register(member.fileno(), select.POLLIN)

    def remove(self, descriptor: int) -> None:
        """Stop watching a channel."""
        if self._members.pop(descriptor, None) is None:
            return
        if descriptor in self._unread:
            self._unread.remove(descriptor)
        else:
            self._poll.unregister(descriptor)

    def wait(self, member: Member, seconds: float, *, writable: bool = False) -> bool:
        """Block until `member` is ready, reading ahead from every other channel meanwhile.

        Waiting for room to write reads ahead from `member` as well: its peer may be blocked in sending to us.

        Raises: PeerDied, PeerAborted or FrameTruncated as soon as any watched peer comes to a bad end.
        """
        descriptor = member.fileno()
        if self._unread:
            self._read_again(descriptor)
        wanted = select.POLLOUT if writable else select.POLLIN
        if writable:
            self._poll.modify(descriptor, select.POLLIN | select.POLLOUT)
        try:
            deadline = time.monotonic() + seconds
            while True:
                events = self._poll.poll(max(0, math.ceil(seconds * 1000)))
                for ready, event in events:
                    if ready == descriptor and event & (wanted | _BROKEN):
                        return True
                self._absorb([ready for ready, _ in events], patient_but=descriptor)
                if descriptor not in self._members:
                    return True
                seconds = deadline - time.monotonic()
                if seconds <= 0:
                    return False
        finally:
            if writable and descriptor in self._members:
                self._poll.modify(descriptor, select.POLLIN)

    def sweep(self) -> None:
        """Read ahead from every channel without blocking. Raises what `wait` raises."""
        self._absorb([ready for ready, _ in self._poll.poll(0)])

    def _absorb(self, descriptors: list[int], *, patient_but: int = -1) -> None:
        for descriptor in descriptors:
            more = False
            member = self._members[descriptor]
            patient = descriptor != patient_but
            try:
                more = member.absorb(patient=patient)
            finally:
                if not more:
                    self.remove(descriptor)
            if more and patient and member.full:
                self._poll.unregister(descriptor)
                self._unread.add(descriptor)

    def _read_again(self, wanted: int) -> None:
        for descriptor in list(self._unread):
            if descriptor == wanted or not self._members[descriptor].full:
                self._unread.remove(descriptor)
                self._poll.register(descriptor, select.POLLIN)


_BROKEN = select.POLLERR | select.POLLHUP | select.POLLNVAL
