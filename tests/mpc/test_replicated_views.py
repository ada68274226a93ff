"""What a single party of `Replicated` sees: uniform words, whatever the inputs are.

The sharpest test gives the party under test keys that draw nothing but zeros, as if it had taken off every mask that it
can compute itself. What it then receives can hide behind the one key that it lacks only, and must still be uniform.
"""

from __future__ import annotations

import numpy as np
import pytest
from three import NAMES, Factored, Parties

from tacit.primitive.driver import gather
from tacit.primitive.local import encode
from tacit.primitive.mpc.form import Elementwise, MatMul
from tacit.primitive.mpc.replicated import session
from tacit.primitive.mpc.replicated.context import LARGE, Context
from tacit.primitive.mpc.replicated.door import ReplicatedLocal

SIZE = LARGE + 64
VALUES = {
    "zeros": np.zeros(SIZE, np.uint64),
    "ones": np.full(SIZE, 2**64 - 1, np.uint64),
    "ramp": encode(np.linspace(-(2**30), 2**30, SIZE), 18),
}


class Sine(Factored):
    """sin(a - b) = sin a cos b - cos a sin b."""

    terms = 2
    scale = 32

    def left(self, u):
        return self._factors(u, np.sin, np.cos)

    def right(self, v):
        return self._factors(v, np.cos, lambda angle: -np.sin(angle))

    def _factors(self, x, first, second):
        angle = x.view(np.int64) * 2.0**-20
        return np.stack([np.rint(f(angle) * 2**25).astype(np.int64).view(np.uint64) for f in (first, second)])


async def bit(k, x):
    return k.rearrange(lambda b: b[..., 0], await k.decompose(x, 1))


OPERATIONS = {
    "product": lambda k, x: k.product(Elementwise(), x, x),
    "product with public zeros": lambda k, x: k.product(Elementwise(), x, k.public(np.zeros(SIZE, np.uint64))),
    "matrix product": lambda k, x: k.product(
        MatMul(), k.linear(lambda s: s[-300:, None], x), k.linear(lambda s: s[None, :16], x), truncate=9
    ),
    "truncated product": lambda k, x: k.product(Elementwise(), x, x, truncate=18),
    "truncation": lambda k, x: k.truncate(x, 40),
    "truncation by few bits": lambda k, x: k.truncate(x, 2),
    "separable": lambda k, x: k.separable(x, Sine()),
    "negative": lambda k, x: k.negative(x),
    "decompose": lambda k, x: k.decompose(x, 64),
    "shuffle": lambda k, x: k.shuffle(x),
}
ON_BITS = {
    "both": lambda k, b, _: k.both(b, b),
    "lift": lambda k, b, _: k.lift(b),
    "gate": lambda k, b, x: k.gate(b, x),
    "compose": lambda k, b, _: k.compose(k.rearrange(lambda s: s.reshape(-1, 16), b)),
}
CUTTING = ["matrix product", "truncated product", "truncation", "truncation by few bits", "separable"]
CASES = [(name, False) for name in (*OPERATIONS, *ON_BITS)] + [(name, True) for name in CUTTING]


async def run(k, name, values, repeats):
    """The operation, each party dealing in turn; on a value as its owner shares it, and on one that is all random."""
    x = await k.share("alice", values.shape, values if k.context.me == "alice" else None)
    spread = await k.product(Elementwise(), x, k.public(np.ones(1, np.uint64)))
    for value in (x, spread):
        if name in OPERATIONS:
            await gather(*[OPERATIONS[name](k, value) for _ in range(repeats)])
        else:
            b = await bit(k, value)
            await gather(*[ON_BITS[name](k, b, value) for _ in range(repeats)])


def chi_square(received: bytes) -> float:
    """How far bytes are from uniform: 255 on average, with a deviation of 23, if they are."""
    counts = np.bincount(np.frombuffer(received, np.uint8), minlength=256)
    expected = len(received) / 256
    return float(((counts - expected) ** 2 / expected).sum())


def assert_uniform(received: bytes, what: str) -> None:
    assert len(received) > 256 * 10
    assert 255 - 7 * 22.6 < chi_square(received) < 255 + 7 * 22.6, f"{what}: {chi_square(received):.0f}"


class NoMask:
    """A key that draws zeros: what its holder can compute is taken off."""

    def words(self, stream, shape):
        return np.zeros(shape, np.uint64)

    def fill(self, stream, out):
        out[...] = 0

    def sub_into(self, stream, out):
        pass

    xor_into = sub_into

    def permutation(self, stream, n):
        return np.arange(n)


def blind(parties: Parties, name: str) -> None:
    """Give the party, and whoever shares a key with it, keys that draw zeros."""
    for other in NAMES:
        context = parties.kernels[other].context
        if name in {other, context.before}:
            context.own_prg = NoMask()
        if name in {other, context.after}:
            context.next_prg = NoMask()


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize(("name", "exact"), CASES)
def test_what_a_party_receives_is_uniform(name, values, exact):
    """Chi-square over the bytes that each party receives, for inputs as unlike as can be."""
    parties = Parties(session.open_session, exact=exact)
    parties.run(lambda k: run(k, name, VALUES[values], 3))
    for me, view in parties.views.items():
        received = b"".join(payload for _, payload in view)
        if received:
            assert_uniform(received, f"{name}: {me}")


