"""A channel that behaves as if its ends were far apart: latency and bandwidth added to any other channel.

Each batch of messages leaves with a stamp: the moment at which its last byte would arrive, given that the link sends
at `bits_per_second` and delays by `latency_seconds`. The receiver hands nothing out before that moment. No thread and
no queue stand between, so that what is measured is the link and not its imitation. Both ends must run on one machine,
because the stamps are read off its monotonic clock.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import struct
import threading
import time
from dataclasses import dataclass
from typing import Final, Protocol, final

from typing_extensions import Buffer

from tacit.foundation.errors import ConfigError, PeerStalled, ProtocolMismatch
from tacit.foundation.traffic import Traffic
from tacit.resource.channel.stream import flat
from tacit.resource.wire.frame import ENTRY_BYTES, HEADER_BYTES


@dataclass(frozen=True)
class LinkProfile:
    """A network: delay one way in seconds, and bits per second in each direction."""

    name: str
    latency_seconds: float
    bits_per_second: float


LOOPBACK: Final = LinkProfile("loopback", 0.0, math.inf)
LAN: Final = LinkProfile("lan", 0.25e-3, 1e9)
WAN: Final = LinkProfile("wan", 20e-3, 100e6)
PROFILES: Final = {profile.name: profile for profile in (LOOPBACK, LAN, WAN)}


class Inner(Protocol):
    """What is shaped: any channel."""

    @property
    def peer(self) -> str:
        """The peer's name."""

    def post(self, operation: int, payload: Buffer) -> None:
        """Queue one message."""

    def flush(self) -> None:
        """Send what is queued."""

    def take(self, operation: int, into: memoryview) -> bool:
        """Receive the next message if it is here."""

    def wait(self, seconds: float) -> None:
        """Block until something arrived."""

    def abort(self, reason: str) -> None:
        """Stop with a reason."""

    def close(self) -> None:
        """Stop in good order."""


