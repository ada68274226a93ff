"""The ledger: every value that left secrecy at this party, in an append-only hash-chained file.

One JSON line per record. A record's `hash` is SHA-256 over the previous record's hash and the record's canonical JSON, so
that a line cannot be changed, dropped or moved without breaking every hash behind it. Cutting lines off the end is not
detectable from the file alone: compare the last hash with another party's copy of it (`tacit ledger show` prints it).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

from tacit.foundation.errors import LedgerError

GENESIS = "0" * 64


@final
class Ledger:
    """One party's ledger file; opened for appending, verified on opening.

    Raises: LedgerError when the file is broken, naming the line.
    """

    def __init__(self, path: Path, party: str) -> None:
        self.path = path
        self.party = party
        self._last, self._count = GENESIS, 0
        if path.exists():
            for record in verify(path):
                self._last, self._count = record["hash"], record["number"] + 1
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def append(self, kind: str, **fields: Any) -> Mapping[str, Any]:
        """Write one record (flushed to disk) and return it. `fields` must be JSON and must not hold a secret."""
        record: dict[str, Any] = {
            "number": self._count,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "party": self.party,
            "kind": kind,
            **fields,
        }
        record["hash"] = _digest(self._last, record)
        os.write(self._file, (_canonical(record) + "\n").encode())
        os.fsync(self._file)
        self._last, self._count = record["hash"], self._count + 1
        return record

    @property
    def head(self) -> str:
        """The last record's hash."""
        return self._last

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def verify(path: Path) -> Iterator[dict[str, Any]]:
    """Yield every record, checking numbers and hashes. Raises LedgerError at the first line that does not fit."""
    previous = GENESIS
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            try:
                record = json.loads(line)
                claimed = record.pop("hash")
            except (ValueError, KeyError, AttributeError, TypeError):
                raise LedgerError(f"{path.name} line {number + 1} is not a ledger record") from None
            if not isinstance(claimed, str) or record.get("number") != number:
                raise LedgerError(
                    f"{path.name} line {number + 1} should be record {number}: a line was removed or moved"
                )
            if not hmac.compare_digest(claimed, _digest(previous, record)):
                raise LedgerError(
                    f"{path.name} line {number + 1}: the hash does not fit; this or an earlier line was changed"
                )
            previous = claimed
            yield {**record, "hash": claimed}


def _digest(previous: str, record: Mapping[str, Any]) -> str:
    return hashlib.sha256(f"{previous}\n{_canonical(record)}".encode()).hexdigest()


def _canonical(record: Mapping[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
