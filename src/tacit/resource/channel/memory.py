"""Channels inside one process: every party of a session in one thread, or one thread each.

They run the frame code of real links, byte for byte, over queues instead of sockets. A `tamper` hook sees each frame
on its way and decides what arrives, so that tests can drop, repeat, swap, cut or damage frames.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import final

from typing_extensions import Buffer

from tacit.resource.channel.stream import LinkSettings, StreamChannel
from tacit.resource.channel.switchboard import Member
from tacit.resource.channel.transport import END

Tamper = Callable[[str, bytes], Iterable[bytes]]
"""Maps (sender, frame) to the pieces that arrive instead. A last piece that is only the frame's beginning cuts the link."""


@final
class MemoryChannel:
    """Makes channels whose two ends lie in this process. The ends are `StreamChannel` objects."""

    @staticmethod
    def pair(
        a: str,
        b: str,
        *,
        session: int = 0,
        threads: bool = False,
        tamper: Tamper | None = None,
        settings: LinkSettings | None = None,
    ) -> tuple[StreamChannel, StreamChannel]:
        """Connect parties `a` and `b`: returns a's channel to b and b's channel to a.

        Without `threads` both ends are stepped by one thread, and `wait` raises PeerStalled at once when nothing is
        there. With `threads` it blocks until the other thread sends.
        """
        forth, back = _Pipe(), _Pipe()
        return (
            StreamChannel(a, b, _MemoryTransport(a, back, forth, tamper), _Doorbell(back, threads), session, settings),
            StreamChannel(b, a, _MemoryTransport(b, forth, back, tamper), _Doorbell(forth, threads), session, settings),
        )

    @staticmethod
    def mesh(
        parties: Sequence[str],
        *,
        session: int = 0,
        threads: bool = False,
        tamper: Tamper | None = None,
        settings: LinkSettings | None = None,
    ) -> dict[str, dict[str, StreamChannel]]:
        """Connect every party to every other: `mesh(names)[me][peer]` is me's channel to peer."""
        ends: dict[str, dict[str, StreamChannel]] = {name: {} for name in parties}
        for index, a in enumerate(parties):
            for b in parties[index + 1 :]:
                ends[a][b], ends[b][a] = MemoryChannel.pair(
                    a, b, session=session, threads=threads, tamper=tamper, settings=settings
                )
        return ends


class _Pipe:
    """One direction: pieces of the stream in order, and whether more will come."""

    def __init__(self) -> None:
        self.pieces: deque[memoryview] = deque()
        self.ended = False
        self.changed = threading.Condition()

    def put(self, piece: bytes) -> None:
        if piece and not self.ended:
            self.pieces.append(memoryview(piece))

    def end(self) -> None:
        with self.changed:
            self.ended = True
            self.changed.notify_all()


@final
class _MemoryTransport:
    """Sending appends to one pipe, receiving reads the other; nothing ever blocks."""

    sealed = False
    unsent = False
    buffered = False
    partial = False

    def __init__(self, owner: str, inward: _Pipe, outward: _Pipe, tamper: Tamper | None) -> None:
        self._owner = owner
        self._in = inward
        self._out = outward
        self._tamper = tamper

    def fileno(self) -> int:
        return -1

    def send(self, parts: Sequence[Buffer]) -> None:
        if self._out.ended:
            raise BrokenPipeError("the other end of the memory channel is closed")
        sent = b"".join(parts)
        arrives = [sent] if self._tamper is None else list(self._tamper(self._owner, sent))
        for piece in arrives:
            self._out.put(piece)
        if arrives and len(arrives[-1]) < len(sent) and sent.startswith(arrives[-1]):
            self._out.ended = True
        with self._out.changed:
            self._out.changed.notify_all()

    def push(self) -> bool:
        return True

    def recv_into(self, view: memoryview) -> int:
        pieces = self._in.pieces
        if not pieces:
            return END if self._in.ended and not pieces else 0
        first = pieces[0]
        got = min(len(first), len(view))
        view[:got] = first[:got]
        if got == len(first):
            pieces.popleft()
        else:
            pieces[0] = first[got:]
        return got

    def finish(self) -> None:
        self._out.end()

    def settled(self) -> bool:
        return True

    def close(self) -> None:
        self._out.end()
        self._in.end()


@final
class _Doorbell:
    """The board of one end: its pipe either has something already, or another thread will ring."""

    def __init__(self, inward: _Pipe, threads: bool) -> None:
        self._in = inward
        self._threads = threads

    def add(self, _member: Member) -> None:
        """Nothing to do: the doorbell belongs to its one channel."""

    def remove(self, _descriptor: int) -> None:
        """Nothing to do."""

    def wait(self, _member: Member, seconds: float, *, writable: bool = False) -> bool:
        """Return whether something is there, within `seconds` if another thread may send it."""
        pipe = self._in
        if writable or pipe.pieces or pipe.ended:
            return True
        if not self._threads:
            return False
        with pipe.changed:
            return pipe.changed.wait_for(lambda: bool(pipe.pieces) or pipe.ended, seconds)
