"""The session's end of a control line that runs through an actor: two threads between a socket and the actor's calls."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, final

PIECE_BYTES = 4 << 20
SILENCE_SECONDS = 15.0
"""An actor that answers nothing for so long counts as stopped: it is asked twice a second."""


@final
class Relay:
    """Carries bytes both ways until either side ends. What is known of the process's state comes along.

    put: sends bytes to the process; get: fetches bytes and its state (see `PartyActor`); both wait, and raise when the
    actor is gone.
    """

    def __init__(self, name: str, sock: socket.socket, put: Callable[[bytes], bool], get: Callable[[], Any]) -> None:
        self._sock = sock
        self._put = put
        self._get = get
        self._stopped = False
        self._heard = time.monotonic()
        self.reason = ""
        self.over = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=f"relay of {name}", daemon=True) for work in (self._up, self._down)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def stopped(self) -> bool:
        """Whether the process is stopped, or its node does not answer."""
        silent = time.monotonic() - self._heard > SILENCE_SECONDS
        return not self.over.is_set() and (self._stopped or silent)

    def _up(self) -> None:
        """What the session writes, to the process."""
        try:
            while data := self._sock.recv(PIECE_BYTES):
                if not self._put(data):
                    return
            self._put(b"")
        except Exception:  # noqa: BLE001, S110  the actor is gone, or Ray is: the other thread says so
            pass

    def _down(self) -> None:
        """What the process writes, to the session; at the end, how it ended."""
        try:
            while True:
                data, ended, self._stopped, self.reason = self._get()
                self._heard = time.monotonic()
                if ended:
                    return
                if data:
                    self._sock.sendall(data)
        except Exception as error:  # noqa: BLE001  whatever Ray raises
            self.reason = f" ({_brief(error)})"
        finally:
            self.over.set()
            with suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)

    def close(self, seconds: float) -> None:
        """Stop carrying. Waits at most `seconds` for the threads."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        limit = time.monotonic() + seconds
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, limit - time.monotonic()))
        self._sock.close()


def _brief(error: Exception) -> str:
    """What Ray says of a lost actor, in a line: it writes pages."""
    reasons = {
        "ActorDiedError": "its Ray actor died",
        "ActorUnavailableError": "its Ray actor cannot be reached",
        "NodeDiedError": "its Ray node died",
        "OutOfMemoryError": "Ray ended its actor, for want of memory",
        "WorkerCrashedError": "its Ray actor crashed",
        "ActorUnschedulableError": "Ray cannot place its actor",
    }
    if "creation task" in str(error):
        return "its Ray actor could not start it: has every node this version of Tacit, and a folder for its state?"
    kind = type(error).__name__
    return reasons.get(kind, f"Ray raised {kind}")
