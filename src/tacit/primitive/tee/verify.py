"""Verification of an enclave's evidence against a policy.

Threat model: everything comes from a host that wants to be believed. It may replay old evidence, swap keys, mix parts
of several pieces, and name them as it likes. Trusted are the platform's root of trust, which the policy pins, and the
code whose measurement the policy pins. A simulated enclave has no such root: its host can forge everything, and the
word SIMULATED stands in all that comes of it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from tacit.foundation.errors import EvidenceRefused, NoVerifier
from tacit.primitive.tee.binding import Binding
from tacit.primitive.tee.canonical import canonical, is_hex, parse_canonical
from tacit.primitive.tee.formats import SIMULATION, detect
from tacit.primitive.tee.nonce import NonceBook
from tacit.primitive.tee.policy import Policy
from tacit.primitive.tee.simulation import SimulationVerifier
from tacit.primitive.tee.verdict import Claims, Finding, Verdict


class Verifier(Protocol):
    """Knows one evidence format. Support for a platform is one such object under its format's name."""

    def authenticate(self, quote: bytes, policy: Policy) -> tuple[Claims, tuple[Finding, ...]]:
        """Check signatures up to a root that the policy believes; return what is claimed, and findings of the platform
        (state of its firmware, revocation, ...), each met or failed.

        Raises: EvidenceRefused when nothing in the quote can be believed.
        """


@dataclass(frozen=True, slots=True)
class Expectation:
    """Who asks, and for which enclave of which session."""

    verifier: str
    enclave: str
    session: str


def pack_evidence(binding: Binding, quote: bytes) -> bytes:
    """Evidence as it travels: the binding in full, and the platform's quote over its hash."""
    return canonical({"binding": binding.document(), "quote": quote.hex()})


def verify_evidence(
    evidence: bytes,
    policy: Policy,
    expectation: Expectation,
    nonces: NonceBook,
    verifiers: Mapping[str, Verifier] | None = None,
) -> Verdict:
    """Check evidence; the verifier's nonce in it is used up whatever comes out.

    Computes: the claims of the evidence and one finding for each check of the policy.
    Raises: EvidenceRefused for what cannot be read or believed at all, NoVerifier for a format without verifier here.
    """
    document = parse_canonical(evidence, "evidence", limit=MAX_EVIDENCE_BYTES, refuse=EvidenceRefused)
    if document.keys() != {"binding", "quote"} or not isinstance(document["quote"], str):
        raise EvidenceRefused("evidence has exactly the fields binding and quote")
    binding = Binding.parse(document["binding"])
    answered = nonces.spend(binding.nonces.get(expectation.verifier, ""), expectation.enclave)
    text = document["quote"]
    if not is_hex(text, len(text) // 2):
        raise EvidenceRefused("the quote of this evidence is not hex")
    quote = bytes.fromhex(text)
    kind = detect(quote)
    known = VERIFIERS if verifiers is None else verifiers
    if kind not in known:
        raise NoVerifier(
            f"no verifier for evidence of format {kind} ({len(quote)} bytes) is installed; this version verifies "
            f"{', '.join(known)}. It is not trusted"
        )
    claims, platform = known[kind].authenticate(quote, policy)
    return Verdict(claims, binding, (*_findings(claims, binding, policy, expectation, answered), *platform))


def _findings(
    claims: Claims, binding: Binding, policy: Policy, expectation: Expectation, answered: str
) -> Iterator[Finding]:
    """Run the checks that hold for every platform."""

    def finding(check: str, reason: str, *, met: bool) -> Finding:
        return Finding(check, "met" if met else "failed", "as required" if met else reason)

    accepted = policy.measurements.get(claims.format, ())
    yield finding(
        "profile",
        "the enclave is SIMULATED and the policy's profile is not development",
        met=not claims.simulated or policy.profile == "development",
    )
    yield finding("debug", "the enclave can be debugged by its host", met=not claims.debug)
    yield finding("format", f"the policy accepts no evidence of format {claims.format}", met=bool(accepted))
    yield finding(
        "measurement",
        f"{claims.measurement} is not among the {len(accepted)} that the policy accepts",
        met=claims.measurement in accepted,
    )
    yield finding(
        "binding",
        "the report data is not the hash of these keys, nonces, session and policy",
        met=hmac.compare_digest(claims.report_data, binding.report_data()),
    )
    yield finding("role", f"it is in role {binding.role!r}", met=binding.role == "enclave-worker")
    yield finding("enclave", f"it speaks for {binding.enclave!r}", met=binding.enclave == expectation.enclave)
    yield finding("session", "it belongs to another session", met=binding.session == expectation.session)
    yield finding("policy", "the enclave enforces another policy", met=binding.policy == policy.digest)
    yield finding(
        "nonce",
        "it came after the nonce's time"
        if answered == "late"
        else f"{expectation.verifier}'s nonce is not in it, "
        "or was used before: the evidence may be a replay. Ask for new evidence",
        met=answered == "fresh",
    )


VERIFIERS: Final[Mapping[str, Verifier]] = MappingProxyType({SIMULATION: SimulationVerifier()})
"""The formats that can be verified. Real hardware's are added here, one object each."""
MAX_EVIDENCE_BYTES: Final = 1 << 20
