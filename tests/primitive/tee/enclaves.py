"""An enclave's half of attestation, played by the test: keys, a simulation root, a policy, evidence."""

from __future__ import annotations

from dataclasses import dataclass, field

from tacit.primitive.tee import (
    Attested,
    Binding,
    Expectation,
    Job,
    JobInput,
    JobOutput,
    NonceBook,
    Policy,
    PrivateKeys,
    Program,
    Verdict,
    pack_evidence,
    verify_evidence,
)
from tacit.resource.enclave.simulation import SimulationRoot, SimulationSource

SESSION = "0123456789abcdef"
MEASUREMENT = "ab" * 48


@dataclass
class World:
    """One simulated enclave `tee`, verifier alice, and a policy of theirs."""

    keys: PrivateKeys = field(default_factory=PrivateKeys.generate)
    root: SimulationRoot = field(default_factory=SimulationRoot.create)
    nonces: NonceBook = field(default_factory=NonceBook)
    alice: PrivateKeys = field(default_factory=PrivateKeys.generate)
    bob: PrivateKeys = field(default_factory=PrivateKeys.generate)

    @property
    def policy(self) -> Policy:
        return Policy.development(root=self.root.public, measurement=MEASUREMENT, receivers=["alice", "bob"])

    def binding(self, **changes: object) -> Binding:
        fields = {
            "enclave": "tee",
            "session": SESSION,
            "keys": self.keys.public,
            "nonces": {"alice": self.nonces.issue("tee")},
            "policy": self.policy.digest,
        }
        return Binding(**{**fields, **changes})

    def quote(self, binding: Binding, measurement: str = MEASUREMENT) -> bytes:
        return SimulationSource(self.root, measurement).quote(binding.report_data())

    def evidence(self, **changes: object) -> bytes:
        binding = self.binding(**changes)
        return pack_evidence(binding, self.quote(binding))

    def verify(self, evidence: bytes, policy: Policy | None = None) -> Verdict:
        return verify_evidence(evidence, policy or self.policy, Expectation("alice", "tee", SESSION), self.nonces)

    def attested(self) -> Attested:
        return self.verify(self.evidence()).require()

    def job(self, program: Program | None = None, shape: tuple[int, ...] = (2, 3), dtype: str = "<f8") -> Job:
        return Job.propose(
            self.attested(),
            program or Program("function", "linear.score"),
            [JobInput("alice", "x", shape, dtype), JobInput("bob", "y", shape, dtype)],
            [JobOutput("z", ("alice", "bob")), JobOutput("u", ("bob",))],
            {"alice": self.alice.public, "bob": self.bob.public},
        )
