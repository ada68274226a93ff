"""What went over a channel: the record that both links and protocols speak of."""

from __future__ import annotations

from dataclasses import dataclass


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
