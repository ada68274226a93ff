"""What all clients and the server agree on before an aggregation, and the digest that ties every message to it."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass
from enum import IntEnum
from functools import cached_property
from typing import final

from tacit.foundation.errors import ConfigError
from tacit.primitive.secagg.encoding import Encoding
from tacit.primitive.secagg.graph import Graph
from tacit.primitive.secagg.planning import Plan
from tacit.primitive.secagg.roster import Roster

CONTEXT_BYTES = 16
SEED_BYTES = 32


class Round(IntEnum):
    """The five rounds, by what clients send in them."""

    ADVERTISE = 0
    SHARE = 1
    MASK = 2
    AGREE = 3
    UNMASK = 4

    def __str__(self) -> str:
        return f"{self.value} ({self.name.lower()})"


@final
@dataclass(frozen=True)
class Terms:
    """One aggregation. Everybody makes it from the same public facts; if they differ, every message is refused.

    A client judges these facts itself, the plan above all: it takes none of them on the server's word.

    session: the session's name, 1 to 64 bytes. number: of the aggregation within it, never used twice. roster: the
    clients and their identity keys. seed: 32 bytes of public randomness that nobody could predict or influence before
    everything else here was fixed, such as a beacon's or a coin toss's; the neighbourhoods follow from it, and a server
    that could choose it could put corrupted clients around an honest one.
    """

    session: bytes
    number: int
    roster: Roster
    plan: Plan
    encoding: Encoding
    seed: bytes

    def __post_init__(self) -> None:
        if not 1 <= len(self.session) <= 64:
            raise ConfigError(f"a session's name has 1 to 64 bytes, not {len(self.session)}")
        if not 0 <= self.number < 1 << 64:
            raise ConfigError(f"an aggregation's number has 64 bits, and {self.number} has not")
        if len(self.seed) != SEED_BYTES:
            raise ConfigError(f"the seed has {SEED_BYTES} bytes, not {len(self.seed)}")
        if not len(self.roster) == self.plan.clients == self.encoding.clients:
            raise ConfigError(
                f"the roster has {len(self.roster)} clients, the plan {self.plan.clients} and the encoding {self.encoding.clients}; all "
                "three are the same number"
            )

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that stand for these terms and no others: what is signed, derived and sealed, is so for them alone."""
        parts = (
            self.session,
            self.number.to_bytes(8, "little"),
            self.seed,
            self.roster.encoded(),
            b"".join(number.to_bytes(4, "little") for number in astuple(self.plan)),
            self.encoding.digest,
        )
        framed = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
        return hashlib.sha256(b"tacit.secagg.v1 terms\0" + framed).digest()

    @property
    def context(self) -> bytes:
        """The first 16 bytes of the digest, in every message's header."""
        return self.digest[:CONTEXT_BYTES]

    @property
    def occasion(self) -> bytes:
        """Session and number: what an identity spends once, whatever the rest of the terms."""
        return self.number.to_bytes(8, "little") + self.session

    @cached_property
    def graph(self) -> Graph:
        """The neighbourhoods that follow from the seed."""
        key = hashlib.sha256(b"tacit.secagg.v1 graph\0" + self.digest).digest()
        return Graph(self.plan, key[:16])
