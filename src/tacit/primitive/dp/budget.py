"""A data owner's privacy budget in a session: charged by every device, kept in the owner's ledger.

The ledger is the truth. A budget is opened by a record, and each charge is a record that is on disk before its noisy value
is drawn: a crash in between has paid for nothing, never the reverse. What is spent is read from the ledger's file, whose
chain of hashes is checked on the way, at every charge; so it survives restarts, and a changed file stops all charges.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, final
from weakref import WeakKeyDictionary

from tacit.foundation.errors import BudgetExhausted, ConfigError, DomainError, LedgerError
from tacit.foundation.ledger import GENESIS, Ledger, verify
from tacit.primitive.dp.account import ACCOUNTANTS, Accountant, accountant, require_delta
from tacit.primitive.dp.event import Event, describe, event_from
from tacit.primitive.dp.mechanism import Mechanism
from tacit.primitive.dp.require import positive

T = TypeVar("T")
OPENED, CHARGED = "privacy budget", "privacy charge"

PATIENCE_SECONDS = 2.0
"""How long another thread may take between writing a record and knowing that it is on disk."""

_LOCKS: WeakKeyDictionary[Ledger, threading.RLock] = WeakKeyDictionary()
_LOCKS_LOCK = threading.Lock()


@final
@dataclass(frozen=True)
class Charge:
    """One charge, as the ledger has it."""

    what: str
    because: str
    mechanism: str
    sensitivity: float
    event: Event


@final
class Budget:
    """(epsilon, delta) that one owner's data may cost in one session.

    Opening it writes it into the ledger, or finds it there with all that was charged. `by` names the accountant that adds
    events up: "pld" (tight), "rdp" (takes every event), "gdp". Neighbouring data sets differ by one record of the owner.
    Raises: LedgerError where the ledger is broken; ConfigError where it holds this budget with other terms.

    Threads may share one, and several may be open on one `Ledger` object: charges happen one after the other.
    """

    def __init__(self, ledger: Ledger, session: str, *, epsilon: float, delta: float, by: str = "pld") -> None:
        if by not in ACCOUNTANTS:
            raise ConfigError(f"accountants are {', '.join(ACCOUNTANTS)}; there is no {by!r}")
        self.owner = ledger.party
        self.session = _words("session", session)
        self.epsilon = positive("epsilon", epsilon)
        self.delta = require_delta(delta)
        self.by = by
        self._ledger = ledger
        self._account: Accountant = accountant(by)
        self._charges: list[Charge] = []
        with _LOCKS_LOCK:
            self._lock = _LOCKS.setdefault(ledger, threading.RLock())
        with self._lock:
            self._catch_up(opening=True)

    # --- charging -----------------------------------------------------------------------------------------------

    def charge(self, event: Event, *, what: str, because: str, mechanism: str, sensitivity: float) -> None:
        """Pay for an event before its noisy value exists. When this returns, the charge is on disk.

        Raises: BudgetExhausted, and nothing is charged; LedgerError where the ledger is broken or cannot be written;
            ConfigError for an event that the accountant cannot take; DomainError for a charge that does not say what it is.
        """
        asked = Charge(
            _words("what", what),
            _words("because", because),
            _words("mechanism", mechanism),
            positive("sensitivity", sensitivity),
            event,
        )
        record = describe(event)
        with self._lock:
            self._catch_up()
            together = self._with(event)
            if not together <= self.epsilon:
                raise BudgetExhausted(
                    owner=self.owner,
                    spent=self._spent(),
                    asked=self._alone(event),
                    together=together,
                    total=self.epsilon,
                    delta=self.delta,
                )
            self._ledger.append(
                CHARGED,
                session=self.session,
                what=asked.what,
                because=asked.because,
                mechanism=asked.mechanism,
                sensitivity=asked.sensitivity,
                cost=record,
            )
            self._take(asked)

    def release(self, mechanism: Mechanism[T], value: Any, *, what: str, because: str) -> T:
        """Pay for a mechanism's release, then draw it.

        Raises: those of `charge` and of the mechanism; a value that the mechanism refuses has been paid for.
        """
        self.charge(
            mechanism.event,
            what=what,
            because=because,
            mechanism=mechanism.name,
            sensitivity=float(mechanism.sensitivity),
        )
        return mechanism.release(value).value

    # --- looking ------------------------------------------------------------------------------------------------

    def spent(self) -> float:
        """Epsilon spent, at the budget's delta. Raises: LedgerError."""
        with self._lock:
            self._catch_up()
            return self._spent()

    def remaining(self) -> float:
        """The total less what is spent. Composition is not a sum, so an event may cost less here than alone: see `preview`."""
        return max(0.0, self.epsilon - self.spent())

    def preview(self, event: Event) -> float:
        """What would be spent after this event; nothing is charged. Raises: as `charge`, but never BudgetExhausted."""
        describe(event)
        with self._lock:
            self._catch_up()
            return self._with(event)

    def charges(self) -> tuple[Charge, ...]:
        """All charges so far, in order. Raises: LedgerError."""
        with self._lock:
            self._catch_up()
            return tuple(self._charges)

    def __repr__(self) -> str:
        return (
            f"Budget({self.owner}, session {self.session}: epsilon {self.epsilon:g} at delta {self.delta:g} by {self.by}, "
            f"{len(self._charges)} charges)"
        )

    # --- inside, under the lock -----------------------------------------------------------------------------------

    def _spent(self) -> float:
        return self._account.epsilon(self.delta)

    def _alone(self, event: Event) -> float:
        return accountant(self.by).compose(event).epsilon(self.delta)

    def _with(self, event: Event) -> float:
        return self._account.compose(event).epsilon(self.delta)

    def _take(self, charge: Charge) -> None:
        self._account = self._account.compose(charge.event)
        self._charges.append(charge)

    def _catch_up(self, *, opening: bool = False) -> None:
        """Check the whole file, and take in what is new in it. Raises: LedgerError."""
        found = False
        charges = []
        for record in _records(self._ledger):
            if record.get("session") != self.session or record["party"] != self.owner:
                continue
            if record["kind"] == OPENED:
                found = True
                self._same_terms(record)
            elif record["kind"] == CHARGED:
                charges.append(record)
        if len(charges) < len(self._charges):
            raise LedgerError(f"{self._ledger.path.name} lacks charges that were made: its end was cut off")
        if not found:
            if not opening:
                raise LedgerError(f"{self._ledger.path.name} no longer holds this budget")
            self._ledger.append(OPENED, session=self.session, epsilon=self.epsilon, delta=self.delta, by=self.by)
        for charge in _read(charges[len(self._charges) :], self._ledger.path.name):
            self._take(charge)

    def _same_terms(self, record: Any) -> None:
        terms = {"epsilon": self.epsilon, "delta": self.delta, "by": self.by}
        other = [f"{name} {record.get(name)}" for name, value in terms.items() if record.get(name) != value]
        if other:
            raise ConfigError(
                f"{self.owner} opened the budget of session {self.session} with {', '.join(other)}. A budget's terms do not "
                "change: open it with these, or another session's."
            )


