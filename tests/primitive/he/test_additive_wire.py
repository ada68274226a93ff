"""What leaves is randomised; what arrives is checked."""

import json
from contextlib import suppress

import numpy as np
import pytest
from additive_keys import EVERY_SCHEME, elgamal, okamoto_uchiyama, paillier
from hypothesis import given, settings
from hypothesis import strategies as st

from tacit.foundation.errors import CiphertextRefused, KeyMismatch, KeyRefused, PolicyError
from tacit.primitive.he import (
    Decryptions,
    Encoding,
    Packing,
    decrypt,
    dump,
    dump_public_key,
    encrypt,
    load,
    load_public_key,
)

pytest.importorskip("gmpy2")
each_scheme = pytest.mark.parametrize("scheme", EVERY_SCHEME, ids=lambda make: make.__name__)
VALUES = np.array([[1, -2, 3], [0, 5, -6]])


def closed(scheme, **options):
    return encrypt(scheme().public, VALUES, encoding=Encoding(0, 100.0), **options)


@each_scheme
def test_arrays_and_keys_survive_json(scheme):
    key = scheme()
    facts = json.loads(json.dumps(dump_public_key(key.public)))
    public = load_public_key(facts, decryptions=Decryptions.STAY_HIDDEN)
    header, octets = dump(closed(scheme) * 2)
    arrived = load(json.loads(json.dumps(header)), octets, public)
    assert np.array_equal(decrypt(key, arrived + 1), 2 * VALUES + 1)
    assert octets.shape == (6, key.public.octets)


def test_packed_and_real_arrays_survive():
    key = paillier()
    x = np.array([[0.5, -1.25], [3.0, 4.0]])
    array = encrypt(key.public, x, packing=Packing(2, 100)) * 0.5
    arrived = load(*dump(array), key.public)
    assert (arrived.packing, arrived.dtype, arrived.fraction_bits) == (Packing(2, 100), np.float64, 48)
    assert np.array_equal(decrypt(key, arrived), x * 0.5)


@each_scheme
def test_what_leaves_is_randomised_always(scheme):
    array = closed(scheme)
    inside = array.key.to_wire(array.rows())
    first, second = dump(array)[1], dump(array)[1]
    for a, b in ((inside, first), (inside, second), (first, second)):
        assert not (a == b).all(axis=1).any()
    derived = closed(scheme)[[0, 0]]  # the same ciphertexts twice
    octets = dump(derived)[1]
    assert len({row.tobytes() for row in octets}) == len(octets)


def test_the_bound_that_travels_is_rounded_up():
    header, octets = dump(closed(paillier).multiply(3, magnitude=3.0))
    assert int(header["bound"], 16) == 511
    assert load(header, octets, paillier().public).bound == 511


CHANGES = [
    ("format", "other"),
    ("version", 2),
    ("shape", [2, 4]),
    ("shape", [-2, -3]),
    ("shape", [True, 6]),
    ("shape", "23"),
    ("shape", [1] * 33 + [6]),
    ("dtype", "object"),
    ("dtype", ["float64"]),
    ("fraction_bits", -1),
    ("fraction_bits", 1.5),
    ("fraction_bits", 10**6),
    ("bound", "-1"),
    ("bound", ""),
    ("bound", 5),
    ("bound", "f" * 1024),
    ("packing", [2]),
    ("packing", [2, "8"]),
    ("packing", [1000, 1000]),
    ("packing", [0, 8]),
    ("extra", 1),
]


@pytest.mark.parametrize(("field", "value"), CHANGES)
def test_a_changed_header_is_refused(field, value):
    header, octets = dump(closed(paillier))
    header[field] = value
    with pytest.raises(CiphertextRefused):
        load(header, octets, paillier().public)


def test_a_missing_field_is_refused():
    header, octets = dump(closed(paillier))
    for field in header:
        with pytest.raises(CiphertextRefused):
            load({name: value for name, value in header.items() if name != field}, octets, paillier().public)


def test_another_key_is_refused():
    header, octets = dump(closed(paillier))
    with pytest.raises(KeyMismatch):
        load(header, octets, paillier(3072).public)
    with pytest.raises(KeyMismatch):
        load(header, octets, okamoto_uchiyama().public)


def test_bytes_that_do_not_fit_the_header_are_refused():
    header, octets = dump(closed(paillier))
    for wrong in (octets[:-1], octets[:, :-1], octets.astype(np.int64), np.zeros(0, np.uint8)):
        with pytest.raises(CiphertextRefused, match="arrived where"):
            load(header, wrong, paillier().public)


@settings(max_examples=30)
@given(data=st.data())
def test_garbled_elgamal_bytes_never_pass_silently_as_other_errors(data):
    header, octets = dump(closed(elgamal))
    at = data.draw(st.integers(0, octets.size - 1))
    flat = octets.reshape(-1).copy()
    flat[at] ^= data.draw(st.integers(1, 255))
    with suppress(CiphertextRefused):  # any other error fails the test
        load(header, flat, elgamal().public)


@each_scheme
@settings(max_examples=15)
@given(data=st.data())
def test_a_garbled_public_key_is_refused_or_another_key(scheme, data):
    facts = dump_public_key(scheme().public)
    field = data.draw(st.sampled_from(sorted(set(facts) - {"bits", "decryptions"})))
    facts[field] = data.draw(
        st.one_of(st.none(), st.integers(), st.text(max_size=9), st.just("0"), st.just([1]), st.just("f" * 2000))
    )
    with suppress(KeyRefused):  # any other error fails the test
        key = load_public_key(facts, decryptions=Decryptions.STAY_HIDDEN)
        assert key.fingerprint != scheme().public.fingerprint or facts == dump_public_key(scheme().public)


def test_okamoto_uchiyama_keys_are_refused_on_arrival_by_default():
    with pytest.raises(PolicyError):
        load_public_key(dump_public_key(okamoto_uchiyama().public))
