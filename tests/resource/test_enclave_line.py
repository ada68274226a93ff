"""The line to an enclave: messages arrive whole, and nothing that the other end does makes this end wait or swell."""

from __future__ import annotations

import os
import struct
import threading
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit.foundation.errors import (
    FrameCorrupted,
    FrameOversized,
    FrameTruncated,
    InputError,
    LinkError,
    PeerDied,
    PeerStalled,
)
from tacit.resource.enclave import EnclaveLine, LineLimits

SMALL = LineLimits(head=1000, blobs=4, total=10_000)


class Ends:
    """A line and the raw other end of it."""

    def __init__(self, limits: LineLimits = SMALL) -> None:
        reading, self.into = os.pipe()
        self.outof, writing = os.pipe()
        self.line = EnclaveLine(reading, writing, "the enclave", limits)

    def write(self, data: bytes) -> None:
        os.write(self.into, data)

    def hang_up(self) -> None:
        if self.into >= 0:
            os.close(self.into)
        self.into = -1

    def close(self) -> None:
        self.line.close()
        self.hang_up()
        os.close(self.outof)


@pytest.fixture
def ends() -> Iterator[Ends]:
    both = Ends()
    yield both
    both.close()


@given(
    kind=st.text(max_size=10),
    fields=st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.integers(), st.text(max_size=5)), max_size=4),
    blobs=st.lists(st.binary(max_size=2000), max_size=4),
)
def test_a_message_arrives_as_it_was_sent(kind: str, fields: dict[str, object], blobs: list[bytes]) -> None:
    ends = Ends(LineLimits())
    try:
        ends.write(b"".join(ends.line.pack(kind, fields, blobs)))
        assert ends.line.receive(deadline=1.0) == (kind, fields, blobs)
    finally:
        ends.close()


def test_a_message_larger_than_a_pipe_passes() -> None:
    ours, theirs = os.pipe(), os.pipe()
    one, two = EnclaveLine(ours[0], theirs[1], "two"), EnclaveLine(theirs[0], ours[1], "one")
    blob = os.urandom(5_000_000)
    sender = threading.Thread(target=lambda: one.send(one.pack("big", {}, [blob, b""]), deadline=10.0))
    sender.start()
    assert two.receive(deadline=10.0) == ("big", {}, [blob, b""])
    sender.join()
    one.close()
    two.close()


@pytest.mark.parametrize(
    ("head", "sizes", "says"),
    [
        (1001, [], "1001 bytes of head; at most 1000"),
        (2, [1] * 5, "5 blobs; at most 4"),
        (2, [10_001], "10001 bytes; at most 10000"),
        (2, [6000, 6000], "12000 bytes; at most 10000"),
        (2, [1 << 63], "bytes; at most 10000"),
        (0xFFFFFFFF, [], "bytes of head; at most 1000"),
    ],
)
def test_an_oversized_frame_is_refused_before_anything_is_allocated(
    ends: Ends, head: int, sizes: list[int], says: str
) -> None:
    ends.write(struct.pack("<4sII", b"TCE1", head, len(sizes)) + struct.pack(f"<{len(sizes)}Q", *sizes))
    tracemalloc.start()
    with pytest.raises(FrameOversized, match=says):
        ends.line.receive(deadline=1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_an_announced_count_of_blobs_is_bounded_too(ends: Ends) -> None:
    ends.write(struct.pack("<4sII", b"TCE1", 2, 0xFFFFFFFF))
    with pytest.raises(FrameOversized, match="more than 5 blobs; at most 4"):
        ends.line.receive(deadline=1.0)


def test_an_oversized_message_is_not_sent(ends: Ends) -> None:
    for fields, blobs in (({}, [bytes(10_001)]), ({}, [b""] * 5), ({"x": "y" * 1000}, [])):
        with pytest.raises(FrameOversized):
            ends.line.pack("kind", fields, blobs)
    with pytest.raises(InputError, match="no JSON"):
        ends.line.pack("kind", {"x": b"bytes"})


@given(garbage=st.binary(min_size=1, max_size=300))
def test_garbage_is_a_typed_error(garbage: bytes) -> None:
    ends = Ends()
    try:
        ends.write(garbage)
        ends.hang_up()
        with pytest.raises(LinkError):
            ends.line.receive(deadline=5.0)
    finally:
        ends.close()


@pytest.mark.parametrize(
    "head", [b"{}", b"[]", b"null", b'{"kind":1,"fields":{}}', b'{"kind":"a","fields":[]}', b"\xff\xff"]
)
def test_a_malformed_head_is_refused(ends: Ends, head: bytes) -> None:
    ends.write(struct.pack("<4sII", b"TCE1", len(head), 0) + head)
    with pytest.raises(FrameCorrupted, match="malformed"):
        ends.line.receive(deadline=1.0)


def test_a_message_cut_anywhere_is_truncated(ends: Ends) -> None:
    message = b"".join(ends.line.pack("kind", {"a": 1}, [b"blob"]))
    for size in range(1, len(message)):
        cut = Ends()
        cut.write(message[:size])
        cut.hang_up()
        with pytest.raises(FrameTruncated):
            cut.line.receive(deadline=1.0)
        cut.close()


def test_silence_and_half_a_message_end_at_the_deadline(ends: Ends) -> None:
    with pytest.raises(PeerStalled, match=r"within 0.05 s"):
        ends.line.receive(deadline=0.05)
    ends.write(b"TCE1")
    with pytest.raises(PeerStalled):
        ends.line.receive(deadline=0.05)


def test_an_end_that_takes_nothing_ends_at_the_deadline() -> None:
    ends = Ends(LineLimits())
    with pytest.raises(PeerStalled):
        ends.line.send(ends.line.pack("kind", {}, [bytes(1 << 22)]), deadline=0.05)
    ends.close()


def test_the_end_of_the_other_process_is_said(ends: Ends) -> None:
    ends.hang_up()
    with pytest.raises(PeerDied, match="gone"):
        ends.line.receive(deadline=1.0)
    ends.line.close()
    with pytest.raises(PeerDied, match="closed"):
        ends.line.send(ends.line.pack("kind", {}), deadline=1.0)
