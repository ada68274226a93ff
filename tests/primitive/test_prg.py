"""The generator: the stated stream on both back ends, each stream once, children apart, uniform draws without bias."""

import copy
import hmac
import itertools
import os
import pickle
import threading
from hashlib import sha256

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from tacit import _native as native
from tacit.foundation.errors import CorrelationReused, InputError, SecrecyError
from tacit.primitive.keystream import OpenSslKeystream, keystream
from tacit.primitive.prg import Prg

KEY = bytes(range(16))
keys = st.binary(min_size=16, max_size=16)
streams = st.integers(0, 2**64 - 1)
labels = st.lists(st.text() | st.integers(), min_size=1, max_size=4).map(tuple)
backends = pytest.mark.parametrize("openssl", [False, True], ids=["native", "openssl"])


def stated(key, stream, size):
    """What the docstring says: AES-128-CTR from the block stream || 0."""
    start = stream.to_bytes(8, "big") + bytes(8)
    return Cipher(algorithms.AES(key), modes.CTR(start)).encryptor().update(bytes(size))


@backends
@given(key=keys, stream=streams, n=st.integers(0, 400))
def test_the_stream_is_the_stated_one(openssl, key, stream, n):
    words = Prg(key, openssl=openssl).words(stream, n)
    assert words.dtype == np.uint64
    assert words.tobytes() == stated(key, stream, 8 * n)


@backends
@given(key=keys, size=st.integers(0, 300))
def test_fill_takes_any_length(openssl, key, size):
    out = bytearray(size)
    Prg(key, openssl=openssl).fill(7, out)
    assert bytes(out) == stated(key, 7, size)


@backends
@pytest.mark.parametrize("n", [1, 5, 8191, 8192, 8193, 50_000])
def test_combining(openssl, n):
    prg, held = Prg(KEY, openssl=openssl), np.arange(n, dtype=np.uint64) << np.uint64(40)
    mask = [np.frombuffer(stated(KEY, s, 8 * n), np.uint64) for s in range(3)]
    out = held.copy()
    prg.add_into(0, out)
    assert np.array_equal(out, held + mask[0])
    prg.sub_into(1, out)
    assert np.array_equal(out, held + mask[0] - mask[1])
    prg.xor_into(2, out)
    assert np.array_equal(out, (held + mask[0] - mask[1]) ^ mask[2])


@pytest.mark.skipif(not native.has_aes(), reason="this processor has no AES instructions")
@given(key=keys, nonce=streams, counter=st.integers(0, 2**64 - 100), n=st.integers(0, 190))
def test_back_ends_agree(key, nonce, counter, n):
    for method in ("expand", "add_into", "sub_into", "xor_into"):
        results = [np.arange(n, dtype=np.uint64) for _ in range(2)]
        for engine, out in zip((native.Aes128(key), OpenSslKeystream(key)), results, strict=True):
            getattr(engine, method)(nonce, counter, out)
        assert np.array_equal(*results)


@pytest.mark.skipif(not native.has_aes(), reason="this processor has no AES instructions")
@pytest.mark.parametrize(
    "out", [bytes(8), np.zeros((4, 4), np.uint64).T, np.zeros(4, np.uint64)[::2], np.zeros(2, "U2"), None]
)
def test_back_ends_refuse_alike(out):
    for engine in (native.Aes128(KEY), OpenSslKeystream(KEY)):
        for method in ("expand", "add_into", "sub_into", "xor_into"):
            with pytest.raises(TypeError):
                getattr(engine, method)(0, 0, out)
        with pytest.raises(TypeError):
            engine.add_into(0, 0, np.zeros(3))
        with pytest.raises(ValueError, match="leaves no room"):
            engine.expand(0, 2**64 - 1, bytearray(17))
        engine.expand(0, 2**64 - 1, bytearray(16))


def test_openssl_is_chosen_without_aes_instructions(monkeypatch):
    class Core:
        has_aes = staticmethod(lambda: False)

    monkeypatch.setattr("tacit.primitive.keystream._native", Core)
    assert isinstance(keystream(KEY), OpenSslKeystream)
    assert Prg(KEY).words(3, 5).tobytes() == stated(KEY, 3, 40)


# --- a stream is expanded once ---

