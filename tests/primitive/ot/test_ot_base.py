"""Base transfers: keys against the ideal, points that are none, what travels."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ot_rig import flip, require_balanced, run

from tacit.foundation.errors import InputError, ProtocolError, TransferRefused
from tacit.primitive.ot import base, group
from tacit.primitive.ot.session import Session

CHOICES = st.lists(st.integers(0, 1), max_size=9)


def transfer(choices, **cheats):
    return run(lambda s: base.send(s, len(choices)), lambda s: base.receive(s, choices), **cheats)


@settings(max_examples=15)
@given(choices=CHOICES)
def test_the_receiver_gets_the_key_it_chose_and_not_the_other(choices):
    pairs, keys = transfer(choices).results
    assert [pair[choice] for pair, choice in zip(pairs, choices, strict=True)] == keys
    everything = [key for pair in pairs for key in pair]
    assert len(set(everything)) == 2 * len(choices)
    assert all(len(key) == 16 for key in everything)


@pytest.mark.parametrize("count", [0, 1, 3, 128])
def test_one_round_and_96_bytes_each(count):
    done = transfer([1] * count)
    assert done.rounds == 2  # the nonces' and this one
    assert done.bytes == [32 + 32 * count, 32 + 64 * count]


def test_a_second_batch_of_one_session_shares_no_key():
    async def twice(session: Session, act):
        return [await act(session), await act(session)]

    done = run(lambda s: twice(s, lambda s: base.send(s, 2)), lambda s: twice(s, lambda s: base.receive(s, [0, 1])))
    first, second = done.results[0]
    assert len({key for pair in first + second for key in pair}) == 8
    assert done.results[1] == [[first[0][0], first[1][1]], [second[0][0], second[1][1]]]


def test_a_session_can_transfer_in_both_directions():
    async def alice(session: Session):
        return await base.send(session, 2), await base.receive(session, [1, 0])

    async def bob(session: Session):
        return await base.receive(session, [0, 1]), await base.send(session, 2)

    (sent, got), (bobs, bobs_sent) = run(alice, bob).results
    assert bobs == [sent[0][0], sent[1][1]]
    assert got == [bobs_sent[0][1], bobs_sent[1][0]]


@pytest.mark.parametrize("choice", [0, 1])
def test_both_points_look_alike_whatever_was_chosen(choice):
    """Each is uniform in the group: all bits of its y-coordinate below the top ones are balanced."""
    flat = transfer([choice] * 400).posted(1)[1]
    points = [flat[i : i + 32] for i in range(0, len(flat), 32)]
    for slot in range(2):
        require_balanced(b"".join(point[:31] for point in points[slot::2]))


ORDER_1 = "01" + "00" * 31
ORDER_2 = "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"
ORDER_4 = "00" * 32
NONE = "02" + "00" * 31


@pytest.mark.parametrize(
    ("cheat", "point"), [(0, ORDER_1), *((c, p) for c in (0, 1) for p in (ORDER_2, ORDER_4, NONE))]
)
def test_a_value_that_is_no_point_of_prime_order_is_refused(cheat, point):
    """The receiver may send the identity as a summand: a hash is added to it before it is multiplied."""

    def hook(number, data):
        if number == 1:
            data[:32] = bytes.fromhex(point)

    cheats = (hook, None) if cheat == 0 else (None, hook)
    with pytest.raises(TransferRefused, match="no point of prime order"):
        transfer([0, 1], cheats=cheats)


def test_a_receiver_that_aims_at_the_identity_is_refused():
    """r_0 = -H(r_1) would make the sender's key 0 known to everybody."""

    async def crooked(session: Session):
        other = group.generate(group.scalar(session.draw(64)))
        mask = group.hash_to_group(session.tag, bytes(8), b"\0", other)
        zero = group.subtract(mask, mask)
        aimed = group.subtract(zero, mask)
        await session.driver.exchange([(session.peer, memory(aimed + other))], [(session.peer, memory(bytes(32)))])

    with pytest.raises(TransferRefused, match="identity"):
        run(lambda s: base.send(s, 1), crooked)


def memory(data):
    import numpy as np

    return np.frombuffer(bytearray(data), np.uint8)


def test_a_changed_point_changes_the_key_that_depends_on_it_and_no_other():
    def hook(number, data):
        if number == 1:
            data[0:32], data[32:64] = data[32:64], data[0:32]

    pairs, keys = transfer([0, 0, 1], cheats=(None, hook)).results
    assert keys[0] not in pairs[0]
    assert keys[1:] == [pairs[1][0], pairs[2][1]]


def test_a_mirror_is_recognised():
    async def nothing(session: Session):
        return None

    sent = {}

    def keep(number, data):
        sent.setdefault("nonce", bytes(data))

    def mirror(number, data):
        data[:] = sent["nonce"]

    with pytest.raises(ProtocolError, match="mirror"):
        run(nothing, nothing, cheats=(keep, mirror))


def test_what_cannot_be_asked_for():
    with pytest.raises(InputError, match="bits"):
        transfer([0, 2])
    with pytest.raises(InputError, match="Extend"):
        run(lambda s: base.send(s, base.MAX_TRANSFERS + 1), lambda s: base.receive(s, []))


def test_a_flipped_bit_is_no_key_of_the_senders():
    try:
        pairs, keys = transfer([1], cheats=(flip(1, byte=3), None)).results
    except TransferRefused:
        return
    assert keys[0] not in pairs[0]
