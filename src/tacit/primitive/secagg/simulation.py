"""All clients and the server of one aggregation in one process.

A simulation of distance only: every message is encoded, counted, decoded and checked as it would be between machines,
and every client is the state machine that runs there. But one process holds all secrets, so that it protects nobody.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from tacit.foundation.errors import ConfigError
from tacit.primitive.secagg.client import Client
from tacit.primitive.secagg.encoding import Encoding
from tacit.primitive.secagg.planning import Plan, plan
from tacit.primitive.secagg.roster import Identity, Roster
from tacit.primitive.secagg.server import Aggregate, Server
from tacit.primitive.secagg.terms import SEED_BYTES, Round, Terms


@final
@dataclass
class Tally:
    """What one round took: bytes and seconds of all clients together, and of the server.

    sent, received: bytes of clients, by name; the server's are the same, the other way. client_seconds, server_seconds:
    time.
    """

    sent: dict[str, int] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    client_seconds: float = 0.0
    server_seconds: float = 0.0


@final
@dataclass(frozen=True)
class Simulated:
    """An aggregation that was simulated: its result, its terms, and what each round took."""

    aggregate: Aggregate
    terms: Terms
    rounds: tuple[Tally, ...]


def aggregate_masked(
    values: Sequence[Any],
    encoding: Encoding,
    *,
    weights: Sequence[float] | None = None,
    silent_from: Mapping[int, Round] | None = None,
    numbers: Plan | None = None,
    seed: bytes | None = None,
) -> Simulated:
    """Sum the clients' trees by masked aggregation, all parties in this process.

    values: one tree per client. weights: one per client, for an encoding with a weight_limit. silent_from: by client's
    place in `values`, the first round whose message it does not send; it sends none after that. numbers: the plan;
    `plan(len(values))` by default. seed: 32 bytes that fix the neighbourhoods; new ones by default.
    Reveals: everything to this process, which is all parties at once.
    Raises: TooFewClients when more clients fall silent than the plan allows; ClipExceeded for values beyond their
    bounds.
    """
    if weights is not None and len(weights) != len(values):
        raise ConfigError(f"{len(weights)} weights for {len(values)} clients")
    last = {place: Round(step) for place, step in (silent_from or {}).items()}
    identities = [Identity.generate(f"client-{place}") for place in range(len(values))]
    terms = Terms(
        b"simulation",
        0,
        Roster.of(identities),
        plan(len(values)) if numbers is None else numbers,
        encoding,
        secrets.token_bytes(SEED_BYTES) if seed is None else seed,
    )
    rounds, server = tuple(Tally() for _ in Round), Server(terms)
    clients = {}
    for place, identity in enumerate(identities):
        began = time.perf_counter()
        clients[identity.name] = Client(identity, terms, values[place], None if weights is None else weights[place])
        rounds[0].client_seconds += time.perf_counter() - began

    asked = dict.fromkeys(clients, b"")
    for step in Round:
        for name, message in asked.items():
            if last.get(terms.roster.index(name), _NEVER) > step:
                _serve(rounds[step], server, clients[name], message)
        began = time.perf_counter()
        if step is not Round.UNMASK:
            asked = server.close()
            rounds[step + 1].received = {name: len(message) for name, message in asked.items()}
            rounds[step + 1].server_seconds += time.perf_counter() - began
    aggregate = server.result()
    rounds[Round.UNMASK].server_seconds += time.perf_counter() - began
    return Simulated(aggregate, terms, rounds)


def _serve(tally: Tally, server: Server, client: Client, message: bytes) -> None:
    """One client's turn: it answers (or begins), and the server receives."""
    began = time.perf_counter()
    reply = client.answer(message) if message else client.begin()
    answered = time.perf_counter()
    server.receive(client.name, reply)
    tally.sent[client.name] = len(reply)
    tally.client_seconds += answered - began
    tally.server_seconds += time.perf_counter() - answered


_NEVER = Round.UNMASK + 1
