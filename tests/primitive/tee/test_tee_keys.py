"""Keys: HPKE as RFC 9180 has it, by an independent implementation that reproduces the RFC's own numbers; nothing shown."""

from __future__ import annotations

import copy
import hashlib
import hmac
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from tacit.foundation.errors import EnvelopeRefused, InputError, SecrecyError
from tacit.primitive.tee.keys import SEAL_OVERHEAD, PrivateKeys, PublicKeys

# RFC 9180, appendix A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode, sequence number 0.
INFO = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
EPHEMERAL = bytes.fromhex("52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736")
RECEIVER = bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
ENCAPSULATED = bytes.fromhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
CIPHERTEXT = bytes.fromhex("f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a")
PLAINTEXT = b"Beauty is truth, truth beauty"
AES_128, AES_256 = (1, 16), (2, 32)


def extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + material, "sha256")


def expand(suite: bytes, key: bytes, label: bytes, info: bytes, size: int) -> bytes:
    info = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    block = out = b""
    for index in range(1, -(-size // 32) + 1):
        block = hmac.digest(key, block + info + bytes([index]), "sha256")
        out += block
    return out[:size]


def cipher(dh: bytes, encapsulated: bytes, receiver: bytes, info: bytes, aead: tuple[int, int]) -> tuple[AESGCM, bytes]:
    """RFC 9180, sections 4.1 and 5.1, written from the text."""
    kem = b"KEM\x00\x20"
    shared = expand(kem, extract(kem, b"", b"eae_prk", dh), b"shared_secret", encapsulated + receiver, 32)
    suite = b"HPKE\x00\x20\x00\x01" + aead[0].to_bytes(2, "big")
    context = b"\0" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    secret = extract(suite, shared, b"secret", b"")
    return AESGCM(expand(suite, secret, b"key", context, aead[1])), expand(suite, secret, b"base_nonce", context, 12)


def public(secret: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def exchange(secret: bytes, other: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(other))


def test_the_reference_gives_the_numbers_of_the_rfc() -> None:
    assert public(EPHEMERAL) == ENCAPSULATED
    aes, nonce = cipher(exchange(EPHEMERAL, public(RECEIVER)), ENCAPSULATED, public(RECEIVER), INFO, AES_128)
    assert aes.encrypt(nonce, PLAINTEXT, b"Count-0") == CIPHERTEXT


@given(plaintext=st.binary(max_size=200), info=st.binary(max_size=200))
def test_the_reference_opens_what_is_sealed(plaintext: bytes, info: bytes) -> None:
    receiver = PrivateKeys.generate()
    sealed = receiver.public.seal(plaintext, info)
    secret = receiver._sealing.private_bytes_raw()
    aes, nonce = cipher(exchange(secret, sealed[:32]), sealed[:32], receiver.public.sealing, info, AES_256)
    assert aes.decrypt(nonce, sealed[32:], b"") == plaintext
    assert len(sealed) == len(plaintext) + SEAL_OVERHEAD


@given(plaintext=st.binary(max_size=200), info=st.binary(max_size=200))
def test_what_the_reference_seals_is_opened(plaintext: bytes, info: bytes) -> None:
    receiver = PrivateKeys.generate()
    dh = exchange(EPHEMERAL, receiver.public.sealing)
    aes, nonce = cipher(dh, ENCAPSULATED, receiver.public.sealing, info, AES_256)
    assert receiver.unseal(ENCAPSULATED + aes.encrypt(nonce, plaintext, b""), info) == plaintext


def test_other_info_or_another_key_does_not_open() -> None:
    receiver = PrivateKeys.generate()
    sealed = receiver.public.seal(b"value", b"info")
    for keys, info in ((receiver, b"other"), (PrivateKeys.generate(), b"info")):
        with pytest.raises(EnvelopeRefused, match="does not open"):
            keys.unseal(sealed, info)


@pytest.mark.parametrize("low", [bytes(32), b"\x01" + bytes(31)])
def test_nothing_is_sealed_to_a_key_of_small_order(low: bytes) -> None:
    with pytest.raises(EnvelopeRefused, match="small order"):
        PublicKeys(low, bytes(32)).seal(b"value", b"info")


def test_private_keys_are_not_shown_written_or_copied() -> None:
    keys = PrivateKeys.generate()
    secrets = [keys._sealing.private_bytes_raw(), keys._signing.private_bytes_raw()]
    for shown in (repr(keys), str(keys), repr([keys]), repr(keys.public)):
        assert not any(secret.hex() in shown or repr(secret) in shown for secret in secrets)
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(SecrecyError):
            leave(keys)


def test_public_keys_are_read_as_they_are_written_and_only_so() -> None:
    keys = PrivateKeys.generate().public
    assert PublicKeys.parse(keys.text) == keys
    for bad in (keys.text[:-1], keys.text.upper() + "g", keys.text + "00", None, 7, keys.text[:-2] + "zz"):
        with pytest.raises(InputError):
            PublicKeys.parse(bad)
    assert hashlib.sha256(keys.sealing).hexdigest() != keys.fingerprint
