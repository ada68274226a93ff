"""Verifier of simulated evidence: an Ed25519 signature of a root that the policy pins. It protects nothing from the host.

A quote is the line `SIMULATION_MAGIC`, a canonical JSON document, and the root's signature over both. The root's private
key lies with the host, as no hardware keeps it from it.
"""

from __future__ import annotations

from typing import Final, final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tacit.foundation.errors import EvidenceRefused
from tacit.primitive.tee.canonical import is_hex, parse_canonical
from tacit.primitive.tee.formats import MEASUREMENT_BYTES, SIMULATION, SIMULATION_MAGIC
from tacit.primitive.tee.keys import SIGNATURE_BYTES
from tacit.primitive.tee.policy import Policy
from tacit.primitive.tee.verdict import Claims, Finding


@final
class SimulationVerifier:
    """Believes the simulation roots of a development policy."""

    def authenticate(self, quote: bytes, policy: Policy) -> tuple[Claims, tuple[Finding, ...]]:
        """Check the root's signature. Raises EvidenceRefused unless it fits and the claims are well formed."""
        signed, signature = quote[:-SIGNATURE_BYTES], quote[-SIGNATURE_BYTES:]
        document = parse_canonical(
            signed.removeprefix(SIMULATION_MAGIC), "SIMULATED evidence", limit=MAX_CLAIMS, refuse=EvidenceRefused
        )
        root = document.get("root")
        if (
            document.keys() != FIELDS
            or document["assurance"] != "SIMULATED"
            or not isinstance(root, str)
            or not is_hex(root, 32)
            or not is_hex(document["measurement"], MEASUREMENT_BYTES[SIMULATION])
            or not is_hex(document["report_data"], 64)
            or not isinstance(document["debug"], bool)
        ):
            raise EvidenceRefused("SIMULATED evidence has another content than it must have")
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(root)).verify(signature, signed)
        except (InvalidSignature, ValueError):
            raise EvidenceRefused("the signature of SIMULATED evidence does not fit: it was changed") from None
        pinned = root in policy.simulation_roots
        claims = Claims(
            SIMULATION, True, document["measurement"], bytes.fromhex(document["report_data"]), document["debug"], root
        )
        reason = "as required" if pinned else "the policy does not pin the root that signed this SIMULATED evidence"
        return claims, (Finding("root", "met" if pinned else "failed", reason),)


FIELDS: Final = frozenset({"assurance", "debug", "measurement", "report_data", "root"})
MAX_CLAIMS: Final = 1 << 12
