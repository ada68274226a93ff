"""The numbers of a plan: exact tails, the promised probabilities, and their refusals."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from tacit.foundation.errors import ConfigError, InputError
from tacit.primitive.secagg import plan
from tacit.primitive.secagg.graph import Graph, members_of, pack_members, unpack_members
from tacit.primitive.secagg.planning import log_tail


@given(st.integers(1, 60), st.data())
def test_the_tail_is_the_sum_over_all_samples(population, data):
    marked, sample = data.draw(st.integers(0, population)), data.draw(st.integers(0, population))
    hits = data.draw(st.integers(0, population + 2))
    ways = sum(
        math.comb(marked, x) * math.comb(population - marked, sample - x) for x in range(hits, min(marked, sample) + 1)
    )
    exact = ways / math.comb(population, sample)
    assert math.exp(log_tail(population, marked, sample, hits)) == pytest.approx(exact, rel=1e-9)


def test_the_tail_agrees_with_another_library_where_it_matters():
    for population, marked, sample, hits in [(999, 50, 58, 20), (999, 100, 94, 40), (10**5, 10**4, 118, 60)]:
        theirs = hypergeom.logsf(hits - 1, population, marked, sample)
        assert log_tail(population, marked, sample, hits) == pytest.approx(theirs, abs=1e-6)


@pytest.mark.parametrize(("drop_out", "corruption"), [(0.05, 0.05), (0.1, 0.1), (0.05, 0.2), (0.2, 0.05)])
@pytest.mark.parametrize("n", [100, 1000, 20_000])
def test_a_ring_keeps_its_promises(n, drop_out, corruption):
    """Every failure of the docstring, by the other library's tails, and summed."""
    p = plan(n, drop_out=drop_out, corruption=corruption, complete=False)
    c, d = round(n * corruption), round(n * drop_out)
    assert (p.least, p.corrupted, p.window) == (n - d, c, p.neighbours // 2)
    exposed = (
        n * hypergeom.sf(p.threshold - 1, n - 1, c, p.neighbours)
        + n * hypergeom.sf(p.occupancy - 1, n - 1, c, p.window)
        + hypergeom.sf(2 * p.quorum - p.witnesses - 1, n, c, p.witnesses)
    )
    failing = (
        n * hypergeom.sf(p.neighbours - p.threshold, n - 1, d, p.neighbours)
        + n * hypergeom.sf(p.window - p.occupancy, n, d, p.window)
        + hypergeom.sf(p.witnesses - p.quorum, n, d, p.witnesses)
    )
    assert exposed <= 2.0**-40 * 1.001
    assert failing <= 2.0**-20 * 1.001


def test_neighbourhoods_grow_slowly():
    sizes = [plan(n, drop_out=0.05, corruption=0.05).neighbours for n in (100, 1000, 10_000, 100_000)]
    assert sizes == [22, 58, 68, 74]


@given(st.integers(2, 60), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_complete_plan_leaves_nothing_to_chance(n, drop_out, corruption):
    c, d = (math.floor(rate * n + 1e-9) for rate in (corruption, drop_out))
    if c + 2 * d >= n - 1:
        with pytest.raises(ConfigError):
            plan(n, drop_out=drop_out, corruption=corruption, complete=True)
        return
    p = plan(n, drop_out=drop_out, corruption=corruption, complete=True)
    assert p.complete
    assert p.threshold > c, "corrupted clients recover nobody's mask"
    assert p.threshold <= n - 1 - d, "and the others do"
    assert p.quorum <= n - d
    assert 2 * p.quorum > n + c, "two quorums share an honest client"
    assert p.least >= c + 2, "a sum hides behind another honest client"


def test_bad_risks_are_refused():
    for risks in ({"drop_out": -0.1}, {"drop_out": 1.0}, {"corruption": math.nan}, {"security_bits": 0}):
        with pytest.raises(ConfigError):
            plan(100, **risks)
    for n in (0, 1, 1 << 20):
        with pytest.raises(ConfigError, match="a sum needs"):
            plan(n)
    with pytest.raises(ConfigError, match="Have more clients"):
        plan(100, drop_out=0.45, corruption=0.45)
    for change in (
        {"threshold": 0},
        {"quorum": 1},
        {"least": 1},
        {"neighbours": 7},
        {"occupancy": 0},
        {"witnesses": 101},
    ):
        with pytest.raises(ConfigError, match="contradictory"):
            replace(plan(100), **change)


@settings(max_examples=20)
@given(st.integers(60, 200), st.binary(min_size=16, max_size=16))
def test_neighbourhoods_are_mutual_and_regular(n, key):
    p = plan(n, drop_out=0.02, corruption=0.02)
    graph = Graph(p, key)
    near = [graph.neighbours(i) for i in range(n)]
    for i, row in enumerate(near):
        assert len(set(row)) == p.neighbours
        assert list(row) == sorted(row)
        assert i not in row
        assert all(i in near[j] for j in row)
    assert len(graph.witnesses) == p.witnesses
    assert Graph(p, key).neighbours(3) == near[3]


def test_neighbourhoods_are_random():
    """Each pair is tied with probability k/(n-1): a chi-square over all pairs of 400 graphs, beyond its 1e-9 quantile never."""
    p = plan(60, drop_out=0.02, corruption=0.02, complete=False)
    runs, counts = 400, np.zeros((60, 60))
    for i in range(runs):
        graph = Graph(p, i.to_bytes(16, "big"))
        for one in range(60):
            counts[one, list(graph.neighbours(one))] += 1
    above = counts[np.triu_indices(60, 1)]
    share = p.neighbours / 59
    z = (above - runs * share) / math.sqrt(runs * share * (1 - share))
    assert np.abs(z).max() < 7.5


@settings(max_examples=20)
@given(st.data())
def test_occupancy_is_the_emptiest_window(data):
    n = data.draw(st.integers(60, 90))
    p = plan(n, drop_out=0.04, corruption=0.04, complete=False)
    graph = Graph(p, data.draw(st.binary(min_size=16, max_size=16)))
    members = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    around = members[graph._ring]
    fewest = min(sum(around[(start + i) % n] for i in range(p.window)) for start in range(n))
    assert graph.occupancy(members) == fewest


@settings(max_examples=15)
@given(st.data())
def test_enough_occupancy_keeps_honest_survivors_together(data):
    """The claim that clients rely on: whoever is corrupted, with fewer than `occupancy` in each window, the rest is connected."""
    p = plan(100, drop_out=0.05, corruption=0.05, complete=False)
    graph = Graph(p, data.draw(st.binary(min_size=16, max_size=16)))
    gone = data.draw(st.sets(st.integers(0, 99), max_size=60))
    corrupted = data.draw(st.sets(st.integers(0, 99), max_size=40))
    if (
        graph.occupancy(~members_of(gone, 100)) < p.occupancy
        or graph.occupancy(~members_of(corrupted, 100)) <= p.window - p.occupancy
    ):
        return
    honest = set(range(100)) - gone - corrupted
    seen, todo = set(), [min(honest)]
    while todo:
        one = todo.pop()
        if one not in seen:
            seen.add(one)
            todo.extend(honest.intersection(graph.neighbours(one)))
    assert seen == honest


def test_the_core_is_the_largest_set_that_can_be_recovered():
    p = plan(8, drop_out=0.25, corruption=0.1)
    graph = Graph(p, bytes(16))
    assert graph.core(range(8)) == set(range(8))
    assert graph.core(range(p.threshold + 1)) == set(range(p.threshold + 1))
    assert graph.core(range(p.threshold)) == set()


@given(st.lists(st.booleans(), min_size=1, max_size=70))
def test_sets_travel_as_bits(flags):
    members = np.array(flags)
    packed = pack_members(members)
    assert len(packed) == -(-len(flags) // 8)
    assert np.array_equal(unpack_members(packed, len(flags)), members)


def test_sets_with_padding_are_refused():
    for data in (b"\x08", b"", b"\x01\x00"):
        with pytest.raises(InputError):
            unpack_members(data, 3)


def test_plans_do_not_depend_on_how_a_rate_rounds():
    assert plan(100, drop_out=0.07).may_drop == 7
    assert plan(1000, drop_out=0.29, corruption=0.0).may_drop == 290
    for n, rate in itertools.product((50, 100, 700), (0.1, 0.2)):
        assert plan(n, drop_out=rate, corruption=0).may_drop == round(n * rate)
