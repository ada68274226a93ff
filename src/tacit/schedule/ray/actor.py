"""The actor that starts a party's process on its node, and carries its control line, byte for byte.

Ray ships the name of this class and the bytes of the control line, no code and no key: Tacit is installed on every node.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from tacit.foundation.errors import TacitError
from tacit.schedule.process import PartyProcess

PIECE_BYTES = 4 << 20
GLANCE_SECONDS = 0.5


@final
class PartyActor:
    """One party's process on this node. Calls of `put`, of `get` and of the others run beside each other, each in order."""

    def __init__(self, name: str, config: Mapping[str, Any], log: str) -> None:
        from tacit.schedule.ray.cluster import load

        for file in (log, config["ledger"]):
            Path(file).parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        host = load().util.get_node_ip_address()
        # In the actor's main thread: the process dies with it, by the kernel's hand, even if it is stopped.
        self._process = PartyProcess.start(name, {**config, "host": host}, Path(log), None)
        self._socket = self._process.line.sock

    def pid(self) -> int:
        """The process number on this node."""
        return self._process.pid

    def put(self, data: bytes) -> bool:
        """Hand bytes to the process; no bytes: the session sends no more. Whether the process still takes them."""
        try:
            if data:
                self._socket.sendall(data)
            else:
                self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    def get(self) -> tuple[bytes, bool, bool, str]:
        """What the process wrote since, soon; whether that was the end, whether it is stopped, and how it ended if it did."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if not poll.poll(GLANCE_SECONDS * 1000):
            return b"", False, self._process.stopped, ""
        data = b""
        with suppress(OSError):
            data = self._socket.recv(PIECE_BYTES)
        return data, not data, False, "" if data else self._process.exit_reason()

    def end(self) -> None:
        """End the process whatever it is doing."""
        with suppress(TacitError):
            self._process.kill()
