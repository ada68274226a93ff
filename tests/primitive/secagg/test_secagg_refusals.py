"""Whoever sends what it should not is refused by name and round: bent bytes, replays, wrong order, strangers, doubles."""

import copy
import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from secagg_rig import World, terms_of

from tacit.foundation.errors import (
    AggregationError,
    ConfigError,
    MessageForeign,
    MessageForged,
    MessageMalformed,
    MessageRepeated,
    MessageUntimely,
    SecrecyError,
    TooFewClients,
    UnknownParty,
)
from tacit.primitive.secagg import Client, Encoding, Identity, Layout, Roster, Round, Terms, plan
from tacit.primitive.secagg.messages import Masked, Openings, Shares, decode, encode


@pytest.fixture(scope="module")
def messages():
    """Every message of one aggregation, up and down, by round; client 0's are kept, and client 7 is silent from round 2."""
    world = World(8)
    kept = []
    world.begin()
    for step in Round:
        kept.append((step, world.upward["c0"]))
        if step is Round.UNMASK:
            return world.terms, kept
        world.receive().close()
        kept.append((Round(step + 1), world.downward["c0"]))
        world.answer(silent=("c7",) if step is Round.SHARE else ())
    raise AssertionError


def test_messages_survive_their_bytes(messages):
    terms, kept = messages
    for step, data in kept:
        message = decode(data, terms)
        assert message.ROUND is step
        assert message.client == 0
        assert encode(message, terms) == data


@settings(max_examples=150)
@given(data=st.data())
def test_bytes_that_are_no_message_are_refused(messages, data):
    """Cut, lengthened or changed anywhere: refused, or another message with the same bytes; never another exception."""
    terms, kept = messages
    _, good = data.draw(st.sampled_from(kept))
    match data.draw(st.integers(0, 2)):
        case 0:
            bad = good[: data.draw(st.integers(0, len(good) - 1))]
        case 1:
            bad = good + data.draw(st.binary(min_size=1, max_size=9))
        case _:
            at = data.draw(st.integers(0, min(len(good), 120) - 1))
            bad = good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :]
    try:
        message = decode(bad, terms, peer="c0")
    except (MessageMalformed, MessageForeign) as refusal:
        named = refusal.client
    else:
        named = "c0" if encode(message, terms) == bad else ""
    assert named == "c0"


def test_a_table_cannot_claim_more_than_there_can_be(messages):
    terms, kept = messages
    shares = next(data for step, data in kept if isinstance(decode(data, terms), Shares))
    at = 25 + 32
    with pytest.raises(MessageMalformed, match="claims 4294967295 rows"):
        decode(shares[:at] + b"\xff" * 4 + shares[at + 4 :], terms)
    rows = decode(shares, terms).sealed
    with pytest.raises(MessageMalformed, match="rising order"):
        decode(encode(Shares(0, bytes(32), rows[::-1]), terms), terms)
    with pytest.raises(MessageMalformed, match="rising order"):
        decode(encode(Shares(0, bytes(32), (rows[0], rows[0])), terms), terms)
    with pytest.raises(MessageMalformed, match="names client 99 of 8"):
        decode(encode(Shares(0, bytes(32), ((99, rows[0][1]),)), terms), terms)
    with pytest.raises(MessageMalformed, match="names client 8 of 8"):
        decode(encode(Shares(8, bytes(32), ()), terms), terms)


