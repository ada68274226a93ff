"""The first frame each way on a new connection: who speaks to whom, in which session, to run which program.

The one that dialled greets first. Both greet before they judge, so that both learn of a mismatch at once.
"""

from __future__ import annotations

import contextlib
import select
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tacit.foundation.errors import (
    FrameCorrupted,
    FrameError,
    LinkError,
    PeerAborted,
    PeerDied,
    PeerStalled,
    ProtocolError,
    ProtocolMismatch,
    UnknownParty,
)
from tacit.resource.channel.transport import Transport
from tacit.resource.wire import frame
from tacit.resource.wire.frame import HEADER_BYTES, FrameLimits, Kind


@dataclass(frozen=True)
class Greeting:
    """What a party says first. `program` is a digest of what it is about to run, at most 64 bytes."""

    sender: str
    receiver: str
    program: bytes

    def encode(self) -> bytes:
        """Encode as length of the digest, digest, names."""
        return bytes([len(self.program)]) + self.program + f"{self.sender}\n{self.receiver}".encode()

    @classmethod
    def decode(cls, body: bytes) -> Greeting:
        """Decode what `encode` made. Raises: FrameCorrupted when it is anything else."""
        size = body[0] if body else 0
        try:
            sender, receiver = body[1 + size :].decode().split("\n")
        except ValueError:
            raise FrameCorrupted(f"a greeting of {len(body)} bytes does not hold a sender and a receiver") from None
        return cls(sender=sender, receiver=receiver, program=body[1 : 1 + size])


def greet_as_dialler(transport: Transport, mine: Greeting, session: int, limits: FrameLimits, deadline: float) -> None:
    """Greet the party that was dialled and check its answer.

    Raises: ProtocolMismatch, SessionMismatch, UnknownParty, PeerAborted, PeerDied, PeerStalled, FrameError.
    """
    _say(transport, frame.control(Kind.HELLO, session, 0, mine.encode()), mine.receiver, deadline)
    _check(_hear(transport, session, limits, mine.receiver, deadline), mine)


def greet_as_listener(
    transport: Transport,
    reply: Callable[[Greeting], Greeting],
    session: int,
    limits: FrameLimits,
    stranger: str,
    deadline: float,
) -> str:
    """Hear who has dialled, answer with what `reply` makes of it, and return the party's name.

    `reply` raises UnknownParty for those that have no business here. `stranger` describes the connection in errors.

    Raises: ProtocolMismatch when the party runs another program; SessionMismatch, UnknownParty, PeerDied, PeerStalled,
    FrameError for those to be turned away, after telling them.
    """
    try:
        theirs = _hear(transport, session, limits, stranger, deadline)
        mine = reply(theirs)
    except (LinkError, ProtocolError) as error:
        with contextlib.suppress(OSError):
            _say(transport, frame.control(Kind.ABORT, session, 0, str(error).encode()[:512]), stranger, deadline)
        raise
    _say(transport, frame.control(Kind.HELLO, session, 0, mine.encode()), stranger, deadline)
    _check(theirs, mine)
    return theirs.sender


def _check(theirs: Greeting, mine: Greeting) -> None:
    if theirs.sender != mine.receiver or theirs.receiver != mine.sender:
        raise UnknownParty(
            f"{theirs.sender} speaks to {theirs.receiver} where {mine.receiver} should speak to {mine.sender}. "
            "Compare the parties' addresses",
            peer=mine.receiver,
        )
    if theirs.program != mine.program:
        raise ProtocolMismatch(
            f"{theirs.sender} runs program {theirs.program.hex()[:16] or '(none)'}, {mine.sender} runs "
            f"{mine.program.hex()[:16] or '(none)'}. Start all parties with the same program and the same release",
            peer=theirs.sender,
        )


def _say(transport: Transport, words: bytes, peer: str, deadline: float) -> None:
    try:
        transport.send([words])
        while not transport.push():
            _await(transport, select.POLLOUT, peer, deadline)
    except PeerStalled:
        raise
    except ssl.SSLError:
        raise
    except OSError as error:
        transport.recv_into(memoryview(bytearray(1)))  # Raises what TLS was told, if that is why.
        raise PeerDied(f"{peer} closed the connection before it was greeted ({error.strerror})", peer=peer) from None


def _hear(transport: Transport, session: int, limits: FrameLimits, peer: str, deadline: float) -> Greeting:
    header = _read(transport, HEADER_BYTES, peer, deadline)
    if header[:3] == frame.MAGIC and header[3] != frame.VERSION:
        raise ProtocolMismatch(
            f"{peer} speaks version {header[3]} of the wire format, this side speaks {frame.VERSION}. "
            "Install the same release of Tacit for all parties",
            peer=peer,
        )
    try:
        hold = frame.open_header(memoryview(header), 0, session, 0, limits, sealed=transport.sealed)[4]
        if hold > limits.control_bytes:
            raise FrameCorrupted("it sent data before its greeting")
        body = _read(transport, hold, peer, deadline)
        kind, words = frame.read_control(memoryview(header + body), session, 0, limits, sealed=transport.sealed)
    except FrameError as error:
        raise type(error)(f"{peer} sent a greeting that is refused: {error}", peer=peer) from None
    if kind == Kind.ABORT:
        raise PeerAborted(f"{peer} refused the connection: {frame.plain_text(words)}", peer=peer)
    if kind != Kind.HELLO:
        raise PeerDied(f"{peer} said goodbye before it greeted", peer=peer)
    return Greeting.decode(words)


def _read(transport: Transport, count: int, peer: str, deadline: float) -> bytes:
    """Read exactly `count` bytes and none of what follows."""
    wanted = memoryview(bytearray(count))
    at = 0
    while at < count:
        got = transport.recv_into(wanted[at:])
        if got < 0:
            raise PeerDied(f"{peer} closed the connection in its greeting, after {at} of {count} bytes", peer=peer)
        if not got:
            _await(transport, select.POLLIN, peer, deadline)
        at += got
    return bytes(wanted)


def _await(transport: Transport, event: int, peer: str, deadline: float) -> None:
    poll = select.poll()
    poll.register(transport.fileno(), event)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise PeerStalled(f"{peer} opened a connection and did not greet in time", peer=peer)


DIGEST_BYTES: Final = 64
