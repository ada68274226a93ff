"""Ring kernels: NumPy's words on every instruction set and thread count, and the protocol identities they close."""

import hashlib
import math
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit import _native as native

ISAS = ["portable", "avx2", "avx512"][: 1 + ["portable", "avx2", "avx512"].index(native.best_isa())]
each_isa = pytest.mark.parametrize("isa", ISAS)
leaders = st.integers(0, 1)
shifts = st.integers(0, 62)
sizes = st.integers(0, 700)
seeds = st.integers(0, 2**32)
scalars = st.integers(-(2**70), 2**70)
U64 = np.uint64
EDGES = np.array([0, 1, 2, 2**31, 2**32 - 1, 2**32, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1], U64)
LARGE = 100_003  # several threads, an odd tail


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
    """Words, the same for the same seed and shape: mostly uniform, every fourth an edge case."""
    count = math.prod(shape)
    stream = hashlib.shake_256(f"{seed}{shape}".encode()).digest(9 * count)
    words = np.frombuffer(stream[: 8 * count], U64).copy()
    kind = np.frombuffer(stream[8 * count :], np.uint8)
    edge = kind % 4 == 0
    words[edge] = EDGES[kind[edge] // 4 % EDGES.size]
    return words.reshape(shape)


def packed(bits):
    room = np.zeros(64 * (-(-bits.size // 64)), np.uint8)
    room[: bits.size] = bits
    return np.packbits(room, bitorder="little").view("<u8")


def word(k):
    return U64(k % 2**64)


# --- each kernel's definition in NumPy ---

DEFINITIONS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "neg": lambda a: U64(0) - a,
    "mul": lambda a, b: a * b,
    "mul_add": lambda a, b, c: a * b + c,
}


@each_isa
@pytest.mark.parametrize("name", DEFINITIONS)
@given(n=sizes, seed=seeds)
def test_arithmetic(isa, name, n, seed):
    definition = DEFINITIONS[name]
    operands = [draw(seed + i, n) for i in range(definition.__code__.co_argcount)]
    out = np.empty(n, U64)
    with using(isa):
        getattr(native, name)(*operands, out)
        assert np.array_equal(out, definition(*operands))
        for operand in operands:  # in place, over each operand
            inputs = [o.copy() if o is operand else o for o in operands]
            target = next(i for i, o in zip(inputs, operands, strict=True) if o is operand)
            getattr(native, name)(*inputs, target)
            assert np.array_equal(target, out)


@each_isa
@given(n=sizes, seed=seeds, k=scalars)
def test_scalars(isa, n, seed, k):
    a, held = draw(seed, n), draw(seed + 1, n)
    out, total = np.empty(n, U64), held.copy()
    with using(isa):
        native.scale(a, k, out)
        native.axpy(k, a, total)
    assert np.array_equal(out, a * word(k))
    assert np.array_equal(total, held + a * word(k))


@each_isa
@given(n=sizes, seed=seeds, leader=leaders)
def test_product_close(isa, n, seed, leader):
    X, Y, rx, ry, t = (draw(seed + i, n) for i in range(5))
    product = np.empty(n, U64)
    with using(isa):
        native.product_close(X, Y, rx, ry, t, leader, product)
    assert np.array_equal(product, U64(leader) * X * Y - X * ry - Y * rx + t)


@each_isa
@given(n=sizes, seed=seeds, bits=shifts, leader=leaders)
def test_truncation_kernels(isa, n, seed, bits, leader):
    C0, C1, u, m, s = (draw(seed + i, n) for i in range(5))
    out, u1, m1 = np.empty(n, U64), np.empty(n, U64), np.empty(n, U64)
    with using(isa):
        native.truncate_close(C0, C1, u, m, bits, leader, out)
        native.truncate_deal(s, u, m, bits, u1, m1)
    C = C0 + C1
    public = (C >> U64(bits)) - U64(2 ** (62 - bits))
    assert np.array_equal(out, U64(leader) * public - u + np.where(C >> U64(63), U64(0), m))
    assert np.array_equal(u1, (s >> U64(bits)) - u)
    assert np.array_equal(m1, (s >> U64(63)) * word(2 ** (64 - bits)) - m)


@each_isa
@given(n=sizes, seed=seeds, leader=leaders)
def test_bit_kernels(isa, n, seed, leader):
    X, rho, sigma, share, r = (draw(seed + i, n) for i in range(5))
    b = draw(seed + 9, n) >> U64(63)
    words = packed(b)
    if n % 64:
        words[-1] |= U64(0xFFFFFFFFFFFFFFFF) << U64(n % 64)  # padding bits mean nothing
    selected, ring, rho1, sigma1 = (np.empty(n, U64) for _ in range(4))
    with using(isa):
        native.select_close(words, X, rho, sigma, share, leader, selected)
        native.bit_to_ring_close(words, rho, leader, ring)
        native.select_deal(words, r, rho, sigma, rho1, sigma1)
    sign = U64(1) - U64(2) * b
    assert np.array_equal(selected, b * share + sign * (X * rho - sigma))
    assert np.array_equal(ring, U64(leader) * b + sign * rho)
    assert np.array_equal(rho1, b - rho)
    assert np.array_equal(sigma1, b * r - sigma)


# --- the identities that the protocols rest on ---


@given(seed=seeds)
def test_two_parties_multiply(seed):
    n = 130
    x, y, rx, ry, rx0, ry0, t0 = (draw(seed + i, n) for i in range(7))
    X, Y, z = x + rx, y + ry, [np.empty(n, U64), np.empty(n, U64)]
    native.product_close(X, Y, rx0, ry0, t0, 1, z[0])
    native.product_close(X, Y, rx - rx0, ry - ry0, rx * ry - t0, 0, z[1])
    assert np.array_equal(z[0] + z[1], x * y)


@given(seed=seeds, bits=shifts)
def test_two_parties_truncate_within_one_unit(seed, bits):
    n = 200
    x = (draw(seed, n).view(np.int64) >> 1) & ~np.int64(-(2**62)) | -(draw(seed, n) >> U64(63)).view(np.int64) << 62
    x[x == -(2**62)] += 1  # |x| < 2**62
    s, c0, u0, m0 = (draw(seed + i, n) for i in range(1, 5))
    c1 = x.view(U64) + U64(2**62) + s - c0
    u1, m1, y0, y1 = (np.empty(n, U64) for _ in range(4))
    native.truncate_deal(s, u0, m0, bits, u1, m1)
    native.truncate_close(c0, c1, u0, m0, bits, 1, y0)
    native.truncate_close(c0, c1, u1, m1, bits, 0, y1)
    error = (y0 + y1).view(np.int64) - (x >> bits)
    assert set(error.tolist()) <= {0, 1}


@given(seed=seeds)
def test_two_parties_select(seed):
    n = 150
    x, r, x0, rho0, sigma0 = (draw(seed + i, n) for i in range(5))
    bit, beta = draw(seed + 5, n) & U64(1), draw(seed + 6, n) & U64(1)
    opened, hidden, X = packed(bit ^ beta), packed(beta), x + r
    rho1, sigma1, z0, z1 = (np.empty(n, U64) for _ in range(4))
    native.select_deal(hidden, r, rho0, sigma0, rho1, sigma1)
    native.select_close(opened, X, rho0, sigma0, x0, 1, z0)
    native.select_close(opened, X, rho1, sigma1, x - x0, 0, z1)
    assert np.array_equal(z0 + z1, bit * x)
    native.bit_to_ring_close(opened, rho0, 1, z0)
    native.bit_to_ring_close(opened, rho1, 0, z1)
    assert np.array_equal(z0 + z1, bit)


# --- fixed point ---

reals = st.floats(allow_nan=False, allow_infinity=False, width=64)


def encoded(values, bits):
    out = np.full(len(values), 7, U64)
    return native.encode(np.array(values, np.float64), bits, out), out


@each_isa
@given(
    bits=shifts,
    values=st.lists(
        reals | st.floats(-1e3, 1e3) | st.sampled_from([0.5, 1.5, 2.5, -0.5, -2.5, 2**31 + 0.5, -0.0]), max_size=40
    ),
)
def test_encode_is_round_half_to_even(isa, bits, values):
    with using(isa):
        bad, out = encoded(values, bits)
    refused = [i for i, v in enumerate(values) if abs(v) >= 2.0 ** (62 - bits)]
    assert bad == (refused[0] if refused else -1)
    exact = [0 if i in refused else round(v * 2**bits) for i, v in enumerate(values)]  # Python rounds half to even
    assert out.tolist() == [e % 2**64 for e in exact]


@each_isa
@given(bits=st.integers(0, 40), seed=seeds)
def test_the_round_trip_errs_by_half_a_unit(isa, bits, seed):
    values = draw(seed, 300).view(np.int64) / 2.0 ** (64 + bits - 62 + 1)
    out, back = np.empty(300, U64), np.empty(300)
    with using(isa):
        assert native.encode(values, bits, out) == -1
        native.decode(out, bits, back)
    assert np.abs(back - values).max() <= 2.0 ** -(bits + 1)


@each_isa
@given(bits=shifts, n=sizes, seed=seeds)
def test_decode_is_the_signed_quotient(isa, bits, n, seed):
    a, out = draw(seed, n), np.empty(n)
    with using(isa):
        native.decode(a, bits, out)
    assert np.array_equal(out, a.view(np.int64) / 2.0**bits)


@each_isa
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 2.0**44, -(2.0**44), 1e308])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_first_refused_value_is_named(isa, bad, threads):
    values = np.linspace(-(2.0**44) * (1 - 2**-52), 2.0**44 * (1 - 2**-52), LARGE)
    out = np.empty(LARGE, U64)
    with using(isa, threads):
        assert native.encode(values, 18, out) == -1
        for first in (LARGE - 1, 77_777, 1024, 1023, 0):
            values[first] = bad
            assert native.encode(values, 18, out) == first
    assert out[first] == 0
    assert out[1] == word(round(values[1] * 2**18))


# --- threads, sizes, buffers ---


def calls(seed, n):
    """One call of every kernel; each yields its outputs."""
    a, b, c, d, e = (draw(seed + i, n) for i in range(5))
    bits = draw(seed + 5, -(-n // 64))

    def outputs(count=1, shape=n, dtype=U64):
        return [np.zeros(shape, dtype) for _ in range(count)]

    for name, inputs in [
        ("add", (a, b)), ("sub", (a, b)), ("neg", (a,)), ("mul", (a, b)), ("mul_add", (a, b, c)), ("scale", (a, -3)),
        ("product_close", (a, b, c, d, e, 1)), ("truncate_close", (a, b, c, d, 18, 1)),
        ("select_close", (bits, a, b, c, d, 0)), ("bit_to_ring_close", (bits, a, 1)),
    ]:  # fmt: skip
        (out,) = outputs()
        getattr(native, name)(*inputs, out)
        yield name, [out]
    total = a.copy()
    native.axpy(12345, b, total)
    yield "axpy", [total]
    two = outputs(2)
    native.truncate_deal(a, b, c, 18, *two)
    yield "truncate_deal", two
    two = outputs(2)
    native.select_deal(bits, a, b, c, *two)
    yield "select_deal", two
    values = outputs(dtype=float)
    native.decode(a, 18, *values)
    yield "decode", values
    ring = outputs()
    native.encode(values[0], 18, *ring)
    yield "encode", ring


@each_isa
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_kernel_agrees_with_one_portable_thread(isa, threads):
    with using("portable"):
        wanted = dict(calls(3, LARGE))
    with using(isa, threads):
        for name, outputs in calls(3, LARGE):
            assert all(map(np.array_equal, outputs, wanted[name])), name


def test_shapes_are_flattened():
    a, b, out = draw(1, 6, 7), draw(2, 42), np.empty((2, 21), U64)
    native.add(a, b, out)
    assert np.array_equal(out.reshape(-1), a.reshape(-1) + b)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: native.add(z(4), z(5), z(5)), "a has 4 elements but needs 5"),
        (lambda z: native.product_close(z(5), z(5), z(5), z(5), z(6), 1, z(5)), "t has 6 elements but needs 5"),
        (lambda z: native.product_close(z(5), z(5), z(5), z(5), z(5), 2, z(5)), "leader must be 0 or 1, not 2"),
        (lambda z: native.truncate_close(z(5), z(5), z(5), z(5), 63, 1, z(5)), "between 0 and 62, not 63"),
        (lambda z: native.truncate_deal(z(5), z(5), z(5), -1, z(5), z(5)), "between 0 and 62, not -1"),
        (lambda z: native.encode(np.zeros(5), 63, z(5)), "between 0 and 62, not 63"),
        (lambda z: native.select_close(z(1), z(65), z(65), z(65), z(65), 1, z(65)), "bits has 1 elements but needs 2"),
        (lambda z: native.select_deal(z(3), z(65), z(65), z(65), z(65), z(65)), "beta has 3 elements but needs 2"),
    ],
)
def test_sizes_and_settings_are_checked(call, message):
    with pytest.raises(ValueError, match=message):
        call(lambda n: np.zeros(n, U64))