@pytest.mark.parametrize("step", Round, ids=str)
class TestServer:
    def world(self, step):
        return World(8).until(step)

    def test_a_double_is_refused_and_not_counted(self, step):
        world = self.world(step)
        world.receive()
        with pytest.raises(MessageRepeated) as refusal:
            world.server.receive("c3", world.upward["c3"])
        assert (refusal.value.client, refusal.value.round) == ("c3", str(step))
        assert world.server.waiting_for == ()
        world.upward = {}
        assert len(world.finish().clients) == 8

    def test_a_replay_in_a_later_round_is_refused(self, step):
        world = self.world(step)
        old = world.upward["c3"]
        if step is Round.UNMASK:
            world.receive().server.result()
        else:
            world.receive().close()
        with pytest.raises(MessageRepeated) as refusal:
            world.server.receive("c3", old)
        assert refusal.value.client == "c3"

    def test_a_message_before_its_round_is_refused(self, step):
        if step is Round.ADVERTISE:
            return
        late = self.world(step)
        world = World(8)
        # The same aggregation, a server that is still in its first round.
        world.server._terms = late.terms
        with pytest.raises(MessageUntimely, match="the server is in round 0") as refusal:
            world.server.receive("c3", late.upward["c3"])
        assert (refusal.value.client, refusal.value.round) == ("c3", str(step))

    def test_a_latecomer_is_refused(self, step):
        world = self.world(step)
        late = world.upward.pop("c3")
        if step is Round.UNMASK:
            world.receive().server.result()
        else:
            world.receive().close()
        with pytest.raises(MessageUntimely, match=r"is over|has stopped") as refusal:
            world.server.receive("c3", late)
        assert (refusal.value.client, refusal.value.round) == ("c3", str(step))
        if step is not Round.UNMASK:
            assert "c3" not in world.downward
            world.answer().finish()

    def test_nobody_speaks_for_another(self, step):
        world = self.world(step)
        with pytest.raises(MessageForeign, match="it speaks for client c3") as refusal:
            world.server.receive("c4", world.upward["c3"])
        assert (refusal.value.client, refusal.value.round) == ("c4", str(step))
        with pytest.raises(UnknownParty, match="'mallory' is none of the 8 clients"):
            world.server.receive("mallory", world.upward["c3"])

    def test_a_message_of_another_aggregation_is_refused(self, step):
        world, other = self.world(step), World(8, number=1).until(step)
        with pytest.raises(MessageForeign, match="another aggregation") as refusal:
            world.server.receive("c3", other.upward["c3"])
        assert (refusal.value.client, refusal.value.round) == ("c3", str(step))

    def test_a_message_for_clients_is_refused(self, step):
        world = self.world(step)
        if step is Round.ADVERTISE:
            return
        with pytest.raises(MessageForeign, match="is for clients"):
            world.server.receive("c3", world.downward["c3"])

    def test_bent_bytes_are_refused_and_a_good_message_still_counts(self, step):
        world = self.world(step)
        good = world.upward["c3"]
        if step not in (Round.SHARE, Round.UNMASK):
            # Byte 30 lies in what is signed, or in the signature.
            with pytest.raises(MessageForged) as refusal:
                world.server.receive("c3", good[:30] + bytes([good[30] ^ 1]) + good[31:])
            assert (refusal.value.client, refusal.value.round) == ("c3", str(step))
        with pytest.raises(MessageMalformed) as refusal:
            world.server.receive("c3", good[:-1])
        assert (refusal.value.client, refusal.value.round) == ("c3", str(step))
        assert "c3" in world.server.waiting_for
        assert len(world.finish().clients) == 8


