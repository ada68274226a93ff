"""From a party's Arrow table to arrays: identifiers, features and label, each checked.

Every error names the column, how many rows are concerned and what to do; none quotes a value.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from tacit.algorithm.table.read import check_choice
from tacit.algorithm.table.recipe import Column, Recipe
from tacit.foundation.errors import (
    ConfigError,
    ConstantColumn,
    DataError,
    DuplicateIdentifier,
    LabelNotBinary,
    MissingIdentifier,
    MissingValue,
    TextColumn,
    TooFewRows,
    UnknownColumn,
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
            raise ConfigError(f"the identifier {self.id!r}, the label and the feature columns must be different columns")


@final
@dataclass(frozen=True, slots=True)
class Records:
    """A party's checked records. ids: uint8 [n, 32], digests of the identifiers; features: float64 [n, d], NaN where a value
    is missing; label: float64 [n] of 0 and 1, or None; dropped: rows left out."""

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
    for name in names:
        _present(table, name)
    missing = choice.missing if recipe is None else recipe.missing
    blank = {name: _blank(table[name]) for name in [*names, *([choice.label] if choice.label else [])]}
    keep = _rows_to_keep(blank, missing)
    table = table.filter(keep)
    if not table.num_rows:
        raise TooFewRows(f"all {keep.size} records lack a value in some column. Leave out the emptiest columns (exclude).")
    label = _label(table[choice.label], choice, missing) if choice.label else None
    recipe = _recipe(table, names, choice) if recipe is None else recipe
    parts = [_features(table[column.name], column) for column in recipe.columns]
    features = np.concatenate(parts, axis=1) if parts else np.empty((table.num_rows, 0))
    kept = [text for text, use in zip(texts, keep, strict=True) if use]
    return Records(digests(kept), np.ascontiguousarray(features), label, recipe, int((~keep).sum()))


def identifier_texts(table: Any, name: str) -> list[str]:
    """Each record's identifier as text: as written, without surrounding space, in Unicode's normal form C.

    Raises: UnknownColumn, MissingIdentifier, DuplicateIdentifier; DataError for a column of fractions.
    """
    import pyarrow as pa  # noqa: PLC0415

    column = _plain(_present(table, name))
    if not (pa.types.is_integer(column.type) or _is_text(column.type) or pa.types.is_null(column.type)):
        raise DataError(f"the identifier column {name!r} is of type {column.type}; write identifiers as text or whole numbers")
    texts = [None if value is None else unicodedata.normalize("NFC", str(value).strip()) for value in column.to_pylist()]
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


# --- columns ----------------------------------------------------------------------------------------------------


def _feature_names(table: Any, choice: Choice) -> list[str]:
    for name in choice.exclude:
        _present(table, name)
    if choice.columns:
        return [name for name in dict.fromkeys(choice.columns) if name not in choice.exclude]
    taken = {choice.id, choice.label, *choice.exclude}
    names = [name for name in table.column_names if name not in taken]
    if not names and not choice.label:
        raise DataError("the table has neither a feature column nor a label: nothing to contribute")
    return names


def _present(table: Any, name: str) -> Any:
    if name not in table.column_names:
        shown = ", ".join(table.column_names[:12]) + (", ..." if len(table.column_names) > 12 else "")
        raise UnknownColumn(f"there is no column {name!r}; the table has {shown}")
    return table[name]


def _plain(column: Any) -> Any:
    """One chunk, without dictionary encoding."""
    import pyarrow as pa  # noqa: PLC0415

    whole = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    return whole.dictionary_decode() if pa.types.is_dictionary(whole.type) else whole


def _is_text(kind: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: Any) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    t = pa.types
    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_boolean(kind) or t.is_decimal(kind) or t.is_null(kind))


def _blank(column: Any) -> NDArray[np.bool_]:
    """Where a column has no value: null, NaN or infinite, or text of nothing but space."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import compute  # noqa: PLC0415

    plain = _plain(column)
    absent = np.asarray(compute.is_null(plain, nan_is_null=True))
    if pa.types.is_floating(plain.type):
        absent = absent | ~np.asarray(compute.fill_null(compute.is_finite(plain), fill_value=False))
    if _is_text(plain.type):
        empty = compute.equal(compute.utf8_trim_whitespace(plain), "")
        absent = absent | np.asarray(compute.fill_null(empty, fill_value=False))
    return absent


def _rows_to_keep(blank: dict[str, NDArray[np.bool_]], missing: str) -> NDArray[np.bool_]:
    counts = {name: int(where.sum()) for name, where in blank.items() if where.any()}
    rows = len(next(iter(blank.values())))
    if counts and missing == "error":
        worst = max(counts, key=counts.__getitem__)
        others = f", and {len(counts) - 1} more columns lack some" if len(counts) > 1 else ""
        raise MissingValue(
            f"column {worst!r} has no finite value in {counts[worst]} of {rows} records{others}. "
            "Set missing: mean to use the column's mean, or missing: drop to leave these records out."
        )
    if missing != "drop":
        return np.ones(rows, np.bool_)
    return ~np.logical_or.reduce(list(blank.values()))


