"""Extension: the correlation against the ideal, sizes, views, and every kind of cheating."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ot_rig import flip, require_balanced, require_correlated, run

from tacit.foundation.errors import InputError, TransferRefused
from tacit.primitive.ot import softspoken
from tacit.primitive.ot.block import random_delta

MODES = [(bits, malicious) for bits in softspoken.FIELD_BITS for malicious in (False, True)]


def extend(*counts, bits=4, malicious=True, delta=None, cheats=(None, None)):
    async def sender(session):
        extension = await softspoken.open_sender(session, bits=bits, malicious=malicious, delta=delta)
        return [await extension.extend(n) for n in counts]

    async def receiver(session):
        extension = await softspoken.open_receiver(session, bits=bits, malicious=malicious)
        return [await extension.extend(n) for n in counts]

    return run(sender, receiver, cheats=cheats)


@pytest.mark.parametrize(("bits", "malicious"), MODES)
def test_the_correlation_holds_exactly(bits, malicious):
    counts = (0, 1, 63, 64, 65, 1000)
    done = extend(*counts, bits=bits, malicious=malicious)
    for n, sent, received in zip(counts, *done.results, strict=True):
        assert len(sent) == len(received) == n
        require_correlated(sent, received)
    blocks = np.concatenate([received.blocks for received in done.results[1]])
    assert len(np.unique(blocks, axis=0)) == len(blocks)  # no stream is used twice


@settings(max_examples=8)
@given(counts=st.lists(st.integers(0, 300), min_size=1, max_size=4), drawn=st.binary(min_size=16, max_size=16))
def test_any_sizes_and_any_delta(counts, drawn):
    delta = random_delta(drawn)
    done = extend(*counts, delta=delta)
    for sent, received in zip(*done.results, strict=True):
        assert np.array_equal(sent.delta, delta)
        require_correlated(sent, received)


def test_a_batch_of_several_pieces(monkeypatch):
    monkeypatch.setattr(softspoken, "MAX_PIECE", 256)
    sent, received = (halves[0] for halves in extend(1000).results)
    require_correlated(sent, received)


@pytest.mark.parametrize("bits", softspoken.FIELD_BITS)
@pytest.mark.parametrize("malicious", [False, True])
def test_rounds_and_bytes(bits, malicious):
    n, groups = 640, 128 // bits
    opened, extended = extend(bits=bits, malicious=malicious), extend(n, bits=bits, malicious=malicious)
    trees = groups * (32 * (bits - 1) + (64 if malicious and bits > 1 else 0))
    assert opened.rounds == 3  # nonces, base transfers, trees
    assert opened.bytes == [32 + 128 * 64, 32 + 128 * 32 + trees]
    columns = (n + 64 * malicious) // 64
    assert extended.rounds == (6 if malicious else 4)
    assert extended.bytes[0] - opened.bytes[0] == 16 * malicious
    assert extended.bytes[1] - opened.bytes[1] == 8 * (groups - 1) * columns + 8 * 129 * malicious


def test_views_and_outputs_are_balanced():
    done = extend(20_000)
    sent, received = (halves[0] for halves in done.results)
    require_balanced(done.posted(1)[3])  # the corrections: nonce, base points and trees come before
    require_balanced(np.packbits(received.choices))
    high = sent.blocks[:, 1].copy()
    require_balanced(high.view(np.uint8))
    # What the receiver sends is independent of the choices: neither row of it is equal to them, nor their complement.
    rows = np.frombuffer(done.posted(1)[3], np.uint8).reshape(31, -1)
    choices = np.packbits(received.choices, bitorder="little")
    for row in rows:
        require_balanced(row[: len(choices)] ^ choices)


def test_two_sessions_have_nothing_in_common():
    first, second = (extend(64).results[0][0] for _ in range(2))
    assert not np.array_equal(first.delta, second.delta)
    assert not np.array_equal(first.blocks, second.blocks)


# --- a receiver that cheats ----------------------------------------------------------------------------------------


def outcome(**options):
    """True when the cheating was caught."""
    try:
        extend(200, **options)
    except TransferRefused:
        return True
    return False


@pytest.mark.parametrize("bits", softspoken.FIELD_BITS)
def test_choices_that_differ_between_groups_are_caught_unless_delta_hides_them(bits):
    """Another u for one group is an error in the rows where delta is 1. Those of group 0 hold delta's fixed 1."""
    delta = np.full(2, 2**64 - 1, np.uint64)
    corrupted = (None, flip(2 if bits == 1 else 3, byte=5, bit=2))
    if bits == 1:  # trees of one transfer send nothing, but an empty message
        corrupted = (None, flip(3, byte=5, bit=2))
    with pytest.raises(TransferRefused, match="differ between the groups"):
        extend(200, bits=bits, delta=delta, cheats=corrupted)


