"""Record one party's run, and replay it alone: the same coroutine, the same results, no peer and no network.

    with record(driver, path, danger_record=True):
        driver.run(program(driver))
    replay(path, program)            # bit for bit, or ProtocolMismatch at the first message that differs

What a party computes follows from its program, its inputs, the messages it takes and the keys it draws. A transcript holds
the messages taken, in full, a digest of every message posted, and, only when `danger_record` says so, the randomness this
party drew. With it, whoever reads the file sees everything that this party sees of the run: its masks and its shares. So the
file is made for its user alone (mode 0600) and is never made unasked.

Format: `MAGIC`, then a JSON line of names and the first operation number, then records of `RECORD` (kind, peer, operation,
size) and a body: 16 bytes of BLAKE2b for what was posted, `size` bytes for what was taken, `size` bytes for randomness that
was recorded and none for randomness that was not. Nothing is unpickled; sizes are checked against the file before use.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, final

from tacit.foundation.errors import InputError, ProtocolMismatch
from tacit.foundation.traffic import Traffic
from tacit.primitive.channel import Channel
from tacit.primitive.driver import Driver

T = TypeVar("T")
Message = tuple[int, int, bytes]
"""Operation, size, and the digest of what was posted or the bytes of what was taken."""

MAGIC = b"tacit transcript 1\n"
RECORD = struct.Struct("<BBIQ")
DIGEST_BYTES = 16
MAX_HEAD = 1 << 16
POSTED, TAKEN, ENTROPY, HIDDEN_ENTROPY = range(4)


@contextmanager
def record(driver: Driver, path: Path, *, danger_record: bool = False) -> Iterator[None]:
    """Write what `driver` posts and takes to a new file while the context lasts.

    Begin before the protocol session is opened, so that its keys are drawn inside. `danger_record` also stores these keys,
    which `replay` needs; without it the file still tells operations, sizes and order.
    Raises: InputError when the file exists already or cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InputError(f"cannot record to {path.name}: {error.strerror}. Name a file that does not exist.") from None
    channels, entropy = driver.channels, driver.entropy
    peers = list(channels)
    with os.fdopen(descriptor, "wb") as file:
        head = {"me": driver.me, "peers": peers, "operation": driver.operation}
        file.write(MAGIC + json.dumps(head).encode() + b"\n")

        def draw(size: int) -> bytes:
            drawn = entropy(size)
            file.write(RECORD.pack(ENTROPY if danger_record else HIDDEN_ENTROPY, 0, 0, size))
            if danger_record:
                file.write(drawn)
            return drawn

        driver.channels = {peer: RecordingChannel(channels[peer], n, file) for n, peer in enumerate(peers)}
        driver.entropy = draw
        try:
            yield
        finally:
            driver.channels, driver.entropy = channels, entropy


@final
class RecordingChannel:
    """Hands everything through to `channel` and writes it down."""

    def __init__(self, channel: Channel, number: int, file: BinaryIO) -> None:
        self._channel = channel
        self._number = number
        self._file = file

    @property
    def peer(self) -> str:
        """The peer's name."""
        return self._channel.peer

    @property
    def traffic(self) -> Traffic:
        """The counters of the channel itself."""
        return self._channel.traffic

    def post(self, operation: int, payload: Any) -> None:
        """Post, and note the digest."""
        self._channel.post(operation, payload)
        view = _flat(payload)
        self._file.write(RECORD.pack(POSTED, self._number, operation, view.nbytes) + _digest(view))

    def take(self, operation: int, into: memoryview) -> bool:
        """Take, and note the bytes."""
        if not self._channel.take(operation, into):
            return False
        view = _flat(into)
        self._file.write(RECORD.pack(TAKEN, self._number, operation, view.nbytes))
        self._file.write(view)
        return True

    def flush(self) -> None:
        """Flush the channel."""
        self._channel.flush()

    def wait(self, seconds: float) -> None:
        """Wait on the channel."""
        self._channel.wait(seconds)

    def abort(self, reason: str) -> None:
        """Abort the channel."""
        self._channel.abort(reason)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


