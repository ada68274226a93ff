"""A job's report as data: what was found, what it cost, what was revealed to whom."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from tacit.foundation.files import write_private
from tacit.foundation.ledger import verify
from tacit.interface.job.phase import Phase

LEDGER_KINDS = ("reveal", "opened")


@final
@dataclass(frozen=True, slots=True)
class Reveal:
    """One thing that somebody learnt, `count` times for the same reason; `ledgers` names the parties that wrote it down."""

    what: str
    shape: tuple[int, ...]
    to: tuple[str, ...]
    because: str
    count: int
    ledgers: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class LedgerState:
    """A party's ledger after the job: verified, with its last hash to compare with later copies."""

    party: str
    file: str
    records: int
    head: str


@final
@dataclass(frozen=True, slots=True)
class PartySummary:
    """A party and the size of what it brought."""

    name: str
    role: str
    file: str
    rows: int
    dropped: int
    columns: int
    features: int
    has_label: bool


@final
@dataclass(frozen=True, slots=True)
class Curve:
    """A ROC curve and its area."""

    auc: float
    false: tuple[float, ...]
    true: tuple[float, ...]


@final
@dataclass(frozen=True, slots=True)
class Epoch:
    """What is public about an epoch: its duration in seconds, and the bit that says whether training went on."""

    number: int
    seconds: float
    goes_on: bool


@final
@dataclass(frozen=True, slots=True)
class Report:
    """The report of a training job. AUCs are None where the job did not ask for them."""

    title: str
    version: str
    protocol: str
    parties: tuple[PartySummary, ...]
    common: int
    train: int
    test: int
    epochs: tuple[Epoch, ...]
    phases: tuple[Phase, ...]
    bytes_by_party: Mapping[str, int]
    secure: Curve | None
    plain: Curve | None
    auc_on_shares: float | None
    accuracy: float | None
    disagreements: int | None
    reveals: tuple[Reveal, ...]
    ledgers: tuple[LedgerState, ...]
    model: str

    @property
    def features(self) -> int:
        """Columns of the model, of all parties."""
        return sum(party.features for party in self.parties)

    @property
    def auc_secure(self) -> float | None:
        """The area under the label owner's ROC curve, or else the one computed on shares."""
        return self.secure.auc if self.secure else self.auc_on_shares

    @property
    def seconds(self) -> float:
        """All phases."""
        return sum(phase.seconds for phase in self.phases)

    @property
    def rounds(self) -> int:
        """All phases."""
        return sum(phase.rounds for phase in self.phases)

    @property
    def bytes(self) -> int:
        """All phases, all parties, payload."""
        return sum(phase.bytes for phase in self.phases)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "title": self.title,
            "version": self.version,
            "protocol": self.protocol,
            "parties": [asdict(party) for party in self.parties],
            "rows": {
                **{party.name: party.rows for party in self.parties if party.role == "data"},
                "common": self.common,
                "train": self.train,
                "test": self.test,
            },
            "columns": self.features,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "auc_secure": self.auc_secure,
            "auc_plain": self.plain.auc if self.plain else None,
            "auc_on_shares": self.auc_on_shares,
            "accuracy": self.accuracy,
            "disagreements_after_reload": self.disagreements,
            "rounds": self.rounds,
            "messages": sum(phase.messages for phase in self.phases),
            "bytes": self.bytes,
            "bytes_by_party": dict(self.bytes_by_party),
            "seconds": {phase.name: round(phase.seconds, 4) for phase in self.phases},
            "seconds_total": round(self.seconds, 4),
            "phases": [asdict(phase) for phase in self.phases],
            "reveals": [asdict(reveal) for reveal in self.reveals],
            "ledgers": [asdict(ledger) for ledger in self.ledgers],
            "model": self.model,
        }

    def save_json(self, path: Path) -> None:
        """Write the report, readable by its user only."""
        write_private(path, (json.dumps(self.as_json(), indent=2) + "\n").encode())


def read_ledgers(files: Mapping[str, Path]) -> tuple[tuple[Reveal, ...], tuple[LedgerState, ...]]:
    """Verify every party's ledger and merge what they say was revealed, in order.

    Raises: LedgerError for a broken ledger.
    """
    states: list[LedgerState] = []
    counts: dict[tuple[Any, ...], dict[str, int]] = {}
    for party, path in files.items():
        records = list(verify(path))
        states.append(LedgerState(party, str(path), len(records), records[-1]["hash"] if records else ""))
        own = Counter(_event(record) for record in records if record["kind"] in LEDGER_KINDS)
        for event, count in own.items():
            counts.setdefault(event, {})[party] = count
    reveals = tuple(
        Reveal(what, shape, to, because, max(by_party.values()), tuple(by_party))
        for (what, shape, to, because), by_party in counts.items()
    )
    return reveals, tuple(states)


def _event(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes two records the same event, the number of an epoch apart."""
    to = record.get("to", [])
    because = re.sub(r"^epoch \d+: ", "each epoch: ", record.get("because", "the protocol opens it by design"))
    return record["what"], tuple(record.get("shape", ())), (to,) if isinstance(to, str) else tuple(to), because
