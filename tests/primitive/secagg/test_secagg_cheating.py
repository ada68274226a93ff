"""A server that does not follow the protocol: what it tells clients is checked, and it never gets both shares of one client."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from secagg_rig import World

from tacit.foundation.errors import (
    MessageForeign,
    MessageForged,
    SurvivorsDiffer,
    TooFewClients,
)
from tacit.primitive.secagg import Client, Round, keys, plan
from tacit.primitive.secagg.graph import members_of, pack_members
from tacit.primitive.secagg.messages import Masked, Quorum, decode, encode, table


def told(world, name):
    return decode(world.downward[name], world.terms)


def tell(world, name, **changes):
    """The client's answer to its message with these fields changed by the server."""
    return world.clients[name].answer(encode(replace(told(world, name), **changes), world.terms))


def waiting(step, n=8, **settings):
    return World(n, **settings).until(step - 1).receive().close()


def ring(step):
    return waiting(step, n=60, numbers=plan(60, drop_out=0.3, corruption=0.04, complete=False))


def test_keys_of_its_own_do_not_pass_for_a_neighbours():
    world, other = waiting(Round.SHARE), World(8).begin()
    foreign = decode(other.upward["c2"], other.terms).keys
    rows = dict(told(world, "c0").neighbours)
    with pytest.raises(MessageForged, match="c2: it did not sign these keys") as refusal:
        tell(world, "c0", neighbours=table({**rows, 2: foreign}))
    assert (refusal.value.client, refusal.value.round) == ("c0", str(Round.SHARE))
    # One neighbour's keys, and its signature, under another one's name.
    rows = dict(told(world, "c1").neighbours)
    with pytest.raises(MessageForged, match="c3"):
        tell(world, "c1", neighbours=table({**rows, 3: rows[4]}))


def test_keys_of_an_earlier_aggregation_do_not_pass():
    world = waiting(Round.SHARE)
    later = replace(world.terms, number=1)
    client = Client(world.identities[0], later, [0.0] * 3)
    client.begin()
    with pytest.raises(MessageForged, match="did not sign these keys"):
        client.answer(encode(told(world, "c0"), later))


def test_too_few_or_foreign_neighbours_are_refused():
    world = waiting(Round.SHARE)
    rows = told(world, "c0").neighbours
    with pytest.raises(TooFewClients, match="only 4 neighbours advertised keys") as refusal:
        tell(world, "c0", neighbours=rows[:4])
    assert refusal.value.client == "c0"
    with pytest.raises(MessageForeign, match="c1: it has no place"):
        tell(world, "c1", neighbours=table({**dict(told(world, "c1").neighbours), 1: rows[0][1]}))


def test_shares_for_another_pair_do_not_open():
    world = waiting(Round.MASK)
    rows = dict(told(world, "c0").sealed)
    with pytest.raises(MessageForged, match="its sealed shares do not open"):
        tell(world, "c0", sealed=table({**rows, 2: rows[3]}))
    with pytest.raises(MessageForged):
        tell(world, "c1", sealed=table({**dict(told(world, "c1").sealed), 2: rows[2]}))


def test_what_a_client_sealed_is_not_kept_back():
    world = waiting(Round.MASK)
    with pytest.raises(SurvivorsDiffer, match="keeps back what it sent"):
        tell(world, "c0", sealed=told(world, "c0").sealed[1:])
    with pytest.raises(MessageForeign, match="no place"):
        # A neighbour that is said not to have shared, while its shares are delivered.
        tell(world, "c1", sharers=pack_members(~members_of([3], 8)))
    with pytest.raises(SurvivorsDiffer, match="left this client out"):
        tell(world, "c2", sharers=pack_members(~members_of([2], 8)))
    with pytest.raises(TooFewClients, match="only 5 clients shared, and 6"):
        tell(world, "c3", sharers=pack_members(members_of(range(5), 8)))


def test_survivors_that_a_client_can_see_are_wrong():
    world = World(8).until(Round.SHARE)
    world.upward.pop("c7")
    world.receive().close().answer().receive().close()
    with pytest.raises(SurvivorsDiffer, match="that had not shared"):
        tell(world, "c0", survivors=pack_members(np.ones(8, bool)))
    with pytest.raises(SurvivorsDiffer, match="left this client out"):
        tell(world, "c1", survivors=pack_members(members_of([0, 2, 3, 4, 5, 6], 8)))
    with pytest.raises(TooFewClients, match="only 5 clients survived, and 6"):
        tell(world, "c2", survivors=pack_members(members_of(range(5), 8)))
    with pytest.raises(SurvivorsDiffer, match="keeps back"):
        tell(world, "c3", signatures=told(world, "c3").signatures[1:])


def test_a_client_that_was_told_other_sharers_is_found_out_by_its_neighbours():
    """The server tells c0 that c7 never shared, so that c0 does not mask against it: nobody gives a share of c0's seed."""
    world = waiting(Round.MASK)
    message = told(world, "c0")
    fewer = replace(
        message, sharers=pack_members(~members_of([7], 8)), sealed=tuple(row for row in message.sealed if row[0] != 7)
    )
    masked = decode(world.clients["c0"].answer(encode(fewer, world.terms)), world.terms)
    assert isinstance(masked, Masked)
    with pytest.raises(MessageForged, match="did not sign the sharers"):
        world.server.receive("c0", encode(masked, world.terms))
    # A server that takes it all the same.
    for name in list(world.downward)[1:]:
        world.server.receive(name, world.clients[name].answer(world.downward[name]))
    world.server._masked_with[0] = masked.signature
    world.server._answered.add(0)
    world.close()
    for name in [f"c{i}" for i in range(1, 8)]:
        with pytest.raises(SurvivorsDiffer, match="c0: it did not mask against the same sharers") as refusal:
            world.clients[name].answer(world.downward[name])
        assert (refusal.value.client, refusal.value.round) == (name, str(Round.AGREE))


