"""How a fresh TCP connection becomes a transport whose far end is known: by TLS, or, for benchmarks, by its word."""

from __future__ import annotations

import socket
import ssl
from typing import Protocol, final

from tacit.foundation.errors import AuthenticationError, ConfigError, FrameCorrupted, LinkError
from tacit.resource.channel.tls import TlsTransport, tls_context
from tacit.resource.channel.transport import PlainTransport, Transport
from tacit.resource.identity.identity import Identity
from tacit.resource.identity.trust import TrustStore


class Door(Protocol):
    """What a party does with a connection before the greeting."""

    def check(self, me: str, peers: list[str], /) -> None:
        """Raise a typed error now if no connection with one of `peers` can ever succeed."""

    def dial(self, sock: socket.socket, peer: str, deadline: float, /) -> Transport:
        """Open the connection to `peer`. Raises AuthenticationError when someone else answers."""

    def accept(self, sock: socket.socket, stranger: str, deadline: float, /) -> tuple[Transport, str | None]:
        """Open a connection that came in, and name the party if that is proved by now."""


@final
class TlsDoor:
    """Both sides show their certificates; each must be the pinned one."""

    def __init__(self, identity: Identity, trust: TrustStore) -> None:
        self._identity = identity
        self._trust = trust
        self._dialling = tls_context(identity, trust, accepting=False)
        self._accepting = tls_context(identity, trust, accepting=True)

    def check(self, me: str, peers: list[str]) -> None:
        """Raises: ConfigError, UnknownParty, AuthenticationError (an expired certificate, of either side)."""
        if self._identity.name != me:
            raise ConfigError(f"{me} cannot use the identity of {self._identity.name}")
        self._identity.check()
        for peer in peers:
            self._trust.check_dates(peer)

    def dial(self, sock: socket.socket, peer: str, deadline: float) -> Transport:
        """Raises: AuthenticationError, FrameCorrupted when no TLS 1.3 is spoken, OSError."""
        transport = TlsTransport(sock, self._dialling, accepting=False)
        found = self._shake(transport, peer, deadline)
        if found != peer:
            raise AuthenticationError(f"where {peer} should be, {found} answered. Compare the addresses", peer=peer)
        return transport

    def accept(self, sock: socket.socket, stranger: str, deadline: float) -> tuple[Transport, str | None]:
        """Raises: AuthenticationError, FrameCorrupted when no TLS 1.3 is spoken, OSError."""
        transport = TlsTransport(sock, self._accepting, accepting=True)
        return transport, self._shake(transport, stranger, deadline)

    def _shake(self, transport: TlsTransport, peer: str, deadline: float) -> str:
        try:
            transport.handshake(deadline)
        except ssl.SSLError as error:
            raise tls_failure(error, peer) from None
        return self._trust.party_of(transport.peer_certificate())


@final
class DangerPlainDoor:
    """No encryption, no authentication: whoever connects is whoever it says it is."""

    def check(self, _me: str, _peers: list[str]) -> None:
        """Nothing is checked."""

    def dial(self, sock: socket.socket, _peer: str, _deadline: float) -> Transport:
        """Believe the address."""
        return PlainTransport(sock)

    def accept(self, sock: socket.socket, _stranger: str, _deadline: float) -> tuple[Transport, str | None]:
        """Believe the greeting that will come."""
        return PlainTransport(sock), None


def tls_failure(error: ssl.SSLError, peer: str) -> LinkError:
    """Say in our words why TLS failed before any data was exchanged."""
    reason = error.reason or str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return AuthenticationError(
            f"the certificate of {peer} is refused: {error.verify_message}. It must be the one in the trust store, "
            "and in date",
            peer=peer,
        )
    if "PEER_DID_NOT_RETURN" in reason:
        return AuthenticationError(f"{peer} showed no certificate", peer=peer)
    if "ALERT" in reason and any(word in reason for word in ("CERT", "UNKNOWN_CA", "DENIED", "DECRYPT")):
        return AuthenticationError(
            f"{peer} refused our certificate ({reason}). Its trust store must hold the one we use now", peer=peer
        )
    return FrameCorrupted(f"{peer} does not speak TLS 1.3 as we do ({reason})", peer=peer)
