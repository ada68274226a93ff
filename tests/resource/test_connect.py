"""How a session comes together, and who is turned away."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta

import pytest
from parties import IDENTITIES, NAMES, OPENED, SESSION, TRUST, connected, join, listeners, receive, send, together

from tacit.foundation.errors import (
    AuthenticationError,
    ConfigError,
    LinkError,
    PeerAborted,
    PeerStalled,
    ProtocolMismatch,
    SessionMismatch,
    UnknownParty,
)
from tacit.resource.channel.door import tls_failure
from tacit.resource.channel.tls import TlsTransport, tls_context
from tacit.resource.identity import Identity, TrustStore
from tacit.resource.wire import frame
from tacit.resource.wire.frame import Kind

both = pytest.mark.parametrize("kind", ["plain", "tls"])
NUMBER = int.from_bytes(SESSION, "little")


@both
def test_every_pair_is_connected_in_any_order_of_arrival(kind):
    sockets, addresses = listeners()

    def late(name, seconds):
        time.sleep(seconds)
        return join(name, addresses, kind=kind, listener=sockets[name])

    work = {name: lambda n=name, s=i * 0.05: late(n, s) for i, name in enumerate(reversed(NAMES))}
    ends = together(work)
    for me in NAMES:
        assert list(ends[me]) == [name for name in NAMES if name != me]
        for peer, channel in ends[me].items():
            assert channel.peer == peer
            send(channel, 1, me.encode())
    for me in NAMES:
        for peer, channel in ends[me].items():
            assert bytes(receive(channel, 1, len(peer))) == peer.encode()


@both
def test_a_dialler_waits_until_somebody_listens(kind):
    sockets, addresses = listeners(("alice",))
    sockets["alice"].close()
    addresses["bob"] = ("127.0.0.1", 0)

    def alice():
        time.sleep(0.3)
        return join("alice", addresses, kind=kind)

    ends = together({"alice": alice, "bob": lambda: join("bob", addresses, kind=kind)})
    assert ends["alice"]["bob"].peer == "bob"


def test_tls_is_1_3_with_certificates_on_both_sides():
    ends = connected(("alice", "bob"))
    for me, peer in (("alice", "bob"), ("bob", "alice")):
        transport = ends[me][peer]._transport
        assert transport._tls.version() == "TLSv1.3"
        assert TRUST.party_of(transport.peer_certificate()) == peer


def test_the_private_key_reaches_tls_without_touching_a_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    tls_context(IDENTITIES["alice"], TRUST, accepting=True)
    assert not list(tmp_path.iterdir())


# --- nobody comes -------------------------------------------------------------------------------------------------


@both
def test_a_missing_party_is_named_with_its_address_and_the_time_waited(kind):
    sockets, addresses = listeners()
    sockets["alice"].close()
    with pytest.raises(PeerStalled) as caught:
        join("bob", addresses, kind=kind, listener=sockets["bob"], timeout=0.3)
    text = str(caught.value)
    assert text.startswith("bob waited 0.3 s for alice to listen at 127.0.0.1:")
    assert f":{addresses['alice'][1]} (last attempt: Connection refused)" in text
    assert f"and for carol to dial 127.0.0.1:{addresses['bob'][1]}" in text
    assert caught.value.peer == "alice"


@both
def test_a_session_that_fails_tells_those_who_had_come(kind):
    sockets, addresses = listeners()
    work = {
        "alice": lambda: join("alice", addresses, kind=kind, listener=sockets["alice"], timeout=0.5),
        "bob": lambda: join("bob", addresses, kind=kind, listener=sockets["bob"], timeout=20),
    }
    began = time.monotonic()
    results = together(work)
    assert isinstance(results["alice"], PeerStalled)
    assert isinstance(results["bob"], PeerAborted)
    assert "alice stopped: could not start: alice waited" in str(results["bob"])
    assert time.monotonic() - began < 10


# --- the wrong ones come ------------------------------------------------------------------------------------------


def dial(address):
    sock = socket.create_connection(address, timeout=5)
    OPENED.append(sock)
    return sock


def garbage(address):
    dial(address).sendall(b"GET / HTTP/1.1\r\n\r\n")


def silence(address):
    dial(address)


def knock_and_run(address):
    dial(address).close()


def old_tls(address):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(dial(address))


def no_certificate(address):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    sock = context.wrap_socket(dial(address), do_handshake_on_connect=False)
    OPENED.append(sock)
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        sock.do_handshake()
        sock.recv(1)


def wrong_certificate(address):
    mallory = Identity.create("bob")
    join("bob", {"alice": address, "bob": ("", 0)}, identities={"bob": mallory}, timeout=5)


def unknown_party(address):
    join("dave", {"alice": address, "dave": ("", 0)}, timeout=5)


def other_session(address):
    join("bob", {"alice": address, "bob": ("", 0)}, session=b"otherone", timeout=5)


INTRUDERS = [
    (garbage, None, PeerStalled, "does not speak TLS 1.3 as we do"),
    (silence, None, PeerStalled, ""),
    (knock_and_run, None, PeerStalled, "closed during the TLS handshake"),
    (old_tls, None, PeerStalled, "does not speak TLS 1.3 as we do"),
    (no_certificate, None, AuthenticationError, "showed no certificate"),
    (
        wrong_certificate,
        AuthenticationError,
        AuthenticationError,
        "certificate of the caller .* is refused: self-signed",
    ),
    (unknown_party, PeerAborted, UnknownParty, "'dave' is not a party that dials alice in this session"),
    (other_session, SessionMismatch, PeerStalled, "frame of session 656e6f726568746f"),
]


@pytest.mark.parametrize(("intrude", "told", "raised", "text"), INTRUDERS)
def test_an_intruder_is_turned_away_and_remembered(intrude, told, raised, text):
    sockets, addresses = listeners(("alice", "bob"))

    def intruder():
        intrude(addresses["alice"])

    results = together(
        {
            "alice": lambda: join("alice", addresses, listener=sockets["alice"], timeout=1.0),
            "intruder": intruder,
        }
    )
    assert type(results["intruder"]) is (told or type(None))
    assert type(results["alice"]) is raised
    assert str(results["alice"]).startswith("alice waited 1.0 s for bob to dial 127.0.0.1:")
    if text:
        with pytest.raises(raised, match=rf"Turned away meanwhile: 1: .*{text}"):
            raise results["alice"]


@pytest.mark.parametrize("intrude", [case[0] for case in INTRUDERS])
def test_an_intruder_does_not_keep_the_right_party_out(intrude, caplog):
    caplog.set_level(logging.WARNING, "tacit.link")
    sockets, addresses = listeners(("alice", "bob"))

    def intruder():
        intrude(addresses["alice"])

    def bob():
        time.sleep(0.2)
        return join("bob", addresses, listener=sockets["bob"])

    results = together(
        {"alice": lambda: join("alice", addresses, listener=sockets["alice"]), "intruder": intruder, "bob": bob}
    )
    send(results["bob"]["alice"], 1, b"here")
    assert bytes(receive(results["alice"]["bob"], 1, 4)) == b"here"
    if intrude is not silence:
        assert "alice turned away a connection" in caplog.text


def test_whoever_answers_with_the_wrong_certificate_is_refused_at_once():
    sockets, addresses = listeners(("alice", "bob"))
    mallory = Identity.create("alice")
    began = time.monotonic()
    results = together(
        {
            "mallory": lambda: join(
                "alice", addresses, identities={"alice": mallory}, listener=sockets["alice"], timeout=2
            ),
            "bob": lambda: join("bob", addresses, listener=sockets["bob"]),
        }
    )
    assert isinstance(results["bob"], AuthenticationError)
    assert "certificate of alice is refused" in str(results["bob"])
    assert isinstance(results["mallory"], AuthenticationError)
    assert "refused our certificate" in str(results["mallory"])
    assert time.monotonic() - began < 10


def test_another_party_of_the_session_at_the_address_is_refused():
    sockets, addresses = listeners(("alice", "carol", "bob"))
    swapped = {"alice": addresses["carol"], "carol": addresses["alice"], "bob": addresses["bob"]}
    results = together(
        {
            "carol": lambda: join("carol", addresses, listener=sockets["carol"], timeout=2),
            "bob": lambda: join("bob", swapped, timeout=2),
        }
    )
    assert isinstance(results["bob"], AuthenticationError)
    assert "where alice should be, carol answered" in str(results["bob"])


@both
def test_another_program_is_refused_at_once_on_both_sides(kind):
    sockets, addresses = listeners(("alice", "bob"))
    began = time.monotonic()
    results = together(
        {
            name: lambda n=name, p=program: join(n, addresses, kind=kind, listener=sockets[n], program=p)
            for name, program in {"alice": b"\xaa" * 32, "bob": b"\xbb" * 32}.items()
        }
    )
    for name in ("alice", "bob"):
        assert isinstance(results[name], ProtocolMismatch)
        assert "aaaaaaaaaaaaaaaa" in str(results[name])
        assert "bbbbbbbbbbbbbbbb" in str(results[name])
    assert time.monotonic() - began < 10


def test_another_version_of_the_wire_is_named():
    sockets, addresses = listeners(("alice", "bob"))

    def old_bob():
        hello = bytearray(frame.control(Kind.HELLO, NUMBER, 0, b"\x00bob\nalice"))
        hello[3] = 9
        dial(addresses["alice"]).sendall(hello)

    results = together(
        {
            "alice": lambda: join("alice", addresses, kind="plain", listener=sockets["alice"], timeout=0.5),
            "bob": old_bob,
        }
    )
    assert "speaks version 9 of the wire format, this side speaks 1" in str(results["alice"])


@pytest.mark.parametrize(
    "greeting", [b"", b"\xff", b"\x00bob", b"\x00bob\nalice\nx", b"\x40bob\nalice", b"\x00\xff\n\xff"]
)
def test_a_greeting_that_is_none_is_turned_away(greeting):
    sockets, addresses = listeners(("alice", "bob"))

    def stranger():
        dial(addresses["alice"]).sendall(frame.control(Kind.HELLO, NUMBER, 0, greeting))

    results = together(
        {"alice": lambda: join("alice", addresses, kind="plain", listener=sockets["alice"], timeout=0.3), "x": stranger}
    )
    assert isinstance(results["alice"], LinkError)
    assert "Turned away meanwhile: 1" in str(results["alice"])


# --- certificates and arguments -----------------------------------------------------------------------------------


def test_tls_itself_refuses_an_expired_certificate():
    expired = Identity.create("bob", begin=datetime.now(UTC) - timedelta(days=9), days=1)
    trust = TrustStore.of([IDENTITIES["alice"], expired])
    here, there = socket.socketpair()
    OPENED.extend((here, there))
    alice = TlsTransport(here, tls_context(IDENTITIES["alice"], trust, accepting=True), accepting=True)
    bob = TlsTransport(there, tls_context(expired, trust, accepting=False), accepting=False)

    def hear():
        while not bob.recv_into(memoryview(bytearray(9))):
            time.sleep(0.01)

    def shake(transport):
        transport.handshake(time.monotonic() + 5)

    results = together({"alice": lambda: shake(alice), "bob": lambda: shake(bob)})
    refusal = tls_failure(results["alice"], "bob")
    assert isinstance(refusal, AuthenticationError)
    assert "certificate has expired" in str(refusal)
    with pytest.raises(ssl.SSLError) as caught:
        hear()
    told = tls_failure(caught.value, "alice")
    assert isinstance(told, AuthenticationError)
    assert "alice refused our certificate" in str(told)


def test_an_expired_certificate_is_refused_before_anything_is_dialled():
    expired = Identity.create("alice", begin=datetime.now(UTC) - timedelta(days=9), days=1)
    _, addresses = listeners(("alice", "bob"))
    trust = TrustStore.of([expired, IDENTITIES["bob"]])
    for me, identities in (("alice", {"alice": expired}), ("bob", IDENTITIES)):
        with pytest.raises(AuthenticationError, match="certificate of alice has expired"):
            join(me, addresses, identities=identities, trust=trust)


@pytest.mark.parametrize(
    ("me", "change", "error", "text"),
    [
        ("zoe", {}, UnknownParty, "zoe is not among the parties alice, bob"),
        ("alice", {"session": b"short"}, ConfigError, "session must be 8 bytes, got 5"),
        ("alice", {"program": bytes(65)}, ConfigError, "at most 64 bytes, got 65"),
        ("alice", {"identities": {"alice": IDENTITIES["bob"]}}, ConfigError, "alice cannot use the identity of bob"),
        ("alice", {"trust": TrustStore.of([IDENTITIES["alice"]])}, UnknownParty, "bob has no certificate here"),
        ("alice", {}, ConfigError, "needs a port"),
    ],
)
def test_arguments_that_cannot_work_are_refused_at_once(me, change, error, text):
    addresses = {"alice": ("127.0.0.1", 0), "bob": ("127.0.0.1", 0)}
    change.setdefault("identities", {**IDENTITIES, "zoe": IDENTITIES["alice"]})
    with pytest.raises(error, match=text):
        join(me, addresses, **change)


def test_an_address_in_use_is_named():
    sockets, addresses = listeners(("alice", "bob"))
    with pytest.raises(
        LinkError, match=rf"alice cannot listen at 127.0.0.1:{addresses['alice'][1]}: Address already in use"
    ):
        join("alice", addresses)
    assert sockets