# --- features ---------------------------------------------------------------------------------------------------


def _recipe(table: Any, names: Sequence[str], choice: Choice) -> Recipe:
    """Decide what each column is. Raises TextColumn and ConstantColumn."""
    columns: list[Column] = []
    constant: list[str] = []
    for name in names:
        plain = _plain(table[name])
        if _is_number(plain.type):
            values = _numbers(plain)
            finite = values[~np.isnan(values)]
            varies = bool(finite.size) and finite.min() < finite.max()
            column = Column(name)
        else:
            categories = _categories(plain, name, choice)
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


def _categories(plain: Any, name: str, choice: Choice) -> tuple[str, ...]:
    if not _is_text(plain.type):
        raise TextColumn(f"column {name!r} is of type {plain.type}, which is no number. Convert it, or leave it out with exclude.")
    texts = [text.strip() for text in plain.to_pylist() if text is not None and text.strip()]
    distinct = sorted(set(texts))
    if choice.categorical != "onehot":
        words = sum(not _parses(text) for text in texts)
        raise TextColumn(
            f"column {name!r} is text: {words} of {len(plain)} records hold no number, with {len(distinct)} distinct values. "
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
    plain = _plain(column)
    if described.kind == "number":
        if not _is_number(plain.type):
            raise TextColumn(f"column {described.name!r} was numeric when the model was trained; now it is {plain.type}")
        return _numbers(plain)[:, None]
    if not _is_text(plain.type):
        raise TextColumn(f"column {described.name!r} was text when the model was trained; now it is {plain.type}")
    texts = [None if text is None else text.strip() for text in plain.to_pylist()]
    wanted = described.categories[1:] if described.width == 1 else described.categories
    block = np.array([[text == category for category in wanted] for text in texts], np.float64)
    unknown = [not text for text in texts]
    block[unknown] = np.nan
    return block


def _numbers(plain: Any) -> NDArray[np.float64]:
    """float64 [n]; NaN for what is missing or not finite."""
    import pyarrow as pa  # noqa: PLC0415

    values = plain.cast(pa.float64(), safe=False) if not pa.types.is_boolean(plain.type) else plain.cast(pa.uint8()).cast(pa.float64())
    array = np.array(values.to_numpy(zero_copy_only=False), np.float64)
    array[~np.isfinite(array)] = np.nan
    return array


def _parses(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# --- label ------------------------------------------------------------------------------------------------------


def _label(column: Any, choice: Choice, missing: str) -> NDArray[np.float64]:
    plain = _plain(column)
    name = choice.label
    absent = int(_blank(column).sum())
    if absent:  # `mean` keeps rows, but a label cannot be made up
        raise MissingValue(f"{absent} of {len(plain)} records have no label in column {name!r}. missing: {missing} cannot fill it; use drop.")
    if choice.positive:
        return _matches(plain, choice)
    if _is_text(plain.type) or not _is_number(plain.type):
        distinct = len(set(plain.to_pylist()))
        raise LabelNotBinary(
            f"the label column {name!r} is text with {distinct} distinct values. Say which one counts as 1, such as positive: \"yes\"."
        )
    values = _numbers(plain)
    distinct = len(np.unique(values))
    if not np.isin(values, (0.0, 1.0)).all():
        cure = "Say which one counts as 1 (positive)." if distinct == 2 else "Make two classes of them."
        raise LabelNotBinary(f"the label column {name!r} has {distinct} distinct values that are not 0 and 1. {cure}")
    if distinct < 2:
        raise LabelNotBinary(f"the label column {name!r} has one class only in {len(values)} records; two are needed")
    return values


def _matches(plain: Any, choice: Choice) -> NDArray[np.float64]:
    """1 where the label is the positive one; it must have exactly two values."""
    if _is_number(plain.type):
        try:
            wanted: Any = float({"true": "1", "false": "0"}.get(choice.positive.lower(), choice.positive))
        except ValueError:
            wanted = None
        values: NDArray[Any] = _numbers(plain)
    else:
        wanted = choice.positive.strip()
        values = np.array([str(value).strip() for value in plain.to_pylist()])
    distinct = len(np.unique(values))
    hits = values == wanted if wanted is not None else np.zeros(len(values), np.bool_)
    if not hits.any():
        raise LabelNotBinary(f"no record has the label given as positive in column {choice.label!r}; it has {distinct} distinct values")
    if distinct != 2:
        raise LabelNotBinary(f"the label column {choice.label!r} has {distinct} distinct values; it needs two. Make two classes of them.")
    return hits.astype(np.float64)
