"""Masked aggregation as a node of the graph: the session carries messages between clients and server, and reads none."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, final

import numpy as np

from tacit.device.caller import user_line
from tacit.device.executor import Answers, Executor, Request, Steps
from tacit.device.handle import Task
from tacit.device.plain import PlainValue
from tacit.device.privacy import Drawn, Gate, Noise, at, noise_of
from tacit.device.tee import move_request, procedure_request
from tacit.foundation.errors import ConfigError, InputError, TacitError
from tacit.primitive.secagg import Plan, Round, plan

WEIGHT_BITS = 16
"""Of weights that are no whole numbers."""


@final
@dataclass(frozen=True)
class Masking:
    """The bounds and risks of a masked aggregation; every client checks its own values against them.

    clip: |real| <= clip; fraction_bits: reals are rounded to 2**-fraction_bits; integer_limit: |integer| <= integer_limit. beyond: what a
    client does with a value beyond its bound: refuse, which ends the aggregation before anything is sent, or clip. weight_limit: of
    secret weights. drop_out, corruption: the fractions of clients that may fall silent, and may collude with the server.
    silent_from: a rehearsal of drop-outs: by client, the first of the rounds 0 to 4 in which it says nothing.
    """

    clip: float = 16.0
    fraction_bits: int = 18
    integer_limit: int = 1 << 30
    beyond: Literal["refuse", "clip"] = "refuse"
    weight_limit: float | None = None
    drop_out: float = 0.0
    corruption: float = 0.0
    silent_from: Mapping[str, int] = field(default_factory=dict)


def masked(
    executor: Executor,
    leaves: Mapping[str, list[PlainValue]],
    weights: Mapping[str, Any] | None,
    server: str,
    *,
    because: str,
    privacy: Noise | None,
    release_exact: str,
    masking: Masking,
) -> list[PlainValue]:
    """The sum or mean of the clients' leaves at the server.

    Threat model: see `tacit.primitive.secagg`: a server that may cheat, with at most the corrupted clients. The session that plans
    is trusted to name the clients and to hand on their identity keys.
    Raises: ConfigError, InputError, PolicyError now; the others when the result is needed.
    """
    names = list(leaves)
    if server in names:
        raise ConfigError(f"{server} cannot be server and client of one sum: it would know one of the summands")
    executor.plain(server)
    if not because.strip():
        raise InputError(f"{server} learns the sum: say why with because='...', which goes into the ledgers")
    if unknown := set(masking.silent_from) - set(names):
        raise ConfigError(f"{', '.join(sorted(unknown))} is no client of this aggregation")
    numbers = plan(len(names), drop_out=masking.drop_out, corruption=masking.corruption)
    given = {name: list(mine) for name, mine in leaves.items()}
    secret = weights is not None and any(isinstance(weight, PlainValue) for weight in weights.values())
    if weights is not None and secret:
        given = {name: [*mine, weights[name]] for name, mine in given.items()}
    values = [value for mine in given.values() for value in mine]
    gate = Gate(values, [server], because=because, line=user_line(), privacy=privacy, release_exact=release_exact)
    draw = _drawn(leaves, numbers, privacy, masking)
    if draw is not None and secret:
        raise ConfigError("with privacy, weights are public numbers: the noise is on the mean")
    first = leaves[names[0]]
    settings = {
        "session": getattr(executor, "id", "session"),
        "clients": names,
        "leaves": [[list(leaf.shape), "<f8" if leaf.dtype.kind == "f" else "<i8"] for leaf in first],
        "drop_out": masking.drop_out,
        "corruption": masking.corruption,
        "clip": masking.clip,
        "fraction_bits": masking.fraction_bits,
        "integer_limit": 0 if all(leaf.dtype.kind == "f" for leaf in first) else masking.integer_limit,
        "beyond": masking.beyond,
        "noise": None if draw is None else draw.drawing(),
        **_weighing(weights, secret, draw, masking),
    }

    def steps() -> Steps:
        number = executor.new_id()
        run = _Run(executor, {**settings, "number": number}, server, given, masking.silent_from, gate, draw)
        everybody = [*names, server]
        over = procedure_request("secagg.forget", {name: {"number": number} for name in everybody}, {}, {})
        try:
            yield from run.steps([id for id, _ in task.outputs])
        except TacitError as error:
            for client, reason in run.refused.items():
                error.add_note(f"{client} stopped: {reason}")
            yield over
            raise
        yield over

    gate.check()
    plain = executor.plain(server)
    task = Task(plain, "aggregate masked", values, gate.line, steps, {"clients": names, "mode": "masked"})
    kinds = [np.float64 if weights is not None or leaf.dtype.kind == "f" else np.int64 for leaf in first]
    return [
        PlainValue(plain, leaf.shape, kind, node=task, index=i, owners=gate.left())
        for i, (leaf, kind) in enumerate(zip(first, kinds, strict=True))
    ]


def _drawn(
    leaves: Mapping[str, list[PlainValue]], numbers: Plan, privacy: Noise | None, masking: Masking
) -> Drawn | None:
    """The noise of the clients' shares. Raises: ConfigError where more are to be honest than may be counted on."""
    if privacy is None:
        return None
    noise, first = noise_of(privacy, "a masked aggregation"), next(iter(leaves.values()))
    kinds = {leaf.dtype.kind == "f" for leaf in first}
    if len(kinds) > 1:
        raise InputError("noise is added to reals or to integers: aggregate them apart")
    sure = numbers.least - numbers.corrupted
    honest = noise.honest or sure
    if honest > sure:
        raise ConfigError(
            f"{honest} honest clients cannot be counted on: {numbers.clients - numbers.least} of {numbers.clients} may drop out and "
            f"{numbers.corrupted} are corrupted. Say honest={sure} or less."
        )
    real = kinds == {True}
    size = max(sum(leaf.size for leaf in first), 1)
    bits = masking.fraction_bits if real else 0
    return Drawn(noise, "shares", bits, size, numbers.clients, honest, real, default_error=0.5)


