"""One operating-system process per party, called in step: what SPU, CrypTen and a job without a session need and do not bring."""

import contextlib
import multiprocessing
import resource
import socket
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Self

# An address space above this is a runaway: it ends in the party's own MemoryError, not in the machine's.
MEMORY_LIMIT_BYTES = 14 << 30


def free_addresses(count: int) -> list[str]:
    """Return as many addresses of this machine that nobody listens at."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{listener.getsockname()[1]}" for listener in sockets]
    for listener in sockets:
        listener.close()
    return addresses


class PartyError(Exception):
    """A party failed, died or did not answer."""


class Parties:
    """`count` processes, each holding one `party_class(rank, *arguments)`."""

    def __init__(self, party_class: Callable[..., Any], count: int, *arguments: Any) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._processes: list[Any] = []
        self._connections: list[Connection] = []
        for rank in range(count):
            self._connections.append(self._spawn(party_class, rank, arguments))

    def start_helper(self, party_class: Callable[..., Any], *arguments: Any) -> None:
        """Start one more process that is never called."""
        self._spawn(party_class, len(self._processes), arguments)

    def wait_ready(self, seconds: float = 120.0) -> None:
        """Return when every party has been constructed."""
        self._gather(seconds)

    def call(self, method: str, *arguments: Any, seconds: float = 3600.0) -> list[Any]:
        """Call `method` on all parties at once with the same arguments; return their answers by rank."""
        return self.call_each(method, [arguments] * len(self._connections), seconds=seconds)

    def call_each(self, method: str, arguments: Sequence[tuple[Any, ...]], *, seconds: float = 3600.0) -> list[Any]:
        """Call `method` on all parties at once, each with its own arguments; return their answers by rank."""
        for connection, own in zip(self._connections, arguments, strict=True):
            connection.send((method, own))
        return self._gather(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End every process."""
        for connection in self._connections:
            connection.close()  # the party's loop ends at the end of its input
        for process in self._processes:
            process.join(1)
            process.kill()
            process.join()

    def _spawn(self, party_class: Callable[..., Any], rank: int, arguments: tuple[Any, ...]) -> Connection:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_live, args=(theirs, party_class, rank, arguments), daemon=True)
        process.start()
        theirs.close()
        self._processes.append(process)
        return ours

    def _gather(self, seconds: float) -> list[Any]:
        deadline = time.monotonic() + seconds
        return [self._receive(rank, deadline) for rank in range(len(self._connections))]

    def _receive(self, rank: int, deadline: float) -> Any:
        try:
            if not self._connections[rank].poll(max(0.0, deadline - time.monotonic())):
                raise PartyError(f"party {rank} did not answer in time")
            good, value = self._connections[rank].recv()
        except (EOFError, OSError):
            raise PartyError(f"party {rank} died") from None
        if not good:
            raise PartyError(f"party {rank}: {value}")
        return value


def _live(connection: Connection, party_class: Callable[..., Any], rank: int, arguments: tuple[Any, ...]) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    with contextlib.suppress(EOFError, BrokenPipeError):
        try:
            party = party_class(rank, *arguments)
            connection.send((True, None))
        except Exception as error:
            connection.send((False, repr(error)[:300]))
            return
        while True:
            method, own = connection.recv()
            try:
                connection.send((True, getattr(party, method)(*own)))
            except Exception as error:
                connection.send((False, repr(error)[:300]))
