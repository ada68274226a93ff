"""Arrow columns, whatever their encoding: found by name, made plain, read as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import UnknownColumn


def present(table: Any, name: str) -> Any:
    """The column. Raises UnknownColumn."""
    if name not in table.column_names:
        shown = ", ".join(table.column_names[:12]) + (", ..." if len(table.column_names) > 12 else "")
        raise UnknownColumn(f"there is no column {name!r}; the table has {shown}")
    return table[name]


def cells_of(column: Any) -> Any:
    """One chunk, without dictionary encoding."""
    import pyarrow as pa

    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole


def is_text(kind: Any) -> bool:
    """Whether an Arrow type is text."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_number(kind: Any) -> bool:
    """Whether an Arrow type is a number, a truth value, or nothing but nulls."""
    import pyarrow as pa

    t = pa.types
    return bool(
        t.is_integer(kind) or t.is_floating(kind) or t.is_boolean(kind) or t.is_decimal(kind) or t.is_null(kind)
    )


def absent(column: Any) -> NDArray[np.bool_]:
    """Where a column has no value: null, NaN or infinite, or text of nothing but space."""
    import pyarrow as pa
    from pyarrow import compute

    cells = cells_of(column)
    missing = np.asarray(compute.is_null(cells, nan_is_null=True))
    if pa.types.is_floating(cells.type):
        missing = missing | ~np.asarray(compute.fill_null(compute.is_finite(cells), fill_value=False))
    if is_text(cells.type):
        empty = compute.equal(compute.utf8_trim_whitespace(cells), "")
        missing = missing | np.asarray(compute.fill_null(empty, fill_value=False))
    return missing


def numbers(cells: Any) -> NDArray[np.float64]:
    """float64 [n]; NaN for what is missing or not finite."""
    import pyarrow as pa

    if pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.uint8())
    array = np.array(cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    array[~np.isfinite(array)] = np.nan
    return array
