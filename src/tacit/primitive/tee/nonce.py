"""Challenges of a verifier: each is answered once, soon, or never."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final, Literal, final

from tacit.foundation.errors import EnclaveError
from tacit.primitive.tee.binding import NONCE_BYTES


@final
class NonceBook:
    """The nonces that a verifier has given out and not seen again.

    seconds: how long an answer may take. At most `MAX_OUTSTANDING` are open at a time.
    """

    def __init__(self, *, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._given: dict[str, tuple[str, float]] = {}

    def issue(self, purpose: str) -> str:
        """Draw a nonce for `purpose` (32 bytes in hex). Raises EnclaveError when too many are unanswered."""
        now = self._clock()
        self._given = {nonce: entry for nonce, entry in self._given.items() if now - entry[1] <= self.seconds}
        if len(self._given) >= MAX_OUTSTANDING:
            raise EnclaveError(
                f"{len(self._given)} challenges wait for an answer; the limit is {MAX_OUTSTANDING}. Wait {self.seconds:g} s"
            )
        nonce = secrets.token_hex(NONCE_BYTES)
        self._given[nonce] = purpose, now
        return nonce

    def spend(self, nonce: str, purpose: str) -> Literal["fresh", "late", "unknown"]:
        """Use up a nonce that came back. `unknown`: never given out for this purpose, or used before."""
        given = self._given.pop(nonce, None)
        if given is None or given[0] != purpose:
            return "unknown"
        return "fresh" if self._clock() - given[1] <= self.seconds else "late"


MAX_OUTSTANDING: Final = 1024
