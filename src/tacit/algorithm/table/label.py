"""Labels: which of two classes each record has, as 0 and 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.algorithm.table.column import absent, cells_of, is_number, is_text, numbers
from tacit.foundation.errors import LabelNotBinary, MissingValue


def binary(column: Any, name: str, positive: str, missing: str) -> NDArray[np.float64]:
    """0 and 1 for each record, float64 [n]. positive: the text that counts as 1; empty where the column is 0 and 1 itself.

    Raises: LabelNotBinary; MissingValue, where `missing` is what the caller tried with such records.
    """
    cells = cells_of(column)
    unknown = int(absent(column).sum())
    if unknown:  # `mean` keeps rows, but a label cannot be made up
        raise MissingValue(
            f"{unknown} of {len(cells)} records have no label in column {name!r}. missing: {missing} cannot fill it; use drop."
        )
    if positive:
        return _matches(cells, name, positive)
    if is_text(cells.type) or not is_number(cells.type):
        distinct = len(set(cells.to_pylist()))
        raise LabelNotBinary(
            f"the label column {name!r} is text with {distinct} distinct values. Say which one counts as 1 (positive)."
        )
    values = numbers(cells)
    distinct = len(np.unique(values))
    if not np.isin(values, (0.0, 1.0)).all():
        cure = "Say which one counts as 1 (positive)." if distinct == 2 else "Make two classes of them."
        raise LabelNotBinary(f"the label column {name!r} has {distinct} distinct values that are not 0 and 1. {cure}")
    if distinct < 2:
        raise LabelNotBinary(f"the label column {name!r} has one class only in {len(values)} records; two are needed")
    return values


def _matches(cells: Any, name: str, positive: str) -> NDArray[np.float64]:
    """1 where the label is the positive one; it must have exactly two values."""
    if is_number(cells.type):
        try:
            wanted: Any = float({"true": "1", "false": "0"}.get(positive.lower(), positive))
        except ValueError:
            wanted = None
        values: NDArray[Any] = numbers(cells)
    else:
        wanted = positive.strip()
        values = np.array([str(value).strip() for value in cells.to_pylist()])
    distinct = len(np.unique(values))
    hits = values == wanted if wanted is not None else np.zeros(len(values), np.bool_)
    if not hits.any():
        raise LabelNotBinary(
            f"no record has the label given as positive in column {name!r}; it has {distinct} distinct values"
        )
    if distinct != 2:
        raise LabelNotBinary(
            f"the label column {name!r} has {distinct} distinct values; it needs two. Make two classes of them."
        )
    return hits.astype(np.float64)
