"""Bytes in order to and from one peer, never blocking: what a channel stands on.

A transport knows nothing of frames. It takes buffers to send, keeps what the system would not take yet, and fills a
buffer with what has arrived. Failures are plain `OSError` (`ssl.SSLError` among them); the channel names the peer.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol, final

from typing_extensions import Buffer

END: Final = -1
"""What `recv_into` returns when the peer will send no more."""


class Transport(Protocol):
    """A byte stream that returns at once."""

    @property
    def sealed(self) -> bool:
        """Whether what arrives is authenticated, so that frames need no check of their own over large bodies."""

    @property
    def unsent(self) -> bool:
        """Whether `push` has something left to do."""

    @property
    def buffered(self) -> bool:
        """Whether `recv_into` may return bytes although the system has none to read."""

    @property
    def partial(self) -> bool:
        """Whether the transport's last unit, such as a TLS record, has come in part only."""

    def fileno(self) -> int:
        """Return what to poll; -1 when there is nothing to poll."""

    def send(self, parts: Sequence[Buffer]) -> None:
        """Send `parts` in order after everything unsent, as far as it goes now; they must not change until it is."""

    def push(self) -> bool:
        """Send on. Returns True when nothing is left."""

    def recv_into(self, view: memoryview) -> int:
        """Fill the front of `view` (not empty) and return how many bytes; 0 when nothing is there, END at the end."""

    def finish(self) -> None:
        """Announce that nothing more will be sent."""

    def settled(self) -> bool:
        """Return whether the peer's machine has received everything, so that closing loses nothing."""

    def close(self) -> None:
        """Close at once. Idempotent."""


@final
class PlainTransport:
    """TCP without encryption or authentication: for benchmarks on one machine, see `danger_plain_tcp`."""

    sealed = False
    buffered = False
    partial = False

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._queue: deque[memoryview] = deque()

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._sock.fileno()

    @property
    def unsent(self) -> bool:
        """Whether buffers are left in the queue."""
        return bool(self._queue)

    def send(self, parts: Sequence[Buffer]) -> None:
        """Send with one system call where the kernel has room."""
        if len(parts) == 1 and not self._queue:
            part = parts[0]
            size = len(memoryview(part))
            try:
                sent = self._sock.send(part)
            except BlockingIOError:
                sent = 0
            if sent < size:
                self._queue.append(memoryview(part)[sent:])
            return
        self._queue.extend(map(memoryview, parts))
        self.push()

    def push(self) -> bool:
        """Send the queue with as few system calls as the kernel allows."""
        queue = self._queue
        while queue:
            try:
                sent = self._sock.sendmsg(list(queue)[:_BUFFERS_PER_CALL])
            except BlockingIOError:
                return False
            while sent:
                size = len(queue[0])
                if sent < size:
                    queue[0] = queue[0][sent:]
                    break
                queue.popleft()
                sent -= size
        return True

    def recv_into(self, view: memoryview) -> int:
        """Receive straight into `view`."""
        try:
            return self._sock.recv_into(view) or END
        except BlockingIOError:
            return 0

    def finish(self) -> None:
        """Send FIN after what is in the kernel."""
        shut_down(self._sock)

    def settled(self) -> bool:
        """Ask the kernel how much it still holds."""
        return kernel_holds_nothing(self._sock)

    def close(self) -> None:
        """Close the socket and forget what is unsent."""
        self._queue.clear()
        self._sock.close()


def shut_down(sock: socket.socket) -> None:
    """Send FIN, unless the connection is gone already."""
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return


def kernel_holds_nothing(sock: socket.socket) -> bool:
    """Return whether everything written to `sock` was acknowledged; True when that cannot be told any more."""
    import array
    import fcntl
    import termios

    held = array.array("i", [0])
    try:
        fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, held, True)
    except OSError:
        return True
    return held[0] == 0


_BUFFERS_PER_CALL: Final = 64
