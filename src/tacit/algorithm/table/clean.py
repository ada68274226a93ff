"""From a party's Arrow table to arrays: identifiers, features and label, each checked.

Every error names the column, how many rows are concerned and what to do; none quotes a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from tacit.algorithm.table.column import absent, cells_of, is_number, is_text, numbers, present
from tacit.algorithm.table.identify import digests, identifier_texts
from tacit.algorithm.table.label import binary
from tacit.algorithm.table.read import check_choice
from tacit.algorithm.table.recipe import Column, Recipe
from tacit.foundation.errors import (
    ConfigError,
    ConstantColumn,
    DataError,
    MissingValue,
    TextColumn,
    TooFewRows,
)

MISSING = ("error", "mean", "drop")
CATEGORICAL = ("error", "onehot")
MAX_CATEGORIES = 64
"""Distinct texts in one column beyond which it is taken for a name or a note rather than a category."""


@final
@dataclass(frozen=True, slots=True)
class Choice:
    """What to take from a table, and how.

    id: column of identifiers. label: column of the label; positive: the text that counts as 1, where it is not 0 and 1.
    columns: features; all but id and label if empty. exclude: columns to leave out.
    missing: what to do with rows that lack a value: `error`; `mean`: use the column's mean over the training rows;
    `drop`: leave the record out. categorical: `onehot` makes a feature of each distinct text. drop_constant: leave out
    columns that do not vary, instead of refusing them.
    """

    id: str
    label: str = ""
    positive: str = ""
    columns: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    missing: str = "error"
    categorical: str = "error"
    drop_constant: bool = False

    def __post_init__(self) -> None:
        check_choice("missing", self.missing, MISSING)
        check_choice("categorical", self.categorical, CATEGORICAL)
        if self.positive and not self.label:
            raise ConfigError("`positive` says which label counts as 1, but no label column is named")
        if self.id == self.label or self.id in self.columns or (self.label and self.label in self.columns):
            raise ConfigError(
                f"the identifier {self.id!r}, the label and the feature columns must be different columns"
            )


@final
@dataclass(frozen=True, slots=True)
class Records:
    """A party's checked records.

    ids: uint8 [n, 32], digests of the identifiers. features: float64 [n, d], NaN where a value is missing.
    label: float64 [n] of 0 and 1, or None. dropped: rows left out.
    """

    ids: NDArray[np.uint8]
    features: NDArray[np.float64]
    label: NDArray[np.float64] | None
    recipe: Recipe
    dropped: int


def clean(table: Any, choice: Choice, recipe: Recipe | None = None) -> Records:
    """Check a `pyarrow.Table` and turn it into arrays; with a recipe, into the features that it describes.

    Raises: the errors of the kind DataError.
    """
    if not table.num_rows:
        raise TooFewRows("the table has no records")
    texts = identifier_texts(table, choice.id)
    names = _feature_names(table, choice) if recipe is None else [column.name for column in recipe.columns]
    missing = choice.missing if recipe is None else recipe.missing
    holes = {name: absent(present(table, name)) for name in [*names, *([choice.label] if choice.label else [])]}
    keep = _rows_to_keep(holes, table.num_rows, missing)
    table = table.filter(keep)
    if not table.num_rows:
        raise TooFewRows(
            f"all {keep.size} records lack a value in some column. Leave out the emptiest columns (exclude)."
        )
    label = binary(table[choice.label], choice.label, choice.positive, missing) if choice.label else None
    recipe = _recipe(table, names, choice) if recipe is None else recipe
    parts = [_features(table[column.name], column) for column in recipe.columns]
    features = np.concatenate(parts, axis=1) if parts else np.empty((table.num_rows, 0))
    kept = [text for text, use in zip(texts, keep, strict=True) if use]
    return Records(digests(kept), np.ascontiguousarray(features), label, recipe, int((~keep).sum()))


# --- columns ----------------------------------------------------------------------------------------------------


def _feature_names(table: Any, choice: Choice) -> list[str]:
    for name in choice.exclude:
        present(table, name)
    if choice.columns:
        return [name for name in dict.fromkeys(choice.columns) if name not in choice.exclude]
    taken = {choice.id, choice.label, *choice.exclude}
    names = [name for name in table.column_names if name not in taken]
    if not names and not choice.label:
        raise DataError("the table has neither a feature column nor a label: nothing to contribute")
    return names


def _rows_to_keep(holes: dict[str, NDArray[np.bool_]], rows: int, missing: str) -> NDArray[np.bool_]:
    counts = {name: int(where.sum()) for name, where in holes.items() if where.any()}
    if counts and missing == "error":
        worst = max(counts, key=counts.__getitem__)
        others = f", and {len(counts) - 1} more columns lack some" if len(counts) > 1 else ""
        raise MissingValue(
            f"column {worst!r} has no finite value in {counts[worst]} of {rows} records{others}. "
            "Set missing: mean to use the column's mean, or missing: drop to leave these records out."
        )
    keep = np.ones(rows, np.bool_)
    if missing == "drop":
        for where in holes.values():
            keep &= ~where
    return keep


# --- features ---------------------------------------------------------------------------------------------------


def _recipe(table: Any, names: Sequence[str], choice: Choice) -> Recipe:
    """Decide what each column is. Raises TextColumn and ConstantColumn."""
    columns: list[Column] = []
    constant: list[str] = []
    for name in names:
        cells = cells_of(table[name])
        if is_number(cells.type):
            values = numbers(cells)
            finite = values[~np.isnan(values)]
            varies = bool(finite.size) and finite.min() < finite.max()
            column = Column(name)
        else:
            categories = _categories(cells, name, choice)
            varies = len(categories) > 1
            column = Column(name, "category", categories)
        if varies:
            columns.append(column)
        else:
            constant.append(name)
    if constant and not choice.drop_constant:
        shown = ", ".join(repr(name) for name in constant[:5]) + (", ..." if len(constant) > 5 else "")
        raise ConstantColumn(
            f"{len(constant)} of {len(names)} columns have one value only: {shown}. "
            "Leave them out with exclude, or set drop_constant: true."
        )
    return Recipe(tuple(columns), choice.missing)


def _categories(cells: Any, name: str, choice: Choice) -> tuple[str, ...]:
    if not is_text(cells.type):
        raise TextColumn(
            f"column {name!r} is of type {cells.type}, which is no number. Convert it, or leave it out with exclude."
        )
    texts = [text.strip() for text in cells.to_pylist() if text is not None and text.strip()]
    distinct = sorted(set(texts))
    if choice.categorical != "onehot":
        words = sum(not _parses(text) for text in texts)
        raise TextColumn(
            f"column {name!r} is text: {words} of {len(cells)} records hold no number, with {len(distinct)} distinct values. "
            "Set categorical: onehot to make a feature of each, or leave the column out with exclude."
        )
    if len(distinct) > MAX_CATEGORIES:
        raise TextColumn(
            f"column {name!r} has {len(distinct)} distinct texts, more than the {MAX_CATEGORIES} that can become features. "
            "Group them, or leave the column out with exclude."
        )
    return tuple(distinct)


def _features(column: Any, described: Column) -> NDArray[np.float64]:
    """[n, width] of a column; NaN where a value is missing."""
    cells = cells_of(column)
    if described.kind == "number":
        if not is_number(cells.type):
            raise TextColumn(
                f"column {described.name!r} was numeric when the model was trained; now it is {cells.type}"
            )
        return numbers(cells)[:, None]
    if not is_text(cells.type):
        raise TextColumn(f"column {described.name!r} was text when the model was trained; now it is {cells.type}")
    texts = [None if text is None else text.strip() for text in cells.to_pylist()]
    wanted = described.categories[1:] if described.width == 1 else described.categories
    block = np.array([[text == category for category in wanted] for text in texts], np.float64)
    unknown = [not text for text in texts]
    block[unknown] = np.nan
    return block


def _parses(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
