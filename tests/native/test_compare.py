"""Comparison of a public word with a shared word: share, deal and close give [c < r] exactly, on every path."""

import hashlib
from contextlib import contextmanager
from functools import reduce
from itertools import combinations
from operator import xor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit import _native as native

ISAS = ["portable", "avx2", "avx512"][: 1 + ["portable", "avx2", "avx512"].index(native.best_isa())]
each_isa = pytest.mark.parametrize("isa", ISAS)
seeds = st.integers(0, 2**32)
widths = st.integers(1, 25)  # words of a row: every remainder of 4 and 8
ONES = np.uint64(2**64 - 1)


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


class Stream:
    """Uniform words, the same for the same seed."""

    def __init__(self, seed):
        self.seed, self.count = seed, 0

    def words(self, *shape):
        self.count += 1
        size = int(np.prod(shape))
        stream = hashlib.shake_256(f"{self.seed}/{self.count}".encode()).digest(8 * size)
        return np.frombuffer(stream, np.uint64).reshape(shape).copy()

    def share(self, value, parties):
        shares = [self.words(*value.shape) for _ in range(parties - 1)]
        return [*shares, reduce(xor, shares, value)]


def empty(*shape):
    return np.empty(shape, np.uint64)


def opening(shares):
    return reduce(xor, shares)


