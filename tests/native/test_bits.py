"""Packed bits and planes: every instruction set equals NumPy bit for bit."""

import hashlib
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit import _native as native

ISAS = ["portable", "avx2", "avx512"][: 1 + ["portable", "avx2", "avx512"].index(native.best_isa())]
each_isa = pytest.mark.parametrize("isa", ISAS)
sizes = st.integers(0, 1300)
seeds = st.integers(0, 2**32)


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


def draw(seed, *shape):
    """Uniform words, the same for the same seed and shape."""
    count = int(np.prod(shape))
    stream = hashlib.shake_256(f"{seed}{shape}".encode()).digest(8 * count)
    return np.frombuffer(stream, np.uint64).reshape(shape).copy()


def words_for(n):
    return -(-n // 64)


def packed(bits):
    """NumPy's own packing of [..., n] booleans to words [..., W]."""
    n = bits.shape[-1]
    room = np.zeros((*bits.shape[:-1], 64 * words_for(n)), np.uint8)
    room[..., :n] = bits
    return np.packbits(room, axis=-1, bitorder="little").view("<u8")


def bits_of(x):
    """Bit i of element e at [i, e]."""
    return np.unpackbits(x.astype("<u8").view(np.uint8).reshape(-1, 8), axis=1, bitorder="little").T


@each_isa
@given(n=sizes, seed=seeds, kind=st.sampled_from([np.uint8, np.bool_]))
def test_pack_and_unpack_are_numpys(isa, n, seed, kind):
    bits = (draw(seed, n) % 3).astype(kind)  # 2 is a set bit too
    words, back = draw(1, words_for(n)), draw(2, n).astype(np.uint8).astype(kind)
    with using(isa):
        native.pack(bits, words)
        native.unpack(words, back)
    assert np.array_equal(words, packed(bits != 0))
    assert np.array_equal(back.view(np.uint8), (bits != 0).view(np.uint8))


@each_isa
@given(blocks=st.integers(0, 19), seed=seeds, in_place=st.booleans())
def test_transpose_is_numpys(isa, blocks, seed, in_place):
    x = draw(seed, blocks, 64)
    wanted = np.unpackbits(x.view(np.uint8).reshape(blocks, 64, 8), axis=2, bitorder="little")
    wanted = np.packbits(wanted.transpose(0, 2, 1), axis=2, bitorder="little").reshape(blocks, 512).view(np.uint64)
    out = x if in_place else np.empty_like(x)
    with using(isa):
        native.transpose64(x, out)
    assert np.array_equal(out, wanted)


@each_isa
@given(n=sizes, seed=seeds, data=st.data())
def test_planes_hold_the_bits_and_give_them_back(isa, n, seed, data):
    shift = data.draw(st.integers(0, 63))
    count = data.draw(st.integers(1, 64 - shift))
    x = draw(seed, n)
    planes, back = draw(1, count, words_for(n)), draw(2, n)
    with using(isa):
        native.to_planes(x, planes, shift)
        native.from_planes(planes, back)
    assert np.array_equal(planes, packed(bits_of(x)[shift : shift + count]))
    assert np.array_equal(back, (x >> np.uint64(shift)) & np.uint64(2**count - 1))


@each_isa
def test_padding_bits_of_planes_are_ignored_on_the_way_back(isa):
    x, out = draw(3, 100), np.empty(100, np.uint64)
    planes = packed(bits_of(x))
    planes[:, -1] |= np.uint64(2**64 - 2**36)
    with using(isa):
        native.from_planes(planes, out)
    assert np.array_equal(out, x)


@each_isa
@given(n=sizes, seed=seeds)
def test_word_forms_are_numpys(isa, n, seed):
    a, b, out = draw(seed, n), draw(seed + 1, n), np.empty(n, np.uint64)
    with using(isa):
        native.bit_xor(a, b, out)
        assert np.array_equal(out, a ^ b)
        native.bit_and(a, b, out)
        assert np.array_equal(out, a & b)
        native.bit_xor(out, b, out)
        assert np.array_equal(out, ~a & b)
        assert native.popcount(a) == int(bits_of(a).sum())


@given(n=st.integers(1, 300), m=sizes, width=st.integers(0, 5), seed=seeds)
def test_gather_is_numpys(n, m, width, seed):
    x = draw(seed, n, width) if width else draw(seed, n)
    index = (draw(seed + 1, m) % np.uint64(n)).astype(np.int64)
    out = np.empty((m, *x.shape[1:]), np.uint64)
    native.gather(x, index, out)
    assert np.array_equal(out, x[index])


@given(n=sizes, width=st.integers(0, 5), seed=seeds)
def test_permute_undoes_gather(n, width, seed):
    x = draw(seed, n, width) if width else draw(seed, n)
    perm = np.argsort(draw(seed + 1, n)).astype(np.int64)
    out, back = np.empty_like(x), np.empty_like(x)
    native.permute(x, perm, out)
    assert np.array_equal(out[perm], x)
    native.gather(out, perm, back)
    assert np.array_equal(back, x)


@each_isa
def test_threads_change_nothing(isa):
    n = 300_007
    x, perm = draw(5, n), np.argsort(draw(6, n)).astype(np.int64)
    flags = (x & np.uint64(1)).astype(np.uint8)

    def everything():
        words, planes = np.empty(words_for(n), np.uint64), np.empty((64, words_for(n)), np.uint64)
        flat, back, gathered, placed = (np.empty(n, np.uint64) for _ in range(4))
        bytes_back, turned = np.empty(n, np.uint8), np.empty((n // 64, 64), np.uint64)
        native.pack(flags, words)
        native.unpack(words, bytes_back)
        native.to_planes(x, planes)
        native.from_planes(planes, back)
        native.transpose64(x[: n // 64 * 64].reshape(-1, 64), turned)
        native.bit_xor(x, perm.view(np.uint64), flat)
        native.gather(x, perm, gathered)
        native.permute(x, perm, placed)
        return words, planes, flat, back, gathered, placed, bytes_back, turned, np.array(native.popcount(x))

    with using(isa):
        alone = everything()
    with using(isa, threads=3):
        together = everything()
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))
    assert np.array_equal(alone[3], x)
    assert np.array_equal(alone[6], flags)


@pytest.mark.parametrize("bad", [-1, 10, 2**62, -(2**63)])
@pytest.mark.parametrize("threads", [1, 2])
def test_an_index_outside_the_rows_is_named_by_its_position(bad, threads):
    x, out = draw(7, 10), np.empty(100_000, np.uint64)
    index = np.zeros(100_000, np.int64)
    index[[70_007, 90_000]] = bad
    with using(ISAS[-1], threads), pytest.raises(IndexError, match=r"index .* position 70007: .* \[0, 10\)"):
        native.gather(x, index, out)
    perm = np.arange(10)
    perm[3] = bad
    with pytest.raises(IndexError, match=r"perm .* position 3: .* \[0, 10\)"):
        native.permute(x, perm, np.empty(10, np.uint64))


def zeros(*shape):
    return np.zeros(shape, np.uint64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: native.pack(np.zeros(65, np.uint8), zeros(1)), r"out has shape \(1,\) but needs \(2,\)"),
        (lambda: native.unpack(zeros(2), np.zeros(64, np.uint8)), r"words has shape \(2,\) but needs \(1,\)"),
        (lambda: native.transpose64(zeros(3, 63), zeros(3, 63)), r"x has shape \(3, 63\) but needs \(3, 64\)"),
        (lambda: native.to_planes(zeros(65), zeros(8, 1)), r"out has shape \(8, 1\) but needs \(8, 2\)"),
        (lambda: native.to_planes(zeros(5), zeros(8, 1), 57), "shift 57 and 8 planes"),
        (lambda: native.to_planes(zeros(5), zeros(8, 1), -1), "shift -1 and 8 planes"),
        (lambda: native.from_planes(zeros(65, 1), zeros(5)), "planes has 65 rows"),
        (lambda: native.from_planes(zeros(64, 2), zeros(5)), r"planes has shape \(64, 2\) but needs \(64, 1\)"),
        (lambda: native.gather(zeros(4, 2), np.zeros(3, np.int64), zeros(3, 1)), r"out .* but needs \(3, 2\)"),
        (lambda: native.permute(zeros(4), np.zeros(3, np.int64), zeros(4)), r"perm has shape \(3,\) but needs \(4,\)"),
        (lambda: native.bit_xor(zeros(4), zeros(5), zeros(4)), r"b has shape \(5,\) but a has \(4,\)"),
    ],
)
def test_wrong_sizes_are_refused_with_their_numbers(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_buffers_that_overlap_are_refused():
    x = zeros(128)
    with pytest.raises(ValueError, match="out overlaps x in memory"):
        native.gather(x[:64], np.arange(64), x[32:96])
    with pytest.raises(ValueError, match="out overlaps a in memory"):
        native.bit_and(x[:64], x[64:], x[1:65])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (np.zeros(4, np.int64), "a must have dtype uint64, not buffer format 'l'"),
        (np.zeros(4, np.float64), "a must have dtype uint64, not buffer format 'd'"),
        (np.zeros(8, np.uint64)[::2], "a must be a C-contiguous uint64 array"),
        (np.zeros(4, ">u8"), "a must have dtype uint64, not buffer format '>Q'"),
        ([1, 2, 3, 4], "a must be a C-contiguous uint64 array"),
    ],
)
def test_other_types_and_layouts_are_refused(words, message):
    with pytest.raises(TypeError, match=message):
        native.bit_xor(words, zeros(4), zeros(4))


def test_a_read_only_output_is_refused_and_a_read_only_input_is_not():
    frozen = zeros(4)
    frozen.flags.writeable = False
    native.bit_xor(frozen, frozen, zeros(4))
    with pytest.raises(TypeError, match="out must be a C-contiguous writable uint64 array"):
        native.bit_xor(zeros(4), zeros(4), frozen)
