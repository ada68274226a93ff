"""The sum and nothing but the sum: exact in the ring, with clients falling silent in every round, or a clear refusal."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from secagg_rig import SEED, World

from tacit.foundation.errors import AggregationError, ClipExceeded, ConfigError, DomainError, TooFewClients
from tacit.primitive.secagg import Encoding, Layout, Plan, Round, keys, plan
from tacit.primitive.secagg.graph import unpack_members
from tacit.primitive.secagg.messages import decode
from tacit.primitive.secagg.simulation import aggregate_masked


def expected_words(encoding, values, clients, weights=None):
    """The sum in the ring of those clients' words, without any protocol."""
    total = np.zeros(encoding.length, encoding.word)
    for i in clients:
        total += encoding.encode(values[i], None if weights is None else weights[i])
    return total & total.dtype.type((1 << 8 * encoding.width) - 1)


@settings(max_examples=15)
@given(st.data())
def test_the_sum_is_exact_and_the_mean_within_its_bound(data):
    """Any clients fall silent in any rounds, as many as the plan allows."""
    n = data.draw(st.integers(4, 12))
    numbers = plan(n, drop_out=0.25, corruption=0.1)
    silent = data.draw(st.lists(st.integers(0, n - 1), max_size=numbers.may_drop, unique=True))
    schedule = {i: data.draw(st.sampled_from(list(Round))) for i in silent}
    limit = data.draw(st.sampled_from([1, 10, 2**30]))
    layout = Layout.of({"x": np.zeros(3), "k": (0,)})
    encoding = Encoding(layout, n, clip=4.0, integer_limit=limit, weight_limit=50, fraction_bits=10)
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    values = [{"x": rng.uniform(-4, 4, 3), "k": (rng.integers(-limit, limit + 1),)} for _ in range(n)]
    weights = rng.integers(1, 51, n).tolist()
    done = aggregate_masked(values, encoding, weights=weights, silent_from=schedule, numbers=numbers)
    included = [i for i in range(n) if schedule.get(i, Round.UNMASK) > Round.MASK]
    assert done.aggregate.clients == tuple(f"client-{i}" for i in included)
    assert np.array_equal(done.aggregate.words, expected_words(encoding, values, included, weights))
    mean, total = done.aggregate.mean(values[0]), done.aggregate.total(values[0])
    weight = sum(weights[i] for i in included)
    assert done.aggregate.weights == weight
    exact = sum(weights[i] * values[i]["x"] for i in included) / weight
    assert (np.abs(mean["x"] - exact) <= encoding.mean_error + 1e-12).all()
    assert total["k"][0] == sum(weights[i] * int(values[i]["k"][0]) for i in included)


@pytest.mark.parametrize("complete", [True, False], ids=["complete", "ring"])
@pytest.mark.parametrize("step", Round, ids=str)
def test_clients_fall_silent_in_each_round(step, complete):
    n = 24 if complete else 60
    numbers = plan(n, drop_out=3 / n, corruption=0.04, complete=complete)
    assert numbers.complete == complete
    encoding = Encoding(Layout.of([0.0] * 5), n)
    values = [[i / n] * 5 for i in range(n)]
    silent = dict.fromkeys((0, 7, 21), step)
    assert len(silent) == numbers.may_drop
    # A seed under which these three leave nobody too few neighbours: that is rare, and has a test of its own.
    done = aggregate_masked(values, encoding, silent_from=silent, numbers=numbers, seed=SEED)
    included = [i for i in range(n) if i not in silent or step > Round.MASK]
    assert np.array_equal(done.aggregate.words, expected_words(encoding, values, included))
    answered = n - len(silent)
    assert [len(tally.sent) for tally in done.rounds] == [n if tally < step else answered for tally in Round]


def test_clients_fall_silent_in_all_rounds_of_one_aggregation():
    n = 16
    numbers = plan(n, drop_out=0.32, corruption=0.1)
    encoding = Encoding(Layout.of([0.0]), n)
    values = [[i / n] for i in range(n)]
    done = aggregate_masked(values, encoding, silent_from=dict(enumerate(Round)), numbers=numbers)
    assert np.array_equal(done.aggregate.words, expected_words(encoding, values, range(3, n)))