@final
@dataclass
class Transcript:
    """A recorded run, read back: who, from which operation on, and every message by peer."""

    me: str
    operation: int
    posted: dict[str, deque[Message]] = field(default_factory=dict)
    taken: dict[str, deque[Message]] = field(default_factory=dict)
    entropy: deque[bytes] = field(default_factory=deque)
    complete: bool = True
    """Whether the randomness that was drawn is in the file."""

    @classmethod
    def load(cls, path: Path) -> Transcript:
        """Read a file. Raises InputError when it is missing, cut off, or no transcript."""
        try:
            data = memoryview(path.read_bytes())
        except OSError as error:
            raise InputError(f"no transcript {path.name}: {error.strerror}") from None
        end = bytes(data[len(MAGIC) : len(MAGIC) + MAX_HEAD]).find(b"\n")
        if bytes(data[: len(MAGIC)]) != MAGIC or end < 0:
            raise InputError(f"{path.name} is no transcript of this version")
        try:
            head = json.loads(bytes(data[len(MAGIC) : len(MAGIC) + end]))
            peers = [str(peer) for peer in head["peers"]]
            transcript = cls(str(head["me"]), int(head["operation"]))
        except (ValueError, TypeError, KeyError):
            raise InputError(f"{path.name} has a damaged head") from None
        for peer in peers:
            transcript.posted[peer], transcript.taken[peer] = deque(), deque()
        transcript._read(data, len(MAGIC) + end + 1, peers, path.name)
        return transcript

    def _read(self, data: memoryview, at: int, peers: list[str], name: str) -> None:
        while at < len(data):
            head, at = data[at : at + RECORD.size], at + RECORD.size
            kind, peer, operation, size = (
                RECORD.unpack(head) if len(head) == RECORD.size else (ENTROPY, 0, 0, len(data))
            )
            body = {POSTED: DIGEST_BYTES, HIDDEN_ENTROPY: 0}.get(kind, size)
            if at + body > len(data):
                raise InputError(
                    f"{name} is cut off after {len(data)} bytes: the recorded party did not end in good order"
                )
            content, at = bytes(data[at : at + body]), at + body
            if kind in (ENTROPY, HIDDEN_ENTROPY):
                self.complete = self.complete and kind == ENTROPY
                self.entropy.append(content)
            elif kind in (POSTED, TAKEN) and peer < len(peers):
                messages = self.posted if kind == POSTED else self.taken
                messages[peers[peer]].append((operation, size, content))
            else:
                raise InputError(f"{name} holds a damaged record before byte {at}")

    def draw(self, size: int) -> bytes:
        """The randomness that the recorded run drew next."""
        if not self.entropy or len(self.entropy[0]) != size:
            raise ProtocolMismatch(f"{self.me} draws {size} random bytes where the recorded run drew none or others")
        return self.entropy.popleft()

    def end(self) -> None:
        """Raise ProtocolMismatch when the recorded run went on."""
        for peer, messages in self.posted.items():
            rest = [*messages, *self.taken[peer]]
            if rest:
                operation = min(message[0] for message in rest)
                raise ProtocolMismatch(
                    f"{self.me} has ended, but the recorded run exchanged {len(rest)} more messages with {peer}, the next "
                    f"at operation {operation}",
                    peer=peer,
                    operation=operation,
                )


@final
class ReplayChannel:
    """Gives what was taken from the peer, and checks that what is posted is what was posted then."""

    def __init__(self, me: str, peer: str, transcript: Transcript) -> None:
        self.peer = peer
        self.traffic = Traffic()
        self._me = me
        self._posted = transcript.posted[peer]
        self._taken = transcript.taken[peer]

    def post(self, operation: int, payload: Any) -> None:
        """Compare with the recorded message. Raises ProtocolMismatch."""
        view = _flat(payload)
        self._expect("posts", self._posted, operation, view.nbytes)
        if self._posted.popleft()[2] != _digest(view):
            raise ProtocolMismatch(
                f"{self._me} posts other bytes to {self.peer} at operation {operation} than the recorded run did: "
                "an input or the program has changed",
                peer=self.peer,
                operation=operation,
            )
        self.traffic.messages_sent += 1
        self.traffic.payload_sent += view.nbytes

    def take(self, operation: int, into: memoryview) -> bool:
        """Fill `into` with the recorded message. Raises ProtocolMismatch."""
        view = _flat(into)
        self._expect("takes", self._taken, operation, view.nbytes)
        view[:] = self._taken.popleft()[2]
        self.traffic.messages_received += 1
        self.traffic.payload_received += view.nbytes
        return True

    def flush(self) -> None:
        """Nothing is sent."""

    def wait(self, seconds: float) -> None:
        """Never called: everything has arrived."""

    def abort(self, reason: str) -> None:
        """Nobody to tell."""

    def close(self) -> None:
        """Nothing to close."""

    def _expect(self, does: str, messages: deque[Message], operation: int, size: int) -> None:
        recorded = messages[0][:2] if messages else None
        if recorded != (operation, size):
            then = f"operation {recorded[0]} with {recorded[1]} bytes" if recorded else "nothing more"
            raise ProtocolMismatch(
                f"{self._me} {does} operation {operation} with {size} bytes ({self.peer}), the recorded run {then}",
                peer=self.peer,
                operation=operation,
            )


def replay(path: Path, program: Callable[[Driver], Coroutine[Any, Any, T]]) -> T:
    """Run `program` as the recorded party, alone, and return its result.

    `program` takes the driver and must be what was recorded, with the same inputs of this party's own.
    Raises: ProtocolMismatch at the first message or key that differs, naming operation, line and peer; InputError for a
    file that cannot be read, or that was recorded without `danger_record`.
    """
    transcript = Transcript.load(path)
    if not transcript.complete:
        raise InputError(
            f"{path.name} lacks the keys of the run, so it cannot be replayed. Record with danger_record=True, "
            "and treat the file as you treat the data."
        )
    me = transcript.me
    channels: dict[str, Channel] = {peer: ReplayChannel(me, peer, transcript) for peer in transcript.posted}
    driver = Driver(me, channels, entropy=transcript.draw)
    driver.operation = transcript.operation
    result = driver.run(program(driver))
    transcript.end()
    return result


def _flat(payload: Any) -> memoryview:
    view = memoryview(payload)
    return view if view.format == "B" and view.ndim == 1 else view.cast("B") if view.nbytes else memoryview(b"")


def _digest(view: memoryview) -> bytes:
    return hashlib.blake2b(view, digest_size=DIGEST_BYTES).digest()
