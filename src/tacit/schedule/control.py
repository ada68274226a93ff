"""The control line between a session and one of its party processes: JSON heads and raw arrays over a local socket.

Nothing is unpickled. A message is `length of head (u32), head (JSON), blobs`; the head lists the dtype, shape and size of
every blob. Both ends belong to the same user on the same machine; parties of different institutions never use it.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tacit.foundation.errors import PeerDied, SessionError

LENGTH = struct.Struct("<I")
MAX_HEAD = 1 << 26
MAX_BLOB = 1 << 36
DTYPES = frozenset({"<f8", "<f4", "<i8", "<i4", "<u8", "|u1", "|b1"})


class ControlLine:
    """One end of a control line."""

    def __init__(self, sock: socket.socket, peer: str) -> None:
        self.sock = sock
        self.peer = peer

    def send(self, kind: str, fields: Mapping[str, Any] | None = None, blobs: Sequence[np.ndarray] = ()) -> None:
        """Send one message. Raises PeerDied when the other end is gone."""
        arrays = [np.ascontiguousarray(blob) for blob in blobs]
        described = [[array.dtype.str, list(np.shape(blob))] for array, blob in zip(arrays, blobs, strict=True)]
        head = json.dumps({"kind": kind, "fields": fields or {}, "blobs": described}).encode()
        try:
            self.sock.sendall(LENGTH.pack(len(head)) + head)
            for array in arrays:
                if array.size:
                    self.sock.sendall(array.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise PeerDied(f"the process of {self.peer} is gone ({error})") from None

    def receive(self) -> tuple[str, dict[str, Any], list[np.ndarray]]:
        """The next message. Raises PeerDied at the end of the line."""
        (size,) = LENGTH.unpack(self._exactly(LENGTH.size))
        if size > MAX_HEAD:
            raise SessionError(f"a control head of {size} bytes from {self.peer} exceeds {MAX_HEAD}")
        head = json.loads(bytes(self._exactly(size)))
        blobs = [self._blob(dtype, tuple(shape)) for dtype, shape in head["blobs"]]
        return head["kind"], head["fields"], blobs

    def _blob(self, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        if dtype not in DTYPES or any(extent < 0 for extent in shape):
            raise SessionError(f"{self.peer} sent an array of type {dtype!r} and shape {shape}, which is not accepted")
        array = np.empty(shape, np.dtype(dtype))
        if array.nbytes > MAX_BLOB:
            raise SessionError(f"{self.peer} sent {array.nbytes} bytes in one array; the limit is {MAX_BLOB}")
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
            except OSError as error:
                raise PeerDied(f"the process of {self.peer} is gone ({error})") from None
            if not got:
                raise PeerDied(f"the process of {self.peer} ended")
            view = view[got:]

    def close(self) -> None:
        """Close this end."""
        self.sock.close()
