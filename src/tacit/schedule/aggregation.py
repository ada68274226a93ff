"""What parties do for an aggregation: each client its side of the masked protocol, the server the other.

The protocol is that of `tacit.primitive.secagg` (Bonawitz et al., eprint 2017/281; SecAgg+, 2020/704), its threat model and leakage are
those of docs/protocols/secure-aggregation.md. Here are its settings, which every party turns into terms and judges itself; the
seed, a coin toss of all clients (commitments first, SHA-256); the clients' noise; and the ledgers. Messages go from client to
server and back over their own link. The clients' identity keys, commitments and coins go over the session's own lines, in
which the server has no part.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tacit.foundation.errors import AggregationError, DomainError, MessageForged, SessionError, TacitError
from tacit.primitive.local import encode as to_ring
from tacit.primitive.secagg import Client, Encoding, Identity, Layout, Plan, Roster, Server, Terms
from tacit.primitive.secagg import plan as make_plan
from tacit.schedule.private import noise_share
from tacit.schedule.procedure import Facts, PartyView, procedure

COIN_BYTES = 32
ROOM = 64
"""Widths of noise that the words have room for: it reaches further with probability below 2**-90."""


@dataclass(slots=True)
class Part:
    """What a party keeps of one aggregation while it runs. It hides what it holds."""

    settings: Mapping[str, Any]
    coin: bytes = b""
    leaves: Sequence[np.ndarray] = ()
    weight: float | None = None
    commitments: Mapping[str, str] = field(default_factory=dict)
    machine: Client | Server | None = None

    def __repr__(self) -> str:
        return f"Part(aggregation {self.settings['number']}, <values hidden>)"


def part_of(view: PartyView, number: int) -> Part:
    """This party's part. Raises: SessionError where it takes none."""
    part = view.state.get(f"secagg.{number}")
    if not isinstance(part, Part):
        raise SessionError(f"{view.name} takes no part in aggregation {number}")
    return part


# --- settings ---------------------------------------------------------------------------------------------------------


def plan_of(settings: Mapping[str, Any]) -> Plan:
    """The numbers of the protocol."""
    return make_plan(len(settings["clients"]), drop_out=settings["drop_out"], corruption=settings["corruption"])


def encoding_of(settings: Mapping[str, Any], *, room: bool = True) -> Encoding:
    """How numbers become words. room: with room for noise, if there is any."""
    layout = Layout.of([np.zeros(shape, dtype) for shape, dtype in settings["leaves"]])
    noise, bits = settings["noise"], settings["fraction_bits"]
    extra = ROOM * noise["width"] + ROOM if noise and room else 0.0
    whole = bool(settings["integer_limit"])
    return Encoding(
        layout,
        len(settings["clients"]),
        clip=settings["clip"] + np.ldexp(extra, -bits),
        fraction_bits=bits,
        integer_limit=settings["integer_limit"] + int(extra) if whole else 0,
        weight_limit=settings["weight_limit"],
        weight_bits=settings["weight_bits"],
        beyond="refuse" if noise and room else settings["beyond"],
    )


def _terms(part: Part, publics: Mapping[str, str], coins: Mapping[str, str]) -> Terms:
    """The terms that follow from settings, keys and the toss. Raises: MessageForged for a coin that is not the one promised."""
    settings, names = part.settings, part.settings["clients"]
    number = settings["number"]
    for name in names:
        promised = part.commitments.get(name, "")
        if not hmac.compare_digest(_commitment(number, name, bytes.fromhex(coins[name])), promised):
            raise MessageForged("the coin is not the one that was promised", client=name)
    seed = hashlib.sha256(
        b"tacit.aggregate.v1 seed\0" + b"".join(bytes.fromhex(coins[name]) for name in names)
    ).digest()
    roster = Roster(tuple(names), tuple(bytes.fromhex(publics[name]) for name in names))
    return Terms(settings["session"].encode(), number, roster, plan_of(settings), encoding_of(settings), seed)


def _commitment(number: int, name: str, coin: bytes) -> str:
    head = b"tacit.aggregate.v1 coin\0" + number.to_bytes(8, "little") + len(name.encode()).to_bytes(2, "little")
    return hashlib.sha256(head + name.encode() + coin).hexdigest()