@pytest.mark.parametrize("step", Round, ids=str)
def test_one_more_than_the_plan_allows_is_a_clear_error(step):
    n = 12
    numbers = plan(n, drop_out=0.25, corruption=0.1)
    encoding = Encoding(Layout.of([0.0]), n)
    silent = dict.fromkeys(range(numbers.may_drop + 1), step)
    with pytest.raises(TooFewClients, match=r"only \d+ .*, and \d+") as refusal:
        aggregate_masked([[0.5]] * n, encoding, silent_from=silent, numbers=numbers)
    assert refusal.value.round == str(step)


@pytest.mark.parametrize("step", Round, ids=str)
def test_no_client_at_all(step):
    with pytest.raises(TooFewClients):
        aggregate_masked([[0.5]] * 5, Encoding(Layout.of([0.0]), 5), silent_from=dict.fromkeys(range(5), step))


def test_a_neighbourhood_that_falls_silent_cannot_be_unmasked():
    """On a ring the whole may suffice where one neighbourhood does not: the server says whose."""
    n = 60
    world = World(n, values=[[0.5] * 3] * n, numbers=plan(n, drop_out=0.3, corruption=0.04, complete=False)).until(
        Round.UNMASK
    )
    graph, numbers = world.terms.graph, world.terms.plan
    lost = graph.neighbours(5)[: numbers.neighbours - numbers.threshold + 1]
    for i in range(n):
        if i not in lost:
            world.server.receive(f"c{i}", world.upward[f"c{i}"])
    with pytest.raises(TooFewClients, match="recover the mask") as refusal:
        world.server.result()
    assert refusal.value.client


def test_who_cannot_be_recovered_is_left_out_before_it_masks():
    """Of four neighbours three never share, and two would be needed: the client is not among those that mask."""
    numbers = Plan(40, 4, 2, witnesses=10, quorum=8, window=2, occupancy=1, least=30, corrupted=0)
    world = World(40, numbers=numbers).until(Round.SHARE)
    lost = world.terms.graph._ring[[1, 3, 4]]
    left_out = f"c{world.terms.graph._ring[2]}"
    for i in lost:
        world.upward.pop(f"c{i}")
    world.receive().close()
    assert len(world.downward) == 36
    assert left_out not in world.downward
    message = decode(next(iter(world.downward.values())), world.terms)
    assert unpack_members(message.sharers, 40).sum() == 36


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_smallest_sums(n):
    values = [[i / n] for i in range(n)]
    done = aggregate_masked(values, Encoding(Layout.of([0.0]), n))
    assert done.aggregate.mean([0.0])[0] == pytest.approx(sum(i / n for i in range(n)) / n, abs=2**-17)


@pytest.mark.parametrize("width", range(1, 9))
def test_every_width(width):
    n = 4
    limit = 2 ** (8 * width - 4)
    encoding = Encoding(Layout.of(np.zeros(5, int)), n, integer_limit=limit)
    assert encoding.width == width
    values = [np.array([limit, -limit, i, -i, 0]) for i in range(n)]
    done = aggregate_masked(values, encoding, silent_from={0: Round.MASK}, numbers=plan(n, drop_out=0.25, corruption=0))
    assert done.aggregate.total(values[0]).tolist() == [3 * limit, -3 * limit, 6, -6, 0]


def test_values_out_of_bounds_never_leave_the_client():
    with pytest.raises(ClipExceeded):
        World(4, values=[[0.0, 0.0, 1.5]] * 4)


def test_all_weights_zero_have_no_mean():
    done = aggregate_masked([[1.0]] * 3, Encoding(Layout.of([0.0]), 3, weight_limit=5), weights=[0, 0, 0])
    with pytest.raises(DomainError):
        done.aggregate.mean([0.0])
    with pytest.raises(ConfigError, match="2 weights for 3 clients"):
        aggregate_masked([[1.0]] * 3, Encoding(Layout.of([0.0]), 3, weight_limit=5), weights=[0, 0])


def test_a_client_that_submits_beyond_its_bounds_is_noticed_only_in_the_sum():
    """The bounds are checks of honest clients. Words far out of reach make the sum refused, and nobody knows whose they were."""
    world = World(4, drop_out=0)
    world.clients["c2"]._words += np.uint32(2**22)
    with pytest.raises(AggregationError, match="one of them broke the protocol"):
        world.begin().finish()


