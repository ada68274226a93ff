"""Whom a party believes: exactly these certificates, one for each party, and no authority besides."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Self

from cryptography.hazmat.primitives.serialization import Encoding

from tacit.foundation.errors import AuthenticationError, ConfigError, UnknownParty
from tacit.resource.identity.certificate import check_dates, parse, party_of
from tacit.resource.identity.identity import Identity


@dataclass(frozen=True)
class TrustStore:
    """The pinned certificate (PEM) of each party by name.

    Raises: AuthenticationError when a certificate names another party than the one it is filed under.
    """

    certificates: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        for name, pem in self.certificates.items():
            named = party_of(parse(pem))
            if named != name:
                raise AuthenticationError(f"the certificate filed under {name} names {named}", peer=name)
        object.__setattr__(self, "certificates", MappingProxyType(dict(self.certificates)))

    def __repr__(self) -> str:
        return f"TrustStore({', '.join(self.certificates)})"

    @classmethod
    def of(cls, identities: Iterable[Identity]) -> Self:
        """Trust the certificates of `identities`."""
        return cls({identity.name: identity.certificate for identity in identities})

    def certificate(self, party: str) -> bytes:
        """Return the pinned certificate of `party` as PEM.

        Raises: UnknownParty when there is none.
        """
        try:
            return self.certificates[party]
        except KeyError:
            raise UnknownParty(
                f"{party} has no certificate here; known are {', '.join(self.certificates) or 'no parties'}. "
                "Ask it for its identity.crt and add that",
                peer=party,
            ) from None

    def party_of(self, der: bytes) -> str:
        """Return which party's pinned certificate `der` is, byte for byte.

        Raises: UnknownParty when it is nobody's.
        """
        for name, pem in self.certificates.items():
            if hmac.compare_digest(parse(pem).public_bytes(Encoding.DER), der):
                return name
        raise UnknownParty("the certificate shown is not the pinned certificate of any party")

    def check_dates(self, party: str, now: datetime | None = None) -> None:
        """Return if the certificate of `party` is valid at `now`. Raises: AuthenticationError, UnknownParty."""
        check_dates(parse(self.certificate(party)), party, now)

    def save(self, folder: Path) -> None:
        """Write one `NAME.crt` for each party into `folder`, which is made if absent."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, pem in self.certificates.items():
            (folder / f"{name}.crt").write_bytes(pem)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read every `NAME.crt` in `folder`.

        Raises: ConfigError when there is none; AuthenticationError when one is broken or filed under another name.
        """
        found = {path.name.removesuffix(".crt"): path.read_bytes() for path in sorted(folder.glob("*.crt"))}
        if not found:
            raise ConfigError(f"{folder} holds no certificates. Put one NAME.crt for each party there")
        return cls(found)
