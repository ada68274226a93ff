"""Silent transfers: the correlation over iterations, the check, what travels, and the parameters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ot_rig import TOY, flip, require_balanced, require_correlated, run

from tacit.foundation.errors import InputError, TransferRefused
from tacit.primitive.ot import silent
from tacit.primitive.ot.noise import LARGE, MEDIUM, SMALL, Noise


def take(*counts, noise=TOY, malicious=True, cheats=(None, None), delta=None):
    async def sender(session):
        source = await silent.open_sender(session, noise=noise, malicious=malicious, delta=delta)
        return [await source.take(n) for n in counts]

    async def receiver(session):
        source = await silent.open_receiver(session, noise=noise, malicious=malicious)
        return [await source.take(n) for n in counts]

    return run(sender, receiver, cheats=cheats)


@pytest.mark.parametrize("malicious", [False, True])
def test_the_correlation_holds_over_iterations(malicious):
    counts = (0, 1, 3, TOY.fresh - 4, 1, 3 * TOY.fresh + 17)
    done = take(*counts, malicious=malicious)
    for n, sent, received in zip(counts, *done.results, strict=True):
        assert len(sent) == len(received) == n
        require_correlated(sent, received)
    blocks = np.concatenate([sent.blocks for sent in done.results[0]])
    assert len(np.unique(blocks, axis=0)) == len(blocks)  # none is handed out twice


@settings(max_examples=8)
@given(trees=st.integers(20, 40), depth=st.integers(5, 7), table=st.integers(8, 60), n=st.integers(0, 600))
def test_any_shape(trees, depth, table, n):
    noise = Noise(trees=trees, depth=depth, table=table)
    sent, received = (halves[0] for halves in take(n, noise=noise).results)
    require_correlated(sent, received)


def test_one_step_of_the_smallest_real_parameters():
    done = take(1000, noise=SMALL)
    sent, received = (halves[0] for halves in done.results)
    require_correlated(sent, received)
    sums = [data for data in done.posted(0) if len(data) == 16 * SMALL.trees * SMALL.depth]
    assert len(sums) == 1
    require_balanced(sums[0])


def test_outputs_are_balanced():
    sent, received = (halves[0] for halves in take(20_000).results)
    require_balanced(np.packbits(received.choices))
    require_balanced(sent.blocks[:, 1].copy().view(np.uint8))
    require_balanced(received.blocks[:, 1].copy().view(np.uint8))


@pytest.mark.parametrize("malicious", [False, True])
def test_rounds_and_bytes_of_an_iteration(malicious):
    before, after = take(malicious=malicious), take(1, malicious=malicious)
    twice = take(TOY.fresh + 1, malicious=malicious)
    assert after.rounds - before.rounds == (3 if malicious else 1)
    assert twice.rounds - after.rounds == (3 if malicious else 1)
    for less, more in ((before, after), (after, twice)):
        assert more.bytes[0] - less.bytes[0] == 16 * TOY.trees * TOY.depth + 32 * malicious
        assert more.bytes[1] - less.bytes[1] == 32 * malicious


@pytest.mark.parametrize("noise", [SMALL, MEDIUM, LARGE])
def test_real_parameters_take_less_than_a_bit_each(noise):
    assert 8 * (16 * noise.trees * noise.depth + 64) / noise.fresh < 0.8
    assert noise.fresh > 0.9 * noise.outputs


@pytest.mark.parametrize("noise", [SMALL, MEDIUM, LARGE])
def test_real_parameters_withstand_linear_algebra(noise):
    """log2 of the cost of guessing noise-free places of every block (eprint 2023/1568, permutation-based)."""
    length, rank = noise.outputs, noise.table - noise.trees
    guess = -noise.trees * np.log2(1 - rank / length)
    assert guess + 2 * np.log2(length - rank) + np.log2(length) > 150
    # Degree two linearisation needs fewer monomials than the blocks' equations e_i e_j = 0 (eprint 2023/176).
    equations = noise.trees * 2.0 ** (2 * noise.depth - 1)
    assert rank**2 / 2 > 3 * equations


# --- a sender that cheats ------------------------------------------------------------------------------------------


def first_of_sums():
    """The number of the sender's message with the sums of the first iteration; the digest is the next."""
    return next(i for i, data in enumerate(take(1).posted(0)) if len(data) == 16 * TOY.trees * TOY.depth)


@pytest.mark.parametrize("tree", [0, 7, TOY.trees - 1])
@pytest.mark.parametrize("level", [0, 3, TOY.depth - 1])
def test_a_wrong_sum_at_any_level_of_any_tree_is_caught(tree, level):
    byte = 16 * (tree * TOY.depth + level) + 9
    with pytest.raises(TransferRefused, match="no tree of its delta"):
        take(1, cheats=(flip(first_of_sums(), byte=byte), None))


def test_a_wrong_digest_is_caught():
    with pytest.raises(TransferRefused, match="no tree of its delta"):
        take(1, cheats=(flip(first_of_sums() + 1, byte=31), None))


def test_cheating_in_a_later_iteration_is_caught():
    with pytest.raises(TransferRefused, match="no tree of its delta"):
        take(TOY.fresh + 1, cheats=(flip(first_of_sums() + 2, byte=40), None))


def test_a_wrong_question_of_the_receivers_only_hurts_itself():
    number = next(i for i, data in enumerate(take(1).posted(1)) if len(data) == 32 and i > 0)
    with pytest.raises(TransferRefused):
        take(1, cheats=(None, flip(number, byte=20)))


def test_without_the_check_cheating_is_not_seen():
    number = next(i for i, data in enumerate(take(1, malicious=False).posted(0)) if len(data) == 16 * 24 * 6)
    sent, received = (
        halves[0] for halves in take(500, malicious=False, cheats=(flip(number, byte=16 * 6 * 10), None)).results
    )
    with pytest.raises(AssertionError):
        require_correlated(sent, received)


# --- what cannot be asked for --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trees", "depth", "table"), [(0, 5, 100), (10, 0, 100), (10, 25, 100), (10, 5, 0), (4, 4, 100), (10, 5, 2**31)]
)
def test_parameters_that_yield_nothing(trees, depth, table):
    with pytest.raises(InputError):
        Noise(trees=trees, depth=depth, table=table)


def test_a_negative_number():
    with pytest.raises(InputError, match="-1 correlations"):
        take(-1)


def test_the_buffer_does_not_grow():
    async def source(session):
        return await silent.open_sender(session, noise=TOY)

    async def other(session):
        return await silent.open_receiver(session, noise=TOY)

    sender, receiver = run(source, other).results
    assert sender.noise == receiver.noise == TOY
    assert "hidden" not in repr(sender)
    assert str(int(sender.delta[0])) not in repr(sender) + repr(receiver)