# --- clients ----------------------------------------------------------------------------------------------------------


@procedure("secagg.enrol")
def enrol(view: PartyView, settings: Mapping[str, Any]) -> tuple[Sequence[Any], Facts]:
    """Check this client's values against the settings, and promise a coin. Raises: ClipExceeded before anything is sent."""
    plan_of(settings)
    identity: Identity = view.state.setdefault("secagg.identity", Identity.generate(view.name))
    count = len(settings["leaves"])
    leaves = [_number(value) for value in view.inputs[:count]]
    weight = _weight(view, settings)
    encoding_of(settings, room=False).encode(_scaled(leaves, settings, view.name), weight)
    coin, number = secrets.token_bytes(COIN_BYTES), settings["number"]
    view.state[f"secagg.{number}"] = Part(settings, coin, leaves, weight)
    return [], {"public": identity.public.hex(), "commitment": _commitment(number, view.name, coin)}


@procedure("secagg.toss")
def toss(view: PartyView, number: int, commitments: Mapping[str, str]) -> tuple[Sequence[Any], Facts]:
    """Show this client's coin, now that everybody's is promised; once."""
    part = part_of(view, number)
    if part.commitments or set(commitments) != set(part.settings["clients"]):
        raise SessionError(f"the toss of aggregation {number} was made before, or by other clients")
    part.commitments = dict(commitments)
    return [], {"coin": part.coin.hex()}


@procedure("secagg.begin")
def begin(
    view: PartyView, number: int, publics: Mapping[str, str], coins: Mapping[str, str], record: Mapping[str, Any]
) -> tuple[Sequence[Any], Facts]:
    """The client's first message. What it puts into a sum is written down first; noise is drawn now."""
    part = part_of(view, number)
    terms = _terms(part, publics, coins)
    leaves = _scaled(part.leaves, part.settings, view.name)
    if part.settings["noise"]:
        leaves = _noisy(leaves, part.settings)
    part.leaves = ()
    client = Client(view.state["secagg.identity"], terms, leaves, part.weight)
    part.machine = client
    _record(view, record, part.settings["clients"])
    return [_octets(client.begin())], {}


@procedure("secagg.answer")
def answer(view: PartyView, number: int) -> tuple[Sequence[Any], Facts]:
    """The client's answer to a message of the server; `refused` says why there is none, and it stays silent then."""
    try:
        client = part_of(view, number).machine
        if not isinstance(client, Client):
            raise SessionError(f"{view.name} has not begun aggregation {number}")
        return [_octets(client.answer(view.inputs[0].tobytes()))], {}
    except TacitError as error:
        return [np.zeros(0, np.uint8)], {"refused": f"{type(error).__name__}: {error}"}


