"""The messages: plain frozen values with one strict encoding each.

A header of 25 bytes (magic, version, kind, context of the terms, client), then what the class lists, in order. Numbers
are little-endian. Tables are counted, and their rows are of fixed size and in strictly rising order of client. A
message is refused unless it is exactly as long as it says, so that no two encodings mean the same. Bounds follow from
the terms: nothing a peer sends can make the receiver hold more than an honest peer would.

Upwards `client` is the sender, downwards the receiver.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, final

from tacit.foundation.errors import MessageForeign, MessageMalformed
from tacit.primitive.secagg.keys import PUBLIC_BYTES, TAG_BYTES
from tacit.primitive.secagg.roster import SIGNATURE_BYTES
from tacit.primitive.secagg.shamir import SHARE_BYTES
from tacit.primitive.secagg.terms import CONTEXT_BYTES, Round, Terms

HEADER_BYTES = 25
# The keys with their signature; both shares, sealed.
ADVERTISED_BYTES = 2 * PUBLIC_BYTES + SIGNATURE_BYTES
SEALED_BYTES = 2 * SHARE_BYTES + TAG_BYTES

Table: TypeAlias = tuple[tuple[int, bytes], ...]


@final
@dataclass(frozen=True)
class Advertisement:
    """Client, round 0: its two public keys for this aggregation, signed by its identity."""

    client: int
    keys: bytes
    KIND: ClassVar[int] = 1
    ROUND: ClassVar[Round] = Round.ADVERTISE

    def body(self) -> bytes:
        """All after the header."""
        return self.keys

    @classmethod
    def read(cls, reader: Reader) -> Advertisement:
        """The inverse."""
        return cls(reader.client, reader.take(ADVERTISED_BYTES))


@final
@dataclass(frozen=True)
class Keys:
    """Server, round 1: what the neighbours advertised."""

    client: int
    neighbours: Table
    KIND: ClassVar[int] = 2
    ROUND: ClassVar[Round] = Round.SHARE

    def body(self) -> bytes:
        """All after the header."""
        return _table(self.neighbours)

    @classmethod
    def read(cls, reader: Reader) -> Keys:
        """The inverse."""
        return cls(reader.client, reader.table(ADVERTISED_BYTES))


@final
@dataclass(frozen=True)
class Shares:
    """Client, round 1: a commitment to its seed, and for each neighbour its two shares, sealed."""

    client: int
    commitment: bytes
    sealed: Table
    KIND: ClassVar[int] = 3
    ROUND: ClassVar[Round] = Round.SHARE

    def body(self) -> bytes:
        """All after the header."""
        return self.commitment + _table(self.sealed)

    @classmethod
    def read(cls, reader: Reader) -> Shares:
        """The inverse."""
        return cls(reader.client, reader.take(_DIGEST_BYTES), reader.table(SEALED_BYTES))


@final
@dataclass(frozen=True)
class Delivery:
    """Server, round 2: all clients that shared (one bit each), and what the neighbours among them sealed."""

    client: int
    sharers: bytes
    sealed: Table
    KIND: ClassVar[int] = 4
    ROUND: ClassVar[Round] = Round.MASK

    def body(self) -> bytes:
        """All after the header."""
        return self.sharers + _table(self.sealed)

    @classmethod
    def read(cls, reader: Reader) -> Delivery:
        """The inverse."""
        return cls(reader.client, reader.members(), reader.table(SEALED_BYTES))


@final
@dataclass(frozen=True)
class Masked:
    """Client, round 2: its masked words, and its signature over the set of sharers against whom it masked."""

    client: int
    signature: bytes
    words: bytes
    KIND: ClassVar[int] = 5
    ROUND: ClassVar[Round] = Round.MASK

    def body(self) -> bytes:
        """All after the header."""
        return self.signature + self.words

    @classmethod
    def read(cls, reader: Reader) -> Masked:
        """The inverse."""
        return cls(reader.client, reader.take(SIGNATURE_BYTES), reader.words())

    def __repr__(self) -> str:
        return f"Masked({self.client}, <{len(self.words)} bytes>)"


@final
@dataclass(frozen=True)
class Survivors:
    """Server, round 3: all clients whose words arrived, and the signatures of the neighbours among them."""

    client: int
    survivors: bytes
    signatures: Table
    KIND: ClassVar[int] = 6
    ROUND: ClassVar[Round] = Round.AGREE

    def body(self) -> bytes:
        """All after the header."""
        return self.survivors + _table(self.signatures)

    @classmethod
    def read(cls, reader: Reader) -> Survivors:
        """The inverse."""
        return cls(reader.client, reader.members(), reader.table(SIGNATURE_BYTES))


@final
@dataclass(frozen=True)
class Agreement:
    """Client, round 3: its one signature over sharers and survivors."""

    client: int
    signature: bytes
    KIND: ClassVar[int] = 7
    ROUND: ClassVar[Round] = Round.AGREE

    def body(self) -> bytes:
        """All after the header."""
        return self.signature

    @classmethod
    def read(cls, reader: Reader) -> Agreement:
        """The inverse."""
        return cls(reader.client, reader.take(SIGNATURE_BYTES))


@final
@dataclass(frozen=True)
class Quorum:
    """Server, round 4: the signatures of a quorum of witnesses."""

    client: int
    signatures: Table
    KIND: ClassVar[int] = 8
    ROUND: ClassVar[Round] = Round.UNMASK

    def body(self) -> bytes:
        """All after the header."""
        return _table(self.signatures)

    @classmethod
    def read(cls, reader: Reader) -> Quorum:
        """The inverse."""
        return cls(reader.client, reader.table(SIGNATURE_BYTES))


@final
@dataclass(frozen=True)
class Openings:
    """Client, round 4: its shares of surviving neighbours' seeds, and of silent ones' mask keys."""

    client: int
    seeds: Table
    keys: Table
    KIND: ClassVar[int] = 9
    ROUND: ClassVar[Round] = Round.UNMASK

    def body(self) -> bytes:
        """All after the header."""
        return _table(self.seeds) + _table(self.keys)

    @classmethod
    def read(cls, reader: Reader) -> Openings:
        """The inverse."""
        return cls(reader.client, reader.table(SHARE_BYTES), reader.table(SHARE_BYTES))

    def __repr__(self) -> str:
        return f"Openings({self.client}, <{len(self.seeds)} and {len(self.keys)} shares hidden>)"


Upward: TypeAlias = Advertisement | Shares | Masked | Agreement | Openings
Downward: TypeAlias = Keys | Delivery | Survivors | Quorum
Message: TypeAlias = Upward | Downward


def encode(message: Message, terms: Terms) -> bytes:
    """The message as bytes."""
    head = _MAGIC + bytes([_VERSION, message.KIND]) + terms.context + message.client.to_bytes(4, "little")
    return head + message.body()


def decode(data: bytes, terms: Terms, *, peer: str = "") -> Message:
    """The message that these bytes are, and no other bytes are.

    Raises: MessageMalformed for anything that `encode` does not write, MessageForeign for a message of other terms.
    `peer` is named.
    """
    if len(data) < HEADER_BYTES:
        raise MessageMalformed(f"it has {len(data)} bytes, and a header {HEADER_BYTES}", client=peer)
    magic, version, kind = data[:3], data[3], data[4]
    if magic != _MAGIC or version != _VERSION:
        raise MessageMalformed(f"it does not begin as a message of version {_VERSION}", client=peer)
    if kind not in _KINDS:
        raise MessageMalformed(f"there is no message of kind {kind}", client=peer)
    message_type = _KINDS[kind]
    step = str(message_type.ROUND)
    if data[5 : 5 + CONTEXT_BYTES] != terms.context:
        raise MessageForeign(
            f"a {message_type.__name__} belongs to another aggregation, or was made under other terms",
            client=peer,
            round=step,
        )
    client = int.from_bytes(data[5 + CONTEXT_BYTES : HEADER_BYTES], "little")
    if client >= terms.plan.clients:
        raise MessageMalformed(f"it names client {client} of {terms.plan.clients}", client=peer, round=step)
    reader = Reader(data, terms, client, peer, step)
    message: Message = message_type.read(reader)
    reader.end()
    return message


@final
class Reader:
    """Reads a message's body front to back, and refuses what is not there, or too much."""

    def __init__(self, data: bytes, terms: Terms, client: int, peer: str, step: str) -> None:
        self.client = client
        self._data = data
        self._at = HEADER_BYTES
        self._terms = terms
        self._peer = peer
        self._step = step

    def take(self, size: int) -> bytes:
        """The next bytes."""
        end = self._at + size
        if end > len(self._data):
            raise self._refused(f"it ends {end - len(self._data)} bytes early")
        part = self._data[self._at : end]
        self._at = end
        return part

    def table(self, size: int) -> Table:
        """Rows of a client's index and `size` bytes."""
        count = int.from_bytes(self.take(4), "little")
        most = max(self._terms.plan.neighbours, self._terms.plan.witnesses)
        if count > most:
            raise self._refused(f"a table claims {count} rows, and {most} are the most")
        rows = tuple((int.from_bytes(self.take(4), "little"), self.take(size)) for _ in range(count))
        indices = [index for index, _ in rows]
        if any(one >= other for one, other in itertools.pairwise(indices)):
            raise self._refused("the rows of a table are not in rising order")
        if indices and indices[-1] >= self._terms.plan.clients:
            raise self._refused(f"a table names client {indices[-1]} of {self._terms.plan.clients}")
        return rows

    def members(self) -> bytes:
        """A set of clients; the bits after the last one are zero."""
        clients = self._terms.plan.clients
        packed = self.take(-(-clients // 8))
        if clients % 8 and packed[-1] >> clients % 8:
            raise self._refused(f"a set has members beyond the {clients} clients")
        return packed

    def words(self) -> bytes:
        """The words of one client."""
        return self.take(self._terms.encoding.length * self._terms.encoding.width)

    def end(self) -> None:
        """Nothing may be left."""
        if self._at != len(self._data):
            raise self._refused(f"{len(self._data) - self._at} bytes follow its end")

    def _refused(self, reason: str) -> MessageMalformed:
        return MessageMalformed(reason, client=self._peer, round=self._step)


def table(rows: Mapping[int, bytes] | Iterable[tuple[int, bytes]]) -> Table:
    """Rows in rising order of client."""
    return tuple(sorted(dict(rows).items()))


def _table(rows: Table) -> bytes:
    return len(rows).to_bytes(4, "little") + b"".join(index.to_bytes(4, "little") + held for index, held in rows)


_MAGIC = b"TSA"
_VERSION = 1
_DIGEST_BYTES = 32
_KINDS: dict[int, type[Message]] = {
    kind.KIND: kind for kind in (Advertisement, Keys, Shares, Delivery, Masked, Survivors, Agreement, Quorum, Openings)
}
