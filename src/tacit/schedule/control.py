"""The control line between a session and one of its party processes: JSON heads and raw arrays over a local socket.

Nothing is unpickled. A message is `length of head (u32), head (JSON), blobs`; the head lists the dtype, shape and size of
every blob. Both ends belong to the same user on the same machine; parties of different institutions never use it.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from tacit.foundation.errors import InputError, PeerDied, PeerStalled, SessionError

LENGTH = struct.Struct("<I")
MAX_HEAD = 1 << 26
MAX_BLOB = 1 << 36
DTYPES = frozenset({"<f8", "<f4", "<i8", "<i4", "<u8", "|u1", "|b1"})


@dataclass(slots=True)
class Message:
    """A command or what was said to it. `call` numbers commands that are answered; an answer repeats it."""

    kind: str
    fields: dict[str, Any]
    blobs: list[np.ndarray]
    call: int = 0


class ControlLine:
    """One end of a control line. Several threads may write to it; one reads.

    patience: seconds that sending, and receiving a message that has begun, may go on without a byte; None for ever.
    """

    def __init__(self, sock: socket.socket, peer: str, *, patience: float | None = None) -> None:
        self.sock = sock
        self.peer = peer
        self.patience = patience
        self._writing = threading.Lock()
        sock.settimeout(patience)

    def send(
        self, kind: str, fields: Mapping[str, Any] | None = None, blobs: Sequence[np.ndarray] = (), *, call: int = 0
    ) -> None:
        """Send one message; see `pack` and `write`."""
        self.write(pack(kind, fields or {}, blobs, call=call))

    def write(self, message: Sequence[memoryview]) -> None:
        """Send a packed message. Raises PeerDied when the other end is gone, PeerStalled when it takes nothing."""
        with self._writing:
            for view in message:
                self._all(view)

    def receive(self) -> Message:
        """The next message. Raises PeerDied at the end of the line, SessionError for what is no message."""
        (size,) = LENGTH.unpack(self._exactly(LENGTH.size))
        if size > MAX_HEAD:
            raise SessionError(f"a control head of {size} bytes from {self.peer} exceeds {MAX_HEAD}")
        try:
            head = json.loads(bytes(self._exactly(size)))
            kind, fields, call = str(head["kind"]), dict(head["fields"]), int(head.get("call", 0))
            described = [(str(dtype), tuple(map(int, shape))) for dtype, shape in head["blobs"]]
        except (ValueError, TypeError, KeyError):
            raise SessionError(f"{self.peer} sent {size} bytes that are no control message") from None
        return Message(kind, fields, [self._blob(dtype, shape) for dtype, shape in described], call)

    def _blob(self, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        if dtype not in DTYPES or any(extent < 0 for extent in shape):
            raise SessionError(f"{self.peer} sent an array of type {dtype!r} and shape {shape}, which is not accepted")
        size = prod(shape) * np.dtype(dtype).itemsize
        if size > MAX_BLOB:
            raise SessionError(f"{self.peer} sent {size} bytes in one array; the limit is {MAX_BLOB}")
        array = np.empty(shape, np.dtype(dtype))
        if array.size:
            self._fill(array.reshape(-1).view(np.uint8).data)
        return array

    def _exactly(self, size: int) -> bytearray:
        buffer = bytearray(size)
        self._fill(memoryview(buffer))
        return buffer

    def _fill(self, view: memoryview) -> None:
        while view.nbytes:
            try:
                got = self.sock.recv_into(view)
            except TimeoutError:
                raise PeerStalled(
                    f"the process of {self.peer} stopped in the middle of an answer for {self.patience:g} s",
                    peer=self.peer,
                ) from None
            except OSError as error:
                raise self._gone(error) from None
            if not got:
                raise PeerDied(f"the process of {self.peer} ended", peer=self.peer)
            view = view[got:]

    def _all(self, view: memoryview) -> None:
        while view.nbytes:
            try:
                view = view[self.sock.send(view) :]
            except TimeoutError:
                raise PeerStalled(
                    f"the process of {self.peer} took nothing of a command for {self.patience:g} s", peer=self.peer
                ) from None
            except OSError as error:
                raise self._gone(error) from None

    def _gone(self, error: OSError) -> PeerDied:
        return PeerDied(
            f"the process of {self.peer} is gone ({error.strerror or type(error).__name__})", peer=self.peer
        )

    def close(self) -> None:
        """Close this end."""
        self.sock.close()


def pack(kind: str, fields: Mapping[str, Any], blobs: Sequence[np.ndarray] = (), *, call: int = 0) -> list[memoryview]:
    """Make a message, before anything of it is sent. Raises InputError for fields or arrays that cannot travel."""
    arrays = [np.ascontiguousarray(blob) for blob in blobs]
    described = [[array.dtype.str, list(np.shape(blob))] for array, blob in zip(arrays, blobs, strict=True)]
    for dtype, shape in described:
        if dtype not in DTYPES:
            raise InputError(
                f"an array of type {dtype} and shape {shape} cannot be sent to a party; convert it to numbers"
            )
    try:
        head = json.dumps({"kind": kind, "call": call, "fields": fields, "blobs": described}).encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"the parameters of {kind!r} cannot be sent: {error}") from None
    views = [array.reshape(-1).view(np.uint8).data for array in arrays if array.size]
    return [memoryview(LENGTH.pack(len(head)) + head), *views]
