"""The control line: what is no message is refused, and nobody waits for ever."""

from __future__ import annotations

import json
import socket
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tacit.foundation.errors import InputError, PeerDied, PeerStalled, SessionError
from tacit.schedule.control import DTYPES, MAX_HEAD, ControlLine, pack


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ControlLine(ours, "alice", patience=0.2), ControlLine(theirs, "the session", patience=0.2)


def framed(head: object) -> bytes:
    data = json.dumps(head).encode()
    return len(data).to_bytes(4, "little") + data


@given(
    blobs=st.lists(
        st.sampled_from(sorted(DTYPES)).flatmap(
            lambda dtype: hnp.arrays(np.dtype(dtype), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
        ),
        max_size=3,
    ),
    fields=st.dictionaries(st.text(), st.one_of(st.integers(-(2**60), 2**60), st.text(), st.none(), st.lists(st.floats(-9, 9)))),
)  # fmt: skip
def test_messages_arrive_as_they_were_sent(blobs, fields):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ControlLine(ours, "alice").send("kind", fields, blobs)
        message = ControlLine(theirs, "the session").receive()
    arrays = message.blobs
    assert (message.kind, message.fields) == ("kind", fields)
    for array, blob in zip(arrays, blobs, strict=True):
        assert (array.dtype, array.shape) == (blob.dtype, blob.shape)
        assert array.tobytes() == blob.tobytes()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((MAX_HEAD + 1).to_bytes(4, "little"), "control head of 67108865 bytes from alice exceeds"),
        (b"\x03\x00\x00\x00{{{", "no control message"),
        (b"\x02\x00\x00\x00\xff\xfe", "no control message"),
        (framed([]), "no control message"),
        (framed({"kind": "put"}), "no control message"),
        (framed({"kind": "put", "fields": 3, "blobs": []}), "no control message"),
        (framed({"kind": "put", "fields": {}, "blobs": [["<f8"]]}), "no control message"),
        (framed({"kind": "put", "fields": {}, "blobs": [["<f8", ["x"]]]}), "no control message"),
        (framed({"kind": "put", "fields": {}, "blobs": [["|O", [2]]]}), "type '|O' and shape .* not accepted"),
        (framed({"kind": "put", "fields": {}, "blobs": [["<f8", [-2]]]}), "not accepted"),
        (framed({"kind": "put", "fields": {}, "blobs": [["<f8", [1 << 40]]]}), "bytes in one array; the limit is"),
        (framed({"kind": "put", "fields": {}, "blobs": [["<f8", [1 << 62, 1 << 62]]]}), "bytes in one array"),
    ],
)
def test_what_is_no_message_is_refused(ends, data, message):
    session, party = ends
    party.sock.sendall(data)
    with pytest.raises(SessionError, match=message):
        session.receive()


def test_the_end_of_the_line(ends):
    session, party = ends
    party.close()
    with pytest.raises(PeerDied, match="the process of alice ended") as caught:
        session.receive()
    assert caught.value.peer == "alice"
    with pytest.raises(PeerDied, match="the process of alice is gone"):
        session.send("stop", {}, [np.zeros(1 << 22)])


def test_half_a_message(ends):
    session, party = ends
    party.sock.sendall(framed({"kind": "x", "fields": {}, "blobs": [["<f8", [4]]]}) + b"12345")
    with pytest.raises(PeerStalled, match=r"alice stopped in the middle of an answer for 0.2 s"):
        session.receive()


def test_a_party_that_takes_nothing(ends):
    session, _ = ends
    with pytest.raises(PeerStalled, match=r"alice took nothing of a command for 0.2 s"):
        session.send("put", {"id": 1}, [np.zeros(1 << 22)])


def test_slow_is_not_stalled(ends):
    session, party = ends
    array = np.arange(1 << 20, dtype=np.float64)

    def read() -> None:
        received.append(party.receive().blobs[0])

    received: list[np.ndarray] = []
    thread = threading.Thread(target=read)
    thread.start()
    session.send("put", {}, [array])
    thread.join()
    np.testing.assert_array_equal(received[0], array)


def test_what_cannot_travel_is_refused_before_anything_is_sent():
    for blobs in ([np.array([1j])], [np.array([object()])], [np.array(["a"])]):
        with pytest.raises(InputError, match="cannot be sent to a party"):
            pack("put", {}, blobs)
    with pytest.raises(InputError, match="parameters of 'put' cannot be sent"):
        pack("put", {"x": np.int64(3)})
