"""The frame: what one flush puts on the wire, and every check it must pass before a byte of it is used.

All integers are little-endian. A frame is a header of 44 bytes, a table of 8 bytes for each message, and the payloads
one after the other:

    magic "TCT", version u8 | header CRC32 u32 | kind u8 | flags u8 | reserved u16 | messages u32
    session u64 | sequence u64 | body bytes u64 | check CRC32 u32
    (operation u32, length u32) for each message
    payload, payload, ...

The header's CRC covers everything after itself, so that no number is believed before it is checked, and bounds are
compared before anything is allocated. `check` covers the table, and the payloads too when flag 1 is set. That flag is
required exactly when the link has no integrity of its own and the body is at most `FrameLimits.checked_body` bytes:
over TLS every record carries a MAC, which is stronger and has been paid for already. A CRC finds accidents, never an
attacker; links between machines are TLS for that reason.

Control frames (hello, close, abort) have no table; their body is text or a greeting, always covered by `check`.
This module knows bytes only. The channel adds the peer and the operation to its errors.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from zlib import crc32

from typing_extensions import Buffer

from tacit.foundation.errors import (
    ConfigError,
    FrameCorrupted,
    FrameOversized,
    FrameReordered,
    FrameReplayed,
    FrameTruncated,
    SessionMismatch,
)


class Kind(IntEnum):
    """What a frame is for."""

    DATA = 1
    HELLO = 2
    CLOSE = 3
    ABORT = 4


@dataclass(frozen=True)
class FrameLimits:
    """What a receiver allows, in bytes and messages. Both ends of a link must use the same limits."""

    frame_bytes: int = 1 << 30
    messages: int = 1 << 14
    checked_body: int = 1 << 16
    control_bytes: int = 1 << 12
    ahead_bytes: int = 1 << 30
    """How much may lie here unread while this side is blocked in sending, before the peer is refused."""

    def __post_init__(self) -> None:
        if not 1 <= self.messages <= 1 << 14:
            raise ConfigError(
                f"messages={self.messages} must lie between 1 and {1 << 14}, so that a table fits in memory"
            )
        if not 1 <= self.frame_bytes < 1 << 32:
            raise ConfigError(
                f"frame_bytes={self.frame_bytes} must lie between 1 and 2**32 - 1; send larger data in chunks"
            )
        if not 0 <= self.checked_body <= 1 << 20:
            raise ConfigError(f"checked_body={self.checked_body} must lie between 0 and {1 << 20}")
        if not 64 <= self.control_bytes <= 1 << 16:
            raise ConfigError(f"control_bytes={self.control_bytes} must lie between 64 and {1 << 16}")


def seal(
    kind: Kind,
    session: int,
    sequence: int,
    table: Sequence[int],
    parts: Sequence[Buffer],
    body_bytes: int,
    *,
    checked: bool,
) -> list[Buffer]:
    """Frame `parts`, whose lengths and operations alternate in `table` as (operation, length, operation, ...).

    Returns the buffers to send in order: one joined copy when the body is small, else the head and the large parts
    as they are, uncopied.
    """
    packed = _ENTRY.pack(*table) if len(table) == 2 else struct.pack(f"<{len(table)}I", *table)
    check = crc32(packed)
    if checked:
        for part in parts:
            check = crc32(part, check)
    fields = _FIELDS.pack(kind, checked, 0, len(table) >> 1, session, sequence, body_bytes, check)
    if body_bytes <= JOINED_BYTES:
        return [b"".join((PREFIX, _CRC.pack(crc32(fields)), fields, packed, *parts))]
    return _gather([PREFIX, _CRC.pack(crc32(fields)), fields, packed, *parts])


def control(kind: Kind, session: int, sequence: int, body: bytes) -> bytes:
    """Frame a hello, close or abort."""
    (frame,) = seal(kind, session, sequence, (), (body,), len(body), checked=True)
    return bytes(frame)


def open_header(
    view: memoryview, at: int, session: int, sequence: int, limits: FrameLimits, *, sealed: bool
) -> tuple[int, int, int, int, int]:
    """Check the header that begins at `view[at]` and return (kind, messages, body bytes, check, bytes to hold).

    The last number is how many bytes after the header must be here before any of them is used: the table, and the
    body where `check` covers it. `sealed` says that the link authenticates bytes itself.

    Raises: FrameCorrupted, SessionMismatch, FrameReplayed, FrameReordered, FrameOversized.
    """
    prefix, crc, kind, flags, reserved, count, whose, number, body, check = _HEADER.unpack_from(view, at)
    if prefix != PREFIX:
        raise FrameCorrupted(
            f"where frame {sequence} should begin stand the bytes {prefix.hex()}, not {PREFIX.hex()}. The stream is out "
            "of step, or the peer speaks something else"
        )
    found = crc32(view[at + 8 : at + HEADER_BYTES])
    if found != crc:
        raise FrameCorrupted(f"the header of frame {sequence} says check {crc:#010x} but has {found:#010x}")
    if whose != session:
        raise SessionMismatch(
            f"a frame of session {whose:016x} came, this is session {session:016x}. Start all parties in one session"
        )
    if number < sequence:
        raise FrameReplayed(f"frame {number} came again where frame {sequence} was due")
    if number > sequence:
        raise FrameReordered(f"frame {number} came where frame {sequence} was due")
    if count > limits.messages:
        raise FrameOversized(f"frame {number} announces {count} messages, the limit is {limits.messages}")
    if body > limits.frame_bytes:
        raise FrameOversized(
            f"frame {number} announces {body} bytes, the limit is {limits.frame_bytes}. Raise frame_bytes or send chunks"
        )
    if kind == _DATA:
        checked = not sealed and body <= limits.checked_body
        if flags != checked or reserved or not count:
            raise FrameCorrupted(f"frame {number} has flags {flags}, reserved {reserved} and {count} messages")
        return kind, count, body, check, 8 * count + (body if checked else 0)
    if kind not in _CONTROLS or flags != 1 or reserved or count:
        raise FrameCorrupted(f"frame {number} has kind {kind}, flags {flags}, reserved {reserved}, {count} messages")
    if body > limits.control_bytes:
        raise FrameOversized(f"control frame {number} has {body} bytes, the limit is {limits.control_bytes}")
    return kind, 0, body, check, body


def open_table(view: memoryview, at: int, count: int, body: int, check: int, hold: int) -> tuple[int, ...]:
    """Check the `hold` bytes at `view[at]` and return the table in them: (operation, length, operation, ...).

    Raises: FrameCorrupted when the bytes fail their check or the lengths do not add up to `body`.
    """
    found = crc32(view[at : at + hold])
    if found != check:
        raise FrameCorrupted(f"the table or body of a frame says check {check:#010x} but has {found:#010x}")
    if count == 1:
        table: tuple[int, ...] = _ENTRY.unpack_from(view, at)
        if table[1] == body:
            return table
    else:
        table = struct.unpack_from(f"<{2 * count}I", view, at)
    if count and sum(table[1::2]) != body:
        raise FrameCorrupted(f"the messages of a frame add up to {sum(table[1::2])} bytes, its header says {body}")
    return table


def read_control(
    frame: memoryview, session: int, sequence: int, limits: FrameLimits, *, sealed: bool = False
) -> tuple[Kind, bytes]:
    """Open one whole control frame that fills `frame`. Raises what `open_header` and `open_table` raise.

    Raises: FrameTruncated when `frame` is shorter than the frame in it; FrameCorrupted when it carries data.
    """
    if len(frame) < HEADER_BYTES:
        raise FrameTruncated(f"{len(frame)} bytes came where a header of {HEADER_BYTES} was due")
    kind, count, body, check, hold = open_header(frame, 0, session, sequence, limits, sealed=sealed)
    if kind == _DATA:
        raise FrameCorrupted(f"a data frame of {count} messages came where a control frame was due")
    if len(frame) - HEADER_BYTES < hold:
        raise FrameTruncated(f"{len(frame) - HEADER_BYTES} of {hold} bytes came after the header")
    open_table(frame, HEADER_BYTES, 0, body, check, hold)
    return Kind(kind), bytes(frame[HEADER_BYTES : HEADER_BYTES + body])


def last_words(tail: bytes, session: int, limits: FrameLimits) -> tuple[Kind, bytes] | None:
    """Find the close or abort frame that ends `tail`, the last bytes of a stream that is over; None if none does.

    Lets a reader tell a good end from a death although frames that it has not read yet lie before the end.
    """
    at = tail.find(PREFIX)
    while at >= 0:
        frame = memoryview(tail)[at:]
        if len(frame) >= HEADER_BYTES:
            kind, sequence = frame[8], _HEADER.unpack_from(frame)[7]
            if kind in {Kind.CLOSE, Kind.ABORT}:
                try:
                    found = read_control(frame, session, sequence, limits)
                except (FrameCorrupted, FrameOversized, FrameTruncated, SessionMismatch):
                    pass
                else:
                    if len(frame) == HEADER_BYTES + len(found[1]):
                        return found
        at = tail.find(PREFIX, at + 1)
    return None


def plain_text(body: bytes) -> str:
    """What a peer wrote, safe to print: printable characters only."""
    return "".join(c if c.isprintable() else " " for c in body.decode("utf-8", "replace")).strip()


def _gather(parts: Sequence[Buffer]) -> list[Buffer]:
    """Join neighbours that are small and leave the large ones where they lie."""
    gathered: list[Buffer] = []
    small: list[Buffer] = []
    for part in parts:
        if len(memoryview(part)) <= JOINED_BYTES:
            small.append(part)
            continue
        if small:
            gathered.append(b"".join(small))
            small = []
        gathered.append(part)
    if small:
        gathered.append(b"".join(small))
    return gathered


MAGIC = b"TCT"
VERSION = 1
PREFIX = MAGIC + bytes([VERSION])
JOINED_BYTES = 1 << 16
"""Up to here copying a part into one buffer is cheaper than handing it to the kernel on its own."""

_CRC = struct.Struct("<I")
_FIELDS = struct.Struct("<BBHIQQQI")
_HEADER = struct.Struct("<4sIBBHIQQQI")
HEADER_BYTES = _HEADER.size
_ENTRY = struct.Struct("<II")
ENTRY_BYTES = _ENTRY.size
_DATA = int(Kind.DATA)
_CONTROLS = frozenset({Kind.HELLO, Kind.CLOSE, Kind.ABORT})
