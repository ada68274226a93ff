"""Identifiers of records: checked, and turned into digests that two parties can compare."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.algorithm.table.column import cells_of, is_text, present
from tacit.foundation.errors import DataError, DuplicateIdentifier, MissingIdentifier


def identifier_texts(table: Any, name: str) -> list[str]:
    """Each record's identifier as text: as written, without surrounding space, in Unicode's normal form C.

    Raises: UnknownColumn, MissingIdentifier, DuplicateIdentifier; DataError for a column of fractions.
    """
    import pyarrow as pa

    column = cells_of(present(table, name))
    if not (pa.types.is_integer(column.type) or is_text(column.type) or pa.types.is_null(column.type)):
        raise DataError(
            f"the identifier column {name!r} is of type {column.type}; write identifiers as text or whole numbers"
        )
    texts = [
        None if value is None else unicodedata.normalize("NFC", str(value).strip()) for value in column.to_pylist()
    ]
    absent = sum(not text for text in texts)
    if absent:
        raise MissingIdentifier(f"{absent} of {len(texts)} records have no identifier in column {name!r}. Remove them.")
    twice = len(texts) - len(set(texts))
    if twice:
        raise DuplicateIdentifier(
            f"{twice} of {len(texts)} records repeat an identifier of column {name!r}. Keep one record for each."
        )
    return [text for text in texts if text]


def digests(texts: Sequence[str]) -> NDArray[np.uint8]:
    """SHA-256 of each text, uint8 [n, 32]."""
    joined = b"".join(hashlib.sha256(text.encode()).digest() for text in texts)
    return np.frombuffer(joined, np.uint8).reshape(-1, 32)
