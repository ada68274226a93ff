"""The keys of an enclave or of a party for one session: X25519 to seal to, Ed25519 to sign with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NoReturn, Self, final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tacit.foundation.errors import EnvelopeRefused, InputError, SecrecyError
from tacit.primitive.tee.canonical import digest, is_hex


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """What others need to seal to somebody (`sealing`, X25519) and to know its envelopes (`signing`, Ed25519)."""

    sealing: bytes
    signing: bytes

    def __post_init__(self) -> None:
        if len(self.sealing) != KEY_BYTES or len(self.signing) != KEY_BYTES:
            raise InputError(
                f"public keys have {KEY_BYTES} bytes each, got {len(self.sealing)} and {len(self.signing)}"
            )

    @property
    def text(self) -> str:
        """Both keys as 128 hex digits."""
        return (self.sealing + self.signing).hex()

    @classmethod
    def parse(cls, text: object) -> Self:
        """Read what `text` gives. Raises InputError for anything else."""
        if not isinstance(text, str) or not is_hex(text, 2 * KEY_BYTES):
            raise InputError(f"public keys are {4 * KEY_BYTES} hex digits")
        raw = bytes.fromhex(text)
        return cls(raw[:KEY_BYTES], raw[KEY_BYTES:])

    @property
    def fingerprint(self) -> str:
        """A hash of both keys to compare by eye."""
        return digest("tacit tee keys 1", self.sealing, self.signing)[:32]

    def __repr__(self) -> str:
        return f"PublicKeys({self.fingerprint})"

    def seal(self, plaintext: bytes | memoryview, info: bytes) -> bytes:
        """HPKE (RFC 9180, base mode, single shot) to `sealing`, bound to `info`; 48 bytes longer than the plaintext.

        Raises: EnvelopeRefused for a public key of small order, to which nothing can be sealed.
        """
        try:
            return SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(self.sealing), info=info)
        except ValueError:
            raise EnvelopeRefused("the receiver's public key is of small order: it is no honest party's key") from None

    def check(self, signature: bytes, message: bytes, whose: str) -> None:
        """Return if `signature` is the key holder's. Raises EnvelopeRefused otherwise."""
        try:
            Ed25519PublicKey.from_public_bytes(self.signing).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise EnvelopeRefused(f"the signature is not of {whose}: the envelope was changed or forged") from None


@final
class PrivateKeys:
    """The private halves. They are never written, shown, copied or sent."""

    __slots__ = ("_sealing", "_signing", "public")

    def __init__(self, sealing: X25519PrivateKey, signing: Ed25519PrivateKey) -> None:
        self._sealing = sealing
        self._signing = signing
        self.public = PublicKeys(sealing.public_key().public_bytes_raw(), signing.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Self:
        """New keys from the operating system's entropy."""
        return cls(X25519PrivateKey.generate(), Ed25519PrivateKey.generate())

    def sign(self, message: bytes) -> bytes:
        """64 bytes of Ed25519."""
        return self._signing.sign(message)

    def unseal(self, sealed: bytes | memoryview, info: bytes) -> bytes:
        """Open what `PublicKeys.seal` made. Raises EnvelopeRefused unless key, `info` and every byte fit."""
        try:
            return SUITE.decrypt(sealed, self._sealing, info=info)
        except (InvalidTag, ValueError):
            raise EnvelopeRefused(
                "the envelope does not open: it is damaged, or sealed to another key or for another purpose"
            ) from None

    def __repr__(self) -> str:
        return f"PrivateKeys(of {self.public!r}, hidden)"

    def __reduce__(self) -> NoReturn:
        raise SecrecyError("private keys of a session are not copied or written")


SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SEAL_OVERHEAD: Final = 48
"""Bytes by which sealing makes a plaintext longer: an ephemeral public key and a tag."""
