"""How the parties of a session find each other: every pair by one connection, or a typed error by the deadline.

Of two parties the one named first listens and the other dials, again and again until somebody listens. Whoever else
knocks meanwhile (another session's party, a port scanner, a certificate that nobody trusts) is turned away, logged,
and remembered for the error message in case the right one never comes.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final, final

from tacit.foundation.errors import (
    AuthenticationError,
    ConfigError,
    LinkError,
    PeerDied,
    PeerStalled,
    ProtocolMismatch,
    TacitError,
    UnknownParty,
)
from tacit.resource.channel.door import DangerPlainDoor, Door, TlsDoor, tls_failure
from tacit.resource.channel.greeting import DIGEST_BYTES, Greeting, greet_as_dialler, greet_as_listener
from tacit.resource.channel.stream import LinkSettings, StreamChannel
from tacit.resource.channel.switchboard import Switchboard
from tacit.resource.channel.transport import Transport
from tacit.resource.identity.identity import Identity
from tacit.resource.identity.trust import TrustStore

Addresses = Mapping[str, tuple[str, int]]
"""Host and port of every party of a session, in an order on which all of them agree."""


def connect_all(
    me: str,
    parties: Addresses,
    identity: Identity,
    trust: TrustStore,
    *,
    session: bytes,
    program: bytes = b"",
    timeout: float = 30.0,
    listener: socket.socket | None = None,
    settings: LinkSettings | None = None,
) -> dict[str, StreamChannel]:
    """Connect party `me` to all others over mutually authenticated TLS 1.3.

    `session` is 8 bytes that all parties of this run share and no other run does; `program` is a digest of what they
    are about to run, at most 64 bytes. `listener` is a listening socket to use instead of binding `me`'s address; it is
    closed before this returns. Takes at most `timeout` seconds.

    Raises: AuthenticationError, UnknownParty, SessionMismatch, ProtocolMismatch, PeerAborted as soon as a party that was
    dialled, or that proved who it is, cannot be worked with; AuthenticationError, UnknownParty or PeerStalled when a
    party has not come by the deadline, naming it, its address and who was turned away; ConfigError for bad arguments.
    """
    door = TlsDoor(identity, trust)
    return _Meeting(me, parties, door, session, program, timeout, listener, settings or LinkSettings()).hold()


def danger_plain_tcp(
    me: str,
    parties: Addresses,
    *,
    session: bytes,
    program: bytes = b"",
    timeout: float = 30.0,
    listener: socket.socket | None = None,
    settings: LinkSettings | None = None,
) -> dict[str, StreamChannel]:
    """Connect like `connect_all` but with no encryption and no authentication: for benchmarks on one machine only.

    Anybody who reaches the port can pose as any party, and anybody on the way can read and change everything.
    """
    door = DangerPlainDoor()
    return _Meeting(me, parties, door, session, program, timeout, listener, settings or LinkSettings()).hold()


@final
class _Meeting:
    """One party's part in connecting a session. Dialling and greeting run in threads, so that nobody holds up others."""

    def __init__(
        self,
        me: str,
        parties: Addresses,
        door: Door,
        session: bytes,
        program: bytes,
        timeout: float,
        listener: socket.socket | None,
        settings: LinkSettings,
    ) -> None:
        names = list(parties)
        if me not in parties:
            raise UnknownParty(f"{me} is not among the parties {', '.join(names)}", peer=me)
        if len(session) != 8:
            raise ConfigError(f"session must be 8 bytes, got {len(session)}. Draw them with secrets.token_bytes(8)")
        if len(program) > DIGEST_BYTES:
            raise ConfigError(f"program must be a digest of at most {DIGEST_BYTES} bytes, got {len(program)}")
        door.check(me, [name for name in names if name != me])
        self._me = me
        self._parties = parties
        self._dialled = names[: names.index(me)]
        self._awaited = names[names.index(me) + 1 :]
        self._door = door
        self._session = int.from_bytes(session, "little")
        self._program = program
        self._began = time.monotonic()
        self._deadline = self._began + timeout
        self._listener = listener
        self._settings = settings
        self._board = Switchboard()
        self._channels: dict[str, StreamChannel] = {}
        self._news: queue.SimpleQueue[tuple[str, Transport] | TacitError] = queue.SimpleQueue()
        self._over = threading.Event()
        self._guests = threading.BoundedSemaphore(STRANGERS)
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._last: dict[str, str] = {}
        self._refused: list[LinkError | ProtocolMismatch] = []

    def hold(self) -> dict[str, StreamChannel]:
        """Return a channel for each peer, in the order of the parties, or raise and leave nothing behind."""
        try:
            if self._awaited:
                self._listener = self._listener or self._listen()
                self._start(self._receive, self._listener)
            for peer in self._dialled:
                self._start(self._dial, peer)
            while missing := [name for name in (*self._dialled, *self._awaited) if name not in self._channels]:
                self._hear(missing)
        except BaseException as error:
            reason = f"could not start: {error}" if isinstance(error, TacitError) else "could not start"
            for channel in self._channels.values():
                channel.abort(reason)
            raise
        finally:
            self._end()
        return {name: self._channels[name] for name in self._parties if name != self._me}

    def _hear(self, missing: list[str]) -> None:
        """Handle the next thing that a thread reports, and notice peers that leave meanwhile."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._too_late(missing)
        try:
            news = self._news.get(timeout=min(left, GLANCE_SECONDS))
        except queue.Empty:
            self._board.sweep()
            return
        if isinstance(news, TacitError):
            raise news
        peer, transport = news
        if peer in self._channels:  # It lost its first connection before the greeting was over, and dialled again.
            self._channels.pop(peer).abort("a newer connection took its place")
        self._channels[peer] = StreamChannel(self._me, peer, transport, self._board, self._session, self._settings)

    def _too_late(self, missing: list[str]) -> LinkError:
        seconds = time.monotonic() - self._began
        waits = []
        for peer in missing:
            host, port = self._parties[peer if peer in self._dialled else self._me]
            if self._listener is not None and peer in self._awaited:
                host, port = self._listener.getsockname()[:2]
            how = f"to listen at {host}:{port}" if peer in self._dialled else f"to dial {host}:{port}"
            last = f" (last attempt: {self._last[peer]})" if peer in self._last else ""
            waits.append(f"{peer} {how}{last}")
        refused = "; ".join(str(error) for error in self._refused[-REFUSALS_SHOWN:])
        turned_away = f". Turned away meanwhile: {len(self._refused)}: {refused}" if refused else ""
        kinds = [type(error) for error in self._refused]
        kind = next((kind for kind in (AuthenticationError, UnknownParty) if kind in kinds), PeerStalled)
        return kind(
            f"{self._me} waited {seconds:.1f} s for {' and for '.join(waits)}{turned_away}. "
            "Check that the party runs, its address, and the certificates on both sides",
            peer=missing[0],
        )

    # --- threads ------------------------------------------------------------------------------------------------

    def _dial(self, peer: str) -> None:
        """Dial until somebody answers who is `peer`, or proves not to be."""
        mine = Greeting(sender=self._me, receiver=peer, program=self._program)
        pause = FIRST_PAUSE_SECONDS
        while not self._over.is_set() and (left := self._deadline - time.monotonic()) > 0:
            try:
                sock = socket.create_connection(self._parties[peer], timeout=min(left, ATTEMPT_SECONDS))
            except OSError as error:
                self._last[peer] = error.strerror or str(error)
            else:
                try:
                    self._use(sock)
                    transport = self._door.dial(sock, peer, self._deadline)
                    greet_as_dialler(transport, mine, self._session, self._settings.limits, self._deadline)
                except PeerDied as error:
                    failure: TacitError | None = None
                    self._last[peer] = str(error)
                except TacitError as error:
                    failure = error
                except ssl.SSLError as error:  # In TLS 1.3 the listener judges us after the handshake is over for us.
                    failure = tls_failure(error, peer)
                except OSError as error:
                    failure = None
                    self._last[peer] = str(error)
                else:
                    self._sockets.discard(sock)
                    self._news.put((peer, transport))
                    return
                self._sockets.discard(sock)
                sock.close()
                if failure is not None:
                    self._news.put(failure)
                    return
            self._over.wait(pause)
            pause = min(2 * pause, LAST_PAUSE_SECONDS)

    def _receive(self, listener: socket.socket) -> None:
        """Let in all that knock, each in a thread of its own and no more than a few at a time."""
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        listener.setblocking(False)
        while not self._over.is_set():
            if not poll.poll(GLANCE_SECONDS * 1000) or not self._guests.acquire(timeout=GLANCE_SECONDS):
                continue
            try:
                sock, address = listener.accept()
            except OSError:
                self._guests.release()
                continue
            self._start(self._admit, sock, "{}:{}".format(*address[:2]))

    def _admit(self, sock: socket.socket, address: str) -> None:
        """Find out who has dialled, and turn away those that do not belong here."""
        stranger = f"the caller from {address}"
        deadline = min(self._deadline, time.monotonic() + ATTEMPT_SECONDS)
        proved: str | None = None
        failure: LinkError | ProtocolMismatch
        try:
            self._use(sock)
            transport, proved = self._door.accept(sock, stranger, deadline)
            peer = greet_as_listener(
                transport, lambda theirs: self._reply(theirs, proved), self._session, self._settings.limits,
                f"{proved or 'the caller'} from {address}", deadline,
            )  # fmt: skip
        except (LinkError, ProtocolMismatch) as error:
            failure = error
        except ssl.SSLError as error:
            failure = tls_failure(error, stranger)
        except OSError as error:
            failure = PeerDied(f"{stranger} left before it greeted ({error})")
        else:
            self._sockets.discard(sock)
            self._news.put((peer, transport))
            return
        finally:
            self._guests.release()
        self._sockets.discard(sock)
        sock.close()
        self._refuse(failure, fatal=isinstance(failure, ProtocolMismatch) and (proved or failure.peer) in self._awaited)

    def _reply(self, theirs: Greeting, proved: str | None) -> Greeting:
        peer = proved or theirs.sender
        if peer not in self._awaited:
            raise UnknownParty(
                f"{peer!r} is not a party that dials {self._me} in this session; expected are {', '.join(self._awaited)}"
            )
        return Greeting(sender=self._me, receiver=peer, program=self._program)

    def _refuse(self, error: LinkError | ProtocolMismatch, *, fatal: bool = False) -> None:
        if self._over.is_set():
            return
        self._refused.append(error)
        if fatal:
            self._news.put(error)
        else:
            _LOG.warning("%s turned away a connection: %s: %s", self._me, type(error).__name__, error)

    # --- sockets ------------------------------------------------------------------------------------------------

    def _listen(self) -> socket.socket:
        host, port = self._parties[self._me]
        if not port:
            raise ConfigError(f"{self._me} must listen, so that its address needs a port; got {host}:0")
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family, backlog=64)
        except OSError as error:
            raise LinkError(
                f"{self._me} cannot listen at {host}:{port}: {error.strerror}. Choose a free port of this machine"
            ) from None

    def _use(self, sock: socket.socket) -> None:
        self._sockets.add(sock)
        if self._over.is_set():
            raise ConnectionAbortedError("the session is over")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if _kernel_grants(BUFFER_BYTES):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _end(self) -> None:
        """Wake and join all threads and close what they were working on."""
        self._over.set()
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(JOIN_SECONDS)  # One that still waits for an answer to its dialling ends by itself, later.
        if self._listener is not None:
            self._listener.close()
        while not self._news.empty():
            news = self._news.get()
            if isinstance(news, tuple):
                news[1].close()


@cache
def _kernel_grants(size: int) -> bool:
    """Return whether the system allows socket buffers of `size`; a refusal would also end their automatic growth."""
    with socket.socket() as probe:
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            probe.setsockopt(socket.SOL_SOCKET, option, size)
            if probe.getsockopt(socket.SOL_SOCKET, option) < size:
                return False
    return True


BUFFER_BYTES: Final = 4 << 20
STRANGERS: Final = 32
ATTEMPT_SECONDS: Final = 10.0
GLANCE_SECONDS: Final = 0.05
JOIN_SECONDS: Final = 1.0
FIRST_PAUSE_SECONDS: Final = 0.01
LAST_PAUSE_SECONDS: Final = 0.2
REFUSALS_SHOWN: Final = 5
_LOG = logging.getLogger("tacit.link")
