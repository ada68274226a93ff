"""The native AES-128 keystream: NIST's vectors, OpenSSL's stream, every path and thread count bit for bit."""

import copy
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from tacit import _native as native

pytestmark = pytest.mark.skipif(not native.has_aes(), reason="this processor has no AES instructions")

ISAS = ["portable", "avx2", "avx512"][: 1 + ["portable", "avx2", "avx512"].index(native.best_isa())]
each_isa = pytest.mark.parametrize("isa", ISAS)
words64 = st.integers(0, 2**64 - 1)
keys = st.binary(min_size=16, max_size=16)


@contextmanager
def using(isa, threads=1):
    before = native.isa(), native.threads()
    native.set_isa(isa)
    native.set_threads(threads)
    try:
        yield
    finally:
        native.set_isa(before[0])
        native.set_threads(before[1])


def openssl(key, nonce, counter, size):
    start = ((nonce << 64) | counter).to_bytes(16, "big")
    return Cipher(algorithms.AES(key), modes.CTR(start)).encryptor().update(bytes(size))


def expanded(key, nonce, counter, size):
    out = bytearray(b"\xa5" * size)
    native.Aes128(key).expand(nonce, counter, out)
    return bytes(out)


@each_isa
def test_fips_197_appendix_c(isa):
    with using(isa):
        block = expanded(bytes(range(16)), 0x0011223344556677, 0x8899AABBCCDDEEFF, 16)
    assert block.hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


