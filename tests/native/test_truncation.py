"""Truncation kernels: NumPy's words on narrow arrays of every width, and the identities that they close."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit import _native as native

U64 = np.uint64
seeds = st.integers(0, 2**32)
shifts = st.integers(1, 62)
sizes = st.integers(0, 200)
LIMIT = 2**62 - 1


def words(seed, count):
    return np.random.default_rng(seed).integers(0, 2**64, count, U64, endpoint=False)


def narrow(array, count, width):
    """The numbers of a narrow array, cut to their width."""
    size = (width + 7) // 8
    octets = np.zeros((count, 8), np.uint8)
    octets[:, :size] = array.view(np.uint8)[: count * size].reshape(count, size)
    return octets.reshape(-1).view(U64) & U64(2**width - 1)


def room(count, width):
    return np.full(native.narrow_words(count, width), 7, U64)


@given(n=sizes, width=st.integers(1, 64))
def test_narrow_arrays_take_whole_bytes_and_whole_words(n, width):
    assert native.narrow_words(n, width) == -(-n * -(-width // 8) // 8)


@given(n=sizes, seed=seeds, bits=shifts, leader=st.booleans())
def test_masked(n, seed, bits, leader):
    c0, c1, u, s = (words(seed + i, n) for i in range(4))
    e, e1, u1, out = words(seed + 5, native.narrow_words(n, bits)), room(n, bits), np.empty(n, U64), np.empty(n, U64)
    native.masked_truncation_deal(s, u, e, bits, u1, e1)
    native.masked_truncation_close(c0, c1, u, e, bits, leader, out)
    low = U64(2**bits - 1)
    assert np.array_equal(u1, (s >> U64(bits)) - u)
    assert np.array_equal(narrow(e1, n, bits), (s >> U64(63)) - narrow(e, n, bits) & low)
    c = c0 + c1 + U64(2**62)
    wrap = np.where(c >> U64(63), U64(0), narrow(e, n, bits)) << U64(64 - bits)
    public = ((c >> U64(bits)) - U64(2 ** (62 - bits))) * U64(leader)
    assert np.array_equal(out, public - u + wrap)


@given(values=st.lists(st.integers(-LIMIT, LIMIT), min_size=1, max_size=100), seed=seeds, bits=shifts)
def test_two_parties_truncate_a_masked_value(values, seed, bits):
    x = np.array([*values, LIMIT, -LIMIT, 0, -1], np.int64)
    n = x.size
    s, c0, u0 = (words(seed + i, n) for i in range(3))
    e0, u1, e1 = words(seed + 4, native.narrow_words(n, bits)), np.empty(n, U64), room(n, bits)
    native.masked_truncation_deal(s, u0, e0, bits, u1, e1)
    c1, y0, y1 = x.view(U64) + s - c0, np.empty(n, U64), np.empty(n, U64)
    native.masked_truncation_close(c0, c1, u0, e0, bits, True, y0)
    native.masked_truncation_close(c0, c1, u1, e1, bits, False, y1)
    # The mask that the helper knows is that of x + 2**62 as it stands, so C is x + s + 2**62.
    assert set(((y0 + y1).view(np.int64) - (x >> bits)).tolist()) <= {0, 1}


@given(values=st.lists(st.integers(-LIMIT, LIMIT), min_size=1, max_size=100), seed=seeds, bits=shifts)
def test_two_parties_truncate_a_shared_value(values, seed, bits):
    x = np.array([*values, LIMIT, -LIMIT, 0, -1], np.int64)
    n, low, high = x.size, bits, 64 - bits
    x0, z = words(seed, n), words(seed + 1, native.narrow_words(n, low))
    t = [words(seed + 2 + i, native.narrow_words(n, high)) for i in range(2)]
    p, q = ([words(seed + 4 + i, native.narrow_words(n, low)), room(n, low)] for i in range(2))
    native.shared_truncation_deal(*t, p[0], q[0], bits, n, p[1], q[1])
    opened = [room(n, high), room(n, high)]
    native.shared_truncation_open(x0, z, t[0], bits, True, opened[0])
    native.shared_truncation_open(x.view(U64) - x0, z, t[1], bits, False, opened[1])
    y = [np.empty(n, U64), np.empty(n, U64)]
    for i in range(2):
        native.shared_truncation_close(opened[0], opened[1], t[i], p[i], q[i], bits, i == 0, y[i])
    found = (y[0] + y[1]).view(np.int64)
    first = x0 + narrow(z, n, low) & U64(2**bits - 1)  # what decides the rounding: the leader's share's low bits
    assert np.array_equal(found, (x >> bits) + (first < (x.view(U64) & U64(2**bits - 1))))


@pytest.mark.parametrize("bits", [1, 7, 8, 9, 18, 31, 56, 62])
def test_what_rounds_up_to_a_word_is_zero(bits):
    """It travels; memory that was there before must not."""
    n = 13
    x, z, t = words(1, n), words(2, native.narrow_words(n, bits)), words(3, native.narrow_words(n, 64 - bits))
    out, p, q, e = room(n, 64 - bits), room(n, bits), room(n, bits), room(n, bits)
    for each in (out, p, q, e):
        each[:] = U64(0xFFFFFFFFFFFFFFFF)
    native.shared_truncation_open(x, z, t, bits, True, out)
    native.shared_truncation_deal(t, t, z, z, bits, n, p, q)
    native.masked_truncation_deal(x, x, z, bits, np.empty(n, U64), e)
    for array, width in ((out, 64 - bits), (p, bits), (q, bits), (e, bits)):
        assert not array.view(np.uint8)[n * ((width + 7) // 8) :].any()


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(threads):
    n, bits = 100_003, 18
    x, z, t = words(1, n), words(2, native.narrow_words(n, bits)), words(3, native.narrow_words(n, 64 - bits))
    before, found = native.threads(), []
    try:
        for count in (1, threads):
            native.set_threads(count)
            out, p, q, y = room(n, 64 - bits), room(n, bits), room(n, bits), np.empty(n, U64)
            native.shared_truncation_open(x, z, t, bits, True, out)
            native.shared_truncation_deal(t, out, z, z, bits, n, p, q)
            native.shared_truncation_close(out, t, t, p, q, bits, True, y)
            found.append((out, p, q, y))
    finally:
        native.set_threads(before)
    assert all(map(np.array_equal, *found))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: native.masked_truncation_close(z(4), z(4), z(4), z(2), 0, True, z(4)), "between 1 and 62, not 0"),
        (
            lambda z: native.masked_truncation_close(z(4), z(3), z(4), z(2), 18, True, z(4)),
            "C1 has 3 words but needs 4",
        ),
        (lambda z: native.masked_truncation_deal(z(4), z(4), z(4), 18, z(4), z(2)), "e0 has 4 words but needs 2"),
        (lambda z: native.shared_truncation_open(z(4), z(2), z(4), 18, True, z(3)), "t has 4 words but needs 3"),
        (lambda z: native.shared_truncation_deal(z(3), z(3), z(2), z(1), 18, 4, z(2), z(2)), "q0 has 1 words"),
        (lambda z: native.shared_truncation_close(z(3), z(3), z(3), z(2), z(3), 18, True, z(4)), "q has 3 words"),
    ],
)
def test_sizes_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call(lambda count: np.zeros(count, U64))


def test_outputs_must_not_overlap_inputs():
    memory = np.zeros(64, U64)
    with pytest.raises(ValueError, match="overlaps"):
        native.shared_truncation_open(memory[:8], memory[8:11], memory[16:22], 18, True, memory[17:23])
