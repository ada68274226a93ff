"""Every way in which a table can be unusable, by name; no message quotes a value of it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from tacit.algorithm.table.clean import Choice, clean
from tacit.algorithm.table.read import read_table
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
    UnreadableFile,
)

SECRET = "4711"  # noqa: S105  stands in every bad place below, and must stand in no message


def table(**columns: object) -> pa.Table:
    """Four good records, with columns replaced or added."""
    good = {"id": ["a", "b", "c", "d"], "x": [1.0, 2.0, 3.0, 4.0], "y": [0, 1, 0, 1]}
    return pa.table({**good, **columns})


def refused(kind: type[DataError], data: pa.Table, choice: Choice, *said: str) -> None:
    with pytest.raises(kind) as caught:
        clean(data, choice)
    for words in said:
        assert words in str(caught.value)
    assert SECRET not in str(caught.value)


PLAIN = Choice("id", label="y")


def test_an_empty_table() -> None:
    refused(TooFewRows, table().slice(0, 0), PLAIN, "no records")


def test_an_unknown_column_names_those_there_are() -> None:
    refused(UnknownColumn, table(), Choice("patient"), "'patient'", "id, x, y")
    refused(UnknownColumn, table(), Choice("id", label="z"), "'z'")
    refused(UnknownColumn, table(), Choice("id", columns=("w",)), "'w'")
    refused(UnknownColumn, table(), Choice("id", exclude=("w",)), "'w'")


@pytest.mark.parametrize("empty", [None, "", "  "])
def test_missing_identifiers_are_counted(empty: str | None) -> None:
    refused(MissingIdentifier, table(id=["a", empty, empty, SECRET]), PLAIN, "2 of 4", "'id'")


def test_duplicate_identifiers_are_counted() -> None:
    refused(DuplicateIdentifier, table(id=[SECRET, SECRET, f" {SECRET}", "d"]), PLAIN, "2 of 4", "'id'")


def test_identifiers_must_not_be_fractions() -> None:
    refused(DataError, table(id=[1.0, 2.0, 3.0, 4711.0]), PLAIN, "'id'", "double", "whole numbers")


@pytest.mark.parametrize("hole", [None, np.nan, np.inf, -np.inf])
def test_a_missing_value_names_column_count_and_cure(hole: float | None) -> None:
    refused(MissingValue, table(x=[1.0, hole, hole, 4711.0]), PLAIN, "'x'", "2 of 4", "missing: mean", "missing: drop")


def test_a_missing_label_is_not_made_up() -> None:
    data = table(y=[0, 1, None, 1])
    refused(MissingValue, data, PLAIN, "'y'", "1 of 4")
    refused(MissingValue, data, Choice("id", label="y", missing="mean"), "'y'", "mean cannot fill it")
    assert len(clean(data, Choice("id", label="y", missing="drop")).ids) == 3


def test_dropping_every_record() -> None:
    refused(
        TooFewRows,
        table(x=[None, 1.0, None, 2.0], z=[1.0, None, 2.0, None]),
        Choice("id", "y", missing="drop"),
        "all 4",
    )


def test_text_suggests_onehot() -> None:
    refused(TextColumn, table(x=["1", "2", SECRET, "red"]), PLAIN, "'x'", "1 of 4", "categorical: onehot")


def test_too_many_categories() -> None:
    many = pa.table({"id": [str(i) for i in range(70)], "x": [f"{SECRET}-{i}" for i in range(70)]})
    refused(TextColumn, many, Choice("id", categorical="onehot"), "'x'", "70 distinct", "64")


def test_dates_are_no_numbers() -> None:
    refused(TextColumn, table(x=pa.array([1, 2, 3, 4711], pa.timestamp("s"))), PLAIN, "'x'", "timestamp")


@pytest.mark.parametrize("values", [[4711.0] * 4, [None, 4711.0, 4711.0, None]])
def test_a_constant_column_can_be_dropped(values: list[float | None]) -> None:
    data = table(z=values)
    refused(ConstantColumn, data, Choice("id", "y", missing="mean"), "1 of 2", "'z'", "drop_constant: true")
    kept = clean(data, Choice("id", "y", missing="mean", drop_constant=True))
    assert [column.name for column in kept.recipe.columns] == ["x"]


def test_a_constant_text_column() -> None:
    refused(ConstantColumn, table(z=[SECRET] * 4), Choice("id", "y", categorical="onehot"), "'z'")


@pytest.mark.parametrize(
    ("labels", "positive", "said"),
    [
        ([1, 2, 1, 2], "", "Say which one counts as 1"),
        ([0, 1, 2, 4711], "", "4 distinct values that are not 0 and 1. Make two classes"),
        ([1, 1, 1, 1], "", "one class only in 4 records"),
        (["yes", "no", "yes", SECRET], "", "text with 3 distinct values"),
        (["yes", "no", "yes", SECRET], "yes", "3 distinct values; it needs two"),
        (["yes", "no", "yes", "no"], SECRET, "no record has the label given as positive"),
        ([0, 1, 0, 1], "often", "no record has the label given as positive"),
    ],
)
def test_a_label_that_is_not_binary(labels: list[object], positive: str, said: str) -> None:
    refused(LabelNotBinary, table(y=labels), Choice("id", label="y", positive=positive), "'y'", said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"missing": "guess"}, "missing must be error or mean or drop"),
        ({"categorical": "label"}, "categorical must be error or onehot"),
        ({"positive": "yes"}, "no label column is named"),
        ({"label": "id"}, "must be different columns"),
        ({"columns": ("x", "id")}, "must be different columns"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Choice("id", **options)  # type: ignore[arg-type]


def test_a_table_with_nothing_to_contribute() -> None:
    refused(DataError, table().select(["id"]), Choice("id"), "neither a feature column nor a label")


# --- files ---


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"no file a\.csv"):
        read_table(tmp_path / "a.csv", text="id")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "it is empty"),
        ("a.csv", b"id,x\n1,2\n1,4711,3\n", "3 fields where the header has 2"),
        ("a.csv", b"id,x\n1,\xff4711\n", "is of type binary"),
        ("a.csv", b"id,x\n\xff4711,1\n", "encoding"),
        ("a.csv.gz", b"id,x\n1,4711\n", "compression"),
        ("a.parquet", b"id,x\n1,4711\n", "not a Parquet file"),
        ("a.xlsx", b"4711", "the ending must be one of"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        clean(read_table(tmp_path / name, text="id"), Choice("id"))
    assert SECRET not in str(caught.value)


def test_column_names_must_differ(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,x,x\n1,2,3\n")
    with pytest.raises(DataError, match="1 column names more than once, first 'x'"):
        read_table(tmp_path / "a.csv", text="id")


def test_csv_compressed_csv_and_parquet_are_the_same_table(tmp_path: Path) -> None:
    text = "id,x,y\n007,1.5,0\n8,2.5,1\n9,,1\n"
    (tmp_path / "a.csv").write_text(text)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    data = pa.table({"id": ["007", "8", "9"], "x": [1.5, 2.5, None], "y": [0, 1, 1]})
    parquet.write_table(data, tmp_path / "a.parquet")
    found = [read_table(tmp_path / name, text="id") for name in ("a.csv", "a.csv.gz", "a.parquet")]
    assert all(each.equals(data) for each in found)