@pytest.mark.parametrize("step", [Round.SHARE, Round.MASK, Round.AGREE, Round.UNMASK], ids=str)
class TestClient:
    def waiting(self, step, **settings):
        """The server's messages of this round wait to be answered."""
        return World(8, **settings).until(step - 1).receive().close()

    def test_no_client_answers_a_round_twice(self, step):
        world = self.waiting(step)
        data = world.downward["c3"]
        world.clients["c3"].answer(data)
        with pytest.raises(MessageRepeated) as refusal:
            world.clients["c3"].answer(data)
        assert (refusal.value.client, refusal.value.round) == ("c3", str(step))
        assert world.clients["c3"].finished == (step is Round.UNMASK)

    def test_no_client_answers_a_round_that_it_refused_before(self, step):
        world = self.waiting(step)
        good = world.downward["c3"]
        bent = good[:-1] + bytes([good[-1] ^ 1])
        with pytest.raises(AggregationError) as refusal:
            world.clients["c3"].answer(bent)
        assert (refusal.value.client, refusal.value.round) == ("c3", str(step))
        with pytest.raises(MessageRepeated):
            world.clients["c3"].answer(good)
        assert not world.clients["c3"].finished

    def test_a_message_out_of_order_is_refused_and_the_client_goes_on(self, step):
        if step is Round.UNMASK:
            return
        world = self.waiting(step)
        late = self.waiting(Round(step + 1))
        late_data = encode(replace(decode(late.downward["c3"], late.terms)), world.terms)
        with pytest.raises(MessageUntimely, match="the next one is of round") as refusal:
            world.clients["c3"].answer(late_data)
        assert (refusal.value.client, refusal.value.round) == (
            "c3",
            str(Round(step + 1)),
        )
        assert len(world.answer().finish().clients) == 8

    def test_a_message_for_another_client_is_refused_and_the_client_goes_on(self, step):
        world = self.waiting(step)
        with pytest.raises(MessageForeign, match="it is for client c4") as refusal:
            world.clients["c3"].answer(world.downward["c4"])
        assert (refusal.value.client, refusal.value.round) == ("c3", str(step))
        with pytest.raises(MessageForeign, match="is for the server"):
            world.clients["c3"].answer(world.upward["c3"])
        with pytest.raises(MessageMalformed) as refusal:
            world.clients["c3"].answer(world.downward["c3"][:-1])
        assert (refusal.value.client, refusal.value.round) == ("c3", str(step))
        with pytest.raises(MessageForeign, match="another aggregation"):
            world.clients["c3"].answer(self.waiting(step, number=1).downward["c3"])
        assert len(world.answer().finish().clients) == 8

    def test_a_client_that_has_not_begun_answers_nothing(self, step):
        world = self.waiting(step)
        client = Client(Identity("c3", world.identities[3]._key), world.terms, [0.0] * 3)
        with pytest.raises(MessageUntimely, match="has not begun"):
            client.answer(world.downward["c3"])


def test_an_identity_takes_part_once():
    world = World(4).begin()
    with pytest.raises(MessageRepeated) as refusal:
        world.clients["c1"].begin()
    assert refusal.value.client == "c1"
    again = Client(world.identities[1], world.terms, [0.0] * 3)
    with pytest.raises(MessageRepeated):
        again.begin()
    # Under other terms, too: session and number are what is spent.
    other = Client(world.identities[1], replace(world.terms, seed=bytes(32)), [0.0] * 3)
    with pytest.raises(MessageRepeated):
        other.begin()
    Client(world.identities[1], replace(world.terms, number=1), [0.0] * 3).begin()


def test_different_terms_do_not_meet():
    base = World(4)
    for change in (
        {"session": b"other"},
        {"number": 2},
        {"seed": bytes(32)},
        {"plan": plan(4, drop_out=0.0)},
        {"encoding": Encoding(Layout.of([0.0] * 3), 4, clip=2)},
        {"roster": Roster.of([*base.identities[:3], Identity.generate("c3")])},
    ):
        client = Client(Identity("c1", base.identities[1]._key), replace(base.terms, **change), [0.0] * 3)
        with pytest.raises(MessageForeign):
            base.server.receive("c1", client.begin())


def test_the_server_ends_once():
    world = World(4, drop_out=0)
    with pytest.raises(MessageUntimely, match="after round 4"):
        world.server.result()
    world.until(Round.UNMASK)
    with pytest.raises(MessageUntimely, match="no round is left"):
        world.server.close()
    world.finish()
    with pytest.raises(MessageUntimely):
        world.server.result()
    broken = World(4, drop_out=0)
    with pytest.raises(TooFewClients):
        broken.server.close()
    with pytest.raises(MessageUntimely):
        broken.server.close()
    with pytest.raises(MessageUntimely, match="has stopped"):
        broken.server.receive("c0", broken.clients["c0"].begin())


