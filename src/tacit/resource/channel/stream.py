"""The channel over a byte stream: the `Channel` contract of the primitive layer, frame by frame.

A round of small messages costs one system call to send and one to receive. Payloads above 64 KiB are never copied on
their way out, and on their way in go from the transport into the caller's array.
"""

from __future__ import annotations

import os
import ssl
import time
from dataclasses import dataclass, field
from typing import Final, final

from typing_extensions import Buffer

from tacit.foundation.errors import (
    ConfigError,
    DomainError,
    FrameCorrupted,
    FrameError,
    FrameOversized,
    FrameTruncated,
    InputError,
    LinkError,
    PeerAborted,
    PeerDied,
    PeerStalled,
    ProtocolMismatch,
    ShapeError,
)
from tacit.foundation.traffic import Traffic
from tacit.resource.channel.inbox import Inbox
from tacit.resource.channel.switchboard import Board
from tacit.resource.channel.transport import Transport
from tacit.resource.wire import frame
from tacit.resource.wire.frame import ENTRY_BYTES, HEADER_BYTES, FrameLimits, Kind


@dataclass(frozen=True)
class LinkSettings:
    """How a channel behaves: bounds in bytes, times in seconds."""

    limits: FrameLimits = field(default_factory=FrameLimits)
    eager_bytes: int = 1 << 18
    """`post` starts sending once this much is queued."""
    patience: float = 60.0
    """How long `flush` goes on without the peer taking a single byte."""
    spin_seconds: float = 0.0
    """How long `wait` looks again and again before it sleeps: saves a wake-up, costs a core."""
    farewell: float = 1.0
    """How long `close` and `abort` try to get the last frame through."""

    def __post_init__(self) -> None:
        if self.eager_bytes < 1 or self.patience <= 0 or self.spin_seconds < 0 or self.farewell < 0:
            raise ConfigError(f"{self} has a bound that cannot be kept: sizes and patience must be positive")