@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize(("name", "exact"), CASES)
@pytest.mark.parametrize("me", NAMES)
def test_what_a_party_receives_hides_behind_the_key_that_it_lacks(me, name, values, exact):
    parties = Parties(session.open_session, exact=exact)
    blind(parties, me)
    parties.run(lambda k: run(k, name, VALUES[values], 3))
    messages = [payload for _, payload in parties.views[me]]
    assert messages
    assert_uniform(b"".join(messages), f"{name}: {me}")
    for payload in messages:  # a single message that is not masked must not drown among the others
        words = np.frombuffer(payload[: len(payload) // 8 * 8], np.uint64)
        assert words.size == np.unique(words).size, f"{name}: {me} received a word twice"


@pytest.mark.parametrize("size", [64, SIZE])
def test_products_of_zero_by_zero_still_send_uniform_words(size):
    """All components are zero, so that nothing but the sharing of zero stands between a party and the products."""
    parties = Parties(session.open_session)
    zeros = np.zeros(size, np.uint64)

    async def body(k):
        zero, never = k.public(zeros), k.public_bits(np.zeros(64 * size, np.bool_))
        await k.product(Elementwise(), zero, zero)
        await k.product(Elementwise(), zero, zero, truncate=18)
        await k.truncate(zero, 18)
        await k.both(never, never)

    for _ in range(20):
        parties.run(body)
    for me in NAMES:
        words = np.frombuffer(b"".join(p for _, p in parties.views[me] if len(p) == 8 * size), np.uint64)
        assert words.size >= 40 * size
        assert np.unique(words).size == words.size
        assert_uniform(words.tobytes(), me)


@pytest.mark.parametrize(
    ("name", "dropped"),
    [
        ("product", ReplicatedLocal.zero_share),
        ("truncated product", ReplicatedLocal.zero_share),
        ("truncation", ReplicatedLocal.zero_share),
        ("both", ReplicatedLocal.zero_bits),
        ("lift", Context.fresh),
        ("gate", Context.deal),
        ("negative", Context.deal_bits),
    ],
)
def test_these_tests_notice_a_mask_that_is_dropped(name, dropped, monkeypatch):
    """Without one kind of mask, the views of some party must fail."""
    owner = ReplicatedLocal if dropped.__qualname__.startswith("ReplicatedLocal") else Context

    def unmasked(self, *arguments):
        result = dropped(self, *arguments)
        for array in {"fresh": lambda r: r, "deal": lambda r: (r.first,), "deal_bits": lambda r: (r.first,)}.get(
            dropped.__name__, lambda r: (r,)
        )(result):
            array[...] = 0
        return result

    monkeypatch.setattr(owner, dropped.__name__, unmasked)
    noticed = []
    for me in NAMES:
        parties = Parties(session.open_session)
        blind(parties, me)
        parties.run(lambda k: run(k, name, VALUES["zeros"], 3))
        received = b"".join(payload for _, payload in parties.views[me])
        noticed.append(not 255 - 7 * 22.6 < chi_square(received) < 255 + 7 * 22.6)
    assert any(noticed)


def test_views_of_equal_inputs_differ_each_time():
    """No 16 bytes repeat over many runs: masks and correlations are fresh."""
    parties = Parties(session.open_session)
    for _ in range(2):
        for name in (*OPERATIONS, *ON_BITS):
            parties.run(lambda k, name=name: run(k, name, VALUES["ones"], 3))
    for me in NAMES:
        blocks = [p[at : at + 16] for _, p in parties.views[me] for at in range(0, len(p) - 15, 16)]
        assert len(blocks) > 10_000
        assert len(set(blocks)) == len(blocks), "a block came twice: a mask was reused"


@pytest.mark.parametrize("me", NAMES)
def test_no_party_knows_the_order_of_a_shuffle(me):
    """Two of three orders are the identity to the party that knows them; the third still permutes the rows uniformly."""
    parties = Parties(session.open_session)
    blind(parties, me)
    rows = np.arange(4, dtype=np.uint64)

    async def body(k):
        x = await k.share("alice", rows.shape, rows if k.context.me == "alice" else None)
        shuffled = await gather(*[k.shuffle(x) for _ in range(2400)])
        return [await k.reveal(s, NAMES) for s in shuffled]

    orders = np.stack(parties.run(body)["alice"])
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert counts.size == 24
    assert float(((counts - 100) ** 2 / 100).sum()) < 23 + 7 * np.sqrt(46)


@pytest.mark.parametrize("owner", NAMES)
def test_an_input_reaches_each_other_party_as_a_uniform_part(owner):
    parties = Parties(session.open_session)

    async def body(k):
        values = VALUES["ones"] if k.context.me == owner else None
        return (await k.share(owner, (SIZE,), values)).own

    components = parties.run(body)
    index = NAMES.index(owner)
    after = NAMES[(index + 1) % 3]
    for me in NAMES:
        received = b"".join(payload for _, payload in parties.views[me])
        if me == after:
            assert len(received) == 8 * SIZE
            assert_uniform(received, me)
        else:
            assert received == b""
    assert_uniform(components[owner].tobytes(), "what the party before the owner draws")
    assert not components[NAMES[index - 1]].any()
