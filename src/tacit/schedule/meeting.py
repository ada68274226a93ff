"""How processes come to be connected: each opens a door, the session passes their offers around, and all dial.

A door is a listening socket and an identity that its own process makes; an offer is the address and the certificate. The
private key never leaves the process that made it, not even to a file. The session vouches for which certificate is whose,
as it does for everything else that it tells its parties.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, final

from tacit.foundation.errors import LinkError, SessionError
from tacit.resource.channel import LinkSettings, StreamChannel, connect_all, danger_plain_tcp
from tacit.resource.identity import Identity, TrustStore

DAYS = 30.0
"""How long a certificate is valid: a session cannot begin to connect later than that."""
Offer: TypeAlias = Mapping[str, Any]


@final
class Door:
    """One process's end of a meeting: used once."""

    def __init__(self, name: str, host: str, *, plain_tcp: bool) -> None:
        self._name = name
        self._identity = None if plain_tcp else Identity.create(name, days=DAYS)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, 0), family=family, backlog=BACKLOG)
        except OSError as error:
            raise LinkError(
                f"{name} cannot listen at {host}: {error.strerror}. It must be an address of its machine"
            ) from None

    @property
    def offer(self) -> Offer:
        """What the others need to know."""
        certificate = "" if self._identity is None else self._identity.certificate.decode("ascii")
        return {"address": list(self._listener.getsockname()[:2]), "certificate": certificate}

    def connect(
        self, offers: Mapping[str, Offer], session: str, timeout: float, settings: LinkSettings
    ) -> dict[str, StreamChannel]:
        """Connect with all others who offered. Raises what `connect_all` raises; SessionError for a malformed offer."""
        try:
            addresses = {name: (str(offer["address"][0]), int(offer["address"][1])) for name, offer in offers.items()}
            certificates = {name: str(offer["certificate"]).encode("ascii") for name, offer in offers.items()}
        except (KeyError, TypeError, ValueError, IndexError):
            raise SessionError(f"{self._name} was given an offer without an address or a certificate") from None
        number = bytes.fromhex(session)
        if self._identity is None:
            return danger_plain_tcp(
                self._name, addresses, session=number, listener=self._listener, timeout=timeout, settings=settings
            )
        return connect_all(
            self._name,
            addresses,
            self._identity,
            TrustStore(certificates),
            session=number,
            listener=self._listener,
            timeout=timeout,
            settings=settings,
        )

    def close(self) -> None:
        """Stop listening. Idempotent."""
        self._listener.close()


def meet(ask: Any, members: Sequence[str], *, session: str, timeout: float, siblings: bool = False) -> None:
    """Connect the members with each other, every pair; `ask(members, kind, fields)` returns every member's answer.

    siblings: they are processes of one party, beside its links to other parties.
    Raises: AuthenticationError, PeerStalled, ... as one of them reports; that ends the session.
    """
    answers = ask(members, "listen", {})
    offers = {name: dict(facts) for name, (facts, _) in answers.items()}
    ask(members, "connect", {"offers": offers, "session": session, "timeout": timeout, "siblings": siblings})


BACKLOG = 64
