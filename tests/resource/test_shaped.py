"""Shaped channels delay what they should and change nothing else. Times have lower bounds only: machines are busy."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parties import pair, receive, send, together

from tacit.foundation.errors import ConfigError, PeerAborted, PeerDied, PeerStalled, ProtocolMismatch
from tacit.primitive.channel import Channel
from tacit.resource.channel import LAN, LOOPBACK, PROFILES, WAN, MemoryChannel, ShapedChannel

both = pytest.mark.parametrize("kind", ["plain", "tls"])


def shaped(ends, latency=0.0, rate=math.inf, **options):
    return tuple(ShapedChannel(end, latency, rate, **options) for end in ends)


def memory(latency=0.0, rate=math.inf, *, threads=True, **options):
    return shaped(MemoryChannel.pair("alice", "bob", threads=threads), latency, rate, **options)


def test_it_is_the_channel_that_protocols_ask_for():
    a, _ = memory()
    assert isinstance(a, Channel)
    assert a.peer == "bob"


def test_the_profiles_are_the_ones_that_results_are_quoted_for():
    assert PROFILES == {"loopback": LOOPBACK, "lan": LAN, "wan": WAN}
    assert (2 * LAN.latency_seconds, LAN.bits_per_second) == (0.5e-3, 1e9)
    assert (2 * WAN.latency_seconds, WAN.bits_per_second) == (40e-3, 100e6)


@pytest.mark.parametrize(("latency", "rate"), [(-1, 1), (0, 0), (0, -1), (60, 1), (math.nan, 1), (0, math.nan)])
def test_links_that_cannot_be_are_refused(latency, rate):
    with pytest.raises(ConfigError, match="cannot be imitated"):
        memory(latency, rate)


@given(batches=st.lists(st.lists(st.integers(0, 200_000), min_size=1, max_size=5), max_size=3))
def test_messages_and_counters_are_those_of_the_link_inside(batches):
    plain, shape = MemoryChannel.pair("alice", "bob"), memory(threads=False)
    expected = [size for batch in batches for size in batch]
    for a, b in (plain, shape):
        for batch in batches:
            for size in batch:
                a.post(size, bytes(size))
            a.flush()
        for size in expected:
            assert receive(b, size, size) == bytes(size)
    assert shape[0].traffic == plain[0].traffic
    assert shape[1].traffic == plain[1].traffic


def test_a_message_takes_the_latency():
    a, b = memory(latency=0.05)
    into = memory_of(3)
    began = time.monotonic()
    send(a, 1, b"abc")
    assert not b.take(1, into)
    while not b.take(1, into):
        b.wait(5)
    assert time.monotonic() - began >= 0.05
    assert bytes(into) == b"abc"


def test_messages_share_one_latency():
    a, b = memory(latency=0.05)
    began = time.monotonic()
    for operation in range(40):
        send(a, operation, b"x")
    for operation in range(40):
        receive(b, operation, 1)
    assert 0.05 <= time.monotonic() - began < 1.0


def test_bandwidth_is_shared_by_all_that_is_sent():
    a, b = memory(rate=8e6)
    began = time.monotonic()
    for operation in range(4):
        send(a, operation, bytes(25_000))
    for operation in range(4):
        receive(b, operation, 25_000)
    assert time.monotonic() - began >= 0.1


@both
def test_it_shapes_real_links_in_both_directions_at_once(kind):
    a, b = shaped(pair(kind), 0.01, 80e6)

    def side(channel):
        send(channel, 1, bytes(1_000_000))
        receive(channel, 1, 1_000_000)
        return time.monotonic() - began

    began = time.monotonic()
    results = together({"a": lambda: side(a), "b": lambda: side(b)})
    assert all(0.11 <= seconds < 5 for seconds in results.values())


def test_the_send_buffer_is_not_endless():
    a, _ = memory(rate=8e6, buffer_bytes=50_000)
    began = time.monotonic()
    send(a, 1, bytes(150_000))
    assert time.monotonic() - began >= 0.1


def test_a_deadline_before_the_arrival_is_a_stall():
    a, b = memory(latency=0.2)
    send(a, 6, b"abc")
    into = memory_of(3)
    assert not b.take(6, into)
    with pytest.raises(
        PeerStalled, match=r"alice sent operation 6, which the link delays beyond the deadline of 0\.01 s"
    ):
        b.wait(0.01)
    b.wait(5)
    assert b.take(6, into)
    with pytest.raises(PeerStalled):
        b.wait(0.01)


def test_asking_for_something_else_meanwhile_is_a_mismatch():
    a, b = memory(latency=0.2)
    send(a, 6, b"abc")
    assert not b.take(6, memory_of(3))
    with pytest.raises(ProtocolMismatch, match="Finish one before the other"):
        b.take(7, memory_of(3))
    with pytest.raises(ProtocolMismatch, match="sent operation 6"):
        memory_mismatch()


def test_ends_are_told_at_once():
    a, b = memory(latency=0.5)
    a.post(1, b"never")
    a.abort("stop")
    with pytest.raises(PeerAborted, match="alice stopped: stop"):
        receive(b, 1, 1)
    a, b = memory(latency=0.01)
    a.post(1, b"x")
    a.close()
    assert bytes(receive(b, 1, 1)) == b"x"
    with pytest.raises(PeerDied, match="in good order"):
        receive(b, 2, 1)


def memory_of(size):
    return memoryview(bytearray(size))


def memory_mismatch():
    a, b = memory()
    send(a, 6, b"abc")
    receive(b, 5, 3)
