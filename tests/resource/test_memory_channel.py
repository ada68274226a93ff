"""The channel contract and each way a frame can be wrong, on channels inside one process."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit.foundation.errors import (
    DomainError,
    FrameCorrupted,
    FrameError,
    FrameOversized,
    FrameReordered,
    FrameReplayed,
    FrameTruncated,
    InputError,
    LinkError,
    PeerAborted,
    PeerDied,
    PeerStalled,
    ProtocolMismatch,
    SessionMismatch,
    ShapeError,
)
from tacit.primitive.channel import Channel
from tacit.resource.channel import LinkSettings, MemoryChannel
from tacit.resource.channel.stream import DIRECT_BYTES
from tacit.resource.wire.frame import FrameLimits


def send(channel, operation, payload):
    channel.post(operation, payload)
    channel.flush()


def receive(channel, operation, size):
    into = memoryview(bytearray(size))
    assert channel.take(operation, into)
    return bytes(into)


def wait_for(channel, operation):
    while not channel.take(operation, memoryview(bytearray(1))):
        channel.wait(10)


def tampered(tamper, **options):
    return MemoryChannel.pair("alice", "bob", tamper=tamper, **options)


def test_it_is_the_channel_that_protocols_ask_for():
    a, b = MemoryChannel.pair("alice", "bob")
    assert isinstance(a, Channel)
    assert (a.peer, b.peer) == ("bob", "alice")
    assert repr(a) == "<StreamChannel alice - bob, open>"


@given(
    batches=st.lists(
        st.lists(
            st.tuples(
                st.integers(0, 2**32 - 1),
                st.one_of(st.integers(0, 100), st.integers(DIRECT_BYTES - 2, DIRECT_BYTES + 2), st.just(300_000)),
            ),
            min_size=1,
            max_size=5,
        ),
        max_size=4,
    )
)
def test_messages_come_as_they_were_posted_and_are_counted(batches):
    a, b = MemoryChannel.pair("alice", "bob")
    expected = []
    for batch in batches:
        for operation, size in batch:
            payload = bytes(size % 251 for _ in range(size % 7)) + bytes(size - size % 7)
            a.post(operation, payload)
            expected.append((operation, payload))
        a.flush()
    for operation, payload in expected:
        assert receive(b, operation, len(payload)) == payload
    assert not b.take(0, memoryview(b""))
    sent, received = a.traffic, b.traffic
    assert sent.messages_sent == received.messages_received == len(expected)
    assert sent.payload_sent == received.payload_received == sum(len(payload) for _, payload in expected)
    assert sent.overhead_sent == received.overhead_received == 44 * sent.frames_sent + 8 * len(expected)
    assert sent.frames_sent == received.frames_received >= len(batches)


def test_one_flush_is_one_frame():
    a, _ = MemoryChannel.pair("alice", "bob")
    for operation in range(10):
        a.post(operation, b"x" * 100)
    a.flush()
    a.flush()
    assert a.traffic.frames_sent == 1


def test_posting_much_starts_sending_before_the_flush():
    a, b = MemoryChannel.pair("alice", "bob")
    for operation in range(3):
        a.post(operation, bytes(100_000))
    assert a.traffic.frames_sent == 1
    assert receive(b, 0, 100_000) == bytes(100_000)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.uint64).reshape(3, 4),
        np.float32(1.5),
        np.zeros((0, 3), np.int32),
        np.array([True, False]),
        np.array(7, np.uint64),
    ],
)
def test_arrays_of_any_native_type_travel(array):
    a, b = MemoryChannel.pair("alice", "bob")
    into = np.ones_like(array)
    send(a, 1, array)
    assert b.take(1, into.data)
    assert np.array_equal(into, array)


def test_what_cannot_be_sent_is_refused_at_once():
    a, _ = MemoryChannel.pair("alice", "bob", settings=LinkSettings(limits=FrameLimits(frame_bytes=1000)))
    with pytest.raises(ShapeError, match="not C-contiguous"):
        a.post(1, np.zeros((4, 4))[:, ::2])
    with pytest.raises(InputError, match="Python objects"):
        a.post(1, np.zeros(3, object))
    with pytest.raises(DomainError, match="4294967296"):
        a.post(2**32, b"")
    with pytest.raises(FrameOversized, match=r"operation 3 posts 1001 bytes to bob, the limit is 1000.*chunks"):
        a.post(3, bytes(1001))
    a.post(4, bytes(600))
    a.post(5, bytes(600))
    assert a.traffic.frames_sent == 1


def test_waiting_alone_is_an_error_at_once():
    a, b = MemoryChannel.pair("alice", "bob")
    assert not b.take(5, memoryview(bytearray(3)))
    with pytest.raises(PeerStalled, match=r"alice sent nothing .*60 s \(bob is due to receive operation 5\)") as caught:
        b.wait(60)
    assert (caught.value.peer, caught.value.operation) == ("alice", 5)
    send(a, 5, b"abc")
    b.wait(60)
    assert receive(b, 5, 3) == b"abc"
    with pytest.raises(PeerStalled):
        b.wait(60)


def test_threads_wait_for_each_other():
    a, b = MemoryChannel.pair("alice", "bob", threads=True)
    echoed = []

    def echo():
        into = memoryview(bytearray(4))
        for operation in range(50):
            while not b.take(operation, into):
                b.wait(10)
            send(b, operation, into)
        echoed.append(True)

    thread = threading.Thread(target=echo)
    thread.start()
    for operation in range(50):
        send(a, operation, operation.to_bytes(4, "big"))
        into = memoryview(bytearray(4))
        while not a.take(operation, into):
            a.wait(10)
        assert int.from_bytes(into, "big") == operation
    thread.join()
    assert echoed
    with pytest.raises(PeerStalled, match=r"0\.01 s"):
        a.wait(0.01)


def test_another_operation_or_size_names_both_sides():
    a, b = MemoryChannel.pair("alice", "bob")
    send(a, 6, b"abc")
    with pytest.raises(
        ProtocolMismatch,
        match=r"alice sent operation 6 with 3 bytes where operation 5 with 4 bytes was due.*same program",
    ) as caught:
        b.take(5, memoryview(bytearray(4)))
    assert (caught.value.peer, caught.value.operation) == ("alice", 5)
    with pytest.raises(ProtocolMismatch):
        b.take(6, memoryview(bytearray(3)))


def test_another_session_is_refused():
    a, _ = MemoryChannel.pair("alice", "bob", session=1)
    _, d = MemoryChannel.pair("alice", "bob", session=2)
    d._inbox._transport._in = a._transport._out
    send(a, 1, b"x")
    with pytest.raises(SessionMismatch, match=r"alice sent what is refused: .*session 0+1 came, this is session 0+2"):
        d.take(1, memoryview(bytearray(1)))


def test_a_repeated_frame_is_refused():
    a, b = tampered(lambda _, frame: [frame, frame])
    send(a, 1, b"x")
    assert receive(b, 1, 1) == b"x"
    with pytest.raises(FrameReplayed, match=r"alice .*frame 1 came again where frame 2 was due.*operation 1"):
        b.take(1, memoryview(bytearray(1)))


def test_swapped_frames_are_refused():
    kept = []

    def swap(_, frame):
        kept.append(frame)
        return [] if len(kept) == 1 else [kept[1], kept[0]]

    a, b = tampered(swap)
    send(a, 1, b"x")
    send(a, 2, b"y")
    with pytest.raises(FrameReordered, match="frame 2 came where frame 1 was due"):
        b.take(1, memoryview(bytearray(1)))


@pytest.mark.parametrize("size", [0, 1, 100, 200_000])
@given(data=st.data())
def test_a_frame_cut_short_is_refused_and_nothing_of_it_is_handed_out(size, data):
    a, b = tampered(lambda _, frame: [frame[: data.draw(st.integers(1, len(frame) - 1))]])
    send(a, 1, bytes(size))
    with pytest.raises(FrameTruncated, match="alice was cut off"):
        b.take(1, memoryview(bytearray(size)))


@given(data=st.data(), size=st.integers(0, 300))
def test_a_flipped_bit_is_refused(data, size):
    def flip(_, frame):
        changed = bytearray(frame)
        bit = data.draw(st.integers(0, 8 * len(frame) - 1))
        changed[bit // 8] ^= 1 << bit % 8
        return [bytes(changed)]

    a, b = tampered(flip)
    send(a, 1, bytes(size))
    with pytest.raises(FrameCorrupted, match="alice sent what is refused"):
        b.take(1, memoryview(bytearray(size)))


def test_a_frame_beyond_the_receivers_limit_is_refused_before_it_is_read():
    small = LinkSettings(limits=FrameLimits(frame_bytes=1000))
    a, _ = MemoryChannel.pair("alice", "bob")
    _, d = MemoryChannel.pair("alice", "bob", settings=small)
    d._inbox._transport._in = a._transport._out
    send(a, 1, bytes(1001))
    with pytest.raises(FrameOversized, match="1001 bytes, the limit is 1000"):
        d.take(1, memoryview(bytearray(1001)))


@given(noise=st.binary(min_size=1, max_size=300), tidy=st.booleans())
def test_noise_ends_in_a_typed_error_and_never_hangs(noise, tidy):
    a, b = tampered(lambda _, __: [noise])
    send(a, 1, b"x")
    a._transport.finish() if tidy else a._transport.close()
    with pytest.raises((FrameError, PeerDied)):
        wait_for(b, 1)


def test_a_peer_that_stops_says_why():
    a, b = MemoryChannel.pair("alice", "bob")
    a.abort("out of \x1b[31mmemory\n")
    with pytest.raises(PeerAborted, match=r"alice stopped: out of  \[31mmemory \(bob is due to receive operation 9\)"):
        b.take(9, memoryview(bytearray(1)))
    with pytest.raises(PeerAborted):
        b.post(1, b"x")
    with pytest.raises(LinkError, match="this side closed"):
        a.post(1, b"x")


def test_sending_to_a_peer_that_stopped_gives_its_reason():
    a, b = MemoryChannel.pair("alice", "bob")
    a.abort("no consent")
    b.post(1, b"x")
    with pytest.raises(PeerAborted, match="no consent"):
        b.flush()


def test_a_good_end_delivers_everything_first():
    a, b = MemoryChannel.pair("alice", "bob")
    a.post(1, b"last")
    a.close()
    a.close()
    assert receive(b, 1, 4) == b"last"
    with pytest.raises(PeerDied, match="alice closed the channel in good order, but more was due"):
        b.take(2, memoryview(bytearray(1)))


def test_a_peer_that_vanishes_is_noticed():
    a, b = MemoryChannel.pair("alice", "bob", threads=True)
    assert not b.take(3, memoryview(bytearray(1)))
    a._transport.close()
    with pytest.raises(PeerDied, match=r"alice closed the connection without a word.*operation 3"):
        wait_for(b, 3)
    with pytest.raises(PeerDied):
        b.flush()


def test_a_mesh_connects_every_pair():
    mesh = MemoryChannel.mesh(["alice", "bob", "carol"])
    for me, channels in mesh.items():
        for peer, channel in channels.items():
            send(channel, 1, f"{me}{peer}".encode())
    for me, channels in mesh.items():
        for peer, channel in channels.items():
            assert receive(channel, 1, len(me) + len(peer)) == f"{peer}{me}".encode()
