"""Montgomery arithmetic: both paths equal gmpy2, and each other word for word."""

import hashlib
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tacit import _native as native

gmpy2 = pytest.importorskip("gmpy2")

ISAS = ["portable", "avx2", "avx512"][: 1 + ["portable", "avx2", "avx512"].index(native.best_isa())]
# Around a digit, a block of digits and the sizes of keys: with and without room in the highest block.
BITS = [2, 3, 51, 52, 53, 255, 256, 257, 260, 513, 1024, 1536, 2048, 3072]
seeds = st.integers(0, 2**32)
squares = st.booleans()


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


def draw(seed, bits, *label):
    """A number of at most `bits` bits, the same for the same arguments."""
    size = -(-bits // 8)
    stream = hashlib.shake_256(f"{seed} {bits} {label}".encode()).digest(size)
    return int.from_bytes(stream, "little") % 2**bits


def modulus(seed, bits):
    """An odd number of exactly `bits` bits; all ones for seed 0, the case of the largest carries."""
    return 2**bits - 1 if seed == 0 else draw(seed, bits, "modulus") | 1 | 1 << (bits - 1)


def octets(values, size):
    return (
        np.frombuffer(b"".join(v.to_bytes(size, "little") for v in values), np.uint8).reshape(len(values), size).copy()
    )


class Numbers:
    """A modulus, its kernel, and numbers: random ones, and those at the ends."""

    def __init__(self, seed, bits, squared, count=11):
        n = modulus(seed, bits)
        self.n = n**2 if squared else n
        self.kernel = native.Montgomery(n.to_bytes(-(-bits // 8), "little"), squared)
        ends = [0, 1 % self.n, self.n - 1, (self.n - 1) // 2, n - 1, n % self.n]
        self.values = ([draw(seed, 2 * bits + 8, i) % self.n for i in range(count)] + ends)[:count]
        self.rows = self.enter(self.values)

    def enter(self, values):
        out = np.empty((len(values), self.kernel.width), np.uint64)
        self.kernel.enter(octets(values, self.kernel.octets), out)
        return out

    def leave(self, rows):
        out = np.empty((len(rows), self.kernel.octets), np.uint8)
        self.kernel.leave(rows, out)
        return [int.from_bytes(row.tobytes(), "little") for row in out]


def everything(seed, bits, squared, count):
    """Every operation's rows, checked against gmpy2."""
    it = Numbers(seed, bits, squared, count)
    a, values, n = it.rows, it.values, it.n
    assert it.leave(a) == values
    b, others = a[::-1].copy(), values[::-1]
    product, each, shared, fixed = (np.empty_like(a) for _ in range(4))
    it.kernel.multiply(a, b, product)
    assert it.leave(product) == [int(gmpy2.mpz(x) * y % n) for x, y in zip(values, others, strict=True)]
    size = [1, 7, 24, 25, 64, 65, 130][seed % 7]
    exponents = [draw(seed, size, i, "exponent") for i in range(count)]
    words = octets(exponents, 8 * -(-size // 64)).view(np.uint64)
    it.kernel.powers(a, words, size, each)
    assert it.leave(each) == [int(gmpy2.powmod(x, e, n)) for x, e in zip(values, exponents, strict=True)]
    it.kernel.powers(a, words[:1].copy(), size, shared)
    assert it.leave(shared) == [int(gmpy2.powmod(x, exponents[0], n)) for x in values]
    window = 1 + seed % 6
    table = np.stack(
        [
            it.enter([int(gmpy2.powmod(values[0], e << (window * j), n)) for e in range(2**window)])
            for j in range(-(-64 * words.shape[1] // window))
        ]
    )
    it.kernel.fixed_powers(table, words, fixed)
    assert it.leave(fixed) == [int(gmpy2.powmod(values[0], e, n)) for e in exponents]
    index = np.array([draw(seed, 32, i, "index") % count for i in range(3 * count)], np.int64)
    starts = np.sort(np.array([draw(seed, 32, i, "start") % (3 * count + 1) for i in range(count + 1)], np.int64))
    totals = np.empty_like(a)
    it.kernel.products(a, index, starts, totals)
    wanted = []
    for begin, end in pairwise(starts):
        total = gmpy2.mpz(1) % n
        for j in index[begin:end]:
            total = total * values[j] % n
        wanted.append(int(total))
    assert it.leave(totals) == wanted
    return [a, product, each, shared, fixed, totals]


@given(bits=st.sampled_from(BITS[:-2]), seed=seeds, squared=squares, count=st.integers(1, 19))
@example(bits=1024, seed=0, squared=True, count=9)
@example(bits=260, seed=0, squared=False, count=9)
@example(bits=256, seed=0, squared=True, count=8)
def test_every_path_equals_gmpy2_and_the_others_word_for_word(bits, seed, squared, count):
    seen = []
    for isa in ISAS:
        with using(isa):
            seen.append(everything(seed, bits, squared, count))
    for other in seen[1:]:
        assert all(np.array_equal(x, y) for x, y in zip(seen[0], other, strict=True))


@pytest.mark.parametrize(("bits", "squared"), [(2048, True), (3072, True), (4096, False), (6144, False)])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_sizes_of_keys(bits, squared, seed):
    seen = []
    for isa in ISAS:
        with using(isa):
            seen.append(everything(seed, bits, squared, 9))
    for other in seen[1:]:
        assert all(np.array_equal(x, y) for x, y in zip(seen[0], other, strict=True))


@pytest.mark.parametrize("isa", ISAS)
@given(bits=st.sampled_from(BITS), seed=seeds, squared=squares, chunks=st.integers(1, 6))
def test_a_longer_number_enters_reduced(isa, bits, seed, squared, chunks):
    it = Numbers(seed, bits, squared)
    size = max(1, -(-bits // 8) * chunks)
    values = [draw(seed, 8 * size, i, "long") for i in range(9)] + [2 ** (8 * size) - 1]
    out = np.empty((10, it.kernel.width), np.uint64)
    with using(isa):
        it.kernel.enter(octets(values, size), out)
        assert it.leave(out) == [v % it.n for v in values]


@given(bits=st.sampled_from(BITS[3:-2]), seed=seeds, squared=squares)
def test_one_is_one_and_one_row_serves_all(bits, seed, squared):
    it = Numbers(seed, bits, squared)
    one = np.empty((1, it.kernel.width), np.uint64)
    it.kernel.one(one[0])
    assert it.leave(one) == [1]
    rows = it.rows.copy()
    it.kernel.multiply(rows, one, rows)
    assert np.array_equal(rows, it.rows)


@pytest.mark.parametrize("isa", ISAS)
def test_threads_change_nothing(isa):
    it = Numbers(3, 513, squared=True, count=200)
    words = octets([draw(1, 64, i) for i in range(200)], 8).view(np.uint64)
    starts = np.arange(0, 201, 2, dtype=np.int64)

    def run():
        outs = [np.empty_like(it.rows) for _ in range(3)] + [np.empty((100, it.kernel.width), np.uint64)]
        it.kernel.multiply(it.rows, it.rows, outs[0])
        it.kernel.powers(it.rows, words, 64, outs[1])
        it.kernel.products(it.rows, np.arange(200, dtype=np.int64), starts, outs[3])
        outs[2] = it.enter(it.values)
        return outs

    with using(isa):
        alone = run()
    with using(isa, threads=3):
        together = run()
    assert all(np.array_equal(x, y) for x, y in zip(alone, together, strict=True))


@pytest.mark.parametrize("n", [0, 1, 2, 10, 2**3072 + 2])
def test_a_modulus_that_cannot_be_used_is_refused(n):
    with pytest.raises(ValueError, match="modulus must be odd"):
        native.Montgomery(n.to_bytes(400, "little"))


def test_the_limits_of_size():
    native.Montgomery((2**6144 - 1).to_bytes(768, "little"))
    native.Montgomery((2**3072 - 1).to_bytes(384, "little"), squared=True)
    with pytest.raises(ValueError, match="at most 6144 bits"):
        native.Montgomery((2**6144 + 1).to_bytes(769, "little"))
    with pytest.raises(ValueError, match="at most 3072 bits"):
        native.Montgomery((2**3072 + 1).to_bytes(385, "little"), squared=True)


def test_buffers_that_do_not_fit_are_refused():
    it = Numbers(5, 256, squared=False, count=4)
    a, kernel = it.rows, it.kernel
    index, starts = np.arange(4, dtype=np.int64), np.array([0, 2, 4], np.int64)
    two = np.empty((2, kernel.width), np.uint64)
    with pytest.raises(ValueError, match="has shape"):
        kernel.multiply(a, a[:2].copy(), np.empty_like(a))
    with pytest.raises(ValueError, match="overlaps"):
        kernel.multiply(a[:3], a[:3], a[1:])
    with pytest.raises(ValueError, match="bits must be between"):
        kernel.powers(a, np.zeros((4, 1), np.uint64), 65, np.empty_like(a))
    with pytest.raises(ValueError, match="a power of two"):
        kernel.fixed_powers(np.empty((2, 3, kernel.width), np.uint64), np.zeros((4, 1), np.uint64), np.empty_like(a))
    with pytest.raises(ValueError, match="the table covers"):
        kernel.fixed_powers(np.empty((2, 4, kernel.width), np.uint64), np.zeros((4, 2), np.uint64), np.empty_like(a))
    with pytest.raises(ValueError, match="outside the 4 rows"):
        kernel.products(a, index + 1, starts, two)
    with pytest.raises(ValueError, match="must rise"):
        kernel.products(a, index, starts[::-1].copy(), two)
    with pytest.raises(ValueError, match="must rise"):
        kernel.products(a, index, starts + 1, two)
    with pytest.raises(ValueError, match="are allowed"):
        kernel.enter(np.zeros((4, 4000), np.uint8), np.empty_like(a))
    with pytest.raises(TypeError, match="uint64"):
        kernel.multiply(a.astype(np.int64), a, np.empty_like(a))
