"""The server of one aggregation: a state machine that takes clients' messages, round by round, and ends with their sum."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import (
    AggregationError,
    DomainError,
    InputError,
    MessageForeign,
    MessageForged,
    MessageMalformed,
    MessageRepeated,
    MessageUntimely,
    TooFewClients,
)
from tacit.primitive.secagg import keys, shamir
from tacit.primitive.secagg.encoding import Encoding, Words
from tacit.primitive.secagg.graph import members_of, pack_members
from tacit.primitive.secagg.messages import (
    Advertisement,
    Agreement,
    Delivery,
    Keys,
    Masked,
    Openings,
    Quorum,
    Shares,
    Survivors,
    Upward,
    decode,
    encode,
    table,
)
from tacit.primitive.secagg.terms import Round, Terms


@final
@dataclass(frozen=True)
class Aggregate:
    """What an aggregation reveals.

    clients: whose values are in it. sums: one array for each leaf of the layout. weights: the sum of weights; without
    weights, the number of clients. words: the same sums as they are in the ring, exact.
    """

    clients: tuple[str, ...]
    sums: tuple[NDArray[Any], ...]
    weights: float
    words: Words
    encoding: Encoding

    def total(self, like: Any) -> Any:
        """The weighted sum as a tree of the form of `like`."""
        return self.encoding.unflatten(self.sums, like)

    def mean(self, like: Any) -> Any:
        """The weighted mean as a tree of the form of `like`, float64. Raises: DomainError if all weights are zero."""
        if self.weights == 0:
            raise DomainError("all weights are zero, so that there is no mean")
        return self.encoding.unflatten([leaf / self.weights for leaf in self.sums], like)


@final
class Server:
    """The server in one aggregation.

    `receive` takes one message of one client; `close` ends a round when all have answered or waiting is over, and gives
    each client that is still in play its next message; after round 4 `result` gives the sum. Whoever did not answer a
    round, or whose message was refused, is silent from there on. A refused message changes nothing: the client may
    still send a good one.

    `sender` of `receive` is the name that the channel authenticated.

    Reveals: see Client. Costs: 5 rounds; time for one mask per survivor, and k per client that fell silent after round
    1.
    Raises: the kinds of AggregationError, each with client and round. TooFewClients ends the aggregation: nothing is
    revealed.
    """

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._round = Round.ADVERTISE
        # Those who may answer in this round, and those who did.
        self._expected = set(range(terms.plan.clients))
        self._answered: set[int] = set()
        self._over = False
        self._advertised: dict[int, bytes] = {}
        self._commitments: dict[int, bytes] = {}
        self._sealed: dict[int, dict[int, bytes]] = {}
        self._masked_with: dict[int, bytes] = {}
        self._agreed: dict[int, bytes] = {}
        self._openings: dict[int, tuple[dict[int, bytes], dict[int, bytes]]] = {}
        self._sum = keys.Mask(np.zeros(terms.encoding.length, terms.encoding.word))
        self._sharers: set[int] = set()
        self._survivors: set[int] = set()
        self._sharer_bits = self._survivor_bits = b""
        self._probe = keys.KeyPair.generate()

    @property
    def round(self) -> Round:
        """The round whose messages are taken now."""
        return self._round

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """The clients that may still answer in this round."""
        return self._names(self._expected - self._answered)

    def receive(self, sender: str, data: bytes) -> None:
        """Take one message of the client that the channel authenticated as `sender`."""
        client = self._terms.roster.index(sender)
        message = decode(data, self._terms, peer=sender)
        step = message.ROUND
        if not isinstance(message, Advertisement | Shares | Masked | Agreement | Openings):
            raise MessageForeign(f"a {type(message).__name__} is for clients", **self._at(client, step))
        if message.client != client:
            raise MessageForeign(
                f"it speaks for client {self._terms.roster.names[message.client]}", **self._at(client, step)
            )
        if step < self._round or (step == self._round and client in self._answered):
            if self._counted(client, step):
                raise MessageRepeated("its message of this round was counted before", **self._at(client, step))
            raise MessageUntimely("this round is over", **self._at(client, step))
        if self._over or step > self._round:
            raise MessageUntimely(
                f"the server is in round {self._round}{' and has stopped' * self._over}", **self._at(client, step)
            )
        if client not in self._expected:
            raise MessageUntimely("it fell silent in an earlier round, or was left out", **self._at(client, step))
        self._take(client, message)
        self._answered.add(client)

    def close(self) -> dict[str, bytes]:
        """End this round, one of the first four: the next message for each client in play, by name."""
        if self._over or self._round is Round.UNMASK:
            raise MessageUntimely("no round is left to be closed; ask for the result", round=str(self._round))
        try:
            messages = self._next()
        except TooFewClients:
            self._over = True
            raise
        self._round = Round(self._round + 1)
        self._expected, self._answered = {message.client for message in messages}, set()
        return {self._terms.roster.names[message.client]: encode(message, self._terms) for message in messages}

    def result(self) -> Aggregate:
        """End round 4: the sum over all survivors of round 2."""
        if self._over or self._round is not Round.UNMASK:
            raise MessageUntimely("the result comes once, after round 4 was begun", round=str(self._round))
        self._over = True
        self._unmask()
        terms, words = self._terms, self._sum.words
        words &= words.dtype.type((1 << 8 * terms.encoding.width) - 1)
        if not terms.encoding.within_reach(words, len(self._survivors)):
            raise AggregationError(
                f"the sum is beyond what {len(self._survivors)} clients can reach within their bounds: one of them broke the protocol",
                round=str(self._round),
            )
        sums, weights = terms.encoding.decode(words)
        total = float(len(self._survivors)) if terms.encoding.weight_limit is None else weights
        return Aggregate(self._names(self._survivors), tuple(sums), total, words, terms.encoding)

    def _take(self, client: int, message: Upward) -> None:
        """Check and keep one message; nothing is kept of one that is refused."""
        match message:
            case Advertisement(keys=held):
                public = held[: keys.PUBLIC_BYTES], held[keys.PUBLIC_BYTES : 2 * keys.PUBLIC_BYTES]
                statement = keys.advertised(self._terms, client, *public)
                if not self._terms.roster.signed(client, statement, held[2 * keys.PUBLIC_BYTES :]):
                    raise MessageForged("its identity did not sign these keys", **self._at(client, message.ROUND))
                self._usable(client, public)
                self._advertised[client] = held
            case Shares(commitment=commitment, sealed=sealed):
                self._exactly(client, message.ROUND, dict(sealed), self._neighbours(client) & self._advertised.keys())
                self._commitments[client], self._sealed[client] = commitment, dict(sealed)
            case Masked(signature=signature, words=words):
                statement = keys.masked_with(self._terms, client, self._sharer_bits)
                if not self._terms.roster.signed(client, statement, signature):
                    raise MessageForged(
                        "it did not sign the sharers it masked against", **self._at(client, message.ROUND)
                    )
                self._sum.words += self._terms.encoding.unpack(words)
                self._masked_with[client] = signature
            case Agreement(signature=signature):
                statement = keys.survived(self._terms, client, self._sharer_bits, self._survivor_bits)
                if not self._terms.roster.signed(client, statement, signature):
                    raise MessageForged(
                        "it did not sign these sharers and survivors", **self._at(client, message.ROUND)
                    )
                self._agreed[client] = signature
            case Openings(seeds=seeds, keys=mask_keys):
                near = self._neighbours(client)
                self._exactly(client, message.ROUND, dict(seeds), near & self._survivors)
                self._exactly(client, message.ROUND, dict(mask_keys), near & (self._sharers - self._survivors))
                for _, share in (*seeds, *mask_keys):
                    if not shamir.well_formed(share):
                        raise MessageMalformed("a share is beyond its field", **self._at(client, message.ROUND))
                self._openings[client] = dict(seeds), dict(mask_keys)

    def _next(self) -> list[Keys] | list[Delivery] | list[Survivors] | list[Quorum]:
        """What the clients still in play are told when this round ends."""
        plan, graph = self._terms.plan, self._terms.graph
        if self._round is Round.ADVERTISE:
            able = {client: self._neighbours(client) & self._answered for client in self._answered}
            self._enough(len(self._answered), plan.least, "clients advertised keys")
            return [
                Keys(client, table({other: self._advertised[other] for other in near}))
                for client, near in able.items()
                if len(near) >= plan.threshold
            ]
        if self._round is Round.SHARE:
            self._sharers = graph.core(self._answered)
            self._enough(len(self._sharers), plan.least, "clients shared with enough neighbours")
            self._sharer_bits = self._packed(self._sharers)
            return [
                Delivery(
                    client,
                    self._sharer_bits,
                    table({other: self._sealed[other][client] for other in self._neighbours(client) & self._sharers}),
                )
                for client in self._sharers
            ]
        if self._round is Round.MASK:
            self._survivors = set(self._answered)
            self._enough(len(self._survivors), plan.least, "clients sent their values")
            self._survivor_bits = self._packed(self._survivors)
            return [
                Survivors(client, self._survivor_bits, self._signatures(self._neighbours(client) & self._survivors))
                for client in self._survivors
            ]
        signed = sorted(self._agreed.keys() & graph.witnesses)
        self._enough(len(signed), plan.quorum, "witnesses agreed")
        quorum = table({client: self._agreed[client] for client in signed[: plan.quorum]})
        return [Quorum(client, quorum) for client in self._answered]

    def _unmask(self) -> None:
        """Recover a seed of every survivor and the mask key of every client that fell silent; subtract their masks."""
        terms = self._terms
        silent = sorted(self._sharers - self._survivors)
        survivors = sorted(self._survivors)
        seeds = self._recovered(survivors, 0)
        pairs = [keys.KeyPair(secret) for secret in self._recovered(silent, 1)]
        for client, seed in zip(survivors, seeds, strict=True):
            if not hmac.compare_digest(keys.commitment(terms, seed, client), self._commitments[client]):
                self._unfit(client)
        for client, pair in zip(silent, pairs, strict=True):
            if not hmac.compare_digest(pair.public, self._public(client)):
                self._unfit(client)
        for client, seed in zip(survivors, seeds, strict=True):
            keys.add_self_mask(terms, seed, client, self._sum, negative=True)
        for client, pair in zip(silent, pairs, strict=True):
            for other in self._neighbours(client) & self._survivors:
                secret = pair.agree(self._public(other))
                keys.add_pair_mask(terms, secret, other, client, self._sum, negative=True)

    def _recovered(self, clients: list[int], which: int) -> list[bytes]:
        """One secret of each of these clients, from the first t neighbours that opened."""
        threshold = self._terms.plan.threshold
        points, shares = [], []
        for client in clients:
            holders = sorted(self._neighbours(client) & self._openings.keys())
            if len(holders) < threshold:
                raise TooFewClients(
                    f"only {len(holders)} neighbours opened their shares, and {threshold} recover the mask",
                    client=self._terms.roster.names[client],
                    round=str(self._round),
                )
            points.append([holder + 1 for holder in holders[:threshold]])
            shares.append([self._openings[holder][which][client] for holder in holders[:threshold]])
        secrets = shamir.recover(points, shares)
        for client, secret in zip(clients, secrets, strict=True):
            if secret is None:
                self._unfit(client)
        return [secret for secret in secrets if secret is not None]

    def _counted(self, client: int, step: Round) -> bool:
        kept: dict[Round, dict[int, Any]] = {
            Round.ADVERTISE: self._advertised,
            Round.SHARE: self._sealed,
            Round.MASK: self._masked_with,
            Round.AGREE: self._agreed,
            Round.UNMASK: self._openings,
        }
        return client in kept[step]

    def _neighbours(self, client: int) -> set[int]:
        return set(self._terms.graph.neighbours(client))

    def _public(self, client: int) -> bytes:
        """The public mask key that a client advertised."""
        return self._advertised[client][keys.PUBLIC_BYTES : 2 * keys.PUBLIC_BYTES]

    def _signatures(self, clients: Iterable[int]) -> tuple[tuple[int, bytes], ...]:
        return table({client: self._masked_with[client] for client in clients})

    def _packed(self, clients: Iterable[int]) -> bytes:
        return pack_members(members_of(clients, self._terms.plan.clients))

    def _names(self, clients: Iterable[int]) -> tuple[str, ...]:
        return tuple(self._terms.roster.names[client] for client in sorted(clients))

    def _exactly(self, client: int, step: Round, rows: dict[int, bytes], wanted: set[int]) -> None:
        if rows.keys() != wanted:
            extra, missing = len(rows.keys() - wanted), len(wanted - rows.keys())
            raise MessageMalformed(
                f"{missing} neighbours are missing in a table, and {extra} have no place there",
                **self._at(client, step),
            )

    def _enough(self, count: int, least: int, what: str) -> None:
        if count < least:
            raise TooFewClients(f"only {count} {what}, and {least} are needed", round=str(self._round))

    def _usable(self, client: int, public: tuple[bytes, bytes]) -> None:
        """Refuse points of small order, with which nobody could agree on anything."""
        try:
            for key in public:
                self._probe.agree(key)
        except InputError as error:
            raise MessageForged(str(error), **self._at(client, Round.ADVERTISE)) from None

    def _unfit(self, client: int) -> NoReturn:
        raise MessageForged(
            "the shares of its mask do not give what it committed to: it, or a neighbour, sent wrong ones",
            client=self._terms.roster.names[client],
            round=str(self._round),
        )

    def _at(self, client: int, step: Round) -> dict[str, str]:
        """What every refusal names."""
        return {"client": self._terms.roster.names[client], "round": str(step)}

    def __repr__(self) -> str:
        return f"Server({len(self._terms.roster)} clients, round {self._round})"
