"""Sorting: stable, exact, frugal; and what it opens looks the same whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from inputs import integers, reals, truths
from worlds import BITS, Public, World, equal

from tacit.foundation.errors import ShapeError
from tacit.primitive.mpc.function import FUNCTIONS as F
from tacit.primitive.mpc.function.ranking import Ranking
from tacit.primitive.mpc.ideal import IdealKernel
from tacit.primitive.mpc.value import Integer

LINES = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=12)


def stable(x, axis, descending):
    if not descending:
        return np.argsort(x, axis, kind="stable")
    n = x.shape[axis]
    return n - 1 - np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)


@given(x=reals(2.0**34, LINES), n=integers(5, LINES), b=truths(LINES), descending=st.booleans(), data=st.data())
def test_sort_is_numpys_stable_sort(world: World, x, n, b, descending, data):
    for v in (x, n, b):
        axis = data.draw(st.integers(-v.ndim, v.ndim - 1))
        order = stable(v, axis, descending)
        expected = np.take_along_axis(v, order, axis)
        equal(world.run(F["sort"], v, axis=axis, descending=descending).value, expected)
        equal(world.run(F["argsort"], v, axis=axis, descending=descending).value, order)
        if v.shape[axis]:
            count = data.draw(st.integers(0, v.shape[axis]))
            values, places = world.run(F["top_k"], v, count=count, axis=axis, largest=descending).value
            equal(values, np.take(expected, np.arange(count), axis))
            equal(places, np.take(order, np.arange(count), axis))


@given(n=integers(3, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8)), data=st.data())
def test_several_keys_and_companions(world: World, n, data):
    second = data.draw(integers(2, n.shape))
    payload = (np.arange(n.size).reshape(n.shape)) / 4
    truth = payload % 2 > 0.5
    one, two, three, four = world.run(F["sort"], n, second, payload, truth, keys=2, axis=1).value
    order = np.stack([np.lexsort((second[i], n[i])) for i in range(len(n))])
    for actual, source in [(one, n), (two, second), (three, payload), (four, truth)]:
        equal(actual, np.take_along_axis(source, order, 1))


@pytest.mark.parametrize("n", [10_000, 100_000])
def test_large_sorts_are_exact_and_frugal(world: World, n):
    x = (np.arange(n, dtype=np.int64) * 2654435761 % 2**32).astype(np.float64) % 1000
    done = world.run(F["sort"], x)
    equal(done.value, np.sort(x))
    if done.tally:
        assert done.tally["negative"] <= 1.1 * n * np.log2(n)
        assert done.tally["shuffle"] == 2 * n
        assert done.profile.rounds <= 2.3 * np.log2(n) * 2


def test_many_lines_at_once(world: World):
    x = np.sin(np.arange(300 * 40).reshape(300, 40) ** 2.0)
    x = np.round(x * 2**BITS) / 2**BITS
    equal(world.run(F["sort"], x).value, np.sort(x))
    equal(world.run(F["argsort"], x, axis=0).value, np.argsort(x, 0, kind="stable"))


def test_the_largest_few_cost_less_than_a_sort(world: World):
    x = np.arange(20_000) * 7919 % 20_011
    done = world.run(F["top_k"], x, count=10)
    equal(done.value[0], np.sort(x)[::-1][:10])
    if done.tally:
        assert done.tally["negative"] < 9 * x.size


@given(
    n=st.integers(0, 700),
    rows=st.integers(1, 4),
    low=st.integers(0, 700),
    width=st.integers(0, 700),
    seed=st.integers(0, 99),
)
def test_ranking_orders_the_ranks_wanted(n, rows, low, width, seed):
    keys = np.random.default_rng(seed).permutation(rows * n)
    ranking = Ranking(rows, n, (low, low + width))
    while not ranking.done:
        left, right = ranking.ask()
        ranking.learn(keys[left] < keys[right])
    ranked = keys[ranking.order].reshape(rows, n)
    equal(ranked[:, low : low + width], np.sort(keys.reshape(rows, n))[:, low : low + width])


class Recorder:
    """An Ideal kernel that notes what is opened."""

    def __init__(self) -> None:
        self.opened = []
        self._kernel = IdealKernel()

    def __getattr__(self, name):
        return getattr(self._kernel, name)

    async def open_bits(self, a):
        bits = await self._kernel.open_bits(a)
        self.opened.append(bits)
        return bits


def view(values, run):
    k = Recorder()
    coroutine = run(k, Integer(k.public(np.asarray(values, np.int64).view(np.uint64))))
    with pytest.raises(StopIteration):
        coroutine.send(None)
    return tuple(bit for bits in k.opened for bit in bits.reshape(-1).tolist())


@pytest.mark.parametrize("values", [[1, 2, 3, 4], [4, 3, 2, 1], [7, 7, 7, 7], [1, 1, 2, 2]])
def test_what_a_sort_opens_is_uniform_over_orders(values):
    """Four elements are compared in all pairs: 24 views, one for each order, all equally likely whatever the data."""
    counts = {}
    for _ in range(2400):
        seen = view(values, F["sort"])
        counts[seen] = counts.get(seen, 0) + 1
    assert len(counts) == 24
    statistic = sum((c - 100) ** 2 / 100 for c in counts.values())
    assert statistic < 60  # chi square with 23 degrees of freedom exceeds this with probability 4e-5


def test_what_a_permutation_opens_is_uniform():
    async def run(k, order):
        return await F["permute_inverse"](k, np.arange(3), order)

    for order in ([0, 1, 2], [2, 0, 1]):
        counts = {}
        for _ in range(1200):
            seen = view(order, run)
            counts[seen] = counts.get(seen, 0) + 1
        assert len(counts) == 6
        assert sum((c - 200) ** 2 / 200 for c in counts.values()) < 30


@given(x=reals(2.0**34, LINES), data=st.data())
def test_secret_orders(world: World, x, data):
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    n = x.shape[axis]
    order = np.array(data.draw(st.permutations(range(n))), np.int64)
    equal(world.run(F["permute"], x, order, axis=axis).value, np.take(x, order, axis))
    inverse = np.argsort(order)
    equal(world.run(F["permute_inverse"], x > 0, order, axis=axis).value, np.take(x > 0, inverse, axis))
    equal(world.run(F["invert_permutation"], order).value, inverse)


def test_shuffle_keeps_rows_together(world: World):
    x, y = np.arange(40.0).reshape(20, 2), np.arange(20)
    a, b = world.run(F["shuffle"], x, y).value
    equal(a[:, 0], b * 2.0)
    equal(np.sort(b), y)
    assert not np.array_equal(b, y)
    alone = world.run(F["shuffle"], x > 3, axis=1).value
    equal(np.sort(alone.sum(axis=0)), np.sort((x > 3).sum(axis=0)))


def test_what_does_not_fit_is_refused(world: World):
    with pytest.raises(ShapeError):
        world.run(F["sort"], np.ones(3), np.ones(4))
    with pytest.raises(ShapeError):
        world.run(F["top_k"], np.ones(3), count=4)
    with pytest.raises(ShapeError):
        world.run(F["permute"], np.ones(3), np.arange(4))
    with pytest.raises(ShapeError):
        world.run(F["shuffle"], np.ones(3), Public(np.ones(4)))
