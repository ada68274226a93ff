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
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

from tacit.foundation.errors import LedgerError

GENESIS = "0" * 64
_RESERVED = frozenset({"number", "time", "party", "kind", "hash"})


@final
class Ledger:
    """One party's ledger file; opened for appending, verified on opening, readable by its user only.

    Raises: LedgerError when the file is broken, naming the line, or cannot be written.
    """

    def __init__(self, path: Path, party: str) -> None:
        self.path = path
        self.party = party
        self._last, self._count = GENESIS, 0
        self._writing = threading.Lock()
        if path.exists():
            for record in verify(path):
                self._last, self._count = record["hash"], record["number"] + 1
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise LedgerError(f"{path.name} cannot be opened: {error.strerror}") from None

    def append(self, kind: str, **fields: Any) -> Mapping[str, Any]:
        """Write one record (flushed to disk) and return it. `fields` must be JSON and must not hold a secret.

        Raises: LedgerError when it cannot be written; then nothing was recorded that a reader would accept.
        """
        if reserved := _RESERVED & fields.keys():
            raise LedgerError(
                f"a record cannot have fields named {', '.join(sorted(reserved))}; they are the ledger's own"
            )
        with self._writing:
            return self._write(kind, fields)

    def _write(self, kind: str, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        record: dict[str, Any] = {
            "number": self._count,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "party": self.party,
            "kind": kind,
            **fields,
        }
        try:
            record["hash"] = _digest(self._last, record)
            line = (_canonical(record) + "\n").encode()
        except (TypeError, ValueError) as error:
            raise LedgerError(f"a {kind} record cannot be written as JSON: {error}") from None
        try:
            written = os.write(self._file, line)
            os.fsync(self._file)
        except OSError as error:
            raise LedgerError(
                f"{self.path.name} cannot be written: {error.strerror}. Nothing is done unrecorded."
            ) from None
        if written != len(line):
            raise LedgerError(f"{self.path.name} took {written} of {len(line)} bytes of a record; is the disk full?")
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
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise LedgerError(f"no ledger {path.name}: {error.strerror}") from None
    for number, line in enumerate(lines):
        at = f"{path.name} line {number + 1}"
        try:
            whole = json.loads(line)
            record = {name: value for name, value in whole.items() if name != "hash"}
            claimed = whole["hash"]
            canonical = _canonical(whole).encode()
        except (ValueError, KeyError, AttributeError, TypeError):
            raise LedgerError(f"{at} is not a ledger record") from None
        if not isinstance(claimed, str) or record.get("number") != number:
            raise LedgerError(f"{at} should be record {number}: a line was removed or moved")
        if not hmac.compare_digest(claimed.encode(), _digest(previous, record).encode()):
            raise LedgerError(f"{at}: the hash does not fit; this or an earlier line was changed")
        if line != canonical + b"\n":  # the same record for this reader, but not for every other
            raise LedgerError(f"{at} is not written as it was: spaces, order, repeated names or its end were changed")
        previous = claimed
        yield whole


def _digest(previous: str, record: Mapping[str, Any]) -> str:
    return hashlib.sha256(f"{previous}\n{_canonical(record)}".encode()).hexdigest()


def _canonical(record: Mapping[str, Any]) -> str:
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
