"""The `TEE` device: functions that run inside an enclave, on inputs that their owners seal to it.

Calls only note what is to be computed. When a result leaves for a party or another device, all calls that lead to it become
one job: an exported program and a list of who gives and who gets what. The owners of the inputs check the job and seal their
values to the attested enclave for this job alone; the host passes sealed bytes. Nothing stays in the enclave between jobs.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import wraps
from typing import Any, Literal, TypeAlias, final

import numpy as np

from tacit.device.caller import user_line
from tacit.device.executor import Answers, Executor, Request, Steps
from tacit.device.handle import Device, Handle, Task
from tacit.device.plain import STATIC, PlainValue, as_array
from tacit.device.privacy import Gate
from tacit.foundation.errors import ConfigError, InputError
from tacit.primitive.tee import Job, JobInput, JobOutput, Policy, Program, PublicKeys

Backend: TypeAlias = Literal["simulation", "attested"]
ID_BYTES = 16


@final
class TEE(Device):
    """An enclave at a host, attested by every party that uses it.

    backend: "simulation" is a separate process without any protection from its host, and says so everywhere; it is refused
    unless the policy's profile is development. "attested" runs under Gramine, Occlum or in a confidential machine.
    """

    kind = "tee"

    def __init__(
        self,
        executor: Executor,
        session: str,
        name: str,
        host: str,
        parties: Sequence[str],
        backend: Backend,
        policy: Policy | None,
    ) -> None:
        self.executor = executor
        self.session = session
        self.name = name
        self.host = host
        self.names = tuple(dict.fromkeys((host, *parties)))
        self.parties = tuple(parties)
        self.backend = backend
        facts = self._ask("tee.platform", {host: {"backend": backend}})[host][0]
        if policy is None:
            policy = self._development(facts)
        self.policy = policy
        self.assurance = facts["assurance"]
        self.sees = f"{'nobody but a SIMULATED' if self.assurance == 'SIMULATED' else 'an attested'} enclave at {host}"
        self._start()

    def __repr__(self) -> str:
        return f"TEE({self.name}: {self.assurance} at {self.host})"

    # --- attestation --------------------------------------------------------------------------------------------

    def _development(self, facts: Mapping[str, Any]) -> Policy:
        if self.backend != "simulation":
            raise ConfigError(
                "an attested enclave needs a policy: which measurements are trusted, and who may receive results"
            )
        return Policy.development(root=facts["root"], measurement=facts["measurement"], receivers=self.parties)

    def _start(self) -> None:
        session, policy = {"session": self.session}, self.policy.document()
        ids = {party: self.executor.new_id() for party in self.parties}
        keys = self._ask("tee.keys", dict.fromkeys(self.parties, session), outputs={p: [i] for p, i in ids.items()})
        self.keys = {party: PublicKeys.parse(keys[party][0]["keys"]) for party in self.parties}
        for party in self.parties:
            others = [other for other in self.parties if other != party]
            for other in others:
                self._move(other, party, ids[other], keys[other][1])
            inputs = {party: [ids[other] for other in others]}
            self._ask("tee.meet", {party: {"parties": others}}, inputs=inputs)
        start = {"enclave": self.name, "policy": policy, "backend": self.backend, **session}
        hello = self._ask("tee.start", {self.host: start})[self.host][0]
        self.enclave_keys = PublicKeys.parse(hello["keys"])
        enclave = {"enclave": self.name}
        nonces = self._ask("tee.challenge", dict.fromkeys(self.parties, enclave))
        drawn = {party: nonces[party][0]["nonce"] for party in self.parties}
        evidence = self.executor.new_id()
        quoted = self._ask("tee.attest", {self.host: {"nonces": drawn, **enclave}}, outputs={self.host: [evidence]})
        for party in self.parties:
            if party != self.host:
                self._move(self.host, party, evidence, quoted[self.host][1])
        params = {**enclave, "policy": policy}
        shown = {party: [evidence] for party in self.parties}
        self._ask("tee.verify", dict.fromkeys(self.parties, params), inputs=shown)
        self.executor.drop_later([evidence, *ids.values()])

    def _ask(
        self,
        name: str,
        params: Mapping[str, Mapping[str, Any]],
        inputs: Mapping[str, Sequence[int]] | None = None,
        outputs: Mapping[str, Sequence[int]] | None = None,
    ) -> dict[str, tuple[Mapping[str, Any], Any]]:
        """Run a procedure at parties now; each one's facts and the shape of its first result."""
        answers = self.executor.call(procedure_request(name, params, inputs or {}, outputs or {}))
        return {
            party: (facts["facts"], facts["shapes"][0] if facts["shapes"] else None)
            for party, (facts, _) in answers.items()
        }

    def _move(self, sender: str, receiver: str, id: int, described: Any) -> None:
        self.executor.call(move_request(sender, receiver, id, described))

    # --- calls --------------------------------------------------------------------------------------------------

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A JAX function to run in the enclave, in double precision. Also as a decorator; any structure in and out.

        Arguments: plain values of the parties, sealed values of this device, public arrays (part of the job).
        """

        @wraps(function)
        def call(*arguments: Any) -> Any:
            return self._call(function, arguments)

        return call

    def seal(self, value: PlainValue) -> Sealed:
        """A plain value as an input of what the enclave computes. Reveals: nothing. It is sealed when a result leaves."""
        sealed: Sealed = self._call(_same, (value,))
        return sealed

    def _call(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        import jax

        leaves, tree = jax.tree.flatten(tuple(arguments), is_leaf=lambda leaf: isinstance(leaf, Handle))
        leaves = [leaf if isinstance(leaf, (Handle, *STATIC)) else as_array(leaf) for leaf in leaves]
        for leaf in leaves:
            if isinstance(leaf, PlainValue) and leaf.device.party not in self.parties:
                raise ConfigError(f"{leaf.device.party} has not attested {self!r} and cannot seal to it")
            if isinstance(leaf, Handle) and not isinstance(leaf, PlainValue) and leaf.device is not self:
                raise InputError(f"{leaf!r} belongs to another device than {self!r}; bring it here with x.to(tee)")
        handles = [leaf for leaf in leaves if isinstance(leaf, Handle)]

        def flat(*values: Any) -> list[Any]:
            supply = iter(values)
            filled = [next(supply) if isinstance(leaf, Handle) else leaf for leaf in leaves]
            results, shaped["tree"] = jax.tree.flatten(function(*jax.tree.unflatten(tree, filled)))
            return results

        shaped: dict[str, Any] = {}
        with jax.enable_x64(True):
            avals = jax.eval_shape(flat, *[jax.ShapeDtypeStruct(x.shape, x.dtype) for x in handles])
        name = getattr(function, "__name__", type(function).__name__)
        task = Task(self, name, handles, user_line(), _nothing)
        expression = Expression(flat, tuple(handles))
        results = [Sealed(self, a.shape, a.dtype, node=task, index=i, of=expression) for i, a in enumerate(avals)]
        return jax.tree.unflatten(shaped["tree"], results)

    def function(
        self,
        name: str,
        *inputs: PlainValue,
        outputs: Sequence[str],
        to: str,
        because: str,
        release_exact: str = "",
        **params: Any,
    ) -> list[PlainValue]:
        """Run an installed enclave function now (such as `linear.score`); its results at the receiver.

        Reveals: the results, to `to`. Raises: JobRefused, EnclaveError, and what sealing and opening raise; PolicyError where
        an owner of the inputs has a privacy budget and no reason for an exact release is given.
        """
        gate = Gate(inputs, [to], because=because, line=user_line(), release_exact=release_exact).check()
        self.executor.run(list(inputs))
        job = self._job(Program("function", name, params), inputs, dict.fromkeys(outputs, to))
        ids = [self.executor.new_id() for _ in outputs]
        self.executor.perform(gate.pay(None))
        described = self.executor.perform(self.job_steps(job, None, inputs, ids, because))
        receiver, owners = self.executor.plain(to), {to} | gate.left()
        return [
            PlainValue(receiver, shape, dtype, id=id, owners=owners)
            for id, (shape, dtype) in zip(ids, described, strict=True)
        ]

    def open(self, values: Sequence[Sealed], party: str, because: str, *, release_exact: str = "") -> list[PlainValue]:
        """Values that leave the enclave together, for one party: one job.

        Raises: PolicyError where an owner of what they depend on has a privacy budget and no reason for an exact release is given.
        """
        gate = Gate(values, [party], because=because, line=user_line(), release_exact=release_exact).check()
        receivers = dict.fromkeys(range(len(values)), party)
        return self.release(values, lambda *ends: ends, [], receivers, because, gate=gate)

    def release(
        self,
        wanted: Sequence[Sealed],
        added: Callable[..., Any],
        extra: Sequence[PlainValue],
        to: Mapping[int, str],
        because: str,
        types: Sequence[Any] | None = None,
        *,
        gate: Gate | None = None,
    ) -> list[PlainValue]:
        """One job that computes `added(*wanted, *extra)` and seals output i to party `to[i]`. types: of the outputs.

        gate: what is paid for first, where a party sees the outputs as they are; None where they are masked.
        """
        blob, inputs = self.program(wanted, added, extra)
        job = self._job(
            Program("exported", hashlib.sha256(blob).hexdigest()), inputs, {f"y{i}": party for i, party in to.items()}
        )

        def steps() -> Steps:
            if gate is not None:
                yield from gate.pay(None)
            yield from self.job_steps(job, blob, inputs, [id for id, _ in task.outputs], because)

        shown = types or [(value.shape, value.dtype) for value in wanted]
        detail = {"program": job.program.text, "inputs": [entry.owner for entry in job.inputs], "to": list(to.values())}
        task = Task(self, "open", [*wanted, *extra], user_line(), steps, detail)
        return [
            PlainValue(self.executor.plain(party), shape, dtype, node=task, index=i)
            for (i, party), (shape, dtype) in zip(to.items(), shown, strict=True)
        ]

    # --- jobs ---------------------------------------------------------------------------------------------------

    def program(
        self, wanted: Sequence[Sealed], added: Callable[..., Any], extra: Sequence[PlainValue]
    ) -> tuple[bytes, list[PlainValue]]:
        """Export what leads to the wanted values, followed by `added(*wanted, *extra)`; and the inputs it takes."""
        import jax
        from jax import export

        inputs: dict[int, PlainValue] = {}
        for sealed in wanted:
            _gather_inputs(sealed, inputs, set())
        inputs.update({value.id: value for value in extra})
        order = list(inputs.values())

        def whole(*values: Any) -> list[Any]:
            known = dict(zip(inputs, values, strict=True))
            results: dict[int, list[Any]] = {}
            ends = [_evaluate(sealed, known, results) for sealed in wanted]
            return jax.tree.leaves(added(*ends, *[known[value.id] for value in extra]))

        specs = [jax.ShapeDtypeStruct(value.shape, value.dtype) for value in order]
        with jax.enable_x64(True):
            blob = bytes(export.export(jax.jit(whole), platforms=["cpu"])(*specs).serialize())
        return blob, order

    def _job(self, program: Program, inputs: Sequence[PlainValue], outputs: Mapping[str, str]) -> Job:
        taken = [
            JobInput(value.device.party, f"x{number}", value.shape, value.dtype.str)
            for number, value in enumerate(inputs)
        ]
        given = [JobOutput(name, (party,)) for name, party in outputs.items()]
        parties = {entry.owner for entry in taken} | set(outputs.values())
        if strangers := parties - set(self.parties):
            raise ConfigError(
                f"{', '.join(sorted(strangers))} has not attested {self!r}; it neither gives nor gets values"
            )
        return Job(
            secrets.token_hex(ID_BYTES),
            self.session,
            self.name,
            self.enclave_keys,
            self.assurance,
            self.policy.digest,
            program,
            tuple(taken),
            tuple(given),
            {party: self.keys[party] for party in sorted(parties)},
        )

    def job_steps(
        self, job: Job, blob: bytes | None, inputs: Sequence[PlainValue], outputs: Sequence[int], because: str
    ) -> Generator[Request, Answers, list[Any]]:
        """Everything a job takes: approval by all concerned, sealing, moving, running, moving, opening.

        Returns shape and dtype of every output. because: what the ledgers of all concerned say of it.
        """
        if not because.strip():
            raise InputError("a result that leaves an enclave needs a reason: because='...' goes into the ledgers")
        new_id, text = self.executor.new_id, job.to_bytes().decode()
        types: list[Any] = []
        blobs = [] if blob is None else [np.frombuffer(blob, np.uint8)]
        approval = {party: {"job": text, "because": because} for party in job.parties}
        yield procedure_request("tee.approve", approval, {}, {}, blobs)
        envelopes: list[int] = []
        for entry, value in zip(job.inputs, inputs, strict=True):
            envelopes.append(new_id())
            params = {entry.owner: {"job": job.digest, "name": entry.name}}
            request = procedure_request("tee.seal", params, {entry.owner: [value.id]}, {entry.owner: envelopes[-1:]})
            facts = (yield request)[entry.owner][0]
            if entry.owner != self.host:
                yield move_request(entry.owner, self.host, envelopes[-1], facts["shapes"][0])
        sealed = [new_id() for _ in outputs]
        run = {"enclave": self.name, "job": text, "exported": blob is not None}
        request = procedure_request("tee.run", {self.host: run}, {self.host: envelopes}, {self.host: sealed}, blobs)
        facts = (yield request)[self.host][0]
        for output, envelope, opened, described in zip(job.outputs, sealed, outputs, facts["shapes"], strict=True):
            (receiver,) = output.to
            if receiver != self.host:
                yield move_request(self.host, receiver, envelope, described)
            params = {receiver: {"job": job.digest, "name": output.name}}
            request = procedure_request("tee.unseal", params, {receiver: [envelope]}, {receiver: [opened]})
            types.append((yield request)[receiver][0]["shapes"][0])
        self.executor.drop_later([*envelopes, *sealed])
        return types


class Expression:
    """A call inside the enclave that has not run: a function of handles, flat in and out."""

    __slots__ = ("function", "handles")

    def __init__(self, function: Callable[..., list[Any]], handles: tuple[Handle, ...]) -> None:
        self.function = function
        self.handles = handles


class Sealed(Handle):
    """A value that exists in an enclave only, once a job computes it. `.to(...)` brings it out."""

    __slots__ = ("of",)
    device: TEE

    def __init__(
        self, device: TEE, shape: Sequence[int], dtype: Any, *, node: Task, index: int, of: Expression
    ) -> None:
        super().__init__(device, shape, dtype, node=node, index=index)
        self.of = of

    def __repr__(self) -> str:
        return f"Sealed({self.dtype}{list(self.shape)} on {self.device!r})"


def procedure_request(
    name: str,
    params: Mapping[str, Mapping[str, Any]],
    inputs: Mapping[str, Sequence[int]],
    outputs: Mapping[str, Sequence[int]],
    blobs: Sequence[np.ndarray] = (),
) -> Request:
    """The same procedure at several parties, each alone, with parameters of its own."""
    fields = {
        party: {
            "name": name,
            "inputs": list(inputs.get(party, ())),
            "outputs": list(outputs.get(party, ())),
            "params": dict(own),
        }
        for party, own in params.items()
    }
    return Request("procedure", fields, blobs)


def move_request(sender: str, receiver: str, id: int, described: Sequence[Any]) -> Request:
    """Move an array, which keeps its number at the receiver. described: its shape and dtype."""
    shape, dtype = described
    fields = {"sender": sender, "receiver": receiver, "source": id, "id": id, "shape": shape, "dtype": dtype}
    return Request("move", {sender: fields, receiver: fields})


def _gather_inputs(sealed: Sealed, found: dict[int, PlainValue], seen: set[int]) -> None:
    stack = [sealed]
    while stack:
        expression = stack.pop().of
        if id(expression) in seen:
            continue
        seen.add(id(expression))
        for handle in expression.handles:
            if isinstance(handle, Sealed):
                stack.append(handle)
            elif isinstance(handle, PlainValue):
                found[handle.id] = handle


def _evaluate(sealed: Sealed, known: Mapping[int, Any], results: dict[int, list[Any]]) -> Any:
    """The value of a sealed handle while tracing, each call once, without recursion."""
    stack = [sealed]
    while stack:
        expression = stack[-1].of
        missing = [h for h in expression.handles if isinstance(h, Sealed) and id(h.of) not in results]
        if missing:
            stack.extend(missing)
            continue
        stack.pop()
        if id(expression) not in results:
            values = [results[id(h.of)][h.index] if isinstance(h, Sealed) else known[h.id] for h in expression.handles]
            results[id(expression)] = expression.function(*values)
    return results[id(sealed.of)][sealed.index]


def _same(value: Any) -> Any:
    return value


def _nothing() -> Steps:
    """A call inside an enclave runs with the job that brings its results out."""
    yield from ()
