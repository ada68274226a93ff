"""Streaming and ring intersection against the sets themselves, in one thread and over delayed channels."""

import hashlib
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tacit.foundation.errors import InputError, PointRefused
from tacit.primitive.driver import Driver, run_together
from tacit.primitive.psi import stream
from tacit.primitive.psi.points import BASE, LOW_ORDER, Scalar, encode, hash_to_numbers, received
from tacit.primitive.psi.ring import intersect_all
from tacit.primitive.psi.token import match, token_bytes
from tacit.resource.channel import MemoryChannel


class Held:
    """Items in memory."""

    def __init__(self, items):
        offsets = np.cumsum([0, *map(len, items)]).astype(np.int64)
        self.numbers = hash_to_numbers(np.frombuffer(b"".join(items), np.uint8), offsets)
        self.count = len(items)

    def read(self, start, stop):
        return self.numbers[start:stop]


class Kept:
    """Tokens in memory."""

    def __init__(self, size, done=0):
        self.own, self.others, self.steps, self.size = [], [], done, size

    def mine(self, tokens):
        self.own.append(tokens)

    def theirs(self, tokens):
        self.others.append(tokens)

    def done(self, steps):
        self.steps = steps

    def found(self):
        return match(*(np.concatenate([*part, np.empty((0, self.size), np.uint8)]) for part in (self.own, self.others)))


def drivers(*names):
    mesh = MemoryChannel.mesh(names)
    return [Driver(name, mesh[name]) for name in names]


def texts(values):
    return [f"item {v}".encode() for v in values]


def run_stream(mine, theirs, done=0):
    left, right = Held(mine), Held(theirs)
    terms = stream.Terms(left.count, right.count, token_bytes(left.count, right.count), done)
    key, sink = Scalar.fresh(), Kept(terms.token, done)
    a, b = drivers("a", "b")
    run_together(
        (a, stream.receive(a, "b", left, key.public(), terms, sink)), (b, stream.send(b, "a", right, key, terms))
    )
    return sink, (a, b), terms


@given(
    mine=st.sets(st.integers(0, 60), max_size=40),
    theirs=st.sets(st.integers(0, 60), max_size=40),
    batch=st.sampled_from([1, 3, 8, 64]),
)
@settings(max_examples=25)
def test_the_receiver_finds_what_is_in_both_sets(mine, theirs, batch):
    mine, theirs = texts(mine), texts(theirs)
    before, stream.BATCH = stream.BATCH, batch
    try:
        sink, _, terms = run_stream(mine, theirs)
        steps = terms.steps
    finally:
        stream.BATCH = before
    i, j = sink.found()
    assert [mine[at] for at in i] == [theirs[at] for at in j]
    assert {mine[at] for at in i} == set(mine) & set(theirs)
    assert list(j) == sorted(j)
    assert sink.steps == steps


def test_a_run_that_was_broken_off_goes_on_where_it_was(monkeypatch):
    monkeypatch.setattr(stream, "BATCH", 8)
    mine, theirs = texts(range(50)), texts(range(20, 90))
    sink, _, _ = run_stream(mine, theirs, done=3)
    assert sum(map(len, sink.own)) == 50 - 24
    assert sum(map(len, sink.others)) == 70 - 24
    i, j = sink.found()
    assert {mine[24 + at] for at in i} == {theirs[24 + at] for at in j} == set(mine[24:]) & set(theirs[24:])


def test_bytes_are_32_and_32_and_a_token(monkeypatch):
    monkeypatch.setattr(stream, "BATCH", 16)
    _, (a, b), terms = run_stream(texts(range(100)), texts(range(50, 250)))
    assert terms.token == 8
    assert a.channels["b"].traffic.payload_sent == 100 * 32
    assert b.channels["a"].traffic.payload_sent == 100 * 32 + 200 * 8
    assert a.profile.rounds <= terms.steps + stream.DELAY


def test_the_sender_sees_fresh_uniform_points_and_the_receiver_pseudorandom_tokens():
    seen = []
    for _ in range(2):
        items = Held(texts(range(40)))
        key = Scalar.fresh()
        masks = np.frombuffer(os.urandom(40 * 32), np.uint8).reshape(-1, 32)
        blinded, _ = stream.Table(BASE).blind(items.numbers, masks)
        tokens = key.multiply(encode(items.numbers))[:, :10]
        seen.append((blinded, tokens))
    for first, second in zip(*seen, strict=True):
        assert not set(map(bytes, first)) & set(map(bytes, second))


def test_token_sizes_follow_from_the_error():
    assert token_bytes(2**20, 2**20) == 10
    assert token_bytes(2**16, 2**16) == 9
    assert token_bytes(0, 0) == 8
    assert token_bytes(2**30, 2**30) == 13
    with pytest.raises(InputError, match="octets"):
        token_bytes(2**40, 2**40, 60)


