"""Three parties by hand: alice and bob own data, carol hosts. The test moves the bytes, and may be a bad postman."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import tacit.schedule.enclave.procedure  # noqa: F401  installs what the rig calls
from tacit.foundation.ledger import Ledger
from tacit.primitive.tee import Attested, Job, JobInput, JobOutput, Policy, Program, PublicKeys
from tacit.resource.enclave import SimulationRoot, SimulationSource
from tacit.schedule.enclave import Enclave, TeeParty
from tacit.schedule.procedure import PROCEDURES, PartyView

MEASUREMENT = "ab" * 48


@dataclass
class Rig:
    """Parties by name, each with its ledger and its state."""

    folder: Path
    session: str = field(default_factory=lambda: secrets.token_hex(8))
    state: dict[str, dict[str, Any]] = field(default_factory=dict)
    ledgers: dict[str, Ledger] = field(default_factory=dict)

    def call(
        self, party: str, name: str, inputs: Sequence[Any] = (), /, *, blobs: Sequence[Any] = (), **params: Any
    ) -> tuple[list[Any], dict[str, Any]]:
        """Run a procedure at a party, its parameters and facts through JSON as in a session."""
        ledger = self.ledgers.setdefault(party, Ledger(self.folder / f"{party}.ledger", party))
        view = PartyView(party, None, ledger, inputs, list(blobs), self.state.setdefault(party, {}))
        values, facts = PROCEDURES[name](view, **json.loads(json.dumps(params)))
        return list(values), json.loads(json.dumps(facts))

    def records(self, party: str) -> list[dict[str, Any]]:
        path = self.folder / f"{party}.ledger"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def meet(self, *parties: str) -> dict[str, PublicKeys]:
        """Every party makes its keys and gets the others'."""
        said = {party: self.call(party, "tee.keys", session=self.session)[0][0] for party in parties}
        for party in parties:
            others = [other for other in parties if other != party]
            self.call(party, "tee.meet", [said[other] for other in others], parties=others)
        return {party: self.party(party).public for party in parties}

    def party(self, name: str) -> TeeParty:
        return self.state[name]["tee.party"]


@dataclass
class Local:
    """An enclave in this process, attested to alice and bob: fast enough for attacks by the hundred."""

    rig: Rig
    receivers: Sequence[str] = ("alice", "bob")
    programs: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.root = SimulationRoot.create()
        self.policy = Policy.development(
            root=self.root.public, measurement=MEASUREMENT, receivers=self.receivers, programs=self.programs
        )
        self.keys = self.rig.meet("alice", "bob")
        self.enclave = self.start()
        self.attested = self.attest(self.enclave)

    def start(self, **changes: Any) -> Enclave:
        options = {"name": "tee", "session": self.rig.session, "policy": self.policy, **changes}
        return Enclave(**options, source=SimulationSource(self.root, MEASUREMENT))

    def attest(self, enclave: Enclave) -> Attested:
        parties = [self.rig.party(name) for name in ("alice", "bob")]
        evidence = enclave.attest({party.name: party.challenge("tee") for party in parties})
        first, _ = (party.verify("tee", evidence, self.policy).require() for party in parties)
        return first

    def propose(
        self,
        inputs: Mapping[str, tuple[str, np.ndarray]],
        outputs: Mapping[str, Sequence[str]],
        program: Program,
    ) -> Job:
        entries = [JobInput(owner, name, value.shape, value.dtype.str) for name, (owner, value) in inputs.items()]
        results = [JobOutput(name, tuple(to)) for name, to in outputs.items()]
        named = {entry.owner for entry in entries} | {party for entry in results for party in entry.to}
        keys = {name: keys for name, keys in self.keys.items() if name in named}
        return Job.propose(self.attested, program, entries, results, keys)

    def seal(self, job: Job, inputs: Mapping[str, tuple[str, np.ndarray]]) -> list[bytes]:
        for party in {owner for owner, _ in inputs.values()} | {party for entry in job.outputs for party in entry.to}:
            self.rig.party(party).approve(job, "a test")
        return [self.rig.party(owner).seal(job.digest, name, value) for name, (owner, value) in inputs.items()]