EXPANSIONS = {
    "words": lambda prg, s: prg.words(s, 3),
    "fill": lambda prg, s: prg.fill(s, bytearray(3)),
    "add_into": lambda prg, s: prg.add_into(s, np.zeros(3, np.uint64)),
    "sub_into": lambda prg, s: prg.sub_into(s, np.zeros(3, np.uint64)),
    "xor_into": lambda prg, s: prg.xor_into(s, bytearray(3)),
    "uniform_below": lambda prg, s: prg.uniform_below(s, 10, 3),
    "permutation": lambda prg, s: prg.permutation(s, 3),
}


@pytest.mark.parametrize(("first", "second"), list(itertools.product(EXPANSIONS, EXPANSIONS)))
def test_no_two_calls_share_a_stream(first, second):
    prg = Prg(KEY)
    EXPANSIONS[first](prg, 5)
    for stream in (5, 4, 0):
        with pytest.raises(CorrelationReused, match=f"stream {stream} was claimed after stream 5"):
            EXPANSIONS[second](prg, stream)
    EXPANSIONS[second](prg, 6)
    assert prg.last_stream == 6


@given(claims=st.lists(st.integers(0, 20), max_size=30))
def test_exactly_the_rising_claims_pass(claims):
    prg, last = Prg(KEY), -1
    for stream in claims:
        if stream > last:
            prg.words(stream, 1)
            last = stream
        else:
            with pytest.raises(CorrelationReused):
                prg.words(stream, 1)
        assert prg.last_stream == last


def test_a_failed_expansion_spends_its_stream():
    prg = Prg(KEY)
    with pytest.raises(TypeError):
        prg.fill(1, bytes(8))
    with pytest.raises(CorrelationReused):
        prg.words(1, 1)


