"""Trusted execution: evidence and its verification, jobs that owners agree on, envelopes that only an enclave opens."""

from tacit.primitive.tee.binding import Binding
from tacit.primitive.tee.envelope import ReplayGuard, Route, seal, unseal
from tacit.primitive.tee.formats import SIMULATION, detect
from tacit.primitive.tee.job import Job, JobInput, JobOutput, Program
from tacit.primitive.tee.keys import PrivateKeys, PublicKeys
from tacit.primitive.tee.nonce import NonceBook
from tacit.primitive.tee.policy import Policy
from tacit.primitive.tee.verdict import Assurance, Attested, Claims, Finding, Verdict
from tacit.primitive.tee.verify import VERIFIERS, Expectation, Verifier, pack_evidence, verify_evidence

__all__ = [
    "SIMULATION",
    "VERIFIERS",
    "Assurance",
    "Attested",
    "Binding",
    "Claims",
    "Expectation",
    "Finding",
    "Job",
    "JobInput",
    "JobOutput",
    "NonceBook",
    "Policy",
    "PrivateKeys",
    "Program",
    "PublicKeys",
    "ReplayGuard",
    "Route",
    "Verdict",
    "Verifier",
    "detect",
    "pack_evidence",
    "seal",
    "unseal",
    "verify_evidence",
]