def test_shifted_overlap_is_refused():
    memory = np.zeros(100, U64)
    with pytest.raises(ValueError, match="overlap"):
        native.add(memory[:50], memory[:50], memory[1:51])
    with pytest.raises(ValueError, match="overlap"):
        native.truncate_deal(memory[:10], memory[10:20], memory[20:30], 18, memory[30:40], memory[30:40])
    with pytest.raises(ValueError, match="overlap"):
        native.bit_to_ring_close(memory[:1], memory[:64], 1, memory[:64])
    with pytest.raises(ValueError, match="overlap"):
        native.encode(memory[:10].view(float), 18, memory[:10])


@pytest.mark.parametrize(
    "bad", [np.zeros(4), np.zeros(4, np.int64), np.zeros(8, np.uint32), np.zeros(8, U64)[::2], [0, 0, 0, 0], None]
)
def test_unusable_buffers_are_refused(bad):
    good = np.zeros(4, U64)
    for call in (lambda: native.add(bad, good, good), lambda: native.add(good, good, bad)):
        with pytest.raises(TypeError):
            call()


def test_outputs_must_be_writable():
    out = np.zeros(4, U64)
    out.flags.writeable = False
    with pytest.raises(TypeError, match="writable"):
        native.neg(out, out)


def test_scalars_are_integers():
    with pytest.raises(TypeError):
        native.scale(np.zeros(4, U64), 1.5, np.zeros(4, U64))
