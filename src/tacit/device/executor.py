"""What devices ask of a session: parties that take commands. `tacit.schedule` provides it; devices know no processes."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np

if TYPE_CHECKING:
    from tacit.device.handle import Record
    from tacit.device.privacy import OwnerBudget

T = TypeVar("T")
Answer = tuple[Mapping[str, Any], list[np.ndarray]]
Answers: TypeAlias = Mapping[str, Answer]


@dataclass(frozen=True, slots=True)
class Request:
    """One command to some parties, with the fields that each of them gets. `answered`: whether they answer it."""

    kind: str
    fields: Mapping[str, Mapping[str, Any]]
    blobs: Sequence[np.ndarray] = ()
    answered: bool = True


Steps: TypeAlias = Generator[Request, Answers, None]
"""What a node of the graph does: it yields requests, one after the other, and is given their answers. Where a party could
not do its part, the party's error is thrown in."""


def ask(parties: Sequence[str], kind: str, fields: Mapping[str, Any], blobs: Sequence[np.ndarray] = ()) -> Request:
    """The same command to each of the parties, to be answered."""
    return Request(kind, dict.fromkeys(parties, fields), blobs)


def tell(parties: Sequence[str], kind: str, fields: Mapping[str, Any], blobs: Sequence[np.ndarray] = ()) -> Request:
    """The same command to each of the parties; it has no answer."""
    return Request(kind, dict.fromkeys(parties, fields), blobs, answered=False)


class Executor(Protocol):
    """Sends commands to parties, in order, and runs graphs of them."""

    parties: tuple[str, ...]

    @property
    def budgets(self) -> Mapping[str, OwnerBudget]:
        """The open privacy budgets, by owner: what may be shown of values that depend on their data."""

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

    def call(self, request: Request) -> dict[str, Answer]:
        """The same for a request with fields of their own for every party."""

    def perform(self, steps: Generator[Request, Answers, T]) -> T:
        """Do one thing after the other now; what it returns."""

    def plain(self, party: str) -> Any:
        """The plain device of a party."""

    def drop_later(self, ids: Sequence[int]) -> None:
        """Forget values of all parties, before the next command."""

    def run(self, *values: Any, timing: bool = False) -> None:
        """Compute everything pending that leads to the values."""

    def note(self, record: Record) -> None:
        """Keep a node's record for the picture of the session's graph."""
