"""What has arrived from one peer and was not taken yet.

Small things are read into one staging buffer of fixed size, from which frames are parsed in place. Large payloads go
from the transport straight into the caller's array. When this side has to read while nobody takes, because the peer
would block otherwise, bytes pile up in a bounded backlog; they are older than what the transport holds, and younger
than what is staged.
"""

from __future__ import annotations

import ssl
from collections import deque
from typing import Final, final

from tacit.foundation.errors import FrameCorrupted, FrameOversized
from tacit.resource.channel.transport import Transport
from tacit.resource.wire.frame import ENTRY_BYTES, HEADER_BYTES, FrameLimits


@final
class Inbox:
    """The bytes of one peer: `view[head:tail]`, then the backlog, then the transport."""

    __slots__ = (
        "_ahead", "_backlog", "_limits", "_spare", "_transport", "ended", "fresh", "head", "lost", "size", "tail", "view",
    )  # fmt: skip

    def __init__(self, transport: Transport, limits: FrameLimits) -> None:
        held = HEADER_BYTES + ENTRY_BYTES * limits.messages + max(limits.checked_body, limits.control_bytes)
        self.size = max(STAGING_BYTES, held)
        self.view = memoryview(bytearray(self.size))
        self.head = 0
        self.tail = 0
        self.ended = False
        self.lost = ""
        """Why the stream ended, when the system said more than that it is over."""
        self.fresh = False
        """Whether something came that no `take` has failed on yet."""
        self._transport = transport
        self._limits = limits
        self._backlog: deque[memoryview] = deque()
        self._ahead = 0
        self._spare = memoryview(b"")

    @property
    def unread(self) -> bool:
        """Whether bytes lie here, or in the transport's own buffers."""
        return self.tail > self.head or bool(self._backlog) or self._transport.buffered

    @property
    def full(self) -> bool:
        """Whether more than `ahead_bytes` lie here unread."""
        return self._ahead > self._limits.ahead_bytes

    def fill(self, need: int) -> bool:
        """Stage `need` bytes from `head` on and return True, or False when they have not all arrived.

        Raises: FrameCorrupted when the transport finds that what came was changed on its way.
        """
        have = self.tail - self.head
        while have < need:
            if not have:
                self.head = self.tail = 0
            elif self.size - self.head < need or self.tail == self.size:
                self.view[:have] = self.view[self.head : self.tail]
                self.head, self.tail = 0, have
            got = self._read(self.view[self.tail :] if self.tail else self.view)
            if not got:
                return False
            self.tail += got
            have += got
        return True

    def pour(self, into: memoryview, at: int) -> int:
        """Fill `into[at:]` as far as bytes are here, and return up to where it is full now."""
        size = len(into)
        have = min(self.tail - self.head, size - at)
        if have:
            into[at : at + have] = self.view[self.head : self.head + have]
            self.head += have
            at += have
        while at < size:
            got = self._read(into[at:])
            if not got:
                break
            at += got
        return at

    def drain(self, *, patient: bool = False) -> None:
        """Read everything that has arrived, so that the peer can go on sending; when `patient`, until this is full.

        Raises: FrameOversized when more than `ahead_bytes` would lie here unread; FrameCorrupted as `fill` does.
        """
        while not self.ended:
            if not self._backlog and self.head == self.tail:
                self.head = self.tail = 0
            if not self._backlog and self.tail < self.size:
                got = self._receive(self.view[self.tail :])
                self.tail += got
            else:
                if not len(self._spare):
                    self._spare = memoryview(bytearray(BACKLOG_BYTES))
                got = self._receive(self._spare)
                if got:
                    self._backlog.append(self._spare[:got])
                    self._spare = self._spare[got:]
                    self._ahead += got
            if not got:
                return
            if self.full:
                if patient:
                    return
                raise FrameOversized(
                    f"{self._ahead} bytes came that this side has not asked for yet, the limit is "
                    f"{self._limits.ahead_bytes}. Raise ahead_bytes or send smaller chunks"
                )

    def tail_bytes(self, count: int) -> bytes:
        """Copy the last `count` bytes that arrived and were not taken."""
        pieces = [self.view[self.head : self.tail], *self._backlog]
        kept: list[memoryview] = []
        while pieces and count > 0:
            kept.append(pieces.pop()[-count:])
            count -= len(kept[-1])
        return b"".join(reversed(kept))

    def discard(self) -> None:
        """Forget everything that is here."""
        self.head = self.tail = self._ahead = 0
        self._backlog.clear()

    def _read(self, view: memoryview) -> int:
        backlog = self._backlog
        if not backlog:
            return self._receive(view)
        first = backlog[0]
        got = min(len(first), len(view))
        view[:got] = first[:got]
        if got == len(first):
            backlog.popleft()
        else:
            backlog[0] = first[got:]
        self._ahead -= got
        return got

    def _receive(self, view: memoryview) -> int:
        if self.ended:
            return 0
        try:
            got = self._transport.recv_into(view)
        except ssl.SSLError as error:
            raise FrameCorrupted(f"TLS refused what came: {error.reason or error}") from None
        except OSError as error:
            self.ended = True
            self.lost = error.strerror or type(error).__name__
            return 0
        if got > 0:
            self.fresh = True
            return got
        if got < 0:
            self.ended = True
        return 0


STAGING_BYTES: Final = 1 << 18
BACKLOG_BYTES: Final = 1 << 20