@final
class ShapedChannel:
    """`inner` with `latency_seconds` one way and `bits_per_second` each way; both ends must be shaped alike.

    The bits are those of the frames, without TLS, TCP and IP. `flush` blocks while more than `buffer_bytes` would
    still lie in this machine's send buffer. Its `traffic` counts what the same messages cost without shaping.
    """

    def __init__(
        self, inner: Inner, latency_seconds: float, bits_per_second: float, *, buffer_bytes: int = 4 << 20
    ) -> None:
        if not 0 <= latency_seconds < 60 or not bits_per_second > 0:
            raise ConfigError(
                f"a link of {latency_seconds} s and {bits_per_second} bit/s cannot be imitated: the latency must lie "
                "between 0 and 60 seconds, the bandwidth must be positive"
            )
        self._inner = inner
        self._latency = round(latency_seconds * 1e9)
        self._per_byte = 8e9 / bits_per_second
        self._buffered = round(buffer_bytes * self._per_byte)
        self._traffic = Traffic()
        self._posted: list[tuple[int, memoryview]] = []
        self._posted_bytes = 0
        self._free = 0
        """When the last byte sent so far has left, in nanoseconds."""
        self._stamp = memoryview(bytearray(_STAMP.size))
        self._due = 0
        """When the current batch may be handed out."""
        self._left = 0
        self._held: tuple[int, int] | None = None
        """The operation and size of a message that is in the caller's memory before its time."""

    @property
    def peer(self) -> str:
        """The peer's name."""
        return self._inner.peer

    @property
    def traffic(self) -> Traffic:
        """Counters since the channel was opened, stamps left out."""
        return self._traffic

    def post(self, operation: int, payload: Buffer) -> None:
        """Queue one message; it starts on its way at `flush`, or when EAGER_BYTES are queued."""
        view = flat(payload)
        self._posted.append((operation, view))
        self._posted_bytes += len(view)
        if self._posted_bytes >= EAGER_BYTES or len(self._posted) >= BATCH_MESSAGES:
            self._depart()

    def flush(self) -> None:
        """Put everything queued on its way, and wait for room if the imitated send buffer is full."""
        if self._posted:
            self._depart()
        self._inner.flush()
        ahead = self._free - time.monotonic_ns()
        if ahead > self._buffered:
            sleep_until(self._free - self._buffered)

    def _depart(self) -> None:
        posted, size = self._posted, self._posted_bytes
        self._posted, self._posted_bytes = [], 0
        overhead = HEADER_BYTES + ENTRY_BYTES * len(posted)
        now = time.monotonic_ns()
        self._free = max(now, self._free) + round((size + overhead) * self._per_byte)
        self._inner.post(STAMP_OPERATION, _STAMP.pack(self._free + self._latency, len(posted)))
        for operation, view in posted:
            self._inner.post(operation, view)
        traffic = self._traffic
        traffic.frames_sent += 1
        traffic.messages_sent += len(posted)
        traffic.payload_sent += size
        traffic.overhead_sent += overhead

    def take(self, operation: int, into: memoryview) -> bool:
        """Fill `into` with the next message and return True, or False when it would not have arrived yet.

        After False, call again with the same memory.

        Raises: what the inner channel's `take` raises.
        """
        if not self._left and not self._next_batch():
            return False
        if self._held is None:
            if not self._inner.take(operation, into):
                return False
            self._held = operation, into.nbytes
        elif self._held != (operation, into.nbytes):
            raise ProtocolMismatch(
                f"operation {operation} with {into.nbytes} bytes was asked for, after operation {self._held[0]} with "
                f"{self._held[1]} bytes from {self.peer} had been begun. Finish one before the other",
                peer=self.peer,
                operation=operation,
            )
        if time.monotonic_ns() < self._due:
            return False
        self._held = None
        self._left -= 1
        self._traffic.messages_received += 1
        self._traffic.payload_received += into.nbytes
        return True

    def wait(self, seconds: float) -> None:
        """Block until the next message would have arrived, or some of it has.

        Raises: PeerStalled after `seconds`, and what the inner channel's `wait` raises.
        """
        if self._held is None:
            self._inner.wait(seconds)
            return
        limit = time.monotonic_ns() + round(seconds * 1e9)
        sleep_until(min(self._due, limit))
        if limit < self._due:
            raise PeerStalled(
                f"{self.peer} sent operation {self._held[0]}, which the link delays beyond the deadline of {seconds:g} s. "
                "Allow more time on a link of this latency and bandwidth",
                peer=self.peer,
                operation=self._held[0],
            )

    def abort(self, reason: str) -> None:
        """Tell the peer at once why this side stops, then close."""
        self._posted, self._posted_bytes = [], 0
        self._inner.abort(reason)

    def close(self) -> None:
        """Send what is queued and close in good order."""
        if self._posted:
            self._depart()
        self._inner.close()

    def _next_batch(self) -> bool:
        if not self._inner.take(STAMP_OPERATION, self._stamp):
            return False
        self._due, self._left = _STAMP.unpack(self._stamp)
        traffic = self._traffic
        traffic.frames_received += 1
        traffic.overhead_received += HEADER_BYTES + ENTRY_BYTES * self._left
        return True


def sleep_until(moment: int) -> None:
    """Sleep until `moment` on the monotonic clock in nanoseconds, to within a few microseconds."""
    _sharpen_sleep()
    while (left := moment - time.monotonic_ns()) > 0:
        if left > SPUN_NANOSECONDS:
            time.sleep((left - SPUN_NANOSECONDS) * 1e-9)


def _sharpen_sleep() -> None:
    """Ask Linux to wake this thread within a microsecond of the time instead of its usual fifty."""
    if getattr(_THREAD, "sharp", False):
        return
    _THREAD.sharp = True
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1000, 0, 0, 0)


STAMP_OPERATION: Final = 0xFFFFFFFF
"""The operation number of a stamp; programs count up from 0 and do not get there."""
EAGER_BYTES: Final = 1 << 18
BATCH_MESSAGES: Final = (1 << 14) - 1
SPUN_NANOSECONDS: Final = 40_000
_STAMP: Final = struct.Struct("<QI")
_PR_SET_TIMERSLACK: Final = 29
_THREAD: Final = threading.local()
