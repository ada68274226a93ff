"""What a protocol asks of the wire: an ordered, authenticated stream of messages to and from one peer.

Implementations live in `tacit.resource.channel`; this layer only states the contract, so that protocols never touch
a socket. Messages travel in the order they are posted. The sender coalesces all messages posted since the last
`flush` into one frame; the receiver takes them one by one, naming the operation it expects.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from typing_extensions import Buffer

from tacit.foundation.traffic import Traffic

__all__ = ["Channel", "Traffic"]


@runtime_checkable
class Channel(Protocol):
    """One duplex channel to one authenticated peer."""

    @property
    def peer(self) -> str:
        """The peer's name, as bound to its certificate."""

    @property
    def traffic(self) -> Traffic:
        """Counters since the channel was opened."""

    def post(self, operation: int, payload: Buffer) -> None:
        """Queue one message of operation number `operation` (0 <= operation < 2**32).

        `payload` must be C-contiguous and must not change until the next `flush` returned. Flushes by itself once
        the queued bytes pass the eager threshold, so that sending overlaps computing.
        """

    def flush(self) -> None:
        """Send everything queued as one frame. Never deadlocks: while the peer does not read, incoming bytes are read."""

    def take(self, operation: int, into: memoryview) -> bool:
        """Fill `into` with the next message and return True, or return False when it has not arrived in full.

        Raises ProtocolMismatch when the next message is of another operation or another size, and the typed link
        errors of `tacit.foundation.errors` when the frame is refused or the peer is gone.
        """

    def wait(self, seconds: float) -> None:
        """Block until something arrived or `seconds` passed (PeerStalled); PeerDied, PeerAborted as they come."""

    def abort(self, reason: str) -> None:
        """Tell the peer why this side stops (best effort, bounded time), then close."""

    def close(self) -> None:
        """Close in good order. Idempotent."""