def _weighing(weights: Mapping[str, Any] | None, secret: bool, draw: Drawn | None, masking: Masking) -> dict[str, Any]:
    """How weights enter: not at all, as public parts of a noisy mean, or as words beside the values."""
    none: dict[str, Any] = {"weights": None, "shares": None, "weight_limit": None, "weight_bits": 0}
    if weights is None:
        return none
    if secret:
        if masking.weight_limit is None:
            raise ConfigError("secret weights need a public bound: masking=Masking(weight_limit=...)")
        return {**none, "weight_limit": masking.weight_limit}
    if draw is not None:
        if not draw.real:
            raise ConfigError("a noisy mean of integers is a mean of reals: convert them first")
        total = sum(weights.values())
        return {**none, "shares": {name: weight / total for name, weight in weights.items()}}
    whole = all(float(weight).is_integer() for weight in weights.values())
    limit = max(weights.values())
    return {**none, "weights": dict(weights), "weight_limit": limit, "weight_bits": 0 if whole else WEIGHT_BITS}


@final
class _Run:
    """One aggregation under way. `refused` says why clients stopped."""

    def __init__(
        self,
        executor: Executor,
        settings: Mapping[str, Any],
        server: str,
        given: Mapping[str, Sequence[PlainValue]],
        silent_from: Mapping[str, int],
        gate: Gate,
        draw: Drawn | None,
    ) -> None:
        self.executor = executor
        self.settings = settings
        self.number: int = settings["number"]
        self.names = list(given)
        self.server = server
        self.given = given
        self.silent_from = silent_from
        self.gate = gate
        self.draw = draw
        self.refused: dict[str, str] = {}

    def steps(self, outputs: Sequence[int]) -> Steps:
        """Everything: enrol, toss, pay, five rounds, the result."""
        publics, commitments, coins = yield from self._agree()
        yield from self.gate.pay(self.draw)
        shape = [shape for shape, _ in self.settings["leaves"]]
        record = {
            "what": "masked mean" if self.settings["weight_limit"] or self.settings["shares"] else "masked sum",
            "shape": shape,
            "to": [self.server],
            "because": self.gate.because,
            "line": self.gate.line,
            **({"noise": self.settings["noise"]} if self.settings["noise"] else {}),
        }
        toss = {"publics": publics, "coins": coins}
        yield at(self.server, "secagg.serve", {"settings": self.settings, "commitments": commitments, **toss})
        messages: dict[str, int] = {}
        for step in Round:
            asked = messages or dict.fromkeys(self.names, 0)
            speaking = [name for name in asked if self.silent_from.get(name, len(Round)) > step]
            replies = {name: self.executor.new_id() for name in speaking}
            params = {"number": self.number, **({} if messages else {**toss, "record": record})}
            request = procedure_request(
                "secagg.answer" if messages else "secagg.begin",
                dict.fromkeys(speaking, params),
                {name: [messages[name]] for name in speaking} if messages else {},
                {name: [id] for name, id in replies.items()},
            )
            answers = (yield request) if speaking else {}
            yield from self._deliver(replies, answers)
            self.executor.drop_later([*messages.values(), *replies.values()])
            if step is not Round.UNMASK:
                messages = yield from self._close()
        yield at(self.server, "secagg.result", {"number": self.number, "record": record}, [], outputs)

    def _agree(self) -> Generator[Request, Answers, tuple[dict[str, str], dict[str, str], dict[str, str]]]:
        """Every client checks its values and promises a coin, then shows it: identity keys, commitments and coins."""
        inputs = {name: [value.id for value in mine] for name, mine in self.given.items()}
        told = {name: {"settings": self.settings} for name in self.names}
        enrolled = yield procedure_request("secagg.enrol", told, inputs, {})
        facts = {name: enrolled[name][0]["facts"] for name in self.names}
        commitments = {name: fact["commitment"] for name, fact in facts.items()}
        promised = {name: {"number": self.number, "commitments": commitments} for name in self.names}
        tossed = yield procedure_request("secagg.toss", promised, {}, {})
        coins = {name: tossed[name][0]["facts"]["coin"] for name in self.names}
        return {name: fact["public"] for name, fact in facts.items()}, commitments, coins

    def _deliver(self, replies: Mapping[str, int], answers: Answers) -> Steps:
        """Move the clients' messages to the server, and have it take them."""
        arrived = {}
        for name, id in replies.items():
            facts = answers[name][0]
            if "refused" in facts["facts"]:
                self.refused[name] = facts["facts"]["refused"]
                continue
            yield move_request(name, self.server, id, facts["shapes"][0])
            arrived[name] = id
        params = {"number": self.number, "senders": list(arrived)}
        taken = yield at(self.server, "secagg.receive", params, list(arrived.values()))
        self.refused.update(taken[self.server][0]["facts"]["refused"])

    def _close(self) -> Generator[Request, Answers, dict[str, int]]:
        """End the round at the server, and move its messages to the clients; the numbers they have there."""
        ids = {name: self.executor.new_id() for name in self.names}
        closed = yield at(self.server, "secagg.close", {"number": self.number}, [], list(ids.values()))
        facts = closed[self.server][0]
        shapes = dict(zip(self.names, facts["shapes"], strict=True))
        asked = facts["facts"]["asked"]
        for name in asked:
            yield move_request(self.server, name, ids[name], shapes[name])
        self.executor.drop_later([id for name, id in ids.items() if name not in asked])
        return {name: ids[name] for name in asked}