def test_tables_must_name_exactly_the_neighbours():
    world = World(8).until(Round.SHARE)
    good = decode(world.upward["c0"], world.terms)
    for rows in (good.sealed[1:], good.sealed[:-1], ()):
        with pytest.raises(MessageMalformed, match="missing in a table"):
            world.server.receive("c0", encode(replace(good, sealed=rows), world.terms))
    world.receive().close().answer().receive().close().answer().receive().close().answer()
    good = decode(world.upward["c0"], world.terms)
    assert isinstance(good, Openings)
    for bad in (replace(good, seeds=good.seeds[1:]), replace(good, seeds=(), keys=good.seeds)):
        with pytest.raises(MessageMalformed, match="missing in a table"):
            world.server.receive("c0", encode(bad, world.terms))
    with pytest.raises(MessageMalformed, match="beyond its field"):
        world.server.receive("c0", encode(replace(good, seeds=((1, b"\xff" * 36), *good.seeds[1:])), world.terms))


def test_keys_of_small_order_are_refused():
    world = World(4, drop_out=0)
    client = world.clients["c0"]
    client.begin()
    from tacit.primitive.secagg import keys
    from tacit.primitive.secagg.messages import Advertisement

    public = bytes(32), client._mask_key.public
    signature = world.identities[0].sign(keys.advertised(world.terms, 0, *public))
    with pytest.raises(MessageForged, match="small order"):
        world.server.receive("c0", encode(Advertisement(0, b"".join(public) + signature), world.terms))


def test_wrong_shares_are_noticed_and_do_not_pass_for_a_sum():
    world = World(4, drop_out=0).until(Round.UNMASK)
    good = decode(world.upward["c0"], world.terms)
    index, share = good.seeds[0]
    bent = bytes([share[0] ^ 1]) + share[1:]
    world.upward["c0"] = encode(replace(good, seeds=((index, bent), *good.seeds[1:])), world.terms)
    with pytest.raises(MessageForged, match="do not give what it committed to") as refusal:
        world.finish()
    assert refusal.value.client == "c1"


def test_nothing_secret_is_shown_pickled_or_copied():
    world = World(4, drop_out=0).until(Round.UNMASK)
    client = world.clients["c1"]
    for one in (client, world.server, world.identities[1]):
        assert len(repr(one)) < 60
    message = decode(world.upward["c1"], world.terms)
    assert repr(message) == "Openings(1, <3 and 0 shares hidden>)"
    assert repr(Masked(1, bytes(64), bytes(9))) == "Masked(1, <9 bytes>)"
    for forbidden in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(SecrecyError):
            forbidden(client)
    from tacit.primitive.secagg.keys import KeyPair

    pair = KeyPair.generate()
    assert pair.secret.hex() not in repr(pair)


def test_terms_and_rosters_that_make_no_sense():
    identities = [Identity.generate(f"c{i}") for i in range(4)]
    terms = terms_of(identities, Encoding(Layout.of([0.0] * 3), 4))
    for change in (
        {"session": b""},
        {"session": bytes(65)},
        {"number": -1},
        {"number": 2**64},
        {"seed": bytes(31)},
        {"plan": plan(5)},
    ):
        with pytest.raises(ConfigError):
            replace(terms, **change)
    key = identities[0].public
    for names, keys in (
        (("a", "a"), (key, identities[1].public)),
        (("a", "b"), (key, key)),
        (("a",), ()),
        (("",), (key,)),
        (("a",), (b"",)),
    ):
        with pytest.raises(ConfigError):
            Roster(names, keys)
    with pytest.raises(UnknownParty):
        Client(Identity.generate("stranger"), terms, [0.0] * 3)
    with pytest.raises(ConfigError, match="another key"):
        Client(Identity.generate("c1"), terms, [0.0] * 3)
    assert isinstance(terms, Terms)
