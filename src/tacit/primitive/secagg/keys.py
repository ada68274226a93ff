"""Keys and what is made from them: agreed secrets, seals between clients, statements that are signed, masks.

Every derived secret is HKDF-SHA256 with the terms' digest as salt, a purpose, and the indices of whom it is for; so
that no secret serves in two aggregations, two purposes or two pairs, also where a corrupted client repeats another's
public key.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import cast, final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from tacit.foundation.errors import InputError
from tacit.primitive.prg import Prg
from tacit.primitive.secagg.encoding import Words
from tacit.primitive.secagg.terms import Terms

PUBLIC_BYTES = 32
SECRET_BYTES = 32
TAG_BYTES = 16


@final
class KeyPair:
    """An X25519 key pair for one aggregation; `secret` is 32 bytes that can be shared among neighbours."""

    __slots__ = ("_private", "public", "secret")

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self._private = X25519PrivateKey.from_private_bytes(secret)
        self.public = self._private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls) -> KeyPair:
        """A pair from the operating system's entropy."""
        return cls(secrets.token_bytes(SECRET_BYTES))

    def agree(self, public: bytes) -> bytes:
        """The secret shared with the holder of `public`. Raises: InputError for a point of small order."""
        try:
            return self._private.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            raise InputError("an X25519 public key is of small order or of another length") from None

    def __repr__(self) -> str:
        return "KeyPair(<secret hidden>)"


def seal(terms: Terms, secret: bytes, sender: int, receiver: int, plaintext: bytes) -> bytes:
    """AES-256-GCM under a key for this direction, used once, so that its nonce may be zero; 16 bytes longer.

    `secret` is what sender and receiver agreed. Sender, receiver and terms are bound by the key and by the associated
    data.
    """
    return _cipher(terms, secret, sender, receiver).encrypt(_NONCE, plaintext, _bound(terms, sender, receiver))


def unseal(terms: Terms, secret: bytes, sender: int, receiver: int, sealed: bytes) -> bytes | None:
    """What was sealed, or None if it was not sealed by `sender` for `receiver` in this aggregation."""
    try:
        return _cipher(terms, secret, sender, receiver).decrypt(_NONCE, sealed, _bound(terms, sender, receiver))
    except InvalidTag:
        return None


def add_pair_mask(terms: Terms, secret: bytes, own: int, other: int, mask: Mask, *, negative: bool = False) -> None:
    """The mask of a pair, from what their mask keys agreed: the lower index adds it and the higher one subtracts it."""
    low, high = min(own, other), max(own, other)
    mask.add(_derive(terms, secret, b"pair", low, high, size=16), negative=(own == high) != negative)


def add_self_mask(terms: Terms, seed: bytes, own: int, mask: Mask, *, negative: bool = False) -> None:
    """The mask of one client alone, from its seed."""
    mask.add(_derive(terms, seed, b"self", own, size=16), negative=negative)


def commitment(terms: Terms, seed: bytes, own: int) -> bytes:
    """32 bytes that bind a client to its seed and hide it, as the seed is uniform."""
    return _derive(terms, seed, b"commitment", own)


def advertised(terms: Terms, client: int, seal_key: bytes, mask_key: bytes) -> bytes:
    """The statement by which a client owns up to its keys."""
    return _statement(terms, b"keys", client, seal_key, mask_key)


def masked_with(terms: Terms, client: int, sharers: bytes) -> bytes:
    """The statement by which a client says against whom it masked: those of its neighbours that are in this set."""
    return _statement(terms, b"masked", client, sharers)


def survived(terms: Terms, client: int, sharers: bytes, survivors: bytes) -> bytes:
    """The statement by which a client settles who shared and who survived, once."""
    return _statement(terms, b"survived", client, sharers, survivors)


@final
class Mask:
    """Words to which AES-128 counter-mode masks are added, modulo 256**width, without a temporary for each."""

    __slots__ = ("_scratch", "words")

    def __init__(self, words: Words) -> None:
        self.words = words
        self._scratch = np.empty_like(words)

    def add(self, key: bytes, *, negative: bool = False) -> None:
        """Add the stream of this key, or subtract it. A word modulo 2**32 is uniform modulo every smaller power of two."""
        stream = Prg(key)
        if self.words.dtype == np.uint64:
            words = cast("NDArray[np.uint64]", self.words)
            (stream.sub_into if negative else stream.add_into)(0, words)
            return
        stream.fill(0, self._scratch)
        (np.subtract if negative else np.add)(self.words, self._scratch, out=self.words)

    def __repr__(self) -> str:
        return f"Mask(<{self.words.size} words hidden>)"


def _cipher(terms: Terms, secret: bytes, sender: int, receiver: int) -> AESGCM:
    return AESGCM(_derive(terms, secret, b"seal", sender, receiver))


def _bound(terms: Terms, sender: int, receiver: int) -> bytes:
    return terms.digest + _indices(sender, receiver)


def _derive(terms: Terms, secret: bytes, purpose: bytes, *clients: int, size: int = 32) -> bytes:
    info = b"tacit.secagg.v1 " + purpose + b"\0" + _indices(*clients)
    return HKDF(hashes.SHA256(), size, terms.digest, info).derive(secret)


def _statement(terms: Terms, purpose: bytes, client: int, *parts: bytes) -> bytes:
    """What is signed: fixed in length but for sets, which are hashed."""
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)
    return b"tacit.secagg.v1 " + purpose + b"\0" + terms.digest + _indices(client) + digests


def _indices(*clients: int) -> bytes:
    return b"".join(client.to_bytes(4, "little") for client in clients)


_NONCE = bytes(12)