@each_isa
def test_nist_sp_800_38a_section_f5(isa):
    plain = (
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    cipher = (
        "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
        "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee"
    )
    text = bytearray.fromhex(plain)
    with using(isa):
        aes = native.Aes128(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"))
        aes.xor_into(0xF0F1F2F3F4F5F6F7, 0xF8F9FAFBFCFDFEFF, text)
    assert text.hex() == cipher


@each_isa
@given(key=keys, nonce=words64, counter=st.integers(0, 2**64 - 300), size=st.integers(0, 2100))
def test_the_stream_is_openssls(isa, key, nonce, counter, size):
    with using(isa):
        assert expanded(key, nonce, counter, size) == openssl(key, nonce, counter, size)


@each_isa
@given(key=keys, nonce=words64, counter=st.integers(0, 2**63), n=st.integers(0, 300))
def test_combining_is_numpys(isa, key, nonce, counter, n):
    held = np.frombuffer(openssl(key, nonce ^ 1, 0, 8 * n), np.uint64)
    stream = np.frombuffer(openssl(key, nonce, counter, 8 * n), np.uint64)
    with using(isa):
        aes = native.Aes128(key)
        for method, wanted in (("add_into", held + stream), ("sub_into", held - stream), ("xor_into", held ^ stream)):
            out = held.copy()
            getattr(aes, method)(nonce, counter, out)
            assert np.array_equal(out, wanted), method


@given(key=keys, size=st.integers(1, 100))
def test_xor_into_takes_any_length(key, size):
    out = bytearray(range(size))
    native.Aes128(key).xor_into(3, 4, out)
    assert bytes(out) == bytes(a ^ b for a, b in zip(range(size), openssl(key, 3, 4, size), strict=True))


@each_isa
@pytest.mark.parametrize("threads", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [(1 << 17) + 8, (1 << 20) - 8, 3_000_000])
def test_threads_agree(isa, threads, size):
    key, start = bytes(range(16)), np.arange(size // 8, dtype=np.uint64)
    stream = np.frombuffer(openssl(key, 9, 77, size), np.uint64)
    with using(isa, threads):
        aes = native.Aes128(key)
        assert expanded(key, 9, 77, size) == stream.tobytes()
        out = start.copy()
        aes.sub_into(9, 77, out)
    assert np.array_equal(out, start - stream)


def test_streams_split_at_any_block():
    key = os.urandom(16)
    whole = expanded(key, 5, 0, 4096)
    assert b"".join(expanded(key, 5, at // 16, 112) for at in range(0, 4032, 112)) == whole[:4032]


def test_unaligned_and_multidimensional_buffers():
    key, memory = os.urandom(16), bytearray(8 * 700 + 64)
    aes = native.Aes128(key)
    for offset in (1, 3, 7):
        aes.expand(1, 0, memoryview(memory)[offset : offset + 5000])
        assert memory[offset : offset + 5000] == openssl(key, 1, 0, 5000)
    out = np.empty((7, 10, 10), np.uint64)
    aes.expand(2, 0, out)
    assert out.tobytes() == openssl(key, 2, 0, 5600)


def test_bytes_around_the_buffer_are_left_alone():
    aes = native.Aes128(bytes(16))
    for isa in ISAS:
        with using(isa):
            for size in (*range(130), 511, 512, 513, 575, 577):
                memory = bytearray(b"\x5a" * (size + 128))
                aes.expand(0, 0, memoryview(memory)[64 : 64 + size])
                assert memory[:64] == memory[64 + size :] == b"\x5a" * 64


def test_threads_of_python_may_share_one_object():
    key = os.urandom(16)
    aes = native.Aes128(key)

    def work(nonce):
        out = np.empty(40_000, np.uint64)
        aes.expand(nonce, 0, out)
        return out.tobytes() == openssl(key, nonce, 0, 320_000)

    with using(native.best_isa(), 2), ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(12)))


def test_the_counter_never_wraps():
    aes = native.Aes128(bytes(16))
    out = np.zeros(4, np.uint64)
    aes.expand(0, 2**64 - 2, out)
    assert out.tobytes() == openssl(bytes(16), 0, 2**64 - 2, 32)
    held = out.copy()
    with pytest.raises(ValueError, match="leaves no room for 2 blocks"):
        aes.expand(0, 2**64 - 1, out)
    assert np.array_equal(out, held)
    aes.expand(0, 2**64 - 1, np.empty(0, np.uint64))


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_keys_have_sixteen_bytes(size):
    with pytest.raises(ValueError, match=f"16 bytes, not {size}"):
        native.Aes128(bytes(size))


@pytest.mark.parametrize("bad", ["0" * 16, bytearray(16), None])
def test_keys_are_bytes(bad):
    with pytest.raises(TypeError):
        native.Aes128(bad)


@pytest.mark.parametrize(
    "out",
    [
        bytes(16),
        np.zeros((4, 4), np.uint64)[:, ::2],
        np.zeros((4, 4), np.uint64).T,
        np.broadcast_to(np.uint64(0), 4),
        [1, 2],
        np.zeros(2, "U4"),
        np.zeros(2, "M8[s]"),
    ],
    ids=["read-only", "strided", "fortran", "broadcast", "list", "text", "dates"],
)
def test_unusable_buffers_are_refused(out):
    aes = native.Aes128(bytes(16))
    for method in (aes.expand, aes.add_into, aes.sub_into, aes.xor_into):
        with pytest.raises((TypeError, ValueError)):
            method(0, 0, out)


@pytest.mark.parametrize("out", [np.zeros(2), np.zeros(4, np.uint32), bytearray(16)])
def test_sums_need_words(out):
    for method in (native.Aes128(bytes(16)).add_into, native.Aes128(bytes(16)).sub_into):
        with pytest.raises(TypeError):
            method(0, 0, out)


@pytest.mark.parametrize("number", [-1, 2**64])
def test_numbers_have_64_bits(number):
    aes = native.Aes128(bytes(16))
    with pytest.raises((TypeError, OverflowError)):
        aes.expand(number, 0, bytearray(16))
    with pytest.raises((TypeError, OverflowError)):
        aes.expand(0, number, bytearray(16))


def test_the_key_is_not_shown_and_does_not_travel():
    aes = native.Aes128(b"0123456789abcdef")
    assert "0123" not in repr(aes)
    with pytest.raises(TypeError):
        copy.copy(aes)
    with pytest.raises(TypeError):
        copy.deepcopy(aes)
    with pytest.raises(TypeError):
        aes.__reduce_ex__(4)


def test_no_reference_is_kept():
    aes, out = native.Aes128(bytes(16)), bytearray(64)
    before = sys.getrefcount(out)
    aes.expand(0, 0, out)
    assert sys.getrefcount(out) == before
    out.extend(b"x")  # raises BufferError while a view is open
