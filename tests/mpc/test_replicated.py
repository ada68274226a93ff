"""The `Replicated` protocol: exact in the ring, exact in cost, whoever deals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from three import NAMES, Factored, Parties, inputs, ring, signed

from tacit.foundation.errors import ConfigError, DomainError, ShapeError
from tacit.primitive.driver import Driver, gather, run_together
from tacit.primitive.local import encode
from tacit.primitive.mpc.form import (
    Convolve,
    ConvolveImageGradient,
    ConvolveKernelGradient,
    Elementwise,
    Geometry,
    MatMul,
)
from tacit.primitive.mpc.replicated import session
from tacit.primitive.mpc.replicated.context import LARGE
from tacit.primitive.phantom import phantom

LIMIT = 2**62 - 1
WORDS = st.integers(0, 2**64 - 1)
NUMBERS = st.one_of(st.integers(-LIMIT, LIMIT), st.integers(-3, 3), st.sampled_from([LIMIT, -LIMIT]))
OWNERS = st.sampled_from(NAMES)
VECTORS = st.integers(1, 70).flatmap(lambda n: st.tuples(*[st.lists(WORDS, min_size=n, max_size=n)] * 2))


def draw(*shape):
    return np.random.default_rng(11).integers(0, 2**64, shape, np.uint64)


@pytest.fixture(scope="module")
def parties():
    return Parties(session.open_session)


@pytest.fixture(scope="module")
def exact():
    return Parties(session.open_session, exact=True)


class Angle(Factored):
    """u - v as (u)(1) + (1)(-v), times 2**scale: linear, so that every split must give the same."""

    terms = 2
    scale = 8

    def left(self, u):
        return np.stack([u << np.uint64(8), np.ones_like(u)])

    def right(self, v):
        return np.stack([np.ones_like(v), np.negative(v << np.uint64(8))])


# --- every operation, exactly -----------------------------------------------------------------------------------


@given(xy=VECTORS, owners=st.tuples(OWNERS, OWNERS))
@settings(max_examples=40)
def test_linear_operations_and_products_are_exact(parties, xy, owners):
    x, y = map(ring, xy)

    async def body(k):
        a, b = await inputs(k, (owners[0], x), (owners[1], y))
        results = [
            k.add(a, b),
            k.sub(a, b),
            k.add_public(a, y),
            k.add_public(k.linear(lambda s: s[:1], a), y),
            k.scale(a, y),
            k.linear(lambda s, t: np.cumsum(s - 3 * t, dtype=np.uint64), a, b),
            k.public(x),
            await k.product(Elementwise(), a, b),
            await k.product(Elementwise(), a, a),
            await k.product(Elementwise(), k.public(x), b),
            await k.product(Elementwise(), k.linear(lambda s: s[:, None], a), b),
        ]
        return [await k.reveal(z, NAMES) for z in results]

    expected = [x + y, x - y, x + y, x[:1] + y, x * y, np.cumsum(x - np.uint64(3) * y, dtype=np.uint64), x]
    expected += [x * y, x * x, x * y, x[:, None] * y]
    for results in parties.run(body).values():
        for result, value in zip(results, expected, strict=True):
            np.testing.assert_array_equal(result, value)


@given(ab=st.integers(1, 130).flatmap(lambda n: st.tuples(*[st.lists(st.booleans(), min_size=n, max_size=n)] * 2)))
@settings(max_examples=40)
def test_operations_on_bits_are_exact(parties, ab):
    a, b = (np.array(v, np.bool_) for v in ab)

    async def body(k):
        x, y = await inputs(k, ("alice", a.astype(np.uint64)), ("carol", b.astype(np.uint64)))
        p, q = [k.rearrange(lambda s: s[..., 0], await k.decompose(v, 1)) for v in (x, y)]
        results = [
            k.xor(p, q),
            k.invert(p),
            k.mask_bits(p, b),
            k.public_bits(a),
            k.rearrange(lambda s, t: np.concatenate([s[::-1], t]), p, q),
            await k.both(p, q),
            await k.both(k.invert(p), k.public_bits(b)),
        ]
        lifted = await k.reveal(await k.lift(p), NAMES)
        return [await k.reveal_bits(z, NAMES) for z in results], lifted, await k.open_bits(q)

    expected = [a ^ b, ~a, a & b, a, np.concatenate([a[::-1], b]), a & b, ~a & b]
    for results, lifted, opened in parties.run(body).values():
        for result, value in zip(results, expected, strict=True):
            np.testing.assert_array_equal(result, value)
        np.testing.assert_array_equal(lifted, a)
        np.testing.assert_array_equal(opened, b)


@pytest.mark.parametrize("owners", [("alice", "bob"), ("alice", "alice"), ("bob", "carol"), ("carol", "carol")])
def test_bilinear_maps_are_exact(parties, owners):
    a, b = draw(3, 5, 4), draw(3, 4, 6)
    image, kernel = draw(2, 7, 6, 4), draw(3, 2, 2, 6)
    geometry = Geometry(strides=(2, 1), padding=(1, 0, 1, 1), groups=2)
    forms = [
        (MatMul(), a, b),
        (MatMul(), draw(2, 2, 3, 4), draw(2, 2, 4, 1)),
        (MatMul(), draw(1, 9), draw(9, 20)),
        (Convolve(geometry), image, kernel),
        (ConvolveImageGradient(geometry, (7, 6)), draw(2, 3, 7, 6), kernel),
        (ConvolveKernelGradient(geometry, (3, 2)), image, draw(2, 3, 7, 6)),
        (Elementwise(), draw(5, 1), draw(3)),
    ]

    async def body(k):
        products = []
        for form, x, y in forms:
            p, q = await inputs(k, (owners[0], x), (owners[1], y))
            products.append(k.product(form, p, q))
        return [await k.reveal(z, ["bob"]) for z in await gather(*products)]

    local = parties.kernels["bob"].context.local
    for (form, x, y), result in zip(forms, parties.run(body)["bob"], strict=True):
        np.testing.assert_array_equal(result, form.apply(local, x, y))


@given(values=st.lists(NUMBERS, min_size=1, max_size=70), bits=st.integers(1, 62), owner=OWNERS, fresh=st.booleans())
@settings(max_examples=80)
def test_truncation_errs_by_one_unit_at_most_up_to_the_ends_of_the_range(parties, values, bits, owner, fresh):
    x = ring([*values, LIMIT, -LIMIT, 0, -1])

    async def body(k):
        (a,) = await inputs(k, (owner, x))
        if fresh:  # components that are all random
            a = await k.product(Elementwise(), a, k.public(np.ones_like(x)))
        return await k.reveal(await k.truncate(a, bits), NAMES)

    for result in parties.run(body).values():
        assert set(np.unique(signed(result) - (signed(x) >> bits))) <= {0, 1}


@given(
    values=st.lists(st.tuples(st.integers(-(2**31), 2**31), st.integers(-(2**31), 2**31)), min_size=1, max_size=70),
    bits=st.integers(1, 40),
)
@settings(max_examples=40)
def test_truncated_products_err_by_one_unit_at_most(parties, values, bits):
    x, y = (ring(column) for column in zip(*values, strict=True))

    async def body(k):
        a, b = await inputs(k, ("alice", x), ("bob", y))
        return await k.reveal(await k.product(Elementwise(), a, b, truncate=bits), NAMES)

    assert set(np.unique(signed(parties.run(body)["carol"]) - (signed(x * y) >> bits))) <= {0, 1}


@given(values=st.lists(NUMBERS, min_size=1, max_size=70), bits=st.integers(1, 62), fresh=st.booleans())
@settings(max_examples=60)
def test_exact_truncation_is_the_floor(exact, values, bits, fresh):
    x = ring([*values, LIMIT, -LIMIT, 0, -1])

    async def body(k):
        (a,) = await inputs(k, ("bob", x))
        one = k.public(np.ones_like(x))
        if fresh:
            a = await k.product(Elementwise(), a, one)
        direct, fused = await gather(k.truncate(a, bits), k.product(Elementwise(), a, one, truncate=bits))
        return await k.reveal(direct, NAMES), await k.reveal(fused, NAMES)

    for results in exact.run(body).values():
        for result in results:
            np.testing.assert_array_equal(signed(result), signed(x) >> bits)


def test_truncation_is_unbiased(parties):
    x = np.full(40_000, 5, np.uint64)

    async def body(k):
        (a,) = await inputs(k, ("alice", x))
        return await k.reveal(await k.truncate(a, 4), NAMES)

    mean = float(np.mean(parties.run(body)["alice"]))
    assert abs(mean - 5 / 16) < 5 * np.sqrt(5 / 16 * 11 / 16 / x.size)


@given(values=st.lists(NUMBERS, min_size=1, max_size=130), owner=OWNERS, fresh=st.booleans())
@settings(max_examples=60)
def test_signs_and_gates_are_exact(parties, values, owner, fresh):
    x = ring([*values, LIMIT, -LIMIT, 0, -1, 1])

    async def body(k):
        (a,) = await inputs(k, (owner, x))
        if fresh:
            a = await k.product(Elementwise(), a, k.public(np.ones_like(x)))
        below = await k.negative(a)
        gated, lifted = await gather(k.gate(below, a), k.lift(below))
        return await k.reveal_bits(below, NAMES), await k.reveal(gated, NAMES), await k.reveal(lifted, NAMES)

    expected = signed(x) < 0
    for below, gated, lifted in parties.run(body).values():
        np.testing.assert_array_equal(below, expected)
        np.testing.assert_array_equal(gated, np.where(expected, x, 0))
        np.testing.assert_array_equal(lifted, expected)


@pytest.mark.parametrize("bit", range(63))
def test_signs_are_exact_at_every_carry(parties, bit):
    """Values next to powers of two, under shares that carry across all lower positions."""
    x = ring([s * (2**bit) + d for s in (1, -1) for d in (-1, 0, 1) if abs(s * 2**bit + d) <= LIMIT])

    async def body(k):
        (a,) = await inputs(k, ("carol", x))
        return await k.reveal_bits(await k.negative(a), ["alice"])

    np.testing.assert_array_equal(parties.run(body)["alice"], signed(x) < 0)


@given(values=st.lists(WORDS, min_size=1, max_size=70), count=st.integers(1, 64), fresh=st.booleans())
@settings(max_examples=40)
def test_bits_of_a_value_and_back(parties, values, count, fresh):
    x = ring(values)

    async def body(k):
        (a,) = await inputs(k, ("bob", x))
        if fresh:
            a = await k.product(Elementwise(), a, k.public(np.ones_like(x)))
        bits = await k.decompose(a, count)
        return await k.reveal_bits(bits, NAMES), await k.reveal(await k.compose(bits), NAMES)

    bits, back = parties.run(body)["carol"]
    np.testing.assert_array_equal(bits, x[:, None] >> np.arange(count, dtype=np.uint64) & np.uint64(1) == 1)
    np.testing.assert_array_equal(back, x & np.uint64((1 << count) - 1))


@given(values=st.lists(st.integers(-(2**50), 2**50), min_size=1, max_size=70))
@settings(max_examples=30)
def test_separable_functions(parties, exact, values):
    x = ring(values)

    async def body(k):
        (a,) = await inputs(k, ("alice", x))
        b = await k.product(Elementwise(), a, k.public(np.ones_like(x)))
        return [await k.reveal(await k.separable(v, Angle()), NAMES) for v in (a, b)]

    for result in parties.run(body)["bob"]:
        assert set(np.unique(signed(result) - signed(x))) <= {0, 1}
    for result in exact.run(body)["bob"]:
        np.testing.assert_array_equal(result, x)


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


@pytest.mark.parametrize("turn", range(3))
def test_large_operations_are_exact_whoever_deals(parties, turn):
    """From LARGE elements on the dealer goes round; every operation is tried at each of the three."""
    x = draw(LARGE + 5) >> np.uint64(2)
    x[::2] = np.negative(x[::2])

    async def body(k):
        (a,) = await inputs(k, (NAMES[turn], x))
        for _ in range(turn):
            k.context.seat(LARGE)
        below = await k.negative(a)
        results = [await k.gate(below, a), await k.lift(below), await k.compose(await k.decompose(a, 11))]
        results += [await k.separable(k.linear(lambda s: s >> np.uint64(0), a), Angle())]
        results += [await k.truncate(a, 20), await k.product(Elementwise(), a, a)]
        return [await k.reveal(z, NAMES) for z in results]

    negative = signed(x) < 0
    for gated, lifted, low, _, cut, square in parties.run(body).values():
        np.testing.assert_array_equal(gated, np.where(negative, x, 0))
        np.testing.assert_array_equal(lifted, negative)
        np.testing.assert_array_equal(low, x & np.uint64(2047))
        assert set(np.unique(signed(cut) - (signed(x) >> 20))) <= {0, 1}
        np.testing.assert_array_equal(square, x * x)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (2, 3, 4)])
def test_every_shape(parties, exact, shape):
    x = np.full(shape, np.uint64(2**64 - 1000))

    async def body(k):
        (a,) = await inputs(k, ("alice", x))
        below = await k.negative(a)
        results = [
            await k.gate(below, a),
            await k.product(Elementwise(), a, a, truncate=3),
            await k.compose(await k.decompose(a, 16)),
            await k.separable(a, Angle()),
            k.public(np.asarray(x)),
        ]
        return [await k.reveal(z, ["carol"]) for z in results]

    for world in (parties, exact):
        for result, value in zip(world.run(body)["carol"], (x, 125000, 64536, x, x), strict=True):
            assert result.shape == shape
            assert np.all(np.subtract(result, np.uint64(value) if type(value) is int else value) <= 1)


def test_only_the_parties_named_receive(parties):
    x = draw(5)

    async def body(k):
        (a,) = await inputs(k, ("bob", x))
        bits = await k.decompose(a, 1)
        return await k.reveal(a, ["carol"]), await k.reveal_bits(bits, ["alice", "bob"]), await k.reveal(a, [])

    results = parties.run(body)
    np.testing.assert_array_equal(results["carol"][0], x)
    assert results["alice"][0] is None
    assert results["bob"][0] is None
    assert results["carol"][1] is None
    assert all(r[2] is None for r in results.values())
    np.testing.assert_array_equal(results["alice"][1], results["bob"][1])


def test_shares_at_rest_come_back(parties):
    x = draw(4, 3)

    async def body(k):
        (a,) = await inputs(k, ("bob", x))
        return await k.reveal(k.restore((4, 3), [np.array(part) for part in k.dump(a)]), NAMES)

    for result in parties.run(body).values():
        np.testing.assert_array_equal(result, x)


# --- costs: exact goldens ---------------------------------------------------------------------------------------

N = 640  # ten words of bits, below LARGE: carol deals
DEALT = (233 + 96) * N // 8  # digit indicators, the top bit, products of the tree's masks


async def relu(k, a):
    return await k.gate(await k.negative(a), a)


def product(truncate):
    return lambda k, a: k.product(Elementwise(), a, a, truncate=truncate)


def on_bit(operation):
    async def body(k, a):
        return await operation(k, k.rearrange(lambda b: b[..., 0], await k.decompose(a, 1)), a)

    return body


COSTS = {
    # name: (program, rounds, bytes of left and right, bytes of the dealer)
    "share": (lambda k, _: k.share("alice", (0,), np.empty(0, np.uint64)), 1, 0, 0),
    "product": (product(0), 1, 8 * N, 8 * N),
    "product, 16 bits cut": (product(16), 2, 10 * N, 10 * N),
    "product, 18 bits cut": (product(18), 2, 12 * N, 12 * N),
    "product, 33 bits cut": (product(33), 2, 16 * N, 16 * N),
    "truncation": (lambda k, a: k.truncate(a, 18), 2, 12 * N, 12 * N),
    "separable": (lambda k, a: k.separable(a, Angle()), 3, 10 * N, 8 * 2 * N + 10 * N),
    "sign": (lambda k, a: k.negative(a), 4, 34 * N // 8, DEALT),
    "relu": (relu, 6, 34 * N // 8 + 8 * N, DEALT + 16 * N),
    "lowest bit": (lambda k, a: k.decompose(a, 1), 0, 0, 0),
    "two bits": (lambda k, a: k.decompose(a, 2), 2, N // 8, 2 * N // 8),
    "all bits": (lambda k, a: k.decompose(a, 64), 8, (63 + 310) * N // 8, (64 + 310) * N // 8),
    "lift": (on_bit(lambda k, b, _: k.lift(b)), 2, 8 * N, 8 * N),
    "gate": (on_bit(lambda k, b, a: k.gate(b, a)), 2, 8 * N, 16 * N),
    "both": (on_bit(lambda k, b, _: k.both(b, b)), 1, N // 8, N // 8),
    "compose": (
        on_bit(lambda k, b, _: k.compose(k.rearrange(lambda s: s.reshape(-1, 64), b))),
        *(2, 8 * N // 64, 8 * N),
    ),
    "shuffle": (lambda k, a: k.shuffle(a), 3, 16 * N, 16 * N),
    "reveal": (lambda k, a: k.reveal(a, NAMES), 1, 8 * N, 8 * N),
    "open bits": (on_bit(lambda k, b, _: k.open_bits(b)), 1, N // 8, N // 8),
}
EXACT_COSTS = {
    # five digits: two levels that open 7 + 2 planes and deal 23 + 1 products; 70 indicators
    "product, 18 bits cut": (product(18), 5),
    "truncation": (lambda k, a: k.truncate(a, 18), 5),
    "four bits": (lambda k, a: k.truncate(a, 4), 3),
}


def on_input(operation, n=N):
    x = encode(np.linspace(-2, 2, n), 18)

    async def body(k):
        (a,) = await inputs(k, ("alice", x))
        await operation(k, a)

    return body


async def nothing(_k, _a):
    return None


@pytest.mark.parametrize("name", COSTS)
def test_rounds_and_bytes_are_exact(parties, name):
    operation, rounds, compute, dealer = COSTS[name]
    base_rounds, base = parties.cost(on_input(nothing))
    assert (base_rounds, base) == (1, {"alice": 8 * N, "bob": 0, "carol": 0})
    total_rounds, total = parties.cost(on_input(operation))
    assert total_rounds - base_rounds == rounds
    assert {n: total[n] - base[n] for n in NAMES} == {"alice": compute, "bob": compute, "carol": dealer}


def test_the_exact_floor_costs_five_rounds(exact):
    for operation, rounds in EXACT_COSTS.values():
        assert exact.cost(on_input(operation))[0] - 1 == rounds


def test_the_exact_floor_costs_what_its_docstring_says(exact):
    _, sent = exact.cost(on_input(lambda k, a: k.truncate(a, 18)))
    local = exact.kernels["alice"].context.local
    opened, products, _ = (sum(column) for column in zip(local.tree_plan(5), local.tree_plan(2), strict=True))
    compute = 16 * N + (opened + 1) * N // 8
    dealer = 24 * N + (local.digit_planes(18) + 1 + products) * N // 8
    assert sent == {"alice": compute + 8 * N, "bob": compute, "carol": dealer}


def test_the_dealers_work_goes_round_for_large_operations(parties):
    n = 64 * LARGE // 64
    _, sent = parties.cost(on_input(lambda k, a: gather(*[k.negative(a) for _ in range(3)]), n))
    expected = (2 * 34 + 329) * n // 8
    assert sent == {"alice": expected + 8 * n, "bob": expected, "carol": expected}


def test_independent_operations_share_rounds(parties):
    operation = lambda k, a: gather(*[k.truncate(a, 3) for _ in range(8)], k.negative(a), k.shuffle(a))  # noqa: E731
    assert parties.cost(on_input(operation))[0] == 1 + 4


# --- dry runs ---------------------------------------------------------------------------------------------------


async def all_of_it(k, a):
    """Every operation once."""
    below = await k.negative(a)
    gated, lifted, cut, bits = await gather(k.gate(below, a), k.lift(below), k.truncate(a, 40), k.decompose(a, 18))
    square = k.linear(lambda s: s[: s.size // 4 * 4].reshape(4, -1), k.add(gated, k.scale(lifted, np.uint64(3))))
    z = await k.product(MatMul(), k.linear(np.transpose, square), square, truncate=18)
    z = k.add_public(await k.product(Elementwise(), z, z, truncate=3), np.ones(1, np.uint64))
    await gather(k.compose(bits), k.separable(cut, Angle()), k.shuffle(z), k.open_bits(below))
    masked = k.mask_bits(k.xor(below, k.invert(below)), np.ones(below.shape, np.bool_))
    await k.reveal_bits(await k.both(masked, k.public_bits(np.zeros(below.shape, np.bool_))), ["carol"])
    await k.reveal(k.sub(z, k.public(np.zeros(z.shape, np.uint64))), ["alice"])


@pytest.mark.parametrize("size", [1, 70, 700])
@pytest.mark.parametrize("exactly", [False, True])
def test_a_dry_run_counts_what_a_run_costs(size, exactly):
    programs = [on_input(operation, size * 64) for operation, *_ in COSTS.values()]
    programs += [on_input(all_of_it, size)]
    parties = Parties(session.open_session, exact=exactly)
    dry = {me: session.dry_session(NAMES, me, exact=exactly) for me in NAMES}
    for program in programs:
        rounds, sent = parties.cost(program)
        for me, (kernel, driver) in dry.items():
            before = driver.profile.rounds, driver.profile.payload
            driver.run(program(kernel))
            assert (driver.profile.rounds - before[0], driver.profile.payload - before[1]) == (rounds, sent[me])


def test_a_dry_run_takes_no_memory():
    kernel, driver = session.dry_session(NAMES, "alice")
    shape = (1 << 20, 1 << 10)

    async def body(k):
        x = await k.share("alice", shape, phantom(shape))
        x = await k.product(Elementwise(), x, x, truncate=18)
        return await k.gate(await k.negative(x), x)

    driver.run(body(kernel))
    assert driver.profile.payload > 2**30 * 8


# --- what is refused --------------------------------------------------------------------------------------------


def test_there_must_be_three_different_parties():
    with pytest.raises(ConfigError, match="three different"):
        session.open_session(Driver("alice", {}), ["alice", "bob", "bob"]).send(None)


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (lambda k, a: k.truncate(a, 63), DomainError),
        (lambda k, a: k.product(Elementwise(), a, a, truncate=-1), DomainError),
        (lambda k, a: k.decompose(a, 65), DomainError),
        (lambda k, a: k.gate(k.public_bits(np.ones(3, np.bool_)), a), ShapeError),
        (lambda k, a: k.product(MatMul(), a, a), ShapeError),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_sent(operation, error):
    kernel, driver = session.dry_session(NAMES, "bob")
    with pytest.raises(error):
        driver.run(operation(kernel, kernel.public(np.ones(5, np.uint64))))
    assert driver.profile.payload == 0


def test_shares_hide_in_their_repr(parties):
    async def body(k):
        (a,) = await inputs(k, ("alice", np.full(3, 12345, np.uint64)))
        return repr(a), repr(await k.decompose(a, 1))

    assert parties.run(body)["alice"] == ("RingShare(shape=(3,))", "BitShare(shape=(3, 1))")


def test_two_sessions_of_the_same_parties_share_no_randomness():
    parties = Parties(session.open_session)  # its streams are used up here
    drivers = [parties.drivers[name] for name in NAMES]
    again = run_together(*[(driver, session.open_session(driver, NAMES)) for driver in drivers])
    for kernels in zip(parties.kernels.values(), again, strict=True):
        first, second = [k.context.own_prg.words(1, 4) for k in kernels]
        assert not np.intersect1d(first, second).size
