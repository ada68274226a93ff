"""Channels over real sockets, plain and TLS: order, size, no deadlock, and every bad end by its name."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import socket
import threading
import time

import numpy as np
import pytest
from parties import (
    IDENTITIES,
    OPENED,
    SESSION,
    TRUST,
    be_ready_then_sleep,
    connected,
    join,
    listeners,
    pair,
    receive,
    send,
    together,
)

from tacit.foundation.errors import (
    FrameCorrupted,
    FrameOversized,
    FrameReordered,
    FrameReplayed,
    FrameTruncated,
    LinkError,
    PeerAborted,
    PeerDied,
    PeerStalled,
    ProtocolMismatch,
    SessionMismatch,
)
from tacit.resource.channel import LinkSettings
from tacit.resource.wire import frame
from tacit.resource.wire.frame import FrameLimits, Kind

NUMBER = int.from_bytes(SESSION, "little")
both = pytest.mark.parametrize("kind", ["plain", "tls"])


@both
@pytest.mark.parametrize("size", [0, 1, 512, 16_384, 65_536, 65_537, 262_144, 3_000_000])
def test_messages_of_any_size_come_as_they_were_sent(kind, size):
    a, b = pair(kind)
    payload = np.arange(size, dtype=np.uint32).astype(np.uint8)
    a.post(1, b"before")
    a.post(2, payload)
    a.post(3, b"after")
    results = together({"a": a.flush, "b": lambda: [bytes(receive(b, *it)) for it in ((1, 6), (2, size), (3, 5))]})
    assert results["b"] == [b"before", payload.tobytes(), b"after"]
    assert b.traffic.payload_received == a.traffic.payload_sent == size + 11
    a.close()
    b.close()


@both
def test_both_sides_send_64_mebibytes_at_once_without_deadlock(kind):
    a, b = pair(kind)
    size = 64 << 20

    def side(channel, fill):
        payload = np.full(size, fill, np.uint8)
        send(channel, 7, payload)
        into = receive(channel, 7, size)
        assert np.frombuffer(into, np.uint8)[::4097].max() == 3 - fill
        assert into[0] == into[-1] == 3 - fill

    assert together({"a": lambda: side(a, 1), "b": lambda: side(b, 2)}) == {"a": None, "b": None}
    a.close()
    b.close()


@both
def test_three_parties_in_a_ring_send_at_once_without_deadlock(kind):
    names = ["alice", "bob", "carol"]
    ends = connected(names, kind)
    size = 24 << 20

    def side(me):
        following = names[(names.index(me) + 1) % 3]
        previous = names[(names.index(me) - 1) % 3]
        send(ends[me][following], 1, memoryview(bytearray(size)))
        send(ends[me][previous], 2, b"small")
        receive(ends[me][previous], 1, size)
        return bytes(receive(ends[me][following], 2, 5))

    assert together({me: lambda me=me: side(me) for me in names}) == dict.fromkeys(names, b"small")


@both
def test_waiting_for_one_peer_reads_ahead_from_another(kind):
    """Alice cannot finish sending to bob unless bob, who waits for carol, reads; and carol waits for alice."""
    ends = connected(["alice", "bob", "carol"], kind)
    size = 24 << 20

    def alice():
        send(ends["alice"]["bob"], 1, memoryview(bytearray(size)))
        send(ends["alice"]["carol"], 2, b"go")

    def bob():
        assert bytes(receive(ends["bob"]["carol"], 3, 2)) == b"on"
        receive(ends["bob"]["alice"], 1, size)

    def carol():
        receive(ends["carol"]["alice"], 2, 2)
        send(ends["carol"]["bob"], 3, b"on")

    assert set(together({"alice": alice, "bob": bob, "carol": carol}).values()) == {None}


@both
def test_a_large_message_arrives_in_parts_across_calls(kind):
    a, b = pair(kind)
    size = 40 << 20
    into = memoryview(bytearray(size))
    a.post(1, memoryview(bytearray(b"\x05" * size)))
    assert not b.take(1, into)
    assert into[0] == 5
    assert into[-1] == 0
    sender = threading.Thread(target=a.flush)
    sender.start()
    while not b.take(1, into):
        b.wait(20)
    sender.join()
    assert into[size // 2] == into[-1] == 5


@both
def test_reading_ahead_is_bounded(kind):
    limits = FrameLimits(ahead_bytes=1 << 20)
    a, b = pair(kind, settings=LinkSettings(limits=limits))

    def alice():
        send(a, 1, memoryview(bytearray(40 << 20)))

    def bob():
        try:
            send(b, 1, memoryview(bytearray(40 << 20)))
        except FrameOversized:
            b.abort("too much")
            raise

    # Whoever blocks first in sending reads ahead first, and gives up first; the other is told.
    results = together({"alice": alice, "bob": bob})
    kinds = {type(error) for error in results.values()}
    assert FrameOversized in kinds
    assert kinds <= {FrameOversized, PeerAborted, PeerDied, FrameTruncated}


@both
def test_a_peer_that_sends_nothing_stalls_and_may_still_come(kind):
    a, b = pair(kind)
    assert not b.take(4, memoryview(bytearray(1)))
    began = time.monotonic()
    with pytest.raises(PeerStalled, match=r"alice sent nothing .*0\.2 s \(bob is due to receive operation 4\)"):
        b.wait(0.2)
    assert 0.19 < time.monotonic() - began < 5
    send(a, 4, b"x")
    assert bytes(receive(b, 4, 1)) == b"x"


@both
def test_a_peer_that_does_not_read_stalls_the_flush_only_so_long(kind):
    a, _ = pair(kind, settings=LinkSettings(patience=0.3, farewell=0.1))
    a.post(1, memoryview(bytearray(64 << 20)))
    with pytest.raises(PeerStalled, match=r"bob took no byte for 0\.3 s"):
        a.flush()
    a.close()


@both
def test_an_abort_reaches_every_peer_wherever_it_waits(kind):
    ends = connected(["alice", "bob", "carol"], kind)

    def carol():
        for channel in ends["carol"].values():
            channel.abort("NumericError: out of range")

    def waits(me, peer):
        receive(ends[me][peer], 8, 1)

    # Alice waits for bob, not for carol, and hears of carol's end nevertheless.
    results = together({"alice": lambda: waits("alice", "bob"), "bob": lambda: waits("bob", "carol"), "carol": carol})
    assert isinstance(results["alice"], PeerAborted)
    assert results["alice"].peer == "carol"
    assert "carol stopped: NumericError: out of range" in str(results["alice"])
    assert isinstance(results["bob"], PeerAborted)


@both
def test_a_peer_that_leaves_in_order_is_missed_only_when_needed(kind):
    ends = connected(["alice", "bob", "carol"], kind)
    ends["carol"]["alice"].post(1, b"bye")
    for channel in ends["carol"].values():
        channel.close()
    send(ends["bob"]["alice"], 1, b"x")
    assert bytes(receive(ends["alice"]["bob"], 1, 1)) == b"x"
    with pytest.raises(PeerStalled):
        ends["alice"]["bob"].wait(0.05)
    assert bytes(receive(ends["alice"]["carol"], 1, 3)) == b"bye"
    with pytest.raises(PeerDied, match="carol closed the channel in good order, but more was due"):
        receive(ends["alice"]["carol"], 2, 1)


@both
def test_a_peer_that_vanishes_is_noticed_by_those_who_wait_for_others(kind):
    ends = connected(["alice", "bob", "carol"], kind)
    for channel in ends["carol"].values():
        channel._transport.close()
    began = time.monotonic()
    with pytest.raises(PeerDied, match="carol closed the connection without a word"):
        receive(ends["alice"]["bob"], 3, 1)
    with pytest.raises(PeerDied, match=r"carol .*operation 4"):
        receive(ends["bob"]["carol"], 4, 1)
    assert time.monotonic() - began < 5


@both
def test_sending_to_a_peer_that_stopped_gives_its_reason(kind):
    a, b = pair(kind)
    a.abort("no consent")
    with pytest.raises(PeerAborted, match="alice stopped: no consent"):
        send_for_ever(b)


@both
@pytest.mark.multiprocess
def test_a_killed_process_is_noticed(kind):
    sockets, addresses = listeners(("alice",))
    addresses["bob"] = ("127.0.0.1", 0)
    child = multiprocessing.get_context("spawn").Process(
        target=be_ready_then_sleep,
        args=("bob", addresses, kind, IDENTITIES["bob"], dict(TRUST.certificates)),
    )
    child.start()
    (channel,) = join("alice", addresses, kind=kind, listener=sockets["alice"]).values()
    assert bytes(receive(channel, 1, 5)) == b"ready"
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(PeerDied, match=r"bob closed the connection without a word.*operation 2"):
        receive(channel, 2, 1)
    child.join()
    child.close()


def send_for_ever(channel):
    while True:
        send(channel, 1, bytes(100_000))


def receive_for_ever(channel, operation, size):
    while True:
        receive(channel, operation, size)


# --- a peer that is authenticated and breaks the rules ------------------------------------------------------------


def sealed(kind, sequence, payload, *, session=NUMBER, operation=1):
    parts = frame.seal(
        Kind.DATA, session, sequence, [operation, len(payload)], [payload], len(payload), checked=kind == "plain"
    )
    return b"".join(parts)


@both
@pytest.mark.parametrize(
    ("forge", "error", "text"),
    [
        (lambda k: sealed(k, 1, b"x") * 2, FrameReplayed, "frame 1 came again where frame 2"),
        (lambda k: sealed(k, 2, b"x"), FrameReordered, "frame 2 came where frame 1"),
        (lambda k: sealed(k, 1, b"x", session=5), SessionMismatch, "session 0000000000000005"),
        (lambda k: sealed(k, 1, b"xy"), ProtocolMismatch, "operation 1 with 2 bytes where operation 1 with 1 bytes"),
        (lambda k: sealed(k, 1, b"x", operation=3), ProtocolMismatch, "operation 3 with 1 bytes where operation 1"),
        (lambda k: b"\xff" + sealed(k, 1, b"x")[1:], FrameCorrupted, "out of step"),
        (lambda k: sealed(k, 1, b"x")[:20] + b"\xff" + sealed(k, 1, b"x")[21:], FrameCorrupted, "header of frame 1"),
        (lambda _: b"GET / HTTP/1.1\r\nHost: tacit.example\r\nAccept: */*\r\n\r\n", FrameCorrupted, "47455420"),
        (lambda k: sealed(k, 1, bytes(5000)), FrameOversized, "5000 bytes, the limit is 4096"),
        (lambda k: sealed(k, 1, b"x" * 50)[:-9], FrameTruncated, "alice was cut off"),
        (lambda k: sealed(k, 1, b"x")[:10], FrameTruncated, "10 bytes into frame 1"),
        (lambda _: frame.control(Kind.HELLO, NUMBER, 1, b"hi"), FrameCorrupted, "second greeting"),
    ],
)
def test_a_forged_frame_is_refused_by_name(kind, forge, error, text):
    a, b = pair(kind, settings=LinkSettings(limits=FrameLimits(frame_bytes=4096)))
    a._transport.send([forge(kind)])
    if error is FrameTruncated:
        a._transport.close()
    size = 50 if error is FrameTruncated else 1
    with pytest.raises(error, match=text) as caught:
        receive_for_ever(b, 1, size)
    assert caught.value.peer == "alice"
    assert caught.value.operation == 1
    b.abort("refused")


# --- somebody on the way ------------------------------------------------------------------------------------------


class Middle:
    """Forwards one connection, and changes what the dialling side sends once told to."""

    def __init__(self, target):
        self.target = target
        self.server = socket.create_server(("127.0.0.1", 0))
        OPENED.append(self.server)
        self.address = self.server.getsockname()[:2]
        self.change = lambda data: data
        self.piece = 1 << 20
        self.sockets = []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        inward, _ = self.server.accept()
        outward = socket.create_connection(self.target)
        outward.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sockets = [inward, outward]
        OPENED.extend(self.sockets)
        with contextlib.suppress(OSError, ValueError):  # Until either side closes, or the test does.
            while self.forward(inward, outward):
                pass
        self.cut()

    def forward(self, inward, outward):
        for ready in select.select([inward, outward], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return False
            if ready is inward:
                data = self.change(data)
            for at in range(0, len(data), self.piece):
                (outward if ready is inward else inward).sendall(data[at : at + self.piece])
        return True

    def cut(self):
        for sock in self.sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def pair_with_middle(kind="tls"):
    sockets, addresses = listeners(("alice", "bob"))
    middle = Middle(addresses["alice"])
    ends = together(
        {
            "alice": lambda: join("alice", addresses, kind=kind, listener=sockets["alice"]),
            "bob": lambda: join("bob", {**addresses, "alice": middle.address}, kind=kind),
        }
    )
    return ends["alice"]["bob"], ends["bob"]["alice"], middle


def flip(at):
    def change(data):
        changed = bytearray(data)
        changed[at] ^= 0x10
        return bytes(changed)

    return change


@pytest.mark.parametrize("at", [5, 40, -1])
def test_a_bit_flipped_on_the_way_ends_a_tls_link_on_both_sides(at):
    alice, bob, middle = pair_with_middle()
    send(bob, 1, b"fine")
    receive(alice, 1, 4)
    middle.change = flip(at)
    send(bob, 2, b"changed on its way")
    with pytest.raises(FrameCorrupted, match=r"bob sent what is refused: TLS refused what came.*operation 2"):
        receive(alice, 2, 18)
    with pytest.raises(FrameCorrupted, match="alice sent what is refused: TLS"):
        receive(bob, 3, 1)


def test_a_record_repeated_on_the_way_ends_a_tls_link():
    alice, bob, middle = pair_with_middle()
    middle.change = lambda data: data + data
    send(bob, 1, b"once")
    assert bytes(receive(alice, 1, 4)) == b"once"
    with pytest.raises(FrameCorrupted, match="TLS refused"):
        receive(alice, 2, 4)


def test_records_dropped_on_the_way_end_a_tls_link():
    alice, bob, middle = pair_with_middle()
    middle.change = lambda _: b""
    send(bob, 1, b"lost")
    with pytest.raises(PeerStalled):
        receive(alice, 1, 4, seconds=0.2)
    middle.change = lambda data: data
    send(bob, 2, b"next")
    with pytest.raises(FrameCorrupted, match="TLS refused"):
        receive(alice, 1, 4)


@both
def test_bytes_that_come_one_by_one_are_put_together(kind):
    alice, bob, middle = pair_with_middle(kind)
    middle.piece = 1
    for operation, size in enumerate([100, 3000, 70_000]):
        payload = bytes(range(250)) * (size // 250) + bytes(size % 250)
        send(bob, operation, payload)
        assert bytes(receive(alice, operation, size)) == payload
        middle.piece *= 30


@both
def test_a_link_cut_on_the_way_is_a_truncated_frame(kind):
    alice, bob, middle = pair_with_middle(kind)
    send(bob, 1, b"whole")
    receive(alice, 1, 5)
    middle.change = lambda data: data[:-7]
    send(bob, 2, b"cut short" * 10)
    time.sleep(0.05)
    middle.cut()
    with pytest.raises(FrameTruncated, match="bob was cut off"):
        receive(alice, 2, 90)
    with pytest.raises(LinkError):
        receive(bob, 3, 1)