def test_a_gap_that_would_cut_the_ring_is_refused():
    """Neighbours on one side are declared silent, no more of them than may be: their client, and everybody, refuses."""
    world = ring(Round.AGREE)
    graph, numbers = world.terms.graph, world.terms.plan
    gap = graph._ring[: numbers.window - numbers.occupancy + 1]
    assert gap.size <= numbers.may_drop
    survivors = ~members_of(gap, 60)
    for i in np.flatnonzero(survivors)[:3]:
        name = f"c{i}"
        kept = tuple(row for row in told(world, name).signatures if survivors[row[0]])
        with pytest.raises(SurvivorsDiffer, match="may fall apart"):
            tell(world, name, survivors=pack_members(survivors), signatures=kept)


def test_signatures_of_others_or_of_other_aggregations_are_no_quorum():
    world = ring(Round.UNMASK)
    rows = told(world, "c0").signatures
    stranger = next(i for i in range(60) if i not in world.terms.graph.witnesses)
    with pytest.raises(MessageForeign, match=f"c{stranger}: it has no place"):
        tell(world, "c0", signatures=table({**dict(rows[1:]), stranger: rows[0][1]}))
    with pytest.raises(TooFewClients, match="witnesses signed"):
        tell(world, "c1", signatures=rows[1:])
    # By the right witnesses, for another set of survivors.
    sharers, fewer = world.clients["c2"]._sharers, pack_members(~members_of([5], 60))
    bent = {i: world.identities[i].sign(keys.survived(world.terms, i, sharers, fewer)) for i, _ in rows}
    with pytest.raises(SurvivorsDiffer, match="did not sign the same sharers and survivors"):
        tell(world, "c2", signatures=table(bent))


@settings(max_examples=25)
@given(st.data())
def test_clients_that_are_told_different_survivors_never_open_both(data):
    """Each client is told one of several sets; the server forwards whatever signatures it likes. At most one set is opened."""
    n = 8
    world = waiting(Round.AGREE)
    choices = [np.ones(n, bool), ~members_of([0], n), ~members_of([1], n), ~members_of([0, 1], n)]
    signed = {which: {} for which in range(len(choices))}
    said = {}
    for i in range(n):
        which = data.draw(st.integers(0, len(choices) - 1))
        survivors = choices[which]
        kept = tuple(row for row in told(world, f"c{i}").signatures if survivors[row[0]])
        if not survivors[i]:
            with pytest.raises(SurvivorsDiffer):
                tell(world, f"c{i}", survivors=pack_members(survivors), signatures=kept)
            continue
        answer = tell(world, f"c{i}", survivors=pack_members(survivors), signatures=kept)
        said[i] = which
        signed[which][i] = decode(answer, world.terms).signature
    everything = {i: signature for rows in signed.values() for i, signature in rows.items()}
    opened, of_seeds, of_keys = set(), Counter(), Counter()
    quorum = world.terms.plan.quorum
    for i, which in said.items():
        own = signed[which]
        rows = own if len(own) >= quorum else everything
        try:
            answer = world.clients[f"c{i}"].answer(encode(Quorum(i, table(rows)), world.terms))
        except (SurvivorsDiffer, TooFewClients):
            continue
        openings = decode(answer, world.terms)
        opened.add(which)
        of_seeds.update(index for index, _ in openings.seeds)
        of_keys.update(index for index, _ in openings.keys)
    assert len(opened) <= 1
    threshold = world.terms.plan.threshold
    assert not any(of_seeds[i] >= threshold and of_keys[i] >= threshold for i in range(n))


def test_a_split_in_halves_opens_nothing():
    world = waiting(Round.AGREE)
    one, other = ~members_of([7], 8), np.ones(8, bool)
    signatures = []
    for half, survivors in ((range(4), one), (range(4, 7), other)):
        rows = {}
        for i in half:
            kept = tuple(row for row in told(world, f"c{i}").signatures if survivors[row[0]])
            answer = tell(world, f"c{i}", survivors=pack_members(survivors), signatures=kept)
            rows[i] = decode(answer, world.terms).signature
        signatures.append(rows)
    for i in range(7):
        mine = signatures[i >= 4]
        with pytest.raises(TooFewClients):
            world.clients[f"c{i}"].answer(encode(Quorum(i, table(mine)), world.terms))


def test_a_client_left_out_of_the_sum_is_unmasked_by_nobody():
    """The server withholds c7's words from the sum and learns its mask key: its self mask still hides them."""
    world = World(8).until(Round.MASK)
    words = world.terms.encoding.unpack(decode(world.upward.pop("c7"), world.terms).words)
    for _ in range(2):
        world.receive().close().answer()
    world.receive()
    secret = world.server._recovered([7], 1)[0]
    pair, left = keys.KeyPair(secret), keys.Mask(words)
    for other in world.terms.graph.neighbours(7):
        keys.add_pair_mask(world.terms, pair.agree(world.server._public(other)), 7, other, left, negative=True)
    own = world.terms.encoding.encode(world.values[7])
    low = np.uint32(256**world.terms.encoding.width - 1)
    assert not np.any((left.words & low) == own)
    assert not world.server._openings[0][0].get(7), "nobody gave a share of its seed"
    assert 7 in world.server._openings[0][1]
