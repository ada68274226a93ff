"""What correlations are turned into, each against its ideal functionality, on dealt correlations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ot_rig import require_balanced, require_correlated, run

from tacit.foundation.errors import InputError, ShapeError
from tacit.primitive.ot import derive, ideal

SIZES = st.sampled_from([0, 1, 2, 63, 64, 65, 200])


def octets(*shape):
    return np.frombuffer(np.random.default_rng(sum(shape)).bytes(int(np.prod(shape))), np.uint8).reshape(shape)


def words(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 2**64, shape, np.uint64)


def bits(n, seed=1):
    return np.random.default_rng(seed).integers(0, 2, n, np.uint8)


@given(n=SIZES, seed=st.integers(0, 9))
def test_choices_of_ones_own(n, seed):
    sent, received = ideal.correlations(n)
    choices = bits(n, seed)
    done = run(lambda s: derive.choose_sender(s, sent), lambda s: derive.choose_receiver(s, received, choices))
    require_correlated(*done.results)
    assert np.array_equal(done.results[1].choices, choices)
    assert np.array_equal(done.results[0].delta, sent.delta)
    assert done.bytes == [32, 32 + 8 * ((n + 63) // 64)]


def test_choices_travel_hidden():
    sent, received = ideal.correlations(20_000)
    zeros = np.zeros(20_000, np.uint8)
    done = run(lambda s: derive.choose_sender(s, sent), lambda s: derive.choose_receiver(s, received, zeros))
    require_balanced(done.posted(1)[1][:2500])


@given(n=SIZES)
def test_pads(n):
    sent, received = ideal.correlations(n)

    async def sender(session):
        return derive.sender_pads(session, sent)

    async def receiver(session):
        return derive.receiver_pads(session, received)

    pads, got = run(sender, receiver).results
    rows = np.arange(n)
    assert np.array_equal(pads[received.choices, rows], got)
    assert not np.any(np.all(pads[1 - received.choices, rows] == got, axis=1))


def test_pads_of_equal_correlations_differ():
    """The tweak: even the same block gives another pad at another place."""
    sent, _ = ideal.correlations(1)
    same = type(sent)(sent.delta, np.repeat(sent.blocks, 50, axis=0))

    async def sender(session):
        return np.concatenate([derive.sender_pads(session, same), derive.sender_pads(session, same)], axis=1)

    async def nothing(session):
        return None

    pads = run(sender, nothing).results[0]
    assert len(np.unique(pads.reshape(-1, 2), axis=0)) == 200


@given(n=SIZES, length=st.sampled_from([1, 8, 15, 16, 17, 33, 100]))
def test_messages(n, length):
    sent, received = ideal.correlations(n)
    offered = octets(n, 2, length)
    done = run(lambda s: derive.send_messages(s, sent, offered), lambda s: derive.receive_messages(s, received, length))
    assert np.array_equal(done.results[1], ideal.messages(offered, received.choices))
    assert done.rounds == 2
    assert done.bytes == [32 + 2 * n * length, 32]


@given(n=SIZES, width=st.integers(0, 5))
def test_products(n, width):
    sent, received = ideal.correlations(n)
    factors = words(n, width)
    done = run(lambda s: derive.send_products(s, sent, factors), lambda s: derive.receive_products(s, received, width))
    a, b = done.results
    assert np.array_equal(b - a, ideal.products(factors, received.choices))
    assert done.bytes == [32 + 8 * n * width, 32]


@given(n=SIZES)
def test_bits(n):
    sent, received = ideal.correlations(n)
    factors = bits(n, 5)
    done = run(lambda s: derive.send_bits(s, sent, factors), lambda s: derive.receive_bits(s, received))
    a, b = done.results
    assert np.array_equal(a ^ b, ideal.bits(factors, received.choices))
    assert done.bytes == [32 + 8 * ((n + 63) // 64), 32]


def test_what_travels_and_each_share_is_balanced():
    n = 4000
    sent, received = ideal.correlations(n)
    zeros = np.zeros((n, 2, 16), np.uint8)
    done = run(lambda s: derive.send_messages(s, sent, zeros), lambda s: derive.receive_messages(s, received, 16))
    require_balanced(done.posted(0)[1])
    done = run(
        lambda s: derive.send_products(s, sent, np.zeros((n, 2), np.uint64)),
        lambda s: derive.receive_products(s, received, 2),
    )
    require_balanced(done.posted(0)[1])
    for share in done.results:
        require_balanced(share.view(np.uint8))
    done = run(lambda s: derive.send_bits(s, sent, np.zeros(n, np.uint8)), lambda s: derive.receive_bits(s, received))
    require_balanced(done.posted(0)[1][: n // 8])


def test_choices_then_products_multiply_a_bit_of_one_by_a_word_of_the_other():
    n = 100
    sent, received = ideal.correlations(n)
    factors, choices = words(n, 1), bits(n, 3)

    async def sender(session):
        return await derive.send_products(session, await derive.choose_sender(session, sent), factors)

    async def receiver(session):
        return await derive.receive_products(session, await derive.choose_receiver(session, received, choices), 1)

    a, b = run(sender, receiver).results
    assert np.array_equal((b - a)[:, 0], factors[:, 0] * choices)


def test_what_cannot_be_asked_for():
    sent, received = ideal.correlations(3)

    async def nothing(session):
        return None

    for act, error in [
        (lambda s: derive.send_messages(s, sent, octets(2, 2, 5)), ShapeError),
        (lambda s: derive.send_messages(s, sent, words(3, 2, 5)), ShapeError),
        (lambda s: derive.send_messages(s, sent, octets(3, 2, 0)), InputError),
        (lambda s: derive.send_products(s, sent, words(4, 1)), ShapeError),
        (lambda s: derive.send_products(s, sent, words(3, 1).view(np.int64)), ShapeError),
        (lambda s: derive.send_bits(s, sent, np.array([0, 1, 2], np.uint8)), InputError),
        (lambda s: derive.send_bits(s, sent, np.zeros(4, np.uint8)), ShapeError),
        (lambda s: derive.choose_receiver(s, received, np.full(3, 255, np.uint8)), InputError),
        (lambda s: derive.receive_messages(s, received, 0), InputError),
    ]:
        with pytest.raises(error):
            run(act, nothing)


def test_halves_show_nothing():
    sent, received = ideal.correlations(5)
    assert repr(sent) == "Sent(5 correlations, hidden)"
    assert repr(received) == "Received(5 correlations, hidden)"