@final
class StreamChannel:
    """One duplex channel to `peer` over `transport`, as party `me` of session number `session`.

    For one thread at a time, which it shares with all channels of its `board`. An error of the link is final: every
    later call raises it again, apart from PeerStalled, after which one may wait on.
    """

    def __init__(
        self, me: str, peer: str, transport: Transport, board: Board, session: int, settings: LinkSettings | None = None
    ) -> None:
        self._settings = settings or LinkSettings()
        self._me = me
        self._peer = peer
        self._transport = transport
        self._board = board
        self._session = session
        self._limits = self._settings.limits
        self._checked_up_to = -1 if transport.sealed else self._limits.checked_body
        self._eager = self._settings.eager_bytes
        self._spin_seconds = self._settings.spin_seconds
        self._inbox = Inbox(transport, self._limits)
        self._messages_sent = self._payload_sent = 0
        self._messages_received = self._payload_received = self._entries_received = 0
        self._failure: LinkError | ProtocolMismatch | None = None
        self._closed = False
        self._posted: list[memoryview] = []
        self._posted_table: list[int] = []
        self._posted_bytes = 0
        self._sent = FIRST_SEQUENCE
        self._received = FIRST_SEQUENCE
        self._table: tuple[int, ...] = ()
        self._cursor = 0
        self._filled = 0
        self._operation: int | None = None
        board.add(self)

    def __repr__(self) -> str:
        state = "closed" if self._closed else "failed" if self._failure else "open"
        return f"<{type(self).__name__} {self._me} - {self._peer}, {state}>"

    @property
    def peer(self) -> str:
        """The peer's name."""
        return self._peer

    @property
    def traffic(self) -> Traffic:
        """Counters since the channel was opened, as they are now."""
        frames_sent, frames_received = self._sent - FIRST_SEQUENCE, self._received - FIRST_SEQUENCE
        return Traffic(
            frames_sent=frames_sent,
            frames_received=frames_received,
            messages_sent=self._messages_sent,
            messages_received=self._messages_received,
            payload_sent=self._payload_sent,
            payload_received=self._payload_received,
            overhead_sent=HEADER_BYTES * frames_sent + ENTRY_BYTES * self._messages_sent,
            overhead_received=HEADER_BYTES * frames_received + ENTRY_BYTES * self._entries_received,
        )

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when something arrives."""
        return self._transport.fileno()

    # --- sending ------------------------------------------------------------------------------------------------

    def post(self, operation: int, payload: Buffer) -> None:
        """Queue one message; it must not change until `flush` returns. Starts sending at the eager threshold.

        Raises: DomainError, ShapeError or InputError for what cannot be sent; FrameOversized beyond the limit.
        """
        if self._failure is not None:
            raise self._failure
        view = flat(payload)
        size = len(view)
        if not 0 <= operation < 1 << 32:
            raise DomainError(f"operation {operation} must lie between 0 and 2**32 - 1")
        if self._posted_bytes + size > self._limits.frame_bytes:
            if size > self._limits.frame_bytes:
                raise FrameOversized(
                    f"operation {operation} posts {size} bytes to {self._peer}, the limit is "
                    f"{self._limits.frame_bytes}. Send it in chunks, or raise frame_bytes on both ends",
                    peer=self._peer,
                    operation=operation,
                )
            self._send()
        self._posted.append(view)
        self._posted_table += (operation, size)
        self._posted_bytes += size
        if self._posted_bytes >= self._eager or len(self._posted) >= self._limits.messages:
            self._send()

    def flush(self) -> None:
        """Send everything queued, reading ahead meanwhile if the peer does not take it.

        Raises: PeerStalled when no byte could be sent for `patience` seconds; PeerDied, PeerAborted as they come.
        """
        if self._failure is not None:
            raise self._failure
        if self._posted:
            self._send()
        if self._transport.unsent:
            self._push(self._settings.patience)

    def _send(self) -> None:
        """Frame what is queued and hand it to the transport, without blocking."""
        posted, table, size = self._posted, self._posted_table, self._posted_bytes
        self._posted, self._posted_table, self._posted_bytes = [], [], 0
        parts = frame.seal(_DATA, self._session, self._sent, table, posted, size, checked=size <= self._checked_up_to)
        self._messages_sent += len(posted)
        self._payload_sent += size
        self._sent += 1
        try:
            self._transport.send(parts)
        except OSError as error:
            raise self._broken(error) from None

    def _push(self, patience: float) -> None:
        """Send on until nothing is left; every byte that goes out restarts the patience."""
        deadline = time.monotonic() + patience
        while True:
            try:
                done = self._transport.push()
            except OSError as error:
                raise self._broken(error) from None
            if done:
                return
            ready = self._board.wait(self, max(0.0, deadline - time.monotonic()), writable=True)
            if self._inbox.ended:
                raise self._fail(*self._verdict())
            if ready:
                deadline = time.monotonic() + patience
            elif time.monotonic() >= deadline:
                raise self._error(PeerStalled, f"took no byte for {patience:g} s while this side was sending")

    # --- receiving ----------------------------------------------------------------------------------------------

    def take(self, operation: int, into: memoryview) -> bool:
        """Fill `into` with the next message and return True, or return False when it has not arrived in full.

        After False, call again with the same memory: a part of a large message may lie in it already.

        Raises: ProtocolMismatch for another operation or size; FrameError for what is refused; PeerDied, PeerAborted.
        """
        if self._failure is not None:
            raise self._failure
        self._operation = operation
        try:
            if self._cursor == len(self._table) and not self._open_frame():
                return self._nothing()
            cursor = self._cursor
            size = self._table[cursor + 1]
            if self._table[cursor] != operation or size != into.nbytes:
                raise self._mismatch(into.nbytes)
            if size:
                if into.ndim != 1 or into.format != "B":
                    into = into.cast("B")
                inbox = self._inbox
                if size > DIRECT_BYTES:
                    self._filled = inbox.pour(into, self._filled)
                    if self._filled < size:
                        return self._nothing()
                    self._filled = 0
                else:
                    if not inbox.fill(size):
                        return self._nothing()
                    head = inbox.head
                    inbox.head = head + size
                    into[:] = inbox.view[head : head + size]
        except FrameError as error:
            raise self._refuse(error) from None
        self._cursor = cursor + 2
        self._messages_received += 1
        self._payload_received += size
        return True

    def wait(self, seconds: float) -> None:
        """Block until something arrived that no `take` has seen.

        Raises: PeerStalled after `seconds`; PeerDied, PeerAborted and FrameTruncated as they come, and those of the
        party's other peers as well, because nothing can be finished without them.
        """
        if self._failure is not None:
            raise self._failure
        inbox = self._inbox
        if inbox.fresh and inbox.unread:
            return
        if inbox.ended:
            raise self._fail(*self._verdict())
        if self._spin_seconds and self._spin(min(seconds, self._spin_seconds)):
            return
        if not self._board.wait(self, seconds):
            raise self._error(PeerStalled, f"sent nothing before the deadline of {seconds:g} s")

    @property
    def full(self) -> bool:
        """Whether so much lies here unread that the peer should wait."""
        return self._inbox.full

    def absorb(self, *, patient: bool = False) -> bool:
        """Read ahead everything that came, when `patient` until this is full; return False when no more will come.

        Raises: PeerDied, PeerAborted, FrameTruncated when the stream came to a bad end; FrameOversized when too much
        lies here.
        """
        try:
            self._inbox.drain(patient=patient)
        except FrameError as error:
            raise self._refuse(error) from None
        if not self._inbox.ended:
            return True
        kind, cause = self._verdict()
        if kind is not PeerDied or cause != CLOSED_IN_ORDER:
            raise self._fail(kind, cause)
        return False

    def _open_frame(self) -> bool:
        """Make the next data frame the current one; False when it is not here yet."""
        inbox = self._inbox
        if not inbox.fill(HEADER_BYTES):
            return False
        kind, count, body, check, hold = frame.open_header(
            inbox.view, inbox.head, self._session, self._received, self._limits, sealed=self._transport.sealed
        )
        if not inbox.fill(HEADER_BYTES + hold):
            return False
        table = frame.open_table(inbox.view, inbox.head + HEADER_BYTES, count, body, check, hold)
        if kind != _DATA:
            self._obey(kind, bytes(inbox.view[inbox.head + HEADER_BYTES : inbox.head + HEADER_BYTES + hold]))
        inbox.head += HEADER_BYTES + ENTRY_BYTES * count
        self._received += 1
        self._table = table
        self._cursor = 0
        self._entries_received += count
        return True

    def _nothing(self) -> bool:
        self._inbox.fresh = False
        if self._inbox.ended:
            raise self._fail(*self._verdict())
        return False

    def _spin(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            os.sched_yield()
            if not self.absorb() or (self._inbox.fresh and self._inbox.unread):
                return True
        return False

    # --- ending -------------------------------------------------------------------------------------------------

    def abort(self, reason: str) -> None:
        """Tell the peer why this side stops, then close. Takes at most `farewell` seconds and raises nothing."""
        self._posted, self._posted_table, self._posted_bytes = [], [], 0
        self._leave(Kind.ABORT, reason.encode("utf-8", "replace")[: min(REASON_BYTES, self._limits.control_bytes)])

    def close(self) -> None:
        """Send what is queued and the news that no more will come, then close. Idempotent, raises nothing."""
        self._leave(Kind.CLOSE, b"")

    def _leave(self, kind: Kind, body: bytes) -> None:
        if self._closed:
            return
        self._closed = True
        deadline = time.monotonic() + self._settings.farewell
        try:
            if self._posted and self._failure is None:
                self._send()
            self._transport.send([frame.control(kind, self._session, self._sent, body)])
            while not self._transport.push() and time.monotonic() < deadline and not self._inbox.ended:
                self._board.wait(self, deadline - time.monotonic(), writable=True)
            self._transport.finish()
            # Closing a socket on unread bytes resets it, and a reset may overtake what the peer has not been sent yet.
            while not self._transport.settled() and time.monotonic() < deadline and not self._inbox.ended:
                self._inbox.drain()
                self._inbox.discard()
                time.sleep(SETTLE_SECONDS)
        except (OSError, ProtocolMismatch):
            pass  # The peer is gone or deaf; there is nobody left to tell.
        finally:
            self._board.remove(self._transport.fileno())
            self._transport.close()
            if self._failure is None:
                self._failure = self._error(LinkError, "can no longer be reached: this side closed the channel")

    def _obey(self, kind: int, body: bytes) -> None:
        """End as a control frame from the peer asks."""
        if kind == Kind.ABORT:
            raise self._fail(PeerAborted, f"stopped: {frame.plain_text(body) or 'no reason given'}")
        if kind == Kind.CLOSE:
            raise self._fail(PeerDied, CLOSED_IN_ORDER)
        raise FrameCorrupted(f"a second greeting came as frame {self._received}")

    def _verdict(self) -> tuple[type[LinkError], str]:
        """Say how a stream that is over ended."""
        inbox = self._inbox
        words = frame.last_words(
            inbox.tail_bytes(HEADER_BYTES + self._limits.control_bytes), self._session, self._limits
        )
        if words is not None:
            kind, body = words
            if kind == Kind.ABORT:
                return PeerAborted, f"stopped: {frame.plain_text(body) or 'no reason given'}"
            return PeerDied, CLOSED_IN_ORDER
        cause = f" ({inbox.lost})" if inbox.lost else ""
        if inbox.fresh and inbox.unread:
            return PeerDied, f"closed the connection without a word, while this side had more of it to read{cause}"
        missing = sum(self._table[self._cursor + 1 :: 2]) - self._filled
        have = inbox.tail - inbox.head
        if missing > have:
            return FrameTruncated, (
                f"was cut off in frame {self._received - 1}: {have} of the last {missing} bytes came{cause}"
            )
        if self._transport.partial and not have:
            return FrameTruncated, f"was cut off in the middle of a TLS record{cause}"
        if not missing and have:
            return FrameTruncated, f"was cut off {have} bytes into frame {self._received}{cause}"
        return PeerDied, f"closed the connection without a word: its process ended or was cut off{cause}"

    # --- errors -------------------------------------------------------------------------------------------------

    def _broken(self, error: OSError) -> LinkError | ProtocolMismatch:
        """Turn a failure to send into the reason the peer gave, if it left one."""
        try:
            self._inbox.drain()
        except FrameError as refused:
            return self._refuse(refused)
        if isinstance(error, ssl.SSLError):
            return self._fail(FrameCorrupted, f"was cut off by TLS: {error.reason or error}")
        self._inbox.ended = True
        self._inbox.lost = self._inbox.lost or error.strerror or type(error).__name__
        return self._fail(*self._verdict())

    def _mismatch(self, size: int) -> LinkError | ProtocolMismatch:
        came, length = self._table[self._cursor : self._cursor + 2]
        return self._fail(
            ProtocolMismatch,
            f"sent operation {came} with {length} bytes where operation {self._operation} with {size} bytes was due. "
            "Both parties must run the same program on the same public shapes",
        )

    def _refuse(self, error: FrameError) -> LinkError | ProtocolMismatch:
        """Name the peer and the operation in an error that the wire raised, and make it final."""
        if error is self._failure:
            return error
        return self._fail(type(error), f"sent what is refused: {error}")

    def _fail(self, kind: type[LinkError | ProtocolMismatch], cause: str) -> LinkError | ProtocolMismatch:
        self._failure = self._error(kind, cause)
        return self._failure

    def _error(self, kind: type[LinkError | ProtocolMismatch], cause: str) -> LinkError | ProtocolMismatch:
        due = "" if self._operation is None else f" ({self._me} is due to receive operation {self._operation})"
        return kind(f"{self._peer} {cause}{due}", peer=self._peer, operation=self._operation)


def flat(payload: Buffer) -> memoryview:
    """View any contiguous buffer as bytes.

    Raises: ShapeError when it is not C-contiguous; InputError when its elements are Python objects.
    """
    view = payload if type(payload) is memoryview else memoryview(payload)
    if view.ndim == 1 and view.format == "B" and view.c_contiguous:
        return view
    if not view.nbytes:
        return _EMPTY
    if not view.c_contiguous:
        raise ShapeError(
            f"a payload of shape {view.shape} and strides {view.strides} is not C-contiguous. Copy it first"
        )
    if "O" in view.format:
        raise InputError(
            "a payload of Python objects would send addresses of this process. Convert it to numbers first"
        )
    return view.cast("B")


FIRST_SEQUENCE: Final = 1
"""Frame 0 is the greeting of `tacit.resource.channel.greeting`."""
DIRECT_BYTES: Final = 1 << 16
"""Messages above this go from the transport into the caller's memory; smaller ones are staged."""
REASON_BYTES: Final = 512
SETTLE_SECONDS: Final = 0.001
CLOSED_IN_ORDER: Final = "closed the channel in good order, but more was due"
_EMPTY: Final = memoryview(b"")
_DATA: Final = Kind.DATA