def test_a_guess_of_delta_that_holds_goes_through_and_changes_nothing():
    """The leak that the functionality allows: where delta is 0 in a whole group, its correction is not used."""
    delta = random_delta(b"\x01" + bytes(15))
    sent, received = (halves[0] for halves in extend(200, delta=delta, cheats=(None, flip(3, byte=5))).results)
    require_correlated(sent, received)


@pytest.mark.parametrize("byte", [0, 7, 8, 500, 1031])
def test_a_wrong_answer_to_the_check_is_caught(byte):
    delta = np.full(2, 2**64 - 1, np.uint64)
    with pytest.raises(TransferRefused, match="check of error"):
        extend(200, delta=delta, cheats=(None, flip(4, byte=byte)))


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_sums_of_no_tree_are_caught_or_were_not_looked_at(bits):
    """Of both sums of a level the sender reads one: a change of one is seen or not, a change of both always."""

    def both(number, data):
        if number == 2:
            data[0] ^= 1
            data[16] ^= 1

    with pytest.raises(TransferRefused, match="no single tree"):
        extend(bits=bits, cheats=(None, both))
    ones = np.full(2, 2**64 - 1, np.uint64)  # all bits 1: the side 0 is chosen everywhere
    with pytest.raises(TransferRefused, match="no single tree"):
        extend(bits=bits, delta=ones, cheats=(None, flip(2, byte=0)))
    extend(bits=bits, delta=ones, cheats=(None, flip(2, byte=16)))


@pytest.mark.parametrize("offset", [-64, -1])
def test_a_wrong_proof_of_a_tree_is_caught(offset):
    size = 32 * 3 + 64
    with pytest.raises(TransferRefused, match="no single tree"):
        extend(cheats=(None, flip(2, byte=size + offset)))


def test_without_the_check_cheating_is_not_seen():
    ones = np.full(2, 2**64 - 1, np.uint64)
    sent, received = (
        halves[0] for halves in extend(200, malicious=False, delta=ones, cheats=(None, flip(3, byte=5))).results
    )
    with pytest.raises(AssertionError):
        require_correlated(sent, received)


# --- what cannot be asked for --------------------------------------------------------------------------------------


@pytest.mark.parametrize("delta", [np.zeros(2, np.uint64), np.ones(3, np.uint64), np.ones(2, np.int64)])
def test_a_delta_that_is_none(delta):
    with pytest.raises(InputError, match="lowest bit"):
        extend(1, delta=delta)


def test_a_field_of_another_size_and_a_negative_number():
    with pytest.raises(InputError, match="fields of"):
        extend(1, bits=3)
    with pytest.raises(InputError, match="-1 correlations"):
        extend(-1)


def test_nothing_secret_is_shown():
    async def sender(session):
        return await softspoken.open_sender(session), session

    async def receiver(session):
        return await softspoken.open_receiver(session)

    (extension, session), other = run(sender, receiver).results
    shown = f"{extension!r} {session!r} {other!r}"
    assert str(int(extension.delta[0])) not in shown
    assert shown.count("malicious") == 2
