"""The permutation's two implementations agree, and compute what the papers say."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from ot_rig import TOY, require_correlated, run

from tacit import _native
from tacit.primitive.ot import permutation as module
from tacit.primitive.ot import silent
from tacit.primitive.ot.block import blocks_of
from tacit.primitive.ot.permutation import OpenSslPermutation, permutation

KEY = bytes(range(16))
SEEDS = st.integers(0, 2**32)
needs_aes = pytest.mark.skipif(not _native.has_aes(), reason="this processor has no AES instructions")


def drawn(seed, *shape):
    return np.random.default_rng(seed).integers(0, 2**64, (*shape, 2), np.uint64)


def encrypt(block: bytes) -> bytes:
    return Cipher(algorithms.AES128(KEY), modes.ECB()).encryptor().update(block)  # noqa: S305  the bare permutation


def number(block) -> int:
    return int(block[0]) | int(block[1]) << 64


def pi(x: int) -> int:
    return int.from_bytes(encrypt(x.to_bytes(16, "little")), "little")


def child(x: int) -> int:
    low, high = x & (2**64 - 1), x >> 64
    mixed = high | (high ^ low) << 64
    return pi(mixed) ^ mixed


@pytest.mark.parametrize("make", [permutation, OpenSslPermutation])
def test_the_hash_is_tmmo(make):
    x = drawn(1, 5)
    out = np.empty_like(x)
    make(KEY).hash(x, 2**40, out)
    wanted = [pi(pi(number(b)) ^ (2**40 + i)) ^ pi(number(b)) for i, b in enumerate(x)]
    assert [number(b) for b in out] == wanted


@pytest.mark.parametrize("make", [permutation, OpenSslPermutation])
def test_a_tree_by_hand(make):
    root, delta = drawn(2, 1), drawn(3, 1)[0]
    leaves, sums = np.empty((1, 8, 2), np.uint64), np.empty((1, 3, 2), np.uint64)
    make(KEY).expand(root, delta, leaves, sums)
    level = [number(root[0]), number(root[0]) ^ number(delta)]
    lefts = [level[0]]
    for _ in range(2):
        level = [node for x in level for node in (child(x), child(x) ^ x)]
        left = 0
        for node in level[::2]:
            left ^= node
        lefts.append(left)
        total = 0
        for node in level:
            total ^= node
        assert total == number(delta)
    assert [number(b) for b in leaves[0]] == [x & ~1 for x in level]
    assert [number(b) for b in sums[0]] == lefts


@needs_aes
@given(n=st.integers(0, 70), first=st.integers(0, 2**60), seed=SEEDS)
def test_hashes_agree(n, first, seed):
    x = drawn(seed, n)
    outs = [np.empty_like(x) for _ in range(2)]
    permutation(KEY).hash(x, first, outs[0])
    OpenSslPermutation(KEY).hash(x, first, outs[1])
    assert np.array_equal(*outs)


@needs_aes
@given(trees=st.integers(0, 4), depth=st.integers(1, 9), seed=SEEDS)
def test_trees_agree_and_miss_one_leaf(trees, depth, seed):
    roots, delta = drawn(seed, trees), drawn(seed + 1, 1)[0]
    delta[0] |= np.uint64(1)
    paths = np.random.default_rng(seed).integers(0, 2**depth, trees, np.uint64)
    bits = (paths[:, None] >> np.arange(depth - 1, -1, -1, dtype=np.uint64)) & np.uint64(1)
    results = []
    for make in (permutation, OpenSslPermutation):
        leaves, sums = np.empty((trees, 1 << depth, 2), np.uint64), np.empty((trees, depth, 2), np.uint64)
        make(KEY).expand(roots, delta, leaves, sums)
        sides = np.ascontiguousarray(sums ^ (delta * (np.uint64(1) - bits)[..., None]))
        held = np.empty_like(leaves)
        make(KEY).complete(sides, paths, held)
        difference = held ^ leaves
        for tree, path in enumerate(paths.astype(int)):
            assert np.array_equal(difference[tree, path], delta)
            difference[tree, path] = 0
        assert not difference.any()
        results.append((leaves, sums, held))
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


@needs_aes
@given(n=st.integers(0, 100), rows=st.sampled_from([1, 2, 3, 1000]), first=st.integers(0, 2**20), seed=SEEDS)
def test_codes_agree(n, rows, first, seed):
    table, start = drawn(seed, rows), drawn(seed + 1, n)
    outs = [start.copy() for _ in range(2)]
    permutation(KEY).encode(7, 16 * first, table, outs[0])
    OpenSslPermutation(KEY).encode(7, 16 * first, table, outs[1])
    assert np.array_equal(*outs)


@pytest.mark.parametrize("make", [permutation, OpenSslPermutation])
def test_a_code_in_pieces_is_the_code(make):
    table = drawn(5, 300)
    whole = np.zeros((100, 2), np.uint64)
    parts = whole.copy()
    make(KEY).encode(1, 0, table, whole)
    make(KEY).encode(1, 0, table, parts[:48])
    make(KEY).encode(1, 48, table, parts[48:])
    assert np.array_equal(whole, parts)
    assert len(np.unique(whole, axis=0)) == 100


def test_positions_of_the_code_are_spread_evenly():
    """10 ones in every row, over 64 columns of a million draws: chi-squared below its 1 - 1e-11 quantile."""
    rows = 64
    counts = np.zeros(rows)
    for column in range(2):
        table = np.zeros((rows, 2), np.uint64)
        half = np.arange(32) + 32 * column
        table[half, 0] = np.uint64(1) << np.arange(32, dtype=np.uint64)
        out = np.zeros((1 << 14, 2), np.uint64)
        permutation(KEY).encode(0, 0, table, out)
        counts[half] = np.unpackbits(out[:, :1].copy().view(np.uint8), axis=1, bitorder="little").sum(axis=0)[:32]
    # A column shows where it was drawn an odd number of times of ten.
    p = (1 - (1 - 2 / rows) ** 10) / 2
    expected, variance = p * (1 << 14), p * (1 - p) * (1 << 14)
    assert ((counts - expected) ** 2 / variance).sum() < 64 + 7 * (2 * 64) ** 0.5 + 30


def test_silent_transfers_without_aes_instructions(monkeypatch):
    monkeypatch.setattr(module._native, "has_aes", lambda: False)

    async def sender(session):
        assert isinstance(session.trees, OpenSslPermutation)
        return await (await silent.open_sender(session, noise=TOY)).take(700)

    async def receiver(session):
        return await (await silent.open_receiver(session, noise=TOY)).take(700)

    require_correlated(*run(sender, receiver).results)


def test_blocks_of_bytes():
    assert number(blocks_of(bytes(range(16)))[0]) == int.from_bytes(bytes(range(16)), "little")
