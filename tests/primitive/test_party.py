"""Pairwise keys: agreed freshly, the same at both ends, different for every pair, protocol and session."""

from __future__ import annotations

import numpy as np
import pytest

from tacit.foundation.errors import CorrelationReused
from tacit.primitive.driver import Driver, run_together
from tacit.primitive.mpc.party import SEED_BYTES, Party, agree
from tacit.resource.channel import MemoryChannel

NAMES = ("alice", "bob", "carol")


def agreed(label: str = "test", names=NAMES, drivers=None):
    if drivers is None:
        mesh = MemoryChannel.mesh(names)
        drivers = [Driver(name, mesh[name]) for name in names]
    prgs = run_together(*[(driver, agree(driver, names, label)) for driver in drivers])
    return dict(zip(names, prgs, strict=True)), drivers


def first_words(prgs) -> dict[tuple[str, str], tuple[int, ...]]:
    return {(me, peer): tuple(prg.words(0, 4).tolist()) for me, mine in prgs.items() for peer, prg in mine.items()}


def test_both_ends_of_a_pair_draw_the_same_words_and_no_other_pair_does() -> None:
    prgs, drivers = agreed()
    words = first_words(prgs)
    for me, peer in words:
        assert words[me, peer] == words[peer, me]
    assert len(set(words.values())) == 3
    for driver in drivers:
        assert driver.profile.rounds == 1
        assert driver.profile.payload == 2 * SEED_BYTES


def test_keys_are_fresh_in_every_session() -> None:
    assert first_words(agreed()[0])["alice", "bob"] != first_words(agreed()[0])["alice", "bob"]


def test_keys_depend_on_the_label() -> None:
    """Two protocols that saw the same random bytes would still draw different words."""

    def fixed(label: str):
        mesh = MemoryChannel.mesh(NAMES)
        drivers = [Driver(name, mesh[name], entropy=lambda size, name=name: name[:1].encode() * size) for name in NAMES]
        return first_words(agreed(label, drivers=drivers)[0])

    assert fixed("one") == fixed("one")
    assert not set(fixed("one").values()) & set(fixed("two").values())


def test_neither_side_alone_decides_a_key() -> None:
    def words(alice: bytes, bob: bytes):
        seeds = {"alice": alice, "bob": bob}
        mesh = MemoryChannel.mesh(NAMES[:2])
        drivers = [Driver(n, mesh[n], entropy=lambda size, n=n: seeds[n] * size) for n in NAMES[:2]]
        return first_words(agreed(names=NAMES[:2], drivers=drivers)[0])["alice", "bob"]

    assert len({words(b"a", b"b"), words(b"a", b"c"), words(b"c", b"b")}) == 3


def test_stream_numbers_rise_alike_and_are_used_once() -> None:
    prgs, drivers = agreed()
    parties = [Party(driver, NAMES, prgs[driver.me], None) for driver in drivers]
    assert [[party.stream() for _ in range(3)] for party in parties] == [[1, 2, 3]] * 3
    assert [party.index for party in parties] == [0, 1, 2]
    prg = prgs["alice"]["bob"]
    np.testing.assert_array_equal(prg.words(5, 2), prgs["bob"]["alice"].words(5, 2))
    with pytest.raises(CorrelationReused):
        prg.words(5, 2)
