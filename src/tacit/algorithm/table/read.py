"""A party's own file as an Arrow table: CSV, plain or compressed, or Parquet."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

from tacit.foundation.errors import ConfigError, DataError, UnreadableFile

CSV_SUFFIXES = (".csv", ".csv.gz", ".csv.bz2", ".tsv", ".tsv.gz")
PARQUET_SUFFIXES = (".parquet", ".pq")
_WRONG_WIDTH = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")


def read_table(path: Path, *, text: str) -> Any:
    """The file's `pyarrow.Table`. The column `text` is kept as text: an identifier 007 is not the number 7.

    Raises: UnreadableFile, naming the file and the row where it is known, never what stands there.
    """
    name = path.name.lower()
    if not path.is_file():
        raise UnreadableFile(f"there is no file {path.name} in {path.parent}")
    if name.endswith(CSV_SUFFIXES):
        table = _read_csv(path, text, "\t" if ".tsv" in name else ",")
    elif name.endswith(PARQUET_SUFFIXES):
        table = _read_parquet(path)
    else:
        raise UnreadableFile(f"{path.name}: the ending must be one of {', '.join((*CSV_SUFFIXES, *PARQUET_SUFFIXES))}")
    twice = [column for column, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise DataError(f"{path.name} has {len(twice)} column names more than once, first {twice[0]!r}. Rename them.")
    return table


def _read_csv(path: Path, text: str, delimiter: str) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    try:
        return csv.read_csv(
            str(path),
            parse_options=csv.ParseOptions(delimiter=delimiter),
            convert_options=csv.ConvertOptions(column_types={text: pa.string()}, strings_can_be_null=True),
        )
    except (pa.ArrowException, OSError, ValueError) as error:
        # Arrow's own message quotes the offending row.
        raise UnreadableFile(f"{path.name} is not a CSV file that can be read: {_reason(str(error))}") from None


def _reason(message: str) -> str:
    if found := _WRONG_WIDTH.search(message):
        at = f"row {found[1]}" if found[1] else "a row"
        return f"{at} has {found[3]} fields where the header has {found[2]}. Check quotes and separators."
    if "Empty CSV" in message:
        return "it is empty"
    return "check its encoding (UTF-8), its separators and its compression"


def _read_parquet(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(path).read()
    except (pa.ArrowException, OSError, ValueError):
        raise UnreadableFile(f"{path.name} is not a Parquet file that can be read: write it again") from None


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise ConfigError unless an option has one of its values."""
    if value not in allowed:
        raise ConfigError(f"{name} must be {' or '.join(allowed)}, not {value!r}")
