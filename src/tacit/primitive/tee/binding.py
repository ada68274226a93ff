"""What an enclave's evidence is bound to: its keys, its role, the session, the verifiers' nonces, and the policy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Self

from tacit.foundation.errors import EvidenceRefused, InputError
from tacit.primitive.tee.canonical import canonical, is_hex, is_name
from tacit.primitive.tee.keys import PublicKeys


@dataclass(frozen=True)
class Binding:
    """All that the 64 bytes of report data stand for.

    enclave: its name in the session; session: 8 bytes in hex; nonces: one of 32 bytes in hex for each verifier;
    policy: the hash of the policy that the enclave enforces.
    """

    enclave: str
    session: str
    keys: PublicKeys
    nonces: Mapping[str, str]
    policy: str
    role: str = "enclave-worker"

    def __post_init__(self) -> None:
        if not is_name(self.enclave) or not is_name(self.role):
            raise InputError(f"{self.enclave!r} in role {self.role!r} names no enclave")
        if not is_hex(self.session, SESSION_BYTES) or not is_hex(self.policy, 32):
            raise InputError("a session is 8 bytes and a policy's hash 32 bytes, both in hex")
        if not 0 < len(self.nonces) <= MAX_VERIFIERS:
            raise InputError(f"evidence answers 1 to {MAX_VERIFIERS} verifiers, got {len(self.nonces)} nonces")
        for verifier, nonce in self.nonces.items():
            if not is_name(verifier) or not is_hex(nonce, NONCE_BYTES):
                raise InputError(f"a verifier's nonce is {NONCE_BYTES} bytes in hex, under its name")
        object.__setattr__(self, "nonces", MappingProxyType(dict(self.nonces)))

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "enclave": self.enclave,
            "keys": self.keys.text,
            "nonces": dict(self.nonces),
            "policy": self.policy,
            "role": self.role,
            "session": self.session,
        }

    @classmethod
    def parse(cls, document: object) -> Self:
        """Read what `document` gives. Raises EvidenceRefused for anything else."""
        if not isinstance(document, dict) or document.keys() != FIELDS or not isinstance(document["nonces"], dict):
            raise EvidenceRefused(f"a binding has exactly the fields {', '.join(sorted(FIELDS))}")
        try:
            return cls(**{**document, "keys": PublicKeys.parse(document["keys"])})
        except (InputError, TypeError) as error:
            raise EvidenceRefused(f"the binding of this evidence is malformed: {error}") from None

    def report_data(self) -> bytes:
        """The 64 bytes that the platform vouches for: SHA-512, domain-separated, over the document."""
        return hashlib.sha512(DOMAIN + canonical(self.document())).digest()


DOMAIN: Final = b"tacit tee binding 1\0"
FIELDS: Final = frozenset({"enclave", "keys", "nonces", "policy", "role", "session"})
NONCE_BYTES: Final = 32
SESSION_BYTES: Final = 8
MAX_VERIFIERS: Final = 256
