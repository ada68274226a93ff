"""Key columns as identifiers: one byte string for each row, different exactly where the keys are.

A cell is the letter of its kind, the length of what follows (8 little-endian bytes) and what follows; a row is its cells, one
after the other. So ("ab", "c") and ("a", "bc") differ, and the integer 7 is not the text "7". Nothing is guessed: text is
compared as it stands, without trimming, case folding or Unicode normalisation, and the integer types are one kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import ConfigError, KeyTypeRefused, NullKey
from tacit.primitive.psi.points import Octets

KINDS = {"text": "T", "bytes": "B", "integer": "I", "boolean": "L", "date": "D", "timestamp": "S"}
"""Kinds of keys and their letters. A timestamp is an instant if it has a time zone, and compared in nanoseconds."""

MAX_COLUMNS = 16
_INT64 = np.dtype(np.int64)


def kind_of(name: str, type: Any) -> str:
    """The kind of an Arrow column. Raises KeyTypeRefused for types by which records cannot be matched reliably."""
    import pyarrow as pa

    t = pa.types
    if t.is_dictionary(type):
        return kind_of(name, type.value_type)
    if t.is_string(type) or t.is_large_string(type) or t.is_string_view(type):
        return "text"
    if t.is_binary(type) or t.is_large_binary(type) or t.is_fixed_size_binary(type) or t.is_binary_view(type):
        return "bytes"
    if t.is_integer(type):
        return "integer"
    if t.is_boolean(type):
        return "boolean"
    if t.is_date(type):
        return "date"
    if t.is_timestamp(type):
        return "timestamp"
    if t.is_floating(type) or t.is_decimal(type):
        raise KeyTypeRefused(
            f"key column {name!r} is of type {type}: numbers with fractions do not match reliably. "
            "Round and cast it to an integer, or to text, the same way on both sides."
        )
    raise KeyTypeRefused(f"key column {name!r} is of type {type}, but a key is one of {', '.join(KINDS)}. Cast it.")


def kinds_of(schema: Any, keys: Sequence[str]) -> tuple[str, ...]:
    """The kind of every key column, in order. Raises ConfigError for no keys, too many, or the same twice."""
    if not keys or len(keys) > MAX_COLUMNS or len(set(keys)) != len(keys):
        raise ConfigError(f"keys={list(keys)!r}: name 1 to {MAX_COLUMNS} different columns")
    return tuple(kind_of(name, schema.field(name).type) for name in keys)


def letters(kinds: Sequence[str]) -> str:
    """Kinds as one letter each: what the sides compare before they begin."""
    return "".join(KINDS[kind] for kind in kinds)


def identifiers(batch: Any, keys: Sequence[str], nulls: str) -> tuple[Octets, NDArray[np.int64], NDArray[np.int64]]:
    """The identifiers of a record batch: octets, offsets [m + 1], and the rows [m] of the batch that they belong to.

    `nulls`: "refuse" raises NullKey where a key is null; "exclude" leaves such rows out, so that they match nothing.
    """
    import pyarrow as pa
    from pyarrow import compute

    columns = [_plain(batch.column(batch.schema.get_field_index(name))) for name in keys]
    rows = np.arange(batch.num_rows)
    absent = sum(column.null_count for column in columns)
    if absent:
        valid = np.ones(batch.num_rows, bool)
        for column in columns:
            valid &= np.asarray(compute.is_valid(column))
        if nulls == "refuse":
            raise NullKey(
                f"{batch.num_rows - int(valid.sum())} of {batch.num_rows} records have no value in a column of "
                f'{", ".join(keys)}. Fill or drop them, or pass nulls="exclude" to let them match nothing.'
            )
        rows = np.flatnonzero(valid)
        columns = [column.take(pa.array(rows)) for column in columns]
    parts: list[Any] = []
    for name, column in zip(keys, columns, strict=True):
        parts.extend(_cells(name, column))
    joined = compute.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()))
    offsets, data = (joined.buffers()[i] for i in (1, 2))
    bounds = (
        np.frombuffer(offsets, np.int64)[joined.offset : joined.offset + len(joined) + 1]
        if offsets
        else np.zeros(1, np.int64)
    )
    octets = np.frombuffer(data, np.uint8) if data is not None and data.size else np.empty(0, np.uint8)
    return octets, np.ascontiguousarray(bounds), rows.astype(np.int64)


def _plain(column: Any) -> Any:
    import pyarrow as pa

    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _cells(name: str, column: Any) -> tuple[Any, Any]:
    """Letter and length of each cell, and its content, as large binary arrays without nulls."""
    import pyarrow as pa
    from pyarrow import compute

    kind = kind_of(name, column.type)
    if kind in {"text", "bytes"}:
        content = column.cast(pa.large_binary() if kind == "bytes" else pa.large_string()).cast(pa.large_binary())
        lengths = _numbers(compute.binary_length(content))
        letter: Any = ord(KINDS[kind])
    else:
        letter, words = _fixed(kind, column)
        content = _rows_to_binary(words.view(np.uint8).reshape(len(words), 8))
        lengths = np.full(len(words), 8, np.int64)
    head = np.empty((len(lengths), 9), np.uint8)
    head[:, 0] = letter
    head[:, 1:] = lengths.astype("<i8").view(np.uint8).reshape(-1, 8)
    return _rows_to_binary(head), content


def _fixed(kind: str, column: Any) -> tuple[Any, NDArray[np.int64]]:
    """A letter, or one for each cell, and a word for each cell."""
    import pyarrow as pa

    t = pa.types
    if kind == "integer" and t.is_uint64(column.type):
        words = _numbers(column, np.dtype(np.uint64))  # above 2**63 a letter of its own: no other type has such numbers
        return np.where(words >> np.uint64(63), ord("U"), ord("I")), words.view(np.int64)
    if kind in {"integer", "date"}:
        return ord(KINDS[kind]), _numbers(
            (column.cast(pa.date32()).cast(pa.int32()) if kind == "date" else column).cast(pa.int64())
        )
    if kind == "boolean":
        return ord("L"), _numbers(column.cast(pa.int64()))
    zoned = column.type.tz is not None
    try:
        instants = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
    except pa.ArrowInvalid:
        raise KeyTypeRefused("a key timestamp lies outside the years 1678 to 2261. Cast the column to text.") from None
    return ord("Z" if zoned else "S"), _numbers(instants)


def _numbers(column: Any, dtype: np.dtype[Any] = _INT64) -> NDArray[Any]:
    """A column of words without nulls, uncopied: Arrow's own conversion would import pandas."""
    if not len(column):
        return np.empty(0, dtype)
    return np.frombuffer(column.buffers()[1], dtype)[column.offset : column.offset + len(column)]


def _rows_to_binary(rows: Octets) -> Any:
    import pyarrow as pa

    count, width = rows.shape
    offsets = np.arange(count + 1, dtype=np.int64) * width
    return pa.Array.from_buffers(
        pa.large_binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(rows))]
    )


def check_types(types: Mapping[str, str] | None) -> None:
    """Raise ConfigError for types that a CSV column cannot be read as."""
    for name, kind in (types or {}).items():
        if kind not in KINDS or kind == "bytes":
            raise ConfigError(
                f"types[{name!r}] is {kind!r}: a CSV key is read as one of {', '.join(set(KINDS) - {'bytes'})}"
            )
