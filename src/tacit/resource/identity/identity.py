"""A party's own identity: its private key and its certificate."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tacit.foundation.errors import AuthenticationError, ConfigError
from tacit.resource.identity.certificate import (
    check_dates,
    check_party_name,
    fingerprint,
    parse,
    party_of,
    self_signed,
    to_pem,
)


@dataclass(frozen=True)
class Identity:
    """Party `name` with its certificate (PEM) and private key (PEM, PKCS 8, never shown)."""

    name: str
    certificate: bytes = field(repr=False)
    private_key: bytes = field(repr=False, compare=False)

    @classmethod
    def create(cls, name: str, *, days: float = 30.0, begin: datetime | None = None) -> Self:
        """Make a new P-256 key from the system's entropy, and a self-signed certificate valid for `days`.

        Raises: ConfigError when `name` cannot name a party.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self_signed(check_party_name(name), key, begin=begin or datetime.now(UTC), days=days)
        return cls(
            name=name,
            certificate=to_pem(certificate),
            private_key=key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate in hex."""
        return fingerprint(parse(self.certificate))

    def check(self, now: datetime | None = None) -> None:
        """Return if this identity can be used at `now`.

        Raises: AuthenticationError when its certificate has expired, names another party or does not fit its key.
        """
        certificate = parse(self.certificate)
        if party_of(certificate) != self.name:
            raise AuthenticationError(f"the certificate of {self.name} names {party_of(certificate)}", peer=self.name)
        check_dates(certificate, self.name, now)
        key = load_pem_private_key(self.private_key, None)
        if key.public_key() != certificate.public_key():
            raise AuthenticationError(
                f"the private key of {self.name} does not belong to its certificate. Save both again", peer=self.name
            )

    def save(self, folder: Path) -> None:
        """Write `identity.crt`, and `identity.key` readable by its owner only, into `folder`, which is made if absent.

        Raises: FileExistsError rather than overwrite a private key.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / KEY_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self.private_key)
        (folder / CERTIFICATE_FILE).write_bytes(self.certificate)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises: ConfigError when the key file is missing or open to others; AuthenticationError when it is not usable.
        """
        try:
            with (folder / KEY_FILE).open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if mode & 0o077:
                    raise ConfigError(
                        f"{folder / KEY_FILE} has mode {mode:04o}, so that others can use the private key. "
                        f"Run chmod 600 {folder / KEY_FILE}, and make a new identity if others had access"
                    )
                private_key = file.read()
            certificate = (folder / CERTIFICATE_FILE).read_bytes()
        except FileNotFoundError as error:
            raise ConfigError(
                f"{error.filename} is missing. Make an identity with Identity.create and save it"
            ) from None
        identity = cls(name=party_of(parse(certificate)), certificate=certificate, private_key=private_key)
        identity.check()
        return identity


KEY_FILE: Final = "identity.key"
CERTIFICATE_FILE: Final = "identity.crt"