def _number(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return array.astype(np.int64) if array.dtype == np.bool_ else array


def _weight(view: PartyView, settings: Mapping[str, Any]) -> float | None:
    if settings["weight_limit"] is None:
        return None
    if len(view.inputs) > len(settings["leaves"]):
        return float(np.asarray(view.inputs[-1]).reshape(()))
    return float(settings["weights"][view.name])


def _scaled(leaves: Sequence[np.ndarray], settings: Mapping[str, Any], name: str) -> list[np.ndarray]:
    """The leaves times this client's part of a mean, where that is public and the noise is on the mean."""
    share = settings["shares"]
    return list(leaves) if share is None else [leaf * float(share[name]) for leaf in leaves]


def _noisy(leaves: Sequence[np.ndarray], settings: Mapping[str, Any]) -> list[np.ndarray]:
    """The leaves as they are summed, rounded and within their bounds, with this client's share of the noise."""
    encoding, noise = encoding_of(settings, room=False), settings["noise"]
    rounded, _ = encoding.decode(encoding.encode(list(leaves)))
    drawn = noise_share(noise, (noise["size"],))
    if np.abs(drawn).max() > ROOM * noise["width"] + ROOM:
        raise DomainError("noise beyond 64 of its widths was drawn, as happens once in 2**90; try again")
    result, begin = [], 0
    for leaf in rounded:
        part = drawn[begin : begin + leaf.size].reshape(leaf.shape)
        begin += leaf.size
        result.append(leaf + (np.ldexp(part.astype(np.float64), -noise["bits"]) if noise["bits"] is not None else part))
    return result


# --- the server -------------------------------------------------------------------------------------------------------


@procedure("secagg.serve")
def serve(
    view: PartyView,
    settings: Mapping[str, Any],
    commitments: Mapping[str, str],
    publics: Mapping[str, str],
    coins: Mapping[str, str],
) -> tuple[Sequence[Any], Facts]:
    """Be the server of an aggregation."""
    part = Part(settings, commitments=dict(commitments))
    part.machine = Server(_terms(part, publics, coins))
    view.state[f"secagg.{settings['number']}"] = part
    return [], {}


@procedure("secagg.receive")
def receive(view: PartyView, number: int, senders: Sequence[str]) -> tuple[Sequence[Any], Facts]:
    """Take clients' messages; whose was refused, and why."""
    server, refused = _server(view, number), {}
    for sender, data in zip(senders, view.inputs, strict=True):
        try:
            server.receive(sender, data.tobytes())
        except AggregationError as error:
            refused[sender] = f"{type(error).__name__}: {error}"
    return [], {"refused": refused}


@procedure("secagg.close")
def close(view: PartyView, number: int) -> tuple[Sequence[Any], Facts]:
    """End a round: the next message for each client, empty for one that is out. Raises: TooFewClients."""
    messages = _server(view, number).close()
    names = part_of(view, number).settings["clients"]
    return [_octets(messages.get(name, b"")) for name in names], {"asked": [name for name in names if name in messages]}


@procedure("secagg.result")
def result(view: PartyView, number: int, record: Mapping[str, Any]) -> tuple[Sequence[Any], Facts]:
    """The sum over all survivors, or their mean; written down first. Raises: TooFewClients, DomainError for weights of zero."""
    aggregate = _server(view, number).result()
    settings = part_of(view, number).settings
    _record(view, record, aggregate.clients)
    leaves: list[Any] = list(aggregate.sums)
    if settings["weight_limit"] is not None:
        if aggregate.weights == 0:
            raise DomainError("all weights are zero, so that there is no mean")
        leaves = [leaf / aggregate.weights for leaf in leaves]
    elif settings["shares"] is not None:
        present = sum(settings["shares"][name] for name in aggregate.clients)
        leaves = [leaf / present for leaf in leaves]
    return [np.asarray(leaf) for leaf in leaves], {"clients": list(aggregate.clients)}


@procedure("secagg.forget")
def forget(view: PartyView, number: int) -> tuple[Sequence[Any], Facts]:
    """Drop what is left of an aggregation. Idempotent."""
    view.state.pop(f"secagg.{number}", None)
    return [], {}


def _server(view: PartyView, number: int) -> Server:
    server = part_of(view, number).machine
    if not isinstance(server, Server):
        raise SessionError(f"{view.name} is not the server of aggregation {number}")
    return server


def _record(view: PartyView, record: Mapping[str, Any], clients: Sequence[str]) -> None:
    view.ledger.append("reveal", program="", clients=list(clients), **record)


def _octets(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


# --- sums in MPC ------------------------------------------------------------------------------------------------------


@procedure("aggregate.part")
def part_value(view: PartyView, bits: int) -> tuple[Sequence[Any], Facts]:
    """Two ring arrays, each uniformly random alone, whose sum is this party's value: for a device that it takes no part in.

    Raises: FixedPointOverflow, DomainError before anything moves.
    """
    array = _number(view.inputs[0])
    if array.dtype.kind == "i":
        if array.size and max(int(array.max()), -int(array.min())) >= 1 << 62:
            raise DomainError("shared integers must stay below 2**62")
        ring = np.ascontiguousarray(array).view(np.uint64)
    else:
        ring = to_ring(array, bits)
    mask = np.frombuffer(secrets.token_bytes(8 * array.size), np.uint64).reshape(array.shape)
    return [ring - mask, mask], {}