def test_threads_claim_a_stream_once():
    prg, won, start = Prg(KEY), [], threading.Barrier(4)

    def race():
        start.wait()
        for stream in range(500):
            try:
                prg.words(stream, 1)
            except CorrelationReused:
                continue
            won.append(stream)

    racers = [threading.Thread(target=race) for _ in range(4)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(won) == len(set(won))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")
def test_a_forked_child_cannot_repeat_the_parent():
    prg = Prg.from_os()
    child = os.fork()
    if child == 0:
        refused = 0
        for use in (lambda: prg.words(1, 1), lambda: prg.derive("a")):
            try:
                use()
            except CorrelationReused:
                refused += 1
        os._exit(refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    prg.words(1, 1)


def test_copies_and_pickles_are_refused():
    prg = Prg(KEY)
    for duplicate in (copy.copy, copy.deepcopy):
        with pytest.raises(CorrelationReused):
            duplicate(prg)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(SecrecyError):
            pickle.dumps(prg, protocol)


def test_the_key_is_hidden():
    key = b"sixteen byte key"
    prg = Prg(key)
    for text in (repr(prg), str(prg), f"{prg}"):
        assert "sixteen" not in text
        assert key.hex() not in text
    with pytest.raises(CorrelationReused) as caught:
        prg.words(3, 1), prg.words(3, 1)
    assert "sixteen" not in str(caught.value)


# --- keys and children ---


@pytest.mark.parametrize("key", [b"", bytes(15), bytes(17), bytearray(16), "0" * 16, None])
def test_a_key_is_sixteen_bytes(key):
    with pytest.raises(InputError, match="a key is 16 bytes"):
        Prg(key)


def test_os_entropy_differs():
    assert len({Prg.from_os().words(0, 2).tobytes() for _ in range(20)}) == 20


@given(key=keys, one=labels, other=labels)
def test_children_have_streams_of_their_own(key, one, other):
    parent = Prg(key)
    first = parent.derive(*one).words(0, 2)
    assert not np.array_equal(first, parent.words(0, 2))
    assert np.array_equal(first, Prg(key).derive(*one).words(0, 2))
    assert np.array_equal(first, Prg(key).derive(*other).words(0, 2)) == (one == other)


def test_the_encoding_of_labels_is_unambiguous():
    names = [
        ("ab", "c"), ("a", "bc"), ("abc",), ("a", "b", "c"), ("", "abc"), ("abc", ""),
        (1,), ("1",), (0,), ("",), ("\0",), (-1,), (255,), (256,), (1, 2), (12,), (2**200,),
    ]  # fmt: skip
    drawn = {Prg(KEY).derive(*name).words(0, 2).tobytes() for name in names}
    assert len(drawn) == len(names)


def test_a_child_key_is_the_stated_hmac():
    name = b"tacit.prg.v1" + b"s" + (5).to_bytes(8, "big") + b"input" + b"i" + (1).to_bytes(8, "big") + b"\x07"
    key = hmac.new(KEY, name, sha256).digest()[:16]
    assert Prg(KEY).derive("input", 7).words(2, 4).tobytes() == stated(key, 2, 32)


def test_a_child_is_derived_once():
    prg = Prg(KEY)
    prg.derive("a", 1).derive("a", 1)
    with pytest.raises(CorrelationReused, match="derived before"):
        prg.derive("a", 1)
    prg.derive("a", 2)


@pytest.mark.parametrize("bad", [(), (b"a",), (True,), (1.0,), (None,), ("a", [1])])
def test_labels_are_texts_and_integers(bad):
    with pytest.raises(InputError, match="label"):
        Prg(KEY).derive(*bad)


@pytest.mark.parametrize("stream", [-1, 2**64, 2**70])
def test_stream_numbers_have_64_bits(stream):
    with pytest.raises(InputError, match=r"between 0 and 2\*\*64 - 1"):
        Prg(KEY).words(stream, 1)


# --- uniform draws ---


@backends
@given(
    key=keys, bound=st.integers(1, 2**64) | st.integers(1, 40) | st.integers(2**63 - 3, 2**63 + 3), n=st.integers(0, 60)
)
def test_uniform_below_is_rejection_from_the_stream(openssl, key, bound, n):
    prg = Prg(key, openssl=openssl)
    drawn = prg.uniform_below(4, bound, n)
    assert drawn.shape == (n,)
    assert drawn.dtype == np.uint64
    assert all(value < bound for value in drawn.tolist())
    words, limit = np.frombuffer(stated(key, 4, 8 * n), np.uint64).tolist(), 2**64 // bound * bound
    for word, value in zip(words, drawn.tolist(), strict=True):
        assert word >= limit or word % bound == value


def test_uniform_below_has_no_bias_where_a_remainder_would():
    # A remainder modulo 3 * 2**62 would put half of all draws, not a third, below 2**62.
    drawn = Prg(KEY).uniform_below(0, 3 * 2**62, 60_000)
    below = int((drawn < np.uint64(2**62)).sum())
    assert abs(below - 20_000) < 5 * (60_000 * 2 / 9) ** 0.5  # five standard deviations; the key is fixed
    assert int(drawn.max()) < 3 * 2**62


def test_redrawn_words_are_fresh():
    drawn = Prg(KEY).uniform_below(0, 2**63 + 1, 50_000)  # nearly half are drawn again, some many times
    assert np.unique(drawn).size == drawn.size


def test_uniform_shapes_and_bounds():
    assert Prg(KEY).uniform_below(0, 6, (3, 4, 5)).shape == (3, 4, 5)
    assert Prg(KEY).uniform_below(0, 1, 9).tolist() == [0] * 9
    assert Prg(KEY).uniform_below(0, 2**64, 4).tobytes() == stated(KEY, 0, 32)
    for bound in (0, -1, 2**64 + 1):
        with pytest.raises(InputError, match="bound"):
            Prg(KEY).uniform_below(0, bound, 1)


@backends
@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 1000, 100_000])
def test_permutation_permutes(openssl, n):
    order = Prg(KEY, openssl=openssl).permutation(1, n)
    assert order.dtype == np.uint32
    assert np.array_equal(np.sort(order), np.arange(n))
    keys_ = np.frombuffer(stated(KEY, 1, 8 * n), np.uint64)
    assert np.array_equal(order, np.argsort(keys_, kind="stable"))


def test_permutations_are_uniform():
    prg, counts = Prg(KEY), {}
    for stream in range(24 * 500):
        order = tuple(prg.permutation(stream, 4).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    chi_square = sum((count - 500) ** 2 / 500 for count in counts.values())
    assert chi_square < 60  # 23 degrees of freedom: exceeded with probability 4e-5, and the key is fixed


def test_equal_keys_are_drawn_again(monkeypatch):
    class Ties:
        """Every draw from block 0 ties; later blocks do not."""

        def expand(self, nonce, counter, out):
            out[:] = 5 if counter == 0 else np.arange(out.size, dtype=np.uint64)[::-1] + np.uint64(counter)

    monkeypatch.setattr("tacit.primitive.prg.keystream", lambda key: Ties())
    assert Prg(KEY).permutation(0, 6).tolist() == [5, 4, 3, 2, 1, 0]


def test_permutation_sizes():
    with pytest.raises(InputError, match="n >= 0"):
        Prg(KEY).permutation(0, -1)
