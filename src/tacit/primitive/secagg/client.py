"""A client of one aggregation: a state machine that takes the server's messages and gives its own."""

from __future__ import annotations

import secrets
import threading
from typing import Any, NoReturn, final

import numpy as np

from tacit.foundation.errors import (
    ConfigError,
    InputError,
    MessageForeign,
    MessageForged,
    MessageRepeated,
    MessageUntimely,
    SecrecyError,
    SurvivorsDiffer,
    TooFewClients,
)
from tacit.primitive.secagg import keys, shamir
from tacit.primitive.secagg.encoding import Words
from tacit.primitive.secagg.graph import Members, unpack_members
from tacit.primitive.secagg.messages import (
    Advertisement,
    Agreement,
    Delivery,
    Keys,
    Masked,
    Message,
    Openings,
    Quorum,
    Shares,
    Survivors,
    Table,
    decode,
    encode,
    table,
)
from tacit.primitive.secagg.roster import Identity
from tacit.primitive.secagg.terms import Round, Terms


@final
class Client:
    """One client in one aggregation.

    `begin` gives the first message to the server, `answer` each next one. It answers every round once; the values are
    encoded, and refused if they are beyond their bounds, before anything is sent. When the server's messages contradict
    each other or the terms, it stops for good and forgets its secrets; a message that is merely out of turn is refused,
    and the client goes on.

    Reveals: to the server, the sum over all survivors, if it follows the protocol; and if it cheats together with at
        most `plan.corrupted` clients, the sum over one set of at least `plan.least` clients less what those put in, but
        for the probability that `plan` was made for. Which clients take part, and when they fall silent, is public.
    Costs: 5 rounds. See docs/protocols/secure-aggregation.md for bytes.
    Raises: the kinds of AggregationError, each with client and round.
    Source: Bonawitz et al., eprint 2017/281; Bell et al., eprint 2020/704.
    """

    def __init__(self, identity: Identity, terms: Terms, values: Any, weight: float | None = None) -> None:
        self._terms = terms
        self._me = terms.roster.index(identity.name)
        if terms.roster.keys[self._me] != identity.public:
            raise ConfigError(f"the roster has another key for {identity.name!r}. Give it the identity's public key.")
        self._words: Words | None = terms.encoding.encode(values, weight)
        self._identity = identity
        self._round = Round.ADVERTISE
        self._begun = self._stopped = self._finished = False
        self._lock = threading.Lock()
        self._neighbours = frozenset(terms.graph.neighbours(self._me))
        self._seal_key: keys.KeyPair | None = None
        self._mask_key: keys.KeyPair | None = None
        self._seed = b""
        # By neighbour: its two keys; what our seal keys agreed; its share of a seed and of a mask key.
        self._advertised: dict[int, tuple[bytes, bytes]] = {}
        self._sealing: dict[int, bytes] = {}
        self._held: dict[int, tuple[bytes, bytes]] = {}
        self._sharers = self._survivors = b""

    @property
    def name(self) -> str:
        """The client's name in the roster."""
        return self._identity.name

    @property
    def finished(self) -> bool:
        """Whether it has sent all its messages."""
        return self._finished

    def begin(self) -> bytes:
        """The message of round 0. Raises: MessageRepeated if it, or another client of this identity, began before."""
        # Spent by the first caller, whatever becomes of it.
        self._identity.spend(self._terms.occasion)
        self._begun = True
        self._seal_key, self._mask_key = keys.KeyPair.generate(), keys.KeyPair.generate()
        self._seed = secrets.token_bytes(keys.SECRET_BYTES)
        public = self._seal_key.public + self._mask_key.public
        statement = keys.advertised(self._terms, self._me, self._seal_key.public, self._mask_key.public)
        return encode(Advertisement(self._me, public + self._identity.sign(statement)), self._terms)

    def answer(self, data: bytes) -> bytes:
        """The answer to one message of the server."""
        received = decode(data, self._terms, peer=self.name)
        with self._lock:
            message = self._accept(received)
            # Before anything is computed: whatever becomes of this answer, there will be no second one.
            self._round = message.ROUND
            try:
                reply = self._reply(message)
            except BaseException:
                self._stop()
                raise
            if self._round is Round.UNMASK:
                self._finished = True
                self._stop()
        return encode(reply, self._terms)

    def _accept(self, message: Message) -> Keys | Delivery | Survivors | Quorum:
        """Only the next round's message to this client."""
        step = message.ROUND
        if not isinstance(message, Keys | Delivery | Survivors | Quorum):
            raise MessageForeign(f"a {type(message).__name__} is for the server", **self._at(step))
        if message.client != self._me:
            raise MessageForeign(f"it is for client {self._terms.roster.names[message.client]}", **self._at(step))
        if not self._begun:
            raise MessageUntimely("this client has not begun", **self._at(step))
        if step <= self._round:
            raise MessageRepeated("this round was answered before, and is answered once", **self._at(step))
        if self._stopped:
            raise MessageUntimely(f"this client stopped in round {self._round}", **self._at(step))
        if step != self._round + 1:
            raise MessageUntimely(f"the next one is of round {Round(self._round + 1)}", **self._at(step))
        return message

    def _reply(self, message: Keys | Delivery | Survivors | Quorum) -> Shares | Masked | Agreement | Openings:
        match message:
            case Keys():
                return self._share(message)
            case Delivery():
                return self._mask(message)
            case Survivors():
                return self._agree(message)
            case Quorum():
                return self._unmask(message)

    def _share(self, message: Keys) -> Shares:
        """Round 1: check the neighbours' keys; share seed and mask key among them."""
        seal_key, mask_key = self._own_keys()
        terms, plan, step = self._terms, self._terms.plan, Round.SHARE
        received = dict(message.neighbours)
        self._among(received, self._neighbours, step)
        self._enough(len(received), plan.threshold, "neighbours advertised keys", step)
        for other, held in received.items():
            public = held[: keys.PUBLIC_BYTES], held[keys.PUBLIC_BYTES : 2 * keys.PUBLIC_BYTES]
            signature = held[2 * keys.PUBLIC_BYTES :]
            if not terms.roster.signed(other, keys.advertised(terms, other, *public), signature):
                raise MessageForged(self._about(other, "it did not sign these keys"), **self._at(step))
            self._advertised[other] = public
        others = sorted(received)
        rows = shamir.share([self._seed, mask_key.secret], [other + 1 for other in others], plan.threshold)
        self._sealing = {other: self._agreed(seal_key, other, 0, step) for other in others}
        sealed = {
            other: keys.seal(terms, self._sealing[other], self._me, other, b"".join(row))
            for other, row in zip(others, rows, strict=True)
        }
        return Shares(self._me, keys.commitment(terms, self._seed, self._me), table(sealed))

    def _mask(self, message: Delivery) -> Masked:
        """Round 2: open the neighbours' shares, and mask against exactly those that shared."""
        _, mask_key = self._own_keys()
        terms, plan, step = self._terms, self._terms.plan, Round.MASK
        sharers = unpack_members(message.sharers, plan.clients)
        self._enough(int(sharers.sum()), plan.least, "clients shared", step)
        if not sharers[self._me]:
            raise SurvivorsDiffer(
                "the server asks for values, but left this client out of the sharers", **self._at(step)
            )
        received = dict(message.sealed)
        self._exactly(received, self._neighbours_in(sharers), step)
        self._among(received, self._advertised, step)
        self._enough(len(received), plan.threshold, "neighbours shared", step)
        for other, sealed in received.items():
            opened = keys.unseal(terms, self._sealing[other], other, self._me, sealed)
            if opened is None:
                raise MessageForged(self._about(other, "its sealed shares do not open"), **self._at(step))
            self._held[other] = opened[: shamir.SHARE_BYTES], opened[shamir.SHARE_BYTES :]
            if not all(map(shamir.well_formed, self._held[other])):
                raise MessageForged(self._about(other, "it sealed what are no shares"), **self._at(step))
        mask = keys.Mask(self._taken())
        keys.add_self_mask(terms, self._seed, self._me, mask)
        for other in received:
            keys.add_pair_mask(terms, self._agreed(mask_key, other, 1, step), self._me, other, mask)
        # From here on others hold what undoes these masks; the keys would only serve whoever breaks in later.
        self._seal_key = self._mask_key = None
        self._seed, self._sealing = b"", {}
        self._sharers = message.sharers
        signature = self._identity.sign(keys.masked_with(terms, self._me, self._sharers))
        return Masked(self._me, signature, terms.encoding.pack(mask.words))

    def _agree(self, message: Survivors) -> Agreement:
        """Round 3: check that the survivors cannot isolate anybody; sign them, once."""
        terms, plan, step = self._terms, self._terms.plan, Round.AGREE
        survivors, sharers = unpack_members(message.survivors, plan.clients), self._sharer_flags()
        if not survivors[self._me]:
            raise SurvivorsDiffer(
                "the server left this client out of the survivors, and asks it to agree", **self._at(step)
            )
        if np.any(survivors & ~sharers):
            raise SurvivorsDiffer("there are survivors that had not shared", **self._at(step))
        self._enough(int(survivors.sum()), plan.least, "clients survived", step)
        if terms.graph.occupancy(survivors) < plan.occupancy:
            raise SurvivorsDiffer(
                f"fewer than {plan.occupancy} of {plan.window} successive clients survived, so that their neighbourhoods may fall apart",
                **self._at(step),
            )
        received = dict(message.signatures)
        self._exactly(received, self._neighbours_in(survivors), step)
        for other, signature in received.items():
            if not terms.roster.signed(other, keys.masked_with(terms, other, self._sharers), signature):
                raise SurvivorsDiffer(self._about(other, "it did not mask against the same sharers"), **self._at(step))
        self._survivors = message.survivors
        statement = keys.survived(terms, self._me, self._sharers, self._survivors)
        return Agreement(self._me, self._identity.sign(statement))

    def _unmask(self, message: Quorum) -> Openings:
        """Round 4: with a quorum for the same sets, give one share of each neighbour: of its seed, or of its key."""
        terms, step = self._terms, Round.UNMASK
        received = dict(message.signatures)
        self._among(received, terms.graph.witnesses, step)
        self._enough(len(received), terms.plan.quorum, "witnesses signed", step)
        for other, signature in received.items():
            statement = keys.survived(terms, other, self._sharers, self._survivors)
            if not terms.roster.signed(other, statement, signature):
                raise SurvivorsDiffer(
                    self._about(other, "it did not sign the same sharers and survivors"), **self._at(step)
                )
        survivors = unpack_members(self._survivors, terms.plan.clients)
        alive = {other: held for other, held in self._held.items() if survivors[other]}
        silent = {other: held for other, held in self._held.items() if not survivors[other]}
        return Openings(self._me, _column(alive, 0), _column(silent, 1))

    def _own_keys(self) -> tuple[keys.KeyPair, keys.KeyPair]:
        assert self._seal_key is not None
        assert self._mask_key is not None
        return self._seal_key, self._mask_key

    def _taken(self) -> Words:
        """The words, to be masked in place; they are not kept."""
        words, self._words = self._words, None
        assert words is not None
        return words

    def _agreed(self, pair: keys.KeyPair, other: int, which: int, step: Round) -> bytes:
        try:
            return pair.agree(self._advertised[other][which])
        except InputError as error:
            raise MessageForged(self._about(other, str(error)), **self._at(step)) from None

    def _sharer_flags(self) -> Members:
        return unpack_members(self._sharers, self._terms.plan.clients)

    def _neighbours_in(self, members: Members) -> set[int]:
        return {other for other in self._neighbours if members[other]}

    def _among(self, received: dict[int, bytes], allowed: Any, step: Round) -> None:
        for other in received.keys() - set(allowed):
            raise MessageForeign(self._about(other, "it has no place in this message"), **self._at(step))

    def _exactly(self, received: dict[int, bytes], wanted: set[int], step: Round) -> None:
        self._among(received, wanted, step)
        for other in wanted - received.keys():
            raise SurvivorsDiffer(
                self._about(other, "the server counts it, but keeps back what it sent"), **self._at(step)
            )

    def _enough(self, count: int, least: int, what: str, step: Round) -> None:
        if count < least:
            raise TooFewClients(f"only {count} {what}, and {least} are needed", **self._at(step))

    def _about(self, other: int, reason: str) -> str:
        return f"{self._terms.roster.names[other]}: {reason}"

    def _at(self, step: Round) -> dict[str, str]:
        """What every refusal names."""
        return {"client": self.name, "round": str(step)}

    def _stop(self) -> None:
        """Forget all secrets. What was sent stays masked as long as too few others reveal their shares."""
        self._stopped = True
        self._seal_key = self._mask_key = self._words = None
        self._seed, self._sealing, self._held = b"", {}, {}

    def __repr__(self) -> str:
        return f"Client({self.name!r}, round {self._round}{', stopped' if self._stopped else ''})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SecrecyError("a client is never pickled or copied: it could then answer a round twice")


def _column(rows: dict[int, tuple[bytes, bytes]], which: int) -> Table:
    return table({other: held[which] for other, held in rows.items()})
