"""Certificates of parties: X.509 with the party's name as a URI, short-lived, self-signed and trusted by pinning."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tacit.foundation.errors import AuthenticationError, ConfigError


def check_party_name(name: str) -> str:
    """Return `name` if it can name a party.

    Raises: ConfigError otherwise.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot name a party: use 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter"
        )
    return name


def self_signed(name: str, key: ec.EllipticCurvePrivateKey, *, begin: datetime, days: float) -> x509.Certificate:
    """Certify that the holder of `key` is party `name`, from shortly before `begin` on for `days`."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin - CLOCK_SKEW)
        .not_valid_after(begin + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(URI + name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256())
    )


def party_of(certificate: x509.Certificate) -> str:
    """Read the party's name off a certificate.

    Raises: AuthenticationError when it names none, or several.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = x509.SubjectAlternativeName([])
    parties = [uri for uri in names.get_values_for_type(x509.UniformResourceIdentifier) if uri.startswith(URI)]
    if len(parties) != 1 or not _NAME.fullmatch(parties[0][len(URI) :]):
        raise AuthenticationError(
            f"a certificate must name one party as URI {URI}NAME, this one has {parties}. Make it with Identity.create"
        )
    return parties[0][len(URI) :]


def check_dates(certificate: x509.Certificate, whose: str, now: datetime | None = None) -> None:
    """Return if the certificate is valid at `now`.

    Raises: AuthenticationError when it has expired or is not valid yet.
    """
    now = now or datetime.now(UTC)
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not first <= now <= last:
        word = "has expired" if now > last else "is not valid yet"
        raise AuthenticationError(
            f"the certificate of {whose} {word}: it is valid from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC, "
            f"now is {now:%Y-%m-%d %H:%M}. Make a new identity and hand its certificate to the other parties",
            peer=whose,
        )


def parse(pem: bytes) -> x509.Certificate:
    """Parse one PEM certificate.

    Raises: AuthenticationError when it is none.
    """
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise AuthenticationError(f"this is not a PEM certificate: {error}") from None


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the whole certificate in hex, for people to compare over the telephone."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def to_pem(certificate: x509.Certificate) -> bytes:
    """Encode as PEM."""
    return certificate.public_bytes(Encoding.PEM)


URI: Final = "tacit:party:"
CLOCK_SKEW: Final = timedelta(minutes=5)
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")
