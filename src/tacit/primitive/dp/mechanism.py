"""What every mechanism is: a frozen value that knows its cost before it has seen any data, and then releases.

A mechanism's `event` depends on its parameters alone, so a budget can be charged, and the charge be on disk, before
anything is drawn. `release` returns the noisy result together with that event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, final, runtime_checkable

from tacit.primitive.dp.event import Event

T_co = TypeVar("T_co", covariant=True)


@final
@dataclass(frozen=True)
class Release(Generic[T_co]):
    """A released value, which is public from now on, and what it cost."""

    value: T_co
    event: Event


@runtime_checkable
class Mechanism(Protocol[T_co]):
    """A differentially private mechanism."""

    @property
    def name(self) -> str:
        """What the ledger calls it."""

    @property
    def sensitivity(self) -> float:
        """How far one record can move the true value, as the caller states it; the norm is the mechanism's."""

    @property
    def event(self) -> Event:
        """What one release costs."""

    def release(self, value: Any, /) -> Release[T_co]:
        """Draw the noise and return the noisy value. Raises: DomainError for values that cannot be used."""
