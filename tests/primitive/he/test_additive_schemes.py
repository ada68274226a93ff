"""The laws that every additive scheme keeps, on integers; and what is particular to each."""

import copy
import pickle
import secrets
from itertools import pairwise

import numpy as np
import pytest
from additive_keys import EVERY_SCHEME, RESIDUE_SCHEMES, elgamal, okamoto_uchiyama, paillier
from hypothesis import given, settings
from hypothesis import strategies as st

from tacit.foundation.errors import (
    CiphertextOverflow,
    CiphertextRefused,
    InputError,
    KeyRefused,
    MissingExtra,
    PolicyError,
    SecrecyError,
)
from tacit.primitive.he import (
    Decryptions,
    OkamotoUchiyamaPublicKey,
    PaillierPublicKey,
    PaillierSecretKey,
    bignum,
    generate_okamoto_uchiyama,
    generate_paillier,
)
from tacit.primitive.he import elgamal as elgamal_module

gmpy2 = pytest.importorskip("gmpy2")
each_scheme = pytest.mark.parametrize("scheme", EVERY_SCHEME, ids=lambda make: make.__name__)
each_residue_scheme = pytest.mark.parametrize("scheme", RESIDUE_SCHEMES, ids=lambda make: make.__name__)
small = st.lists(st.integers(-100, 100), min_size=1, max_size=9)


@each_scheme
@settings(max_examples=8)
@given(values=small, factor=st.integers(-20, 20), data=st.data())
def test_sums_and_products_decrypt_to_sums_and_products(scheme, values, factor, data):
    key = scheme()
    public = key.public
    others = data.draw(st.lists(st.integers(-100, 100), min_size=len(values), max_size=len(values)))
    a, b = public.encrypt(values), public.encrypt(others)
    assert key.decrypt(a) == values
    assert key.decrypt(public.add(a, b)) == [x + y for x, y in zip(values, others, strict=True)]
    assert key.decrypt(public.negate(a)) == [-x for x in values]
    assert key.decrypt(public.scale(a, [factor])) == [factor * x for x in values]
    assert key.decrypt(public.scale(a, others)) == [x * y for x, y in zip(values, others, strict=True)]
    assert key.decrypt(public.add(a, public.trivial(others))) == [x + y for x, y in zip(values, others, strict=True)]
    starts = np.array([0, 0, len(values)], np.int64)
    assert key.decrypt(public.sums(a, np.arange(len(values))[::-1].copy(), starts)) == [0, sum(values)]


@each_scheme
def test_the_ends_of_the_range_and_what_lies_beyond(scheme):
    key = scheme()
    limit = key.public.capacity
    assert key.decrypt(key.public.encrypt([limit, -limit, 0])) == [limit, -limit, 0]
    for value in (limit + 1, -limit - 1):
        with pytest.raises(CiphertextOverflow, match="does not fit"):
            key.public.encrypt([value])


@each_scheme
def test_randomising_changes_every_ciphertext_and_no_plaintext(scheme):
    key = scheme()
    rows = np.concatenate([key.public.encrypt([5, 5]), key.public.trivial([5, 5])])
    again = key.public.randomise(rows)
    seen = {row.tobytes() for row in np.concatenate([rows, again])}
    assert len(seen) == 7, "trivial ciphertexts are equal, all others differ"
    assert key.decrypt(again) == [5] * 4


@each_scheme
def test_no_ciphertexts_are_no_ciphertexts(scheme):
    key = scheme()
    none = key.public.encrypt([])
    assert none.shape == (0, key.public.width)
    assert key.decrypt(key.public.from_wire(key.public.to_wire(none))) == []
    assert key.public.negate(none).shape == none.shape


@each_scheme
def test_a_secret_key_is_neither_shown_nor_copied(scheme):
    key = scheme()
    hidden = [value for value in vars(key).values() if isinstance(value, int)]
    assert hidden, "a key without integers is not what this test expects"
    for text in (repr(key), str(key), f"{key.public!r}"):
        assert not any(str(value) in text or f"{value:x}" in text for value in hidden)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(SecrecyError):
            attempt(key)


@each_residue_scheme
def test_matrix_products_of_many_shapes(scheme):
    key = scheme()
    for m, k, n in [(1, 1, 1), (2, 3, 1), (1, 5, 5), (3, 2, 4)]:
        a = [secrets.randbelow(2001) - 1000 for _ in range(m * k)]
        b = [[secrets.randbelow(2**20) - 2**19 if (i + j) % 3 else 0 for j in range(n)] for i in range(k)]
        wanted = [sum(a[i * k + j] * b[j][c] for j in range(k)) for i in range(m) for c in range(n)]
        assert key.decrypt(key.public.matmul(key.public.encrypt(a), b)) == wanted


