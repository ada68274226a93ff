"""Envelopes: they carry arrays exactly, and a host that changes, swaps, replays or forges one gets nothing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from enclaves import World
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tacit.foundation.errors import EnvelopeRefused, EnvelopeReplayed, InputError, JobRefused
from tacit.primitive.tee import PrivateKeys, ReplayGuard, Route, seal, unseal
from tacit.primitive.tee.canonical import canonical, parse_canonical
from tacit.primitive.tee.envelope import INFO, LENGTH, MAX_HEADER, _signed
from tacit.primitive.tee.value import DTYPES, from_bytes

WORLD = World()
JOB = WORLD.job()
ROUTE = Route.of_input(JOB, "x")
VALUE = np.arange(6.0).reshape(2, 3)


@given(
    value=st.sampled_from(sorted(DTYPES)).flatmap(
        lambda dtype: arrays.arrays(np.dtype(dtype), arrays.array_shapes(min_dims=0, max_dims=3, min_side=0))
    )
)
def test_any_array_arrives_bit_for_bit(value: np.ndarray) -> None:
    got = unseal(seal(value, ROUTE, WORLD.alice), ROUTE, WORLD.keys)
    assert got.dtype == value.dtype
    assert got.shape == value.shape
    assert got.tobytes() == value.tobytes()
    assert got.flags.writeable


def test_a_flipped_bit_anywhere_is_refused() -> None:
    envelope = bytearray(seal(VALUE, ROUTE, WORLD.alice))
    for place in range(len(envelope)):
        envelope[place] ^= 1 << place % 8
        with pytest.raises(EnvelopeRefused):
            unseal(bytes(envelope), ROUTE, WORLD.keys)
        envelope[place] ^= 1 << place % 8
    assert np.array_equal(unseal(bytes(envelope), ROUTE, WORLD.keys), VALUE)


@given(st.data())
def test_a_cut_or_longer_envelope_is_refused(data: st.DataObject) -> None:
    envelope = seal(VALUE, ROUTE, WORLD.alice)
    changed = data.draw(
        st.one_of(
            st.integers(0, len(envelope) - 1).map(lambda size: envelope[:size]),
            st.binary(min_size=1).map(lambda more: envelope + more),
            st.binary(),
        )
    )
    with pytest.raises(EnvelopeRefused):
        unseal(changed, ROUTE, WORLD.keys)


def other_routes() -> dict[str, Route]:
    other = WORLD.job()
    stranger = PrivateKeys.generate().public
    return {
        "job": Route.of_input(other, "x"),
        "name": dataclasses.replace(ROUTE, name="y"),
        "sequence": dataclasses.replace(ROUTE, sequence=1),
        "session": dataclasses.replace(ROUTE, session="f" * 16),
        "kind": dataclasses.replace(ROUTE, kind="output"),
        "assurance": dataclasses.replace(ROUTE, assurance="ATTESTED"),
        "sender": dataclasses.replace(ROUTE, sender="bob"),
        "sender_keys": dataclasses.replace(ROUTE, sender_keys=stranger),
        "receiver": dataclasses.replace(ROUTE, receiver="enclave:other"),
        "receiver_keys": dataclasses.replace(ROUTE, receiver_keys=stranger),
    }


@pytest.mark.parametrize("field", other_routes())
def test_an_envelope_for_another_place_is_refused_and_says_which_field(field: str) -> None:
    with pytest.raises(EnvelopeRefused, match=f"its {field} is another"):
        unseal(seal(VALUE, ROUTE, WORLD.alice), other_routes()[field], WORLD.keys)


@pytest.mark.parametrize("field", other_routes())
def test_a_host_that_rewrites_the_header_gets_an_authentication_failure(field: str) -> None:
    """It makes the header fit the other place; the signature and the key of the ciphertext do not."""
    envelope = seal(VALUE, ROUTE, WORLD.alice)
    route = other_routes()[field]
    (size,) = LENGTH.unpack_from(envelope)
    rest = envelope[LENGTH.size + size :]
    header = canonical(route.header("<f8", (2, 3)))
    with pytest.raises(EnvelopeRefused, match="signature"):
        unseal(LENGTH.pack(len(header)) + header + rest, route, WORLD.keys)
    with pytest.raises(EnvelopeRefused, match="does not open"):
        WORLD.keys.unseal(rest[64:], INFO + header)


def test_a_host_cannot_pose_as_the_owner() -> None:
    mallory = PrivateKeys.generate()
    with pytest.raises(InputError, match="does not seal"):
        seal(VALUE, ROUTE, mallory)
    header = canonical(ROUTE.header("<f8", (2, 3)))
    sealed = ROUTE.receiver_keys.seal(VALUE.tobytes(), INFO + header)
    forged = LENGTH.pack(len(header)) + header + mallory.sign(_signed(header, sealed)) + sealed
    with pytest.raises(EnvelopeRefused, match="not of alice"):
        unseal(forged, ROUTE, WORLD.keys)


def test_a_host_cannot_take_an_envelope_over_by_signing_it_anew() -> None:
    """The ciphertext is bound to its sender: what alice sealed does not open as bob's."""
    envelope = seal(VALUE, ROUTE, WORLD.alice)
    (size,) = LENGTH.unpack_from(envelope)
    sealed = envelope[LENGTH.size + size + 64 :]
    route = Route.of_input(JOB, "y")
    header = canonical(route.header("<f8", (2, 3)))
    stolen = LENGTH.pack(len(header)) + header + WORLD.bob.sign(_signed(header, sealed)) + sealed
    with pytest.raises(EnvelopeRefused, match="does not open"):
        unseal(stolen, route, WORLD.keys)


