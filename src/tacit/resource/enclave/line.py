"""The line between a host and its enclave: bounded messages over two pipes, with a deadline on every wait.

A message is `magic, size of head (u32), number of blobs (u32), size of each blob (u64), head (JSON), blobs`. Sizes are
checked against limits before anything is allocated. Neither end trusts the other.
"""

from __future__ import annotations

import json
import os
import select
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from tacit.foundation.errors import FrameCorrupted, FrameOversized, FrameTruncated, InputError, PeerDied, PeerStalled


@dataclass(frozen=True, slots=True)
class LineLimits:
    """head: bytes of JSON; blobs: their number; total: bytes of all blobs of one message."""

    head: int = 1 << 22
    blobs: int = 4096
    total: int = 1 << 32


@final
class EnclaveLine:
    """One end: reads from one descriptor, writes to another, and owns both."""

    def __init__(self, reading: int, writing: int, peer: str, limits: LineLimits | None = None) -> None:
        self.peer = peer
        self.limits = limits or LineLimits()
        self._reading = reading
        self._writing = writing
        for descriptor in (reading, writing):
            os.set_blocking(descriptor, False)

    @property
    def descriptors(self) -> tuple[int, int]:
        """The reading and the writing descriptor."""
        return self._reading, self._writing

    def pack(self, kind: str, fields: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> list[bytes]:
        """Make a message. Raises FrameOversized when it exceeds the limits, InputError when its fields are no JSON."""
        try:
            head = json.dumps({"kind": kind, "fields": dict(fields)}, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise InputError(f"the fields of {kind!r} are no JSON: {error}") from None
        self._check(len(head), [len(blob) for blob in blobs], "this message")
        sizes = struct.pack(f"<{len(blobs)}Q", *map(len, blobs))
        return [START.pack(MAGIC, len(head), len(blobs)) + sizes + head, *blobs]

    def send(self, message: Sequence[bytes], *, deadline: float) -> None:
        """Send a packed message within `deadline` seconds. Raises PeerDied; PeerStalled when the other end takes nothing."""
        until = time.monotonic() + deadline
        for part in message:
            self._write(memoryview(part), until, deadline)

    def receive(self, *, deadline: float) -> tuple[str, dict[str, Any], list[bytes]]:
        """The next message, complete within `deadline` seconds.

        Raises: FrameCorrupted, FrameOversized, FrameTruncated for what is no message; PeerDied; PeerStalled.
        """
        until = time.monotonic() + deadline
        magic, head_size, count = START.unpack(self._read(START.size, until, deadline, begun=False))
        if magic != MAGIC:
            raise FrameCorrupted(f"what {self.peer} sent is no message", peer=self.peer)
        self._check(head_size, [0] * min(count, self.limits.blobs + 1), f"a message of {self.peer}")
        sizes = struct.unpack(f"<{count}Q", self._read(8 * count, until, deadline))
        self._check(head_size, sizes, f"a message of {self.peer}")
        try:
            head = json.loads(self._read(head_size, until, deadline))
            kind, fields = head["kind"], head["fields"]
        except (ValueError, TypeError, KeyError, RecursionError):
            kind = fields = None
        if not isinstance(kind, str) or not isinstance(fields, dict):
            raise FrameCorrupted(f"the head of a message of {self.peer} is malformed", peer=self.peer)
        return kind, fields, [self._read(size, until, deadline) for size in sizes]

    def close(self) -> None:
        """Close both descriptors. Idempotent."""
        for descriptor in {self._reading, self._writing} - {-1}:
            os.close(descriptor)
        self._reading = self._writing = -1

    def _check(self, head: int, sizes: Sequence[int], what: str) -> None:
        limits = self.limits
        measures = (("bytes of head", head, limits.head), ("blobs", len(sizes), limits.blobs))
        for unit, size, limit in (*measures, ("bytes", sum(sizes), limits.total)):
            if size > limit:
                raise FrameOversized(
                    f"{what} has {'more than ' if unit == 'blobs' else ''}{size} {unit}; at most {limit} are accepted. "
                    "Split the data into several jobs",
                    peer=self.peer,
                )

    def _read(self, size: int, until: float, deadline: float, *, begun: bool = True) -> bytes:
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            self._wait(self._reading, select.POLLIN, until, deadline)
            try:
                got = os.readv(self._reading, [view])
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._gone(error.strerror) from None
            if not got:
                if begun or len(view) < size:
                    raise FrameTruncated(
                        f"{self.peer} ended in the middle of a message, {len(view)} bytes early", peer=self.peer
                    )
                raise self._gone("it closed its end")
            view = view[got:]
        return bytes(buffer)

    def _write(self, view: memoryview, until: float, deadline: float) -> None:
        while view:
            self._wait(self._writing, select.POLLOUT, until, deadline)
            try:
                view = view[os.write(self._writing, view[:CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._gone(error.strerror) from None

    def _wait(self, descriptor: int, event: int, until: float, deadline: float) -> None:
        if descriptor < 0:
            raise self._gone("this end is closed")
        poll = select.poll()
        poll.register(descriptor, event)
        left = until - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise PeerStalled(f"{self.peer} did not answer within {deadline:g} s", peer=self.peer)

    def _gone(self, why: str | None) -> PeerDied:
        return PeerDied(f"{self.peer} is gone: {why or 'its process ended'}", peer=self.peer)


START: Final = struct.Struct("<4sII")
MAGIC: Final = b"TCE1"
CHUNK: Final = 1 << 20