def _records(ledger: Ledger) -> list[dict[str, Any]]:
    """All records, once the file ends where the ledger object says; other threads of this process may be writing to it."""
    patience = time.monotonic() + PATIENCE_SECONDS
    while True:
        head = ledger.head
        try:
            records = list(verify(ledger.path))
        except LedgerError:
            if head == ledger.head:
                raise
            continue  # a line was being written while it was read
        if (records[-1]["hash"] if records else GENESIS) == head:
            return records
        if time.monotonic() > patience:
            raise LedgerError(
                f"{ledger.path.name} does not end where {ledger.party} left it: lines were cut off, or somebody else wrote. "
                "Nothing is released before that is explained; then close this ledger and open it again."
            )
        time.sleep(0.002)


def _read(records: list[dict[str, Any]], name: str) -> Iterator[Charge]:
    for record in records:
        try:
            yield Charge(
                record["what"],
                record["because"],
                record["mechanism"],
                positive("sensitivity", record["sensitivity"]),
                event_from(record["cost"]),
            )
        except (KeyError, DomainError) as error:
            raise LedgerError(
                f"{name}: record {record['number']} is no charge that this version can read: {error}"
            ) from None


def _words(name: str, text: str) -> str:
    if not isinstance(text, str) or not text.strip():
        raise DomainError(f"`{name}` says in words what the ledger will show; it must not be empty")
    return text
