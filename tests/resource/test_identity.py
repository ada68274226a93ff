"""Identities: made, saved, loaded, pinned, and refused when they should be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tacit.foundation.errors import AuthenticationError, ConfigError, UnknownParty
from tacit.resource.identity import Identity, LocalAuthority, TrustStore


def test_an_identity_survives_saving(tmp_path):
    made = Identity.create("alice")
    made.save(tmp_path / "alice")
    loaded = Identity.load(tmp_path / "alice")
    assert loaded == made
    assert loaded.private_key == made.private_key
    assert (tmp_path / "alice" / "identity.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "alice").stat().st_mode & 0o777 == 0o700
    with pytest.raises(FileExistsError):
        Identity.create("alice").save(tmp_path / "alice")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_private_key_that_others_can_use_is_refused(tmp_path, mode):
    Identity.create("alice").save(tmp_path)
    (tmp_path / "identity.key").chmod(mode)
    with pytest.raises(ConfigError, match=rf"mode {mode:04o}.*chmod 600"):
        Identity.load(tmp_path)


def test_a_missing_key_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"identity\.key is missing"):
        Identity.load(tmp_path)


def test_no_private_key_is_ever_shown():
    identity = Identity.create("alice")
    for text in (repr(identity), str(identity), f"{identity}"):
        assert text == "Identity(name='alice')"


@pytest.mark.parametrize("name", ["", "1st", "a b", "a/b", "../a", "a\n", "ä", "x" * 64])
def test_names_that_could_mislead_are_refused(name):
    with pytest.raises(ConfigError, match="cannot name a party"):
        Identity.create(name)


def test_an_expired_identity_is_refused(tmp_path):
    old = Identity.create("alice", begin=datetime.now(UTC) - timedelta(days=3), days=1)
    with pytest.raises(AuthenticationError, match=r"certificate of alice has expired.*Make a new identity"):
        old.check()
    old.save(tmp_path)
    with pytest.raises(AuthenticationError, match="expired"):
        Identity.load(tmp_path)
    with pytest.raises(AuthenticationError, match="expired"):
        TrustStore.of([old]).check_dates("alice")
    early = Identity.create("alice", begin=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(AuthenticationError, match="not valid yet"):
        early.check()


def test_a_key_of_somebody_else_is_refused():
    alice, mallory = Identity.create("alice"), Identity.create("alice")
    with pytest.raises(AuthenticationError, match="does not belong"):
        Identity("alice", alice.certificate, mallory.private_key).check()
    with pytest.raises(AuthenticationError, match="names alice"):
        Identity("bob", alice.certificate, alice.private_key).check()


def test_a_trust_store_pins_certificates(tmp_path):
    alice, bob, other = (Identity.create(name) for name in ("alice", "bob", "alice"))
    trust = TrustStore.of([alice, bob])
    trust.save(tmp_path / "trust")
    assert TrustStore.load(tmp_path / "trust") == trust
    assert repr(trust) == "TrustStore(alice, bob)"
    assert trust.party_of(der(bob)) == "bob"
    with pytest.raises(UnknownParty, match="not the pinned"):
        trust.party_of(der(other))
    with pytest.raises(UnknownParty, match="carol has no certificate here; known are alice, bob"):
        trust.certificate("carol")
    with pytest.raises(AuthenticationError, match="filed under bob names alice"):
        TrustStore({"bob": alice.certificate})
    with pytest.raises(AuthenticationError, match="not a PEM certificate"):
        TrustStore({"bob": b"nonsense"})
    with pytest.raises(ConfigError, match="holds no certificates"):
        TrustStore.load(tmp_path / "nowhere")
    assert len(alice.fingerprint) == 64
    assert alice.fingerprint != other.fingerprint


def test_a_local_authority_serves_all_parties_and_leaves_nothing(tmp_path):
    with LocalAuthority.temporary(["alice", "bob"]) as authority:
        folder = authority.folder
        assert folder.stat().st_mode & 0o777 == 0o700
        assert authority.identity("bob").certificate == authority.trust.certificate("bob")
        assert TrustStore.load(folder / "trust") == authority.trust
    assert not folder.exists()
    authority = LocalAuthority.create(tmp_path, ["carol"])
    assert Identity.load(tmp_path / "carol") == authority.identity("carol")
    for parties in (["alice", "alice"], ["trust", "bob"]):
        with pytest.raises(ConfigError, match="must differ"):
            LocalAuthority.temporary(parties)


def der(identity):
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_pem_x509_certificate

    return load_pem_x509_certificate(identity.certificate).public_bytes(Encoding.DER)
