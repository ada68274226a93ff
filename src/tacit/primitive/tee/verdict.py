"""What evidence says (`Claims`), and what a policy makes of it (`Verdict`): typed, with reasons, never a bool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from tacit.foundation.errors import EvidenceRefused, SecrecyError
from tacit.primitive.tee.binding import Binding

Assurance = Literal["SIMULATED", "ATTESTED"]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a platform vouches for, after its signature was checked and before any policy.

    measurement: hash of what was loaded, in hex; report_data: the 64 bytes the enclave had signed; root: who vouches.
    """

    format: str
    simulated: bool
    measurement: str
    report_data: bytes
    debug: bool
    root: str

    @property
    def assurance(self) -> Assurance:
        """The word that stands in every output: SIMULATED protects nothing from the host."""
        return "SIMULATED" if self.simulated else "ATTESTED"

    def __repr__(self) -> str:
        return f"Claims({self.assurance}, {self.format}, measurement {self.measurement[:16]}…)"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "assurance": self.assurance,
            "debug": self.debug,
            "format": self.format,
            "measurement": self.measurement,
            "report_data": self.report_data.hex(),
            "root": self.root,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of a policy: what was asked, and how it came out."""

    check: str
    outcome: Literal["met", "failed"]
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every check of one piece of evidence. `require` is the only way on from here."""

    claims: Claims
    binding: Binding
    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> Literal["trusted", "refused"]:
        """`trusted` when there are findings and every one is met."""
        met = self.findings and all(finding.outcome == "met" for finding in self.findings)
        return "trusted" if met else "refused"

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why it is refused."""
        return tuple(f"{finding.check}: {finding.reason}" for finding in self.findings if finding.outcome == "failed")

    def require(self) -> Attested:
        """Return who was attested. Raises EvidenceRefused with every reason otherwise."""
        if self.outcome != "trusted":
            raise EvidenceRefused(
                f"the evidence of enclave {self.binding.enclave} ({self.claims.assurance}) is refused: "
                + "; ".join(self.refusals),
                reasons=self.refusals,
            )
        return Attested(self.binding, self.claims.assurance)

    def __bool__(self) -> NoReturn:
        raise SecrecyError("a verdict is no yes or no: call require(), or read outcome and refusals")

    def document(self) -> dict[str, Any]:
        """As JSON, for reports and the ledger."""
        return {
            "assurance": self.claims.assurance,
            "outcome": self.outcome,
            "claims": self.claims.document(),
            "binding": self.binding.document(),
            "findings": [[finding.check, finding.outcome, finding.reason] for finding in self.findings],
        }


@dataclass(frozen=True, slots=True)
class Attested:
    """An enclave whose evidence met the policy: from here on its keys can be used."""

    binding: Binding
    assurance: Assurance

    def __repr__(self) -> str:
        return f"Attested({self.assurance} enclave {self.binding.enclave}, {self.binding.keys!r})"
