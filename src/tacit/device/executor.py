"""What devices ask of a session: parties that take commands. `tacit.schedule` provides it; devices know no processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

Answer = tuple[Mapping[str, Any], list[np.ndarray]]


class Executor(Protocol):
    """Sends commands to parties, in order, and waits only when asked to."""

    parties: tuple[str, ...]

    def new_id(self) -> int:
        """A fresh number for a value."""

    def command(
        self, parties: Sequence[str], kind: str, fields: Mapping[str, Any], blobs: Sequence[np.ndarray] = ()
    ) -> None:
        """Send a command that has no answer."""

    def ask(
        self, parties: Sequence[str], kind: str, fields: Mapping[str, Any], blobs: Sequence[np.ndarray] = ()
    ) -> dict[str, Answer]:
        """Send a command and wait for every party's answer; raises the typed error of the party that failed."""

    def drop_later(self, ids: Sequence[int]) -> None:
        """Forget values of all parties, before the next command."""
