"""The `Assisted` protocol: exact in the ring, exact in cost, and nothing in any single party's view."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from three import NAMES, Parties, inputs, ring, signed

from tacit.foundation.errors import ConfigError
from tacit.primitive.driver import Driver, gather
from tacit.primitive.local import encode
from tacit.primitive.mpc.assisted import session
from tacit.primitive.mpc.assisted.conjunction import conjunctions
from tacit.primitive.mpc.form import Convolve, Elementwise, Geometry, MatMul
from tacit.primitive.phantom import phantom

LIMIT = 2**62 - 1
WORDS = st.integers(0, 2**64 - 1)
NUMBERS = st.integers(-LIMIT, LIMIT)


@pytest.fixture(scope="module")
def parties():
    return Parties(session.open_session)


@pytest.fixture(scope="module")
def exact():
    return Parties(session.open_session, exact=True)


OWNERS = st.sampled_from(NAMES)
VECTORS = st.integers(1, 70).flatmap(lambda n: st.tuples(*[st.lists(WORDS, min_size=n, max_size=n)] * 2))


@given(xy=VECTORS, owners=st.tuples(OWNERS, OWNERS))
@settings(max_examples=40)
def test_products_are_exact_whoever_owns_the_factors(parties, xy, owners):
    x, y = map(ring, xy)

    async def body(k):
        a, b = await inputs(k, (owners[0], x), (owners[1], y))
        first = await k.product(Elementwise(), a, b)
        second = await k.product(Elementwise(), k.add(first, a), b)  # a value that was never opened, with one that was
        third = await k.product(Elementwise(), a, a)
        return [await k.reveal(z, NAMES) for z in (first, second, third)]

    for result in parties.run(body).values():
        np.testing.assert_array_equal(result[0], x * y)
        np.testing.assert_array_equal(result[1], (x * y + x) * y)
        np.testing.assert_array_equal(result[2], x * x)


@pytest.mark.parametrize("owners", [("alice", "bob"), ("alice", "alice"), ("bob", "carol"), ("carol", "carol")])
def test_bilinear_maps_are_exact(parties, owners):
    generator = np.random.default_rng(5)
    draw = lambda *shape: generator.integers(0, 2**64, shape, np.uint64)  # noqa: E731
    a, b = draw(3, 5, 4), draw(3, 4, 6)
    image, kernel = draw(2, 7, 6, 3), draw(3, 2, 3, 5)
    geometry = Geometry(strides=(2, 1), padding=(1, 0, 1, 1))

    async def body(k):
        p, q, i, w = await inputs(k, (owners[0], a), (owners[1], b), (owners[0], image), (owners[1], kernel))
        results = await gather(k.product(MatMul(), p, q), k.product(Convolve(geometry), i, w))
        return [await k.reveal(z, ["bob"]) for z in results]

    product, convolved = parties.run(body)["bob"]
    np.testing.assert_array_equal(product, a @ b)
    padded = np.pad(image, ((0, 0), (1, 0), (1, 1), (0, 0)))
    expected = np.zeros((2, 3, 7, 5), np.uint64)
    for h in range(3):
        for w in range(7):
            patch = padded[:, 2 * h : 2 * h + 3, w : w + 2, :].reshape(2, -1)
            expected[:, h, w, :] = patch @ kernel.reshape(-1, 5)
    np.testing.assert_array_equal(convolved, expected)


@given(values=st.lists(NUMBERS, min_size=1, max_size=70), bits=st.integers(1, 40))
@settings(max_examples=60)
def test_truncation_errs_by_one_unit_at_most_up_to_the_ends_of_the_range(parties, values, bits):
    x = ring([*values, LIMIT, -LIMIT, 0, -1])

    async def body(k):
        (a,) = await inputs(k, ("alice", x))
        return await k.reveal(await k.truncate(a, bits), NAMES)

    for result in parties.run(body).values():
        assert set(np.unique(signed(result) - (signed(x) >> bits))) <= {0, 1}


@given(values=st.lists(NUMBERS, min_size=1, max_size=70), bits=st.integers(1, 40), fresh=st.booleans())
@settings(max_examples=40)
def test_exact_truncation_is_the_floor(exact, values, bits, fresh):
    x = ring([*values, LIMIT, -LIMIT, 0, -1])

    async def body(k):
        (a,) = await inputs(k, ("bob", x))
        if fresh:
            a = k.sub(k.add(a, a), a)
        return await k.reveal(await k.truncate(a, bits), NAMES)

    np.testing.assert_array_equal(signed(exact.run(body)["alice"]), signed(x) >> bits)


def test_truncation_is_unbiased(parties):
    x = np.full(40_000, 5, np.uint64)

    async def body(k):
        (a,) = await inputs(k, ("alice", x))
        return await k.reveal(await k.truncate(a, 4), NAMES)

    mean = float(np.mean(parties.run(body)["alice"]))
    assert abs(mean - 5 / 16) < 5 * np.sqrt(5 / 16 * 11 / 16 / x.size)


@pytest.mark.parametrize("bits", [1, 7, 8, 18, 32, 33, 55, 56, 57, 61, 62])
def test_a_multiple_truncates_exactly_and_widths_that_cross_a_byte_work(parties, bits):
    edge = (LIMIT >> bits) << bits
    x = ring([0, 1 << bits, -(1 << bits), edge, -edge, *[edge] * 60]) if bits < 62 else np.zeros(65, np.uint64)

    async def body(k):
        (a,) = await inputs(k, ("alice", x))
        return await k.reveal(await k.truncate(a, bits), NAMES)

    for result in parties.run(body).values():
        np.testing.assert_array_equal(signed(result), signed(x) >> bits)


def test_truncations_of_the_same_shares_round_independently(parties):
    """The compute parties draw a new sharing each time: the rounding does not tell the bits of an old share."""
    x = np.full(4096, 1 << 17, np.uint64)

    async def body(k):
        (a,) = await inputs(k, ("alice", x))
        return [await k.reveal(await k.truncate(a, 18), NAMES) for _ in range(2)]

    first, second = parties.run(body)["bob"]
    assert 1638 < np.count_nonzero(first == second) < 2458  # 2048 expected, 12 standard deviations each way


@given(values=st.lists(st.integers(-(2**30), 2**30), min_size=1, max_size=70), bits=st.integers(1, 40))
@settings(max_examples=40)
def test_a_product_is_truncated_within_a_unit(parties, values, bits):
    x = ring([*values, 0, -1, 2**30, -(2**30)])

    async def body(k):
        a, b = await inputs(k, ("alice", x), ("bob", x[::-1].copy()))
        return await k.reveal(await k.product(Elementwise(), a, b, truncate=bits), NAMES)

    whole = signed(x) * signed(x)[::-1]
    for result in parties.run(body).values():
        assert set(np.unique(signed(result) - (whole >> bits))) <= {0, 1}


@given(values=st.lists(NUMBERS, min_size=1, max_size=130))
@settings(max_examples=60)
def test_signs_gates_and_lifts_are_exact(parties, values):
    x = ring([*values, LIMIT, -LIMIT, 0, -1, 1])

    async def body(k):
        (a,) = await inputs(k, ("alice", x))
        below = await k.negative(a)
        gated, lifted, never = await gather(k.gate(below, a), k.lift(below), k.both(below, k.invert(below)))
        return (
            await k.reveal_bits(below, NAMES),
            await k.reveal(gated, NAMES),
            await k.reveal(lifted, NAMES),
            await k.reveal_bits(never, NAMES),
        )

    expected = signed(x) < 0
    for below, gated, lifted, never in parties.run(body).values():
        np.testing.assert_array_equal(below, expected)
        np.testing.assert_array_equal(gated, np.where(expected, x, 0))
        np.testing.assert_array_equal(lifted, expected)
        assert not never.any()


@given(values=st.lists(WORDS, min_size=1, max_size=70), count=st.integers(1, 64))
@settings(max_examples=30)
def test_bits_of_a_value_and_back(parties, values, count):
    x = ring(values)

    async def body(k):
        (a,) = await inputs(k, ("bob", x))
        bits = await k.decompose(a, count)
        return await k.reveal_bits(bits, NAMES), await k.reveal(await k.compose(bits), NAMES)

    bits, back = parties.run(body)["carol"]
    np.testing.assert_array_equal(bits, x[:, None] >> np.arange(count, dtype=np.uint64) & np.uint64(1) == 1)
    np.testing.assert_array_equal(back, x & np.uint64((1 << count) - 1))


def test_a_shuffle_keeps_the_rows_and_changes_their_order(parties):
    rows = np.arange(600, dtype=np.uint64).reshape(300, 2)

    async def body(k):
        (a,) = await inputs(k, ("alice", rows))
        return await k.reveal(await k.shuffle(a), NAMES), await k.reveal(await k.shuffle(a), NAMES)

    first, second = parties.run(body)["alice"]
    for moved in (first, second):
        np.testing.assert_array_equal(moved[np.argsort(moved[:, 0])], rows)
        assert not np.array_equal(moved, rows)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("sharp", [True, False])
@pytest.mark.parametrize(("low", "count"), [(0, 1), (0, 21), (1, 9), (2, 15), (3, 2), (5, 17), (11, 15), (40, 8)])
def test_octaves_are_found_to_a_64th(parties, low, count, sharp, positive):
    powers = [1 << low + 3 * i for i in range(count)]
    near = [0, 1, *[p + d for p in powers for d in (-p // 2, -(p // 64) - 1, -(p // 64), -p // 100, -1, 0, 1)]]
    spread = 2.0 ** np.random.default_rng(low).uniform(0, 61.9, 3000)
    x = np.concatenate([np.array([v for v in near if v <= LIMIT], np.int64), spread.astype(np.int64)])
    x = x if positive else np.concatenate([x, -x])

    async def body(k):
        (a,) = await inputs(k, ("alice", x.view(np.uint64)))
        found = await k.octaves(a, low, count, positive=positive, sharp=sharp)
        return [await k.reveal_bits(bits, NAMES) for bits in found]

    for found in parties.run(body).values():
        for i, (power, bits) in enumerate(zip(powers, found, strict=True)):
            assert not bits[x >= power].any()
            exactly = sharp and i == count - 1
            assert bits[x < power if exactly else x <= power - power / 64].all()


@given(st.lists(st.lists(st.integers(0, 6), min_size=1, unique=True).map(sorted).map(tuple), min_size=1, max_size=6))
@settings(max_examples=30)
def test_conjunctions_of_any_sets(parties, sets):
    inputs_, words = 7, 3
    x = np.random.default_rng(len(sets)).integers(0, 2**64, (inputs_, words), np.uint64)
    shares = {"alice": x ^ np.uint64(12345), "bob": np.full_like(x, 12345), "carol": None}
    found = parties.run(lambda k: conjunctions(k.context, shares[k.context.me], tuple(sets), inputs_, words))
    wanted = np.array([np.bitwise_and.reduce(x[list(s)]) for s in sets])
    np.testing.assert_array_equal(found["alice"] ^ found["bob"], wanted)
    assert found["carol"] is None


def test_one_exchange_for_many_bits_and_for_either(parties):
    x = ring([*range(-40, 40), LIMIT])

    async def body(k):
        (a,) = await inputs(k, ("alice", x))
        low, high = await k.below(a, [-20, 13])
        stacked = await k.lift_all([low, high])
        return await gather(k.reveal(stacked, NAMES), k.reveal(await k.either(k.xor(low, high), a, low, -7), NAMES))

    for stacked, chosen in parties.run(body).values():
        np.testing.assert_array_equal(stacked, [signed(x) < -20, signed(x) < 13])
        wanted = np.where(signed(x) < -20, -7, np.where(signed(x) < 13, signed(x), 0))
        np.testing.assert_array_equal(signed(chosen), wanted)


# --- costs: exact goldens ---------------------------------------------------------------------------------------

N = 640  # ten words of bits


def programs():
    x = encode(np.linspace(-2, 2, N), 18)

    def on(operation, *owners):
        async def body(k):
            values = await inputs(k, *[(owner, x) for owner in owners])
            fresh = [k.add(k.linear(np.copy, v), k.public(np.zeros(N, np.uint64))) for v in values]
            for value in fresh:  # forget the masks that inputs come with: these are intermediate values
                if value.opened is not None:
                    value.share(k.context.leader, k.context.local) if not k.context.helper else None
                    value.opened = None
            k.context.driver.profile.rounds += 0
            return await operation(k, *fresh)

        return body

    async def powers(k, a):
        await k.octaves(a, 0, 15, positive=True, sharp=False)

    async def comparisons(k, a):
        await k.below(a, [-5, 7, 100])

    async def either(k, a):
        low, high = await k.below(a, [-5, 7])
        await k.either(low, a, high, 3)

    async def relu(k, a):
        return await k.gate(await k.negative(a), a)

    return {
        # name: (program, rounds, bytes of leader and follower, bytes of the helper) beyond the shares of the inputs
        "product": (on(lambda k, a, b: k.product(Elementwise(), a, b), "alice", "bob"), 1, 16 * N, 8 * N),
        "product and truncation": (
            on(lambda k, a, b: k.product(Elementwise(), a, b, truncate=18), "alice", "bob"),
            *(2, 24 * N, 11 * N),
        ),
        "truncation": (on(lambda k, a: k.truncate(a, 18), "alice"), 1, 6 * N, 6 * N),
        "sign": (on(lambda k, a: k.negative(a), "alice"), 3, 8 * N + 33 * N // 8, (233 + 96) * N // 8),
        "three comparisons": (
            on(comparisons, "alice"),
            *(3, 8 * N + 3 * 33 * N // 8, (233 + 3 * 96) * N // 8),
        ),
        "fifteen powers": (on(powers, "alice"), 4, 8 * N + 100 * N // 8, 425 * N // 8),
        "either": (on(either, "alice"), 4, 8 * N + (66 + 2) * N // 8, (233 + 192) * N // 8 + 24 * N),
        "relu": (on(relu, "alice"), 4, 8 * N + 34 * N // 8, (233 + 96) * N // 8 + 16 * N),
    }


@pytest.mark.parametrize("name", programs())
def test_rounds_and_bytes_are_exact(parties, name):
    body, rounds, compute, helper = programs()[name]
    shares = body.__closure__  # the inputs' own cost: one round and 8 bytes per element each, measured apart
    assert shares is not None
    owners = 2 if name.startswith("product") else 1

    async def only_inputs(k):
        return await inputs(k, *[(owner, np.zeros(N, np.uint64)) for owner in ("alice", "bob")[:owners]])

    base_rounds, base = parties.cost(only_inputs)
    total_rounds, total = parties.cost(body)
    assert total_rounds - base_rounds == rounds
    assert {n: total[n] - base[n] for n in NAMES} == {"alice": compute, "bob": compute, "carol": helper}


@pytest.mark.parametrize("name", programs())
def test_a_dry_run_counts_what_a_run_costs(parties, name):
    body = programs()[name][0]
    rounds, sent = parties.cost(body)
    for me in NAMES:
        kernel, driver = session.dry_session(NAMES, me)
        driver.run(body(kernel))
        assert (driver.profile.rounds, driver.profile.payload) == (rounds, sent[me])


def test_a_dry_run_takes_no_memory():
    kernel, driver = session.dry_session(NAMES, "alice")
    shape = (1 << 20, 1 << 10)

    async def body(k):
        x = await k.share("alice", shape, phantom(shape))
        return await k.gate(await k.negative(x), x)

    driver.run(body(kernel))
    assert driver.profile.payload > 2**30 * 8


def test_independent_operations_share_rounds(parties):
    x = np.arange(64, dtype=np.uint64)

    async def body(k):
        values = await inputs(k, *[("alice", x)] * 8)
        await gather(*[k.truncate(value, 3) for value in values])

    async def only_inputs(k):
        await inputs(k, *[("alice", x)] * 8)

    assert parties.cost(body)[0] - parties.cost(only_inputs)[0] == 1


def test_a_value_is_opened_once_for_all_its_uses(parties):
    x = np.arange(64, dtype=np.uint64)

    async def body(k):
        (a,) = await inputs(k, ("alice", x))
        b = await k.truncate(a, 1)
        one = np.ones(64, np.uint64)
        await gather(
            k.negative(b),
            k.negative(k.add_public(b, one)),
            k.product(Elementwise(), b, b, truncate=1),
            k.product(Elementwise(), k.linear(lambda s: s[::-1], b), b, truncate=1),
        )

    before = parties.drivers["alice"].profile.payload
    parties.run(body)
    sent = parties.drivers["alice"].profile.payload - before
    # the input, one truncation, one opening of b (and one of its reversal, taken before b was open), two trees, two truncations
    assert sent == 64 * (8 + 8 + 8 + 8 + 2 * 8) + 2 * 33 * 8  # 63 bits of a truncation by one take all 8 bytes


# --- views ------------------------------------------------------------------------------------------------------


async def everything(k, x, y):
    a, b = await inputs(k, ("alice", x), ("bob", y))
    z = await k.product(Elementwise(), a, b, truncate=10)
    z = await k.product(
        MatMul(), k.linear(lambda s: s.reshape(64, -1), z), k.linear(lambda s: s.reshape(-1, 64), z), truncate=8
    )
    below = await k.negative(z)
    gated = await k.gate(below, z)
    bits = await k.decompose(k.linear(lambda s: s.reshape(-1)[:256], gated), 8)
    return await k.shuffle(k.linear(lambda s: s.reshape(-1, 2), await k.truncate(gated, 3))), bits


@pytest.mark.parametrize("values", ["zeros", "ones", "large"])
def test_what_a_party_receives_is_uniform(values):
    """Chi-square over the bytes each party receives, for inputs as unlike as can be."""
    x = {"zeros": np.zeros(4096), "ones": np.full(4096, -1.0), "large": np.full(4096, 1.5e3)}[values]
    session_ = Parties(session.open_session)
    session_.run(lambda k: everything(k, encode(x, 18), encode(-x, 18)))
    for name in NAMES:
        received = b"".join(payload for _, payload in session_.views[name])
        if name == "carol":
            assert received == b"", "the helper must receive nothing"
            continue
        counts = np.bincount(np.frombuffer(received, np.uint8), minlength=256)
        expected = len(received) / 256
        chi2 = float(((counts - expected) ** 2 / expected).sum())
        assert 255 - 6 * np.sqrt(510) < chi2 < 255 + 6 * np.sqrt(510), f"{name}: {chi2:.0f} for 255 degrees of freedom"


def test_views_of_equal_inputs_differ_each_time():
    """No message repeats over many runs: masks and correlations are fresh."""
    session_ = Parties(session.open_session)
    x = encode(np.ones(4096), 18)
    for _ in range(2):
        session_.run(lambda k: everything(k, x, x))
    for name in ("alice", "bob"):
        blocks = [
            payload[at : at + 16] for _, payload in session_.views[name] for at in range(0, len(payload) - 15, 16)
        ]
        assert len(blocks) > 10_000
        assert len(set(blocks)) == len(blocks), "a 16-byte block came twice: a mask was reused"


def test_the_helper_is_shown_fresh_shares_of_what_is_revealed_to_it():
    """It knows the correlations that shares are made of: the shares themselves would tell it more than the result."""
    session_ = Parties(session.open_session)
    shares = {}

    async def body(k):
        (a,) = await inputs(k, ("alice", ring(range(1, 2049))))
        below = await k.negative(k.sub(a, k.public(np.full(2048, 1000, np.uint64))))
        lifted = await k.lift(below)
        if not k.context.helper:
            own = lifted.share(k.context.leader, k.context.local), below.words
            shares[k.context.me] = [part.copy() for part in own]
        return await k.reveal(lifted, ["carol"]), await k.reveal_bits(below, NAMES)

    session_.run(body)
    for name in ("alice", "bob"):
        seen = [np.frombuffer(payload, np.uint64) for peer, payload in session_.views["carol"] if peer == name]
        for message, own in zip(seen, shares[name], strict=True):
            counts = np.bincount((message - own if own.size == 2048 else message ^ own).view(np.uint8), minlength=256)
            expected = counts.sum() / 256
            chi2 = float(((counts - expected) ** 2 / expected).sum())
            assert chi2 < 255 + 6 * np.sqrt(510), f"{name} sends the helper its own share, or nearly"


def test_roles_must_be_three_different_parties():
    with pytest.raises(ConfigError, match="three different"):
        next(iter([session.open_session(Driver("alice", {}), ["alice", "bob", "bob"])])).send(None)