@pytest.mark.parametrize("bits", [2048, 3072])
def test_paillier_is_paillier(bits):
    """Against the textbook: c = (1 + n)**m s with s of order dividing phi(n), decrypted by lambda."""
    key = paillier(bits)
    n, p, q = key.public.n, key._p, key._q
    assert n == p * q
    assert n.bit_length() == bits
    assert p % 4 == q % 4 == 3
    assert gmpy2.gcd(p - 1, q - 1) == 2
    values = [0, 1, -1, 12345678901234567890, -(n - 1) // 2 + 1]
    ciphertexts = key.public.residues.leave(key.public.encrypt(values))
    order = gmpy2.lcm(p - 1, q - 1)
    for value, c in zip(values, ciphertexts, strict=True):
        mask = c * gmpy2.invert(1 + value % n * n, n**2) % n**2
        assert gmpy2.powmod(mask, order, n**2) == 1
        assert (int(gmpy2.powmod(c, order, n**2)) - 1) // n * gmpy2.invert(order, n) % n == value % n
    assert key.decrypt(key.public.encrypt(values)) == values


def test_a_long_sum_is_cut_into_pieces_and_adds_up():
    key = paillier()
    rows = key.public.encrypt([3, -5])
    index = np.arange(5000, dtype=np.int64) % 2
    starts = np.array([0, 1, 17, 17, 4000, 5000], np.int64)
    wanted = [int(sum([3, -5][j] for j in index[a:b])) for a, b in pairwise(starts)]
    assert key.decrypt(key.public.sums(rows, index, starts)) == wanted


@each_residue_scheme
def test_wire_refuses_what_is_no_ciphertext(scheme):
    public = scheme().public
    good = public.to_wire(public.encrypt([1, 2, 3]))
    modulus = public.residues.modulus
    factor = scheme()._p
    for value in (0, modulus, modulus + 1, 2 ** (8 * public.octets) - 1, factor, modulus - factor):
        bad = good.copy()
        bad[1] = np.frombuffer(value.to_bytes(public.octets, "little"), np.uint8)
        with pytest.raises(CiphertextRefused):
            public.from_wire(bad)
    ends = np.stack([np.frombuffer(v.to_bytes(public.octets, "little"), np.uint8) for v in (1, modulus - 1)])
    assert public.residues.leave(public.from_wire(ends)) == [1, modulus - 1]
    with pytest.raises(CiphertextRefused, match="bytes, not"):
        public.from_wire(good[:, :-1])


def test_paillier_public_keys_are_checked():
    key = paillier()
    n, h, p = key.public.n, key.public.h, key._p
    large = gmpy2.next_prime(2**2047)
    while large % 4 != 1:
        large = gmpy2.next_prime(large)
    for bad_n, bad_h in [
        (n + 1, h),
        (n >> 1 | 1, h),
        (int(large), 4),
        (p * p, 4),
        (n // 12 * 12 + 9, 4),
        (n, 0),
        (n, 1),
        (n, n - 1),
        (n, n + 4),
        (n, p),
    ]:
        with pytest.raises(KeyRefused):
            PaillierPublicKey(bad_n, bad_h)
    non_residue = next(x for x in range(2, 1000) if gmpy2.jacobi(x, n) == -1)
    with pytest.raises(KeyRefused, match="Jacobi"):
        PaillierPublicKey(n, non_residue)
    with pytest.raises(InputError, match="do not belong"):
        PaillierSecretKey(p, p, key.public)
    with pytest.raises(InputError, match="2048 or 3072"):
        generate_paillier(1024)


def test_okamoto_uchiyama_is_refused_where_decryptions_are_visible():
    public = okamoto_uchiyama().public
    with pytest.raises(PolicyError, match="Use Paillier"):
        generate_okamoto_uchiyama(decryptions=Decryptions.VISIBLE)
    with pytest.raises(PolicyError):
        OkamotoUchiyamaPublicKey(public.n, public.g, public.h, decryptions=Decryptions.VISIBLE)
    with pytest.raises(PolicyError):
        OkamotoUchiyamaPublicKey(public.n, public.g, public.h, decryptions=True)
    with pytest.raises(TypeError):
        generate_okamoto_uchiyama()


def test_one_visible_decryption_gives_okamoto_uchiyamas_key_away():
    """The limitation that its documentation states, shown: why the refusal above is there."""
    key = okamoto_uchiyama()
    one = key.public.encrypt([1])
    while True:
        chosen = 2**690 + secrets.randbits(700)
        try:
            seen = key.decrypt(key.public.scale(one, [chosen]))[0]
        except CiphertextOverflow:
            continue
        break
    assert gmpy2.gcd(chosen - seen, key.public.n) == key._p


def test_elgamal_finds_every_plaintext_of_its_range_and_refuses_others():
    key = elgamal()
    limit = key.public.capacity
    values = [0, 1, -1, 256, 257, -257, 512, 513, 514, -770, limit - 1, limit, -limit]
    assert key.decrypt(key.public.encrypt(values)) == values
    top = key.public.encrypt([limit, -limit])
    for row in key.public.add(top, key.public.trivial([1, -1])):
        with pytest.raises(CiphertextOverflow, match="outside"):
            key.decrypt(row[None])
    with pytest.raises(CiphertextOverflow, match="outside"):
        key.decrypt(key.public.scale(top[:1], [2**200]))


def test_elgamal_refuses_points_outside_the_group():
    public = elgamal().public
    good = public.to_wire(public.encrypt([1, 2]))
    identity = np.frombuffer(elgamal_module.IDENTITY, np.uint8)
    for bad in (np.zeros(32, np.uint8), np.full(32, 255, np.uint8), identity):
        for half in (slice(0, 32), slice(32, 64)):
            octets = good.copy()
            octets[1, half] = bad
            with pytest.raises(CiphertextRefused, match="ciphertext 1 of 2"):
                public.from_wire(octets)
    with pytest.raises(KeyRefused):
        type(public)(bytes(32))
    with pytest.raises(InputError, match="range_bits"):
        type(public)(public.point, range_bits=41)


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    def absent(name):
        raise ImportError(name)

    for module, door, package in ((bignum, bignum.gmpy2, "gmpy2"), (elgamal_module, elgamal_module._sodium, "PyNaCl")):
        monkeypatch.setattr(module, "import_module", absent)
        door.cache_clear()
        with pytest.raises(MissingExtra, match=rf"{package} is not installed.*tacit\[he\]"):
            door()
        monkeypatch.undo()
