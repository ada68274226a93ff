"""What went over a channel, and where a party stands: the two records that both links and protocols speak of."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Traffic:
    """What went over one channel since it was opened: exact numbers, payload and framing apart, in bytes.

    Overhead is the framing of `tacit.resource.wire`; what TLS, TCP and IP add beneath it is not counted.
    """

    frames_sent: int = 0
    frames_received: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    payload_sent: int = 0
    payload_received: int = 0
    overhead_sent: int = 0
    overhead_received: int = 0


@dataclass(frozen=True)
class Where:
    """The operation a party is at, for messages: its number, its name and the user's source line."""

    operation: int
    name: str
    line: str = field(default="")

    def __str__(self) -> str:
        at = f" at {self.line}" if self.line else ""
        return f"operation {self.operation} ({self.name}){at}"