def planes_of(x, bits):
    out = empty(bits, -(-len(x) // 64))
    native.to_planes(x, out)
    return out


def deal_hot(r_planes):
    hot = empty(native.digit_planes(len(r_planes)), r_planes.shape[1])
    native.digits_deal(r_planes, hot)
    return hot


def close_digits(stream, c_planes, hot, parties):
    """Each party's shares of (G, P)."""
    bits, words = c_planes.shape
    pairs = []
    for party, share in enumerate(stream.share(hot, parties)):
        g, p = empty(-(-bits // 4), words), empty(-(-bits // 4), words)
        native.digits_close(c_planes, share, party == 0, g, p)
        pairs.append((g, p))
    return pairs


def close_level(stream, pairs):
    """One round of the tree on each party's (G, P)."""
    parties, (count, words) = len(pairs), pairs[0][0].shape
    opened, products, after = native.tree_plan(count)
    lam = stream.words(opened, words)
    dealt = empty(products, words)
    native.tree_deal(lam, count, dealt)
    lams, dealts = stream.share(lam, parties), stream.share(dealt, parties)
    sent = []
    for (g, p), mask in zip(pairs, lams, strict=True):
        out = empty(opened, words)
        native.tree_open(g, p, mask, out)
        sent.append(out)
    total, nxt = opening(sent), []
    for party, ((g, p), mask, product) in enumerate(zip(pairs, lams, dealts, strict=True)):
        g2, p2 = stream.words(after, words), stream.words(after, words)
        native.tree_close(total, mask, product, g, p, party == 0, g2, p2)
        nxt.append((g2, p2))
    return nxt


def less_than(stream, c, r, bits, parties):
    """[c < r] on the low bits, by the whole protocol."""
    pairs = close_digits(stream, planes_of(c, bits), deal_hot(planes_of(r, bits)), parties)
    while len(pairs[0][0]) > 1:
        pairs = close_level(stream, pairs)
    out = np.empty(len(c), np.uint8)
    native.unpack(opening([g[0] for g, _ in pairs]), out)
    return out.astype(bool)


def hard_pairs(stream, bits, n):
    """Uniform words and pairs that share a long prefix, differ in one bit, or are equal."""
    low = np.uint64(2**bits - 1)
    c = stream.words(n)
    r = c ^ (stream.words(n) >> (stream.words(n) % np.uint64(64)))
    r[::5] = c[::5]
    r[1::5] = c[1::5] ^ (np.uint64(1) << (stream.words(len(r[1::5])) % np.uint64(bits)))
    c[:2], r[:2] = [0, low], [low, 0]
    return c, r, (c & low) < (r & low)


@each_isa
@pytest.mark.parametrize("bits", range(1, 64))
def test_less_than_is_exact_for_every_width(isa, bits):
    stream = Stream(bits)
    n = 130 + 61 * (bits % 11)
    c, r, wanted = hard_pairs(stream, bits, n)
    with using(isa):
        assert np.array_equal(less_than(stream, c, r, bits, parties=2), wanted)


@each_isa
@given(bits=st.integers(1, 63), n=st.integers(1, 1200), parties=st.integers(1, 4), seed=seeds)
def test_less_than_is_exact_for_any_size_and_party_count(isa, bits, n, parties, seed):
    stream = Stream(seed)
    c, r = stream.words(n), stream.words(n)
    c[: n // 2] = r[: n // 2]
    low = np.uint64(2**bits - 1)
    with using(isa):
        assert np.array_equal(less_than(stream, c, r, bits, parties), (c & low) < (r & low))


@each_isa
@given(bits=st.integers(1, 63), words=widths, seed=seeds)
def test_digits_are_one_hot_planes_of_the_values_above_zero(isa, bits, words, seed):
    r = Stream(seed).words(bits, words)
    with using(isa):
        hot = deal_hot(r)
        again = hot.copy()
        native.digits_deal(r, again, accumulate=True)
    row = 0
    for low in range(0, bits, 4):
        digit = r[low : low + 4]
        for value in range(1, 2 ** len(digit)):
            terms = [plane if value >> i & 1 else ~plane for i, plane in enumerate(digit)]
            assert np.array_equal(hot[row], reduce(np.bitwise_and, terms))
            row += 1
    assert row == len(hot) == native.digit_planes(bits)
    assert not again.any()


@each_isa
@given(pairs=st.integers(1, 23), words=widths, parties=st.integers(1, 3), seed=seeds)
def test_a_level_combines_pairs_by_fours(isa, pairs, words, parties, seed):
    stream = Stream(seed)
    g, p = stream.words(pairs, words), stream.words(pairs, words)
    with using(isa):
        shares = zip(stream.share(g, parties), stream.share(p, parties), strict=True)
        level = close_level(stream, list(shares))
    g2, p2 = opening([g for g, _ in level]), opening([p for _, p in level])
    for k in range(0, pairs, 4):
        less, equal = np.zeros(words, np.uint64), np.full(words, ONES)
        for gi, pi in zip(g[k : k + 4], p[k : k + 4], strict=True):
            less, equal = gi ^ (pi & less), pi & equal
        assert np.array_equal(g2[k // 4], less)
        assert np.array_equal(p2[k // 4], equal if k else np.zeros(words, np.uint64))


def documented_products(size, keep):
    """The order of the dealt products as sets of opened planes: P_i is i, G_i is size + i."""
    ps = range(0 if keep else 1, size)
    above = [c for n in range(2, size + 1) for c in combinations(ps, n)]
    yield from sorted(above, key=lambda s: sum(1 << i for i in s))
    for i in range(size - 1):
        higher = [c for n in range(1, size) for c in combinations(range(i + 1, size), n)]
        yield from ((size + i, *s) for s in sorted(higher, key=lambda s: sum(1 << i for i in s)))


@each_isa
@given(pairs=st.integers(1, 23), words=widths, seed=seeds)
def test_openings_and_products_have_the_documented_order(isa, pairs, words, seed):
    stream = Stream(seed)
    opened, products, after = native.tree_plan(pairs)
    g, p, lam = stream.words(pairs, words), stream.words(pairs, words), stream.words(opened, words)
    out, dealt = empty(opened, words), empty(products, words)
    with using(isa):
        native.tree_open(g, p, lam, out)
        native.tree_deal(lam, pairs, dealt)
        again = dealt.copy()
        native.tree_deal(lam, pairs, again, accumulate=True)
    assert after == -(-pairs // 4)
    assert not again.any()
    sent, product = iter(out ^ lam), iter(dealt)
    masks = iter(lam)
    for k in range(0, pairs, 4):
        size, keep = min(4, pairs - k), k > 0
        if size == 1:
            continue
        names = [*range(0 if keep else 1, size), *range(size, 2 * size - 1)]
        for name in names:
            assert np.array_equal(next(sent), p[k + name] if name < size else g[k + name - size])
        mask = {name: next(masks) for name in names}
        for factors in documented_products(size, keep):
            assert np.array_equal(next(product), reduce(np.bitwise_and, [mask[f] for f in factors]))
    assert next(sent, None) is next(product, None) is next(masks, None) is None


def test_plans_of_known_levels():
    assert native.digit_planes(63) == 15 * 15 + 7
    assert native.tree_plan(16) == (6 + 3 * 7, 15 + 3 * 22, 4)
    assert native.tree_plan(4) == (6, 15, 1)
    assert native.tree_plan(1) == (0, 0, 1)


@each_isa
def test_threads_change_nothing(isa):
    c, r, wanted = hard_pairs(Stream(9), 63, 300_007)
    for threads in (1, 3):
        with using(isa, threads):
            assert np.array_equal(less_than(Stream(10), c, r, 63, parties=2), wanted)


@each_isa
@given(words=st.integers(0, 40), parties=st.integers(1, 3), seed=seeds)
def test_masked_and_closes_to_the_product(isa, words, parties, seed):
    stream = Stream(seed)
    x, y, lx, ly = (stream.words(words) for _ in range(4))
    dealt = zip(*(stream.share(mask, parties) for mask in (lx, ly, lx & ly)), strict=True)
    outs = []
    with using(isa):
        for party, (sx, sy, sxy) in enumerate(dealt):
            outs.append(empty(words))
            native.masked_and_close(x ^ lx, y ^ ly, sx, sy, sxy, party == 0, outs[-1])
    assert np.array_equal(opening(outs), x & y)


def replicate(stream, value):
    parts = stream.share(value, 3)
    return [(parts[i], parts[(i + 1) % 3]) for i in range(3)]


@each_isa
@given(words=st.integers(0, 40), seed=seeds)
def test_replicated_and_sums_to_the_product(isa, words, seed):
    stream = Stream(seed)
    x, y = stream.words(words), stream.words(words)
    alphas, outs = stream.share(np.zeros(words, np.uint64), 3), []
    with using(isa):
        for (x0, x1), (y0, y1), alpha in zip(replicate(stream, x), replicate(stream, y), alphas, strict=True):
            outs.append(empty(words))
            native.replicated_and(x0, x1, y0, y1, alpha, outs[-1])
    assert np.array_equal(opening(outs), x & y)


def zeros(*shape):
    return np.zeros(shape, np.uint64)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: native.digit_planes(64), "1 to 63 bits, not 64"),
        (lambda: native.digits_deal(zeros(64, 1), zeros(9, 1)), "1 to 63 bits, not 64"),
        (lambda: native.digits_deal(zeros(8, 1), zeros(29, 1)), r"out has shape \(29, 1\) but needs \(30, 1\)"),
        (
            lambda: native.digits_close(zeros(8, 2), zeros(30, 1), True, zeros(2, 2), zeros(2, 2)),
            r"hot has shape \(30, 1\) but needs \(30, 2\)",
        ),
        (
            lambda: native.digits_close(zeros(8, 1), zeros(30, 1), True, zeros(2, 1), zeros(1, 1)),
            r"p has shape \(1, 1\) but needs \(2, 1\)",
        ),
        (lambda: native.tree_plan(0), "pairs, not 0"),
        (
            lambda: native.tree_open(zeros(4, 1), zeros(4, 1), zeros(7, 1), zeros(7, 1)),
            r"lam has shape \(7, 1\) but needs \(6, 1\)",
        ),
        (lambda: native.tree_deal(zeros(6, 3), 4, zeros(15, 2)), r"out has shape \(15, 2\) but needs \(15, 3\)"),
        (
            lambda: native.tree_close(
                zeros(6, 1), zeros(6, 1), zeros(14, 1), zeros(4, 1), zeros(4, 1), True, zeros(1, 1), zeros(1, 1)
            ),
            r"products has shape \(14, 1\) but needs \(15, 1\)",
        ),
        (
            lambda: native.replicated_and(zeros(2), zeros(2), zeros(2), zeros(3), zeros(2), zeros(2)),
            r"y1 has shape \(3,\) but x0 has \(2,\)",
        ),
    ],
)
def test_wrong_sizes_are_refused_with_their_numbers(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_outputs_must_not_overlap_inputs():
    room = zeros(8, 4)
    with pytest.raises(ValueError, match="g overlaps c in memory"):
        native.digits_close(room[:4], zeros(15, 4), True, room[3:4], zeros(1, 4))