def test_an_output_swapped_between_receivers_is_refused() -> None:
    to_alice, to_bob = (Route.of_output(JOB, "z", party) for party in ("alice", "bob"))
    envelope = seal(VALUE, to_alice, WORLD.keys)
    assert np.array_equal(unseal(envelope, to_alice, WORLD.alice), VALUE)
    with pytest.raises(EnvelopeRefused, match=r"its receiver(_keys)? is another"):
        unseal(envelope, to_bob, WORLD.bob)
    with pytest.raises(EnvelopeRefused, match="other keys"):
        unseal(envelope, to_alice, WORLD.bob)
    with pytest.raises(EnvelopeRefused, match="alice is no receiver of output u"):
        Route.of_output(JOB, "u", "alice")


def test_an_enclave_with_other_keys_cannot_open() -> None:
    with pytest.raises(EnvelopeRefused, match="other keys"):
        unseal(seal(VALUE, ROUTE, WORLD.alice), ROUTE, PrivateKeys.generate())


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "|O"},
        {"dtype": ">f8"},
        {"dtype": None},
        {"shape": [-1]},
        {"shape": [True]},
        {"shape": [1 << 40]},
        {"shape": "23"},
        {"shape": [1] * 33},
        {"shape": [2.0, 3]},
        {"version": 2},
        {"version": True},
        {"sequence": False},
        {"extra": 1},
    ],
)
def test_a_signed_header_is_still_checked(change: dict[str, object]) -> None:
    """A sender that is an approved party, but lies."""
    header = canonical({**ROUTE.header("<f8", (2, 3)), **change})
    sealed = ROUTE.receiver_keys.seal(VALUE.tobytes(), INFO + header)
    envelope = LENGTH.pack(len(header)) + header + WORLD.alice.sign(_signed(header, sealed)) + sealed
    with pytest.raises(EnvelopeRefused):
        unseal(envelope, ROUTE, WORLD.keys)


def test_the_shape_and_the_values_must_agree() -> None:
    header = canonical(ROUTE.header("<f8", (2, 4)))
    sealed = ROUTE.receiver_keys.seal(VALUE.tobytes(), INFO + header)
    envelope = LENGTH.pack(len(header)) + header + WORLD.alice.sign(_signed(header, sealed)) + sealed
    with pytest.raises(EnvelopeRefused, match=r"48 bytes are no <f8 array of shape \[2, 4\]"):
        unseal(envelope, ROUTE, WORLD.keys)
    with pytest.raises(EnvelopeRefused, match="booleans"):
        from_bytes(b"\x00\x02", "|b1", (2,))
    with pytest.raises(EnvelopeRefused, match="no envelope"):
        unseal(LENGTH.pack(MAX_HEADER + 1) + bytes(2 * MAX_HEADER), ROUTE, WORLD.keys)


@pytest.mark.parametrize("value", [np.array(["text"]), np.array([1j]), np.array([object()]), np.array([1], ">i8")])
def test_only_numbers_travel(value: np.ndarray) -> None:
    with pytest.raises(InputError, match="do not travel"):
        seal(value, ROUTE, WORLD.alice)


def test_the_envelope_shows_its_header_and_nothing_of_the_values() -> None:
    text = b"a sentence that stands in the values, and nowhere else" * 4
    value = np.frombuffer(text, np.uint8)
    envelope = seal(value, ROUTE, WORLD.alice)
    windows = {text[place : place + 8] for place in range(len(text) - 8)}
    assert not any(window in envelope for window in windows)
    assert seal(value, ROUTE, WORLD.alice)[-len(text) :] != envelope[-len(text) :]
    (size,) = LENGTH.unpack_from(envelope)
    assert len(envelope) == LENGTH.size + size + 64 + 48 + len(text)
    header = parse_canonical(envelope[LENGTH.size : LENGTH.size + size], "it", limit=MAX_HEADER, refuse=EnvelopeRefused)
    assert header["assurance"] == "SIMULATED"


def test_a_second_envelope_of_the_same_place_is_a_replay() -> None:
    guard = ReplayGuard()
    guard.check(ROUTE)
    guard.admit(ROUTE)
    guard.check(Route.of_input(JOB, "y"))
    with pytest.raises(EnvelopeReplayed, match="was opened before"):
        guard.check(ROUTE)


def test_a_job_without_this_input_has_no_route() -> None:
    with pytest.raises(JobRefused, match="has no input 'q'"):
        Route.of_input(JOB, "q")
    with pytest.raises(JobRefused, match="has no output 'q'"):
        Route.of_output(JOB, "q", "alice")
