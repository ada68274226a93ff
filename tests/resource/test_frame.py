"""The decoder: what is sealed opens, and whatever else comes is refused with a typed error."""

from __future__ import annotations

import contextlib
import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit.foundation.errors import (
    ConfigError,
    FrameCorrupted,
    FrameError,
    FrameOversized,
    FrameReordered,
    FrameReplayed,
    FrameTruncated,
    SessionMismatch,
)
from tacit.resource.wire import frame
from tacit.resource.wire.frame import HEADER_BYTES, FrameLimits, Kind

SESSION = 0x1122334455667788
LIMITS = FrameLimits(frame_bytes=1 << 20, messages=64)
messages = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.binary(max_size=300)), min_size=1, max_size=8)


def sealed(content, *, sequence=7, checked=True, session=SESSION):
    table = [number for operation, payload in content for number in (operation, len(payload))]
    payloads = [payload for _, payload in content]
    parts = frame.seal(Kind.DATA, session, sequence, table, payloads, sum(map(len, payloads)), checked=checked)
    return b"".join(parts)


def opened(raw, *, sequence=7, is_sealed=False):
    """Decode a whole data frame as a channel does, step by step."""
    view = memoryview(raw)
    if len(view) < HEADER_BYTES:
        raise FrameTruncated
    kind, count, body, check, hold = frame.open_header(view, 0, SESSION, sequence, LIMITS, sealed=is_sealed)
    if len(view) < HEADER_BYTES + hold:
        raise FrameTruncated
    table = frame.open_table(view, HEADER_BYTES, count, body, check, hold)
    at = HEADER_BYTES + 8 * count
    content = []
    for operation, size in zip(table[::2], table[1::2], strict=True):
        content.append((operation, bytes(view[at : at + size])))
        at += size
    return kind, content


def header(**changes):
    """A data frame's header with a right CRC and whatever fields are asked for."""
    fields = {
        "kind": 1,
        "flags": 1,
        "reserved": 0,
        "count": 1,
        "session": SESSION,
        "sequence": 7,
        "body": 4,
        "check": 0,
    }
    packed = struct.pack("<BBHIQQQI", *{**fields, **changes}.values())
    return frame.PREFIX + struct.pack("<I", crc32(packed)) + packed


@given(content=messages, checked=st.booleans())
def test_what_is_sealed_opens_to_the_same(content, checked):
    assert opened(sealed(content, checked=checked), is_sealed=not checked) == (Kind.DATA, content)


def test_a_large_payload_is_not_copied():
    large = bytes(frame.JOINED_BYTES + 1)
    parts = frame.seal(Kind.DATA, SESSION, 1, [1, 3, 2, len(large)], [b"abc", large], len(large) + 3, checked=False)
    assert len(parts) == 2
    assert parts[1] is large


@given(raw=st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_as_frames(raw):
    with pytest.raises(FrameError):
        opened(raw)


@given(raw=st.binary(max_size=200))
def test_arbitrary_bytes_behind_a_good_beginning_are_refused(raw):
    with pytest.raises(FrameError):
        opened(frame.PREFIX + raw)


@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "kind": st.integers(0, 255),
            "flags": st.integers(0, 255),
            "reserved": st.integers(0, 2**16 - 1),
            "count": st.integers(0, 2**32 - 1),
            "session": st.integers(0, 2**64 - 1),
            "sequence": st.integers(0, 2**64 - 1),
            "body": st.integers(0, 2**64 - 1),
            "check": st.integers(0, 2**32 - 1),
        },
    ),
    rest=st.binary(max_size=64),
)
def test_headers_that_an_attacker_checksummed_are_refused_or_fully_checked(fields, rest):
    with contextlib.suppress(FrameError):
        opened(header(**fields) + rest)


@given(content=messages, data=st.data())
def test_one_flipped_bit_is_always_noticed(content, data):
    raw = bytearray(sealed(content))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(FrameCorrupted):
        opened(bytes(raw))


@given(content=messages, data=st.data())
def test_a_shortened_frame_is_always_noticed(content, data):
    raw = sealed(content)
    with pytest.raises(FrameTruncated):
        opened(raw[: data.draw(st.integers(0, len(raw) - 1))])


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"session": 1}, SessionMismatch, "0000000000000001"),
        ({"sequence": 6}, FrameReplayed, "frame 6 came again where frame 7"),
        ({"sequence": 8}, FrameReordered, "frame 8 came where frame 7"),
        ({"body": (1 << 20) + 1}, FrameOversized, "1048577 bytes, the limit is 1048576"),
        ({"body": 2**64 - 1}, FrameOversized, "limit"),
        ({"count": 65}, FrameOversized, "65 messages, the limit is 64"),
        ({"count": 0}, FrameCorrupted, "0 messages"),
        ({"flags": 0}, FrameCorrupted, "flags 0"),
        ({"flags": 2}, FrameCorrupted, "flags 2"),
        ({"reserved": 1}, FrameCorrupted, "reserved 1"),
        ({"kind": 9}, FrameCorrupted, "kind 9"),
        ({"kind": 4, "count": 0, "body": 5000}, FrameOversized, "control frame 7 has 5000 bytes"),
        ({"kind": 4, "count": 1}, FrameCorrupted, "1 messages"),
    ],
)
def test_each_field_is_checked(changes, error, text):
    with pytest.raises(error, match=text):
        frame.open_header(memoryview(header(**changes)), 0, SESSION, 7, LIMITS, sealed=False)


def test_the_table_must_add_up():
    table = struct.pack("<4I", 1, 3, 2, 4)
    with pytest.raises(FrameCorrupted, match="add up to 7 bytes, its header says 9"):
        frame.open_table(memoryview(table), 0, 2, 9, crc32(table), len(table))
    with pytest.raises(FrameCorrupted, match="add up to 4 bytes, its header says 9"):
        frame.open_table(memoryview(table), 8, 1, 9, crc32(table[8:]), 8)


def test_last_words_are_found_only_at_the_very_end_and_in_this_session():
    abort = frame.control(Kind.ABORT, SESSION, 99, b"no more rows")
    assert frame.last_words(b"TCT\x01 noise" + abort, SESSION, LIMITS) == (Kind.ABORT, b"no more rows")
    assert frame.last_words(abort + b"x", SESSION, LIMITS) is None
    assert frame.last_words(abort, SESSION + 1, LIMITS) is None
    assert frame.last_words(abort[:-1], SESSION, LIMITS) is None
    assert frame.last_words(frame.control(Kind.HELLO, SESSION, 0, b""), SESSION, LIMITS) is None


@given(raw=st.binary(max_size=300))
def test_looking_for_last_words_never_fails(raw):
    frame.last_words(frame.PREFIX + raw, SESSION, LIMITS)


@given(raw=st.binary(max_size=100))
def test_a_peers_words_are_safe_to_print(raw):
    assert frame.plain_text(raw + b"\x1b[2Jabc\n").isprintable()


@pytest.mark.parametrize(
    "limits",
    [{"messages": 0}, {"messages": 1 << 15}, {"frame_bytes": 1 << 32}, {"checked_body": -1}, {"control_bytes": 1}],
)
def test_limits_that_cannot_be_kept_are_refused(limits):
    with pytest.raises(ConfigError):
        FrameLimits(**limits)
