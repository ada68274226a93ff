"""What leaves is randomised and cleared; what arrives is checked before the library sees it."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed_keys import bfv, draw, require_close, shallow_bfv, small_ckks

from tacit.foundation.errors import CiphertextRefused, KeyMismatch, KeyRefused, LevelsExhausted, TacitError
from tacit.primitive.he.packed import (
    BfvParameters,
    CkksParameters,
    PackedArray,
    SecretContext,
    decrypt,
    dump,
    dump_context,
    encrypt,
    generate,
    load,
    load_context,
)
from tacit.primitive.he.packed.words import pack, unpack, words_of

both = pytest.mark.parametrize("make", [small_ckks, shallow_bfv], ids=lambda make: make.__name__)


def sent(array, context):
    header, octets = dump(array)
    return load(json.loads(json.dumps(header)), octets, context)


@both
@pytest.mark.parametrize("shape", [(), (6,), (4, 5), (3, 2, 2), (5000,)])
def test_arrays_survive(make, shape):
    key = make()
    a = draw(np.random.default_rng(0), key, shape, 2)
    x = encrypt(key.public, a)
    arrived = sent(x, key.public)
    require_close(key, arrived, a)
    require_close(key, sent(arrived + arrived, key.public), a + a)
    require_close(key, sent(x.T, key.public), a.T)
    assert arrived.error >= x.error


def test_contexts_survive_and_compute():
    for key in (small_ckks(), bfv()):
        header, octets = dump_context(key.public)
        public = load_context(json.loads(json.dumps(header)), octets)
        assert public.fingerprint == key.public.fingerprint
        a = draw(np.random.default_rng(0), key, (4, 5), 2)
        x = sent(encrypt(key.public, a), public)
        require_close(key, sent((x * x).sum(), key.public), (a * a).sum())
        require_close(key, sent(x @ a[0], key.public), a @ a[0])
        require_close(key, sent(encrypt(public, a), key.public), a)


def test_a_context_may_come_without_rotations():
    key = generate(CkksParameters(levels=1, scale_bits=25, range_bits=8), rotations=False)
    public = load_context(*dump_context(key.public))
    assert not public.rotates
    require_close(key, sent(encrypt(public, [1.0, 2.0]) * 0.5, key.public), [0.5, 1.0])


@both
def test_what_leaves_is_randomised_always(make):
    key = make()
    x = encrypt(key.public, [1, 2, 3])
    inside = pack(words_of(x.cells[0]), key.public.ring.levels[-1].primes)
    first, second = dump(x)[1], dump(x)[1]
    for a, b in ((inside, first), (inside, second), (first, second)):
        assert (a == b).mean() < 0.2  # the highest byte of a residue has few values


def test_what_was_sliced_away_does_not_leave():
    key = small_ckks()
    x = encrypt(key.public, np.arange(16.0).reshape(4, 4))
    arrived = sent(x[1], key.public)
    # A dishonest receiver reads the other slots of what arrived.
    everything = PackedArray(key.public, arrived.cells, x.layout, arrived.bounds, clean=True)
    wanted = np.zeros((4, 4))
    wanted[1] = np.arange(4, 8)
    assert np.abs(decrypt(key, everything) - wanted).max() <= arrived.error
    with pytest.raises(LevelsExhausted, match="one level more"):
        dump((x * 0.5)[1])
    header, _ = dump((x * 0.5)[1], danger_keep_other_slots=True)
    assert header["clean"] is False


def test_secret_keys_have_no_way_out():
    with pytest.raises(AttributeError):
        dump_context(small_ckks())
    assert not {name for name in dir(SecretContext) if "dump" in name or "save" in name or "facts" in name}


CHANGES = [
    ("format", "other"),
    ("version", 2),
    ("version", None),
    ("shape", [3, -2]),
    ("shape", [7]),
    ("shape", [True, 6]),
    ("shape", "23"),
    ("shape", [10**12, 10**12]),
    ("shape", [1] * 33),
    ("strides", [1]),
    ("strides", [0, 0]),
    ("strides", [-4, 1]),
    ("strides", [1e0, 1]),
    ("strides", [2**50, 1]),
    ("start", -1),
    ("start", 2**40),
    ("start", 15),
    ("start", "0"),
    ("period", 3),
    ("period", 2**30),
    ("period", 4),
    ("period", 0),
    ("ciphertexts", 0),
    ("ciphertexts", 2),
    ("ciphertexts", 2**62),
    ("clean", 1),
    ("bounds", None),
    ("bounds", {}),
    ("bounds", {"level": 9, "magnitude": 1.0, "error": 1.0}),
    ("bounds", {"level": True, "magnitude": 1.0, "error": 1.0}),
    ("bounds", {"level": 0, "magnitude": 1.0, "error": 1e-3}),
    ("bounds", {"level": 1, "magnitude": float("nan"), "error": 1.0}),
    ("bounds", {"level": 1, "magnitude": float("inf"), "error": 1.0}),
    ("bounds", {"level": 1, "magnitude": 1.0, "error": -1.0}),
    ("bounds", {"level": 1, "magnitude": 1e30, "error": 1.0}),
    ("bounds", {"magnitude": 1, "noise_bits": -5.0}),
]


@pytest.mark.parametrize(("field", "value"), CHANGES)
def test_changed_headers_are_refused(field, value):
    key = small_ckks()
    header, octets = dump(encrypt(key.public, np.ones((2, 3))))
    with pytest.raises(CiphertextRefused):
        load({**header, field: value}, octets, key.public)


@pytest.mark.parametrize(
    "bounds",
    [
        {"magnitude": 1.0, "noise_bits": -5.0},
        {"magnitude": 2**40, "noise_bits": -5.0},
        {"magnitude": -1, "noise_bits": -5.0},
        {"magnitude": 1, "noise_bits": 0.0},
        {"magnitude": 1, "noise_bits": float("nan")},
        {"magnitude": 1, "noise_bits": -5},
        {"level": 1, "magnitude": 1.0, "error": 1.0},
    ],
)
def test_changed_bounds_of_integers_are_refused(bounds):
    key = shallow_bfv()
    header, octets = dump(encrypt(key.public, [1, 2]))
    with pytest.raises(CiphertextRefused):
        load({**header, "bounds": bounds}, octets, key.public)


def test_missing_and_added_fields_are_refused():
    key = small_ckks()
    header, octets = dump(encrypt(key.public, [1.0]))
    for name in header:
        with pytest.raises(CiphertextRefused):
            load({k: v for k, v in header.items() if k != name}, octets, key.public)
    with pytest.raises(CiphertextRefused):
        load({**header, "more": 1}, octets, key.public)


def test_arrays_of_other_keys_and_schemes_are_refused():
    key = small_ckks()
    header, octets = dump(encrypt(key.public, [1.0]))
    other = generate(CkksParameters(levels=1, scale_bits=25, range_bits=8), rotations=False)
    for public in (other.public, shallow_bfv().public):
        with pytest.raises(KeyMismatch):
            load(header, octets, public)
    with pytest.raises(CiphertextRefused):
        load({**header, "key": shallow_bfv().public.fingerprint}, octets, shallow_bfv().public)


@both
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_no_bytes_do_more_than_be_refused(make, data):
    """Random, cut, lengthened, and flipped bytes: a typed refusal, or a ciphertext that decrypts to something."""
    key = make()
    header, octets = dump(encrypt(key.public, [1, 2, 3]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    kind = data.draw(st.sampled_from(["random", "random of the size", "cut", "longer", "flipped", "zeros", "ones"]))
    octets = {
        "random": lambda: rng.integers(0, 256, rng.integers(0, 5000), np.uint8),
        "random of the size": lambda: rng.integers(0, 256, octets.size, np.uint8),
        "cut": lambda: octets[: rng.integers(0, octets.size)],
        "longer": lambda: np.append(octets, rng.integers(0, 256, rng.integers(1, 50), np.uint8)),
        "flipped": lambda: flipped(octets, rng),
        "zeros": lambda: np.zeros_like(octets),
        "ones": lambda: np.full_like(octets, 255),
    }[kind]()
    try:
        arrived = load(header, octets, key.public)
        total = arrived + arrived
        decrypt(key, total)
    except TacitError:
        return
    assert kind == "flipped"


def flipped(octets, rng):
    out = octets.copy()
    at = rng.integers(0, out.size, rng.integers(1, 20))
    out[at] ^= (1 << rng.integers(0, 8, at.size)).astype(np.uint8)
    return out


def test_residues_at_their_primes_are_refused():
    key = small_ckks()
    primes = key.public.ring.levels[-1].primes
    header, octets = dump(encrypt(key.public, [1.0]))
    words = unpack(octets, 2, 4096, primes)
    for value, refused in ((primes[0] - 1, False), (primes[0], True), (2**40 - 1, True)):
        words[0, 0, 17] = value
        changed = pack(words, primes)
        if refused:
            with pytest.raises(CiphertextRefused, match="not below its prime"):
                load(header, changed, key.public)
        else:
            load(header, changed, key.public)


def test_transparent_ciphertexts_are_refused():
    key = small_ckks()
    header, octets = dump(encrypt(key.public, [1.0]))
    octets[octets.size // 2 :] = 0
    with pytest.raises(CiphertextRefused, match="transparent"):
        load(header, octets, key.public)


def test_lost_integers_are_not_decrypted():
    key = shallow_bfv()
    header, octets = dump(encrypt(key.public, [1]))
    octets[: octets.size // 4] = np.random.default_rng(0).integers(0, 8, octets.size // 4, np.uint8)
    with pytest.raises(LevelsExhausted, match="Nothing was decrypted"):
        decrypt(key, load(header, octets, key.public))


PARAMETERS = [
    None,
    {},
    {"scheme": "ckks"},
    {"scheme": ["ckks"]},
    {"scheme": "bgv", "degree": 4096},
    {"scheme": "ckks", "degree": 4096, "levels": 5, "scale_bits": 25, "range_bits": 8},
    {"scheme": "ckks", "degree": 0, "levels": 1, "scale_bits": 25, "range_bits": 8},
    {"scheme": "ckks", "degree": "4096", "levels": 1, "scale_bits": 25, "range_bits": 8},
    {"scheme": "bfv", "degree": 2048, "multiplications": 0, "plain_bits": 18},
    {"scheme": "bfv", "degree": 8192, "multiplications": 0, "plain_bits": 18},
]


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_changed_parameters_are_refused(parameters):
    header, octets = dump_context(small_ckks().public)
    with pytest.raises(KeyRefused):
        load_context({**header, "parameters": parameters}, octets)


def test_changed_contexts_are_refused():
    header, octets = dump_context(small_ckks().public)
    rng = np.random.default_rng(0)
    out_of_range = octets.copy()
    out_of_range[-1000:] = 255
    for wrong in (
        ({**header, "key": "0" * 64}, octets),
        ({**header, "key": 1}, octets),
        ({**header, "rotations": False}, octets),
        ({**header, "rotations": 1}, octets),
        ({**header, "format": "other"}, octets),
        ({"format": header["format"], "version": 1}, octets),
        (header, octets[:-1]),
        (header, np.append(octets, octets[:1])),
        (header, octets[:0]),
        (header, octets.astype(np.int64)),
        (header, rng.integers(0, 256, octets.size, np.uint8)),
        (header, np.zeros_like(octets)),
        (header, np.append(flipped(octets[:1000], rng), octets[1000:])),
        (header, out_of_range),
    ):
        with pytest.raises(KeyRefused):
            load_context(*wrong)


def test_facts_of_parameters_survive():
    from tacit.primitive.he.packed.parameters import parameters_from

    for parameters in (CkksParameters(levels=3), BfvParameters(multiplications=2)):
        assert parameters_from(json.loads(json.dumps(parameters.facts()))) == parameters