def test_bytes_are_these():
    """Exact goldens for a complete graph: n = 8, three words of 3 bytes, one client silent from round 2."""
    done = aggregate_masked(
        [[0.25] * 3] * 8,
        Encoding(Layout.of([0.0] * 3), 8),
        silent_from={0: Round.MASK},
        numbers=plan(8, drop_out=0.25, corruption=0.1),
        seed=SEED,
    )
    sent = [set(tally.sent.values()) for tally in done.rounds]
    received = [set(tally.received.values()) for tally in done.rounds]
    header, count, row = 25, 4, 4
    assert sent == [
        {header + 128},
        {header + 32 + count + 7 * (row + 88)},
        {header + 64 + 3 * 3},
        {header + 64},
        {header + 2 * count + 7 * (row + 36)},
    ]
    assert sent == [{153}, {705}, {98}, {89}, {313}]
    assert received == [
        set(),
        {header + count + 7 * (row + 128)},
        {header + 1 + count + 7 * (row + 88)},
        {header + 1 + count + 6 * (row + 64)},
        {header + count + 6 * (row + 64)},
    ]
    assert received == [set(), {953}, {674}, {438}, {437}]


def test_bytes_of_a_large_aggregation_are_these():
    """The table of docs/protocols/secure-aggregation.md, from the plan and the sizes of messages, without running it."""
    p = plan(1000, drop_out=0.05, corruption=0.05)
    width = Encoding(Layout.of(np.zeros(100_000)), 1000).width
    k, q, members = p.neighbours, p.quorum, 125
    up = [153, 61 + 92 * k, 89 + 100_000 * width, 89, 33 + 40 * k]
    down = [0, 29 + 132 * k, 29 + members + 92 * k, 29 + members + 68 * k, 29 + 68 * q]
    assert (k, q, width) == (58, 28, 4)
    assert up == [153, 5397, 400_089, 89, 2353]
    assert down == [0, 7685, 5490, 4098, 1933]


def views(values, runs):
    """What the server receives in round 2, run after run: shape (runs, clients, bytes)."""
    taken = []
    for number in range(runs):
        world = World(len(values), values=values, number=number, drop_out=0).until(Round.MASK)
        taken.append([np.frombuffer(data[89:], np.uint8) for data in world.upward.values()])
    return np.array(taken)


def chi_square(samples, classes=256):
    counts = np.bincount(samples.ravel(), minlength=classes)
    expected = samples.size / classes
    return float(((counts - expected) ** 2 / expected).sum())


# The 1 - 1e-10 quantile for 255 degrees of freedom.
QUANTILE = 426.0


@pytest.mark.parametrize(
    "extreme", [[np.zeros(400)] * 3, [np.ones(400), -np.ones(400), np.ones(400)]], ids=["zeros", "ones"]
)
def test_what_the_server_sees_is_uniform(extreme):
    """Each client's words, and every difference of two clients' words, for inputs as unlike as can be."""
    seen = views(extreme, 60)
    assert chi_square(seen) < QUANTILE
    for one, other in itertools.combinations(range(3), 2):
        assert chi_square(seen[:, one] - seen[:, other]) < QUANTILE
    assert chi_square(seen[:-1] - seen[1:]) < QUANTILE, "two aggregations of the same values share no mask"


def test_without_self_masks_only_the_whole_sum_is_bare():
    """The server recovers the self masks of all survivors. What every proper part of them sums to stays uniform."""
    n, rest = 4, []
    for number in range(40):
        world = World(n, values=[np.full(300, 0.5)] * n, number=number, drop_out=0).until(Round.MASK)
        terms = world.terms
        words = [terms.encoding.unpack(data[89:]) for data in world.upward.values()]
        for _ in range(2):
            world.receive().close().answer()
        world.receive()
        for client, seed in enumerate(world.server._recovered(list(range(n)), 0)):
            keys.add_self_mask(terms, seed, client, keys.Mask(words[client]), negative=True)
        rest.append(words)
    residues = np.array(rest)
    own = world.terms.encoding.encode(np.full(300, 0.5))
    shown = residues.view(np.uint8).reshape(40, n, 300, 4)[..., : world.terms.encoding.width]
    assert chi_square(shown) < QUANTILE
    low = np.uint32(256**world.terms.encoding.width - 1)
    for size in range(1, n + 1):
        for part in itertools.combinations(range(n), size):
            total = residues[:, part].sum(1, dtype=np.uint32) & low
            if size == n:
                assert (total == own * np.uint32(n)).all()
            else:
                assert chi_square((total & np.uint32(255)).astype(np.int64)) < QUANTILE