@given(
    a=st.lists(st.binary(min_size=10, max_size=10), max_size=30, unique=True),
    b=st.lists(st.binary(min_size=10, max_size=10), max_size=30, unique=True),
    shared=st.integers(0, 10),
    prefix=st.booleans(),
)
def test_match_finds_equal_tokens_even_where_their_first_octets_agree(a, b, shared, prefix):
    b = list(dict.fromkeys(b + a[:shared]))
    if prefix:  # all in one run of equal first octets
        a, b = ([bytes(8) + hashlib.sha256(t).digest()[:2] for t in side] for side in (a, b))
        a, b = list(dict.fromkeys(a)), list(dict.fromkeys(b))
    rows = [np.frombuffer(b"".join(side), np.uint8).reshape(-1, 10) for side in (a, b)]
    i, j = match(*rows)
    assert sorted(zip(i, j, strict=True)) == sorted((a.index(t), b.index(t)) for t in set(a) & set(b))


@pytest.mark.parametrize("u", LOW_ORDER)
def test_points_of_low_order_are_refused(u):
    point = np.frombuffer(u.to_bytes(32, "little"), np.uint8)
    pair = np.concatenate([BASE, point]).reshape(2, 32)
    with pytest.raises(PointRefused, match="point 1 of 2"):
        Scalar.fresh().evaluate(pair)
    for sign in (0, 0x80):
        pair[1, 31] |= sign
        with pytest.raises(PointRefused, match="mallory sent a point of low order"):
            received(pair, "mallory")
    with pytest.raises(PointRefused, match="base point"):
        stream.Table(point)


def test_points_off_the_curve_are_refused_where_points_are_added():
    points = np.concatenate([BASE, np.frombuffer(bytes([2]) + bytes(31), np.uint8)]).reshape(2, 32)
    table = stream.Table(Scalar.fresh().public())
    with pytest.raises(PointRefused, match="point 1 of 2"):
        table.unblind(points, points, points)


@pytest.mark.parametrize("value", [2**255 - 19, 2**255 - 1, 2**256 - 1])
def test_encodings_that_are_not_canonical_are_refused(value):
    with pytest.raises(PointRefused, match="canonical"):
        received(np.frombuffer(value.to_bytes(32, "little"), np.uint8), "bob")
    received(np.frombuffer((2**255 - 21).to_bytes(32, "little"), np.uint8), "bob")


def test_a_scalar_does_not_show():
    key = Scalar.fresh()
    assert key.danger_octets().hex() not in repr(key)
    assert "hidden" in repr(key)


@given(
    sets=st.lists(st.sets(st.integers(0, 12), max_size=12), min_size=2, max_size=5),
    choice=st.integers(0, 1000),
    batch=st.sampled_from([2, 5, 64]),
)
@settings(max_examples=25)
def test_the_ring_finds_what_all_have_and_tells_those_it_should(sets, choice, batch):
    from tacit.primitive.psi import ring

    names = [f"p{i}" for i in range(len(sets))]
    reveal_to = [name for i, name in enumerate(names) if choice >> i & 1]
    matcher = names[choice % len(names)]
    items = [texts(s) for s in sets]
    parties = drivers(*names)
    before, ring.BATCH = ring.BATCH, batch
    try:
        results = run_together(
            *(
                (driver, intersect_all(driver, names, Held(mine).numbers, reveal_to, matcher))
                for driver, mine in zip(parties, items, strict=True)
            )
        )
    finally:
        ring.BATCH = before
    common = set(items[0]).intersection(*items[1:])
    orders = []
    for name, mine, result in zip(names, items, results, strict=True):
        assert result.size == len(common)
        assert result.counts == dict(zip(names, map(len, items), strict=True))
        if name in reveal_to:
            assert {mine[at] for at in result.positions} == common
            orders.append([mine[at] for at in result.positions])
        else:
            assert result.positions is None
    assert all(order == orders[0] for order in orders)


def test_only_those_named_are_told_the_size():
    parties = drivers("a", "b", "c")
    sets = [Held(texts(range(5))), Held(texts(range(3, 9))), Held(texts([4]))]
    results = run_together(
        *(
            (d, intersect_all(d, ["a", "b", "c"], s.numbers, (), "b", ("a",)))
            for d, s in zip(parties, sets, strict=True)
        )
    )
    assert [(r.size, r.positions) for r in results] == [(1, None), (1, None), (None, None)]


def test_the_ring_refuses_strangers():
    a, _ = drivers("a", "b")
    with pytest.raises(InputError, match="carol"):
        a.run(intersect_all(a, ["a", "b"], Held([b"x"]).numbers, ["carol"], "a"))
