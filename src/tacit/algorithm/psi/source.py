"""A party's table as record batches: an Arrow table, or a CSV or Parquet file of any size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from tacit.algorithm.psi.keys import check_types, kinds_of
from tacit.algorithm.table.column import present
from tacit.algorithm.table.read import CSV_SUFFIXES, PARQUET_SUFFIXES
from tacit.foundation.errors import ConfigError, UnknownColumn, UnreadableFile

BATCH_ROWS = 1 << 16
CSV_BLOCK_BYTES = 1 << 22
"""What is read of a CSV file at once, and so the longest row it may have."""


@final
@dataclass(frozen=True)
class Source:
    """A table and the columns by which its records are matched.

    Columns of a CSV file are text, because 007 is not 7, unless `types` gives them another kind of `keys.KINDS`; an empty
    field is null, and every other one, such as NA, is what it says.
    """

    table: Any
    keys: tuple[str, ...]
    types: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_types(self.types)

    @property
    def path(self) -> Path | None:
        """The file, if it is one."""
        return Path(self.table) if isinstance(self.table, (str, Path)) else None

    def stamp(self) -> list[int] | None:
        """What changes when a file does: its size and time of change. None for a table in memory."""
        if self.path is None:
            return None
        status = self._existing(self.path).stat()
        return [status.st_size, status.st_mtime_ns]

    def rows_hint(self) -> int:
        """About how many rows there are."""
        path = self.path
        if path is None:
            return int(self.table.num_rows)
        if path.name.lower().endswith(PARQUET_SUFFIXES):
            return int(self._parquet(path).metadata.num_rows)
        packed = 1 if path.suffix.lower() in {".csv", ".tsv"} else 8
        return packed * path.stat().st_size // 8

    def open(self) -> tuple[tuple[str, ...], Iterator[Any]]:
        """The kinds of the key columns, and batches that hold these columns.

        Raises: UnreadableFile, UnknownColumn, KeyTypeRefused, ConfigError; none quotes a cell.
        """
        path = self.path
        if path is None:
            return self._open_table()
        name = self._existing(path).name.lower()
        if name.endswith(CSV_SUFFIXES):
            return self._open_csv(path, "\t" if ".tsv" in name else ",")
        if name.endswith(PARQUET_SUFFIXES):
            file = self._parquet(path)
            self._check(file.schema_arrow, path.name)
            batches = file.iter_batches(batch_size=BATCH_ROWS, columns=list(self.keys))
            return kinds_of(file.schema_arrow, self.keys), _readable(batches, path.name)
        raise UnreadableFile(f"{path.name}: the ending must be one of {', '.join((*CSV_SUFFIXES, *PARQUET_SUFFIXES))}")

    @staticmethod
    def _existing(path: Path) -> Path:
        if not path.is_file():
            raise UnreadableFile(f"there is no file {path.name} in {path.parent}")
        return path

    def _open_table(self) -> tuple[tuple[str, ...], Iterator[Any]]:
        import pyarrow as pa

        if not isinstance(self.table, pa.Table):
            raise ConfigError(f"a table is a pyarrow.Table or the path of a file, not a {type(self.table).__name__}")
        for name in self.keys:
            present(self.table, name)
        if len(set(self.table.column_names)) != len(self.table.column_names):
            raise ConfigError("the table has a column name more than once. Rename the columns.")
        columns = self.table.select(list(self.keys))
        return kinds_of(columns.schema, self.keys), iter(columns.to_batches(max_chunksize=BATCH_ROWS))

    def _open_csv(self, path: Path, delimiter: str) -> tuple[tuple[str, ...], Iterator[Any]]:
        import pyarrow as pa
        from pyarrow import csv

        kinds = {
            "text": pa.string(),
            "integer": pa.int64(),
            "boolean": pa.bool_(),
            "date": pa.date32(),
            "timestamp": pa.timestamp("ns"),
        }
        try:
            reader = csv.open_csv(
                pa.input_stream(str(path), compression="detect", buffer_size=1 << 20),
                read_options=csv.ReadOptions(block_size=CSV_BLOCK_BYTES),
                parse_options=csv.ParseOptions(delimiter=delimiter, newlines_in_values=False),
                convert_options=csv.ConvertOptions(
                    column_types={name: kinds[self.types.get(name, "text")] for name in self.keys},
                    include_columns=list(self.keys),
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    null_values=[""],
                ),
            )
        except KeyError:
            raise UnknownColumn(f"{path.name} lacks a column of {', '.join(self.keys)}") from None
        except (pa.ArrowException, OSError, ValueError) as error:
            if "include_columns" in str(error):
                raise UnknownColumn(f"{path.name} lacks a column of {', '.join(self.keys)}") from None
            if "Empty CSV" in str(error):
                raise UnreadableFile(f"{path.name} is empty: it lacks even a header") from None
            raise _unreadable(path.name, error) from None
        return kinds_of(reader.schema, self.keys), _readable(reader, path.name)

    def _parquet(self, path: Path) -> Any:
        import pyarrow as pa
        from pyarrow import parquet

        try:
            return parquet.ParquetFile(path, memory_map=False, pre_buffer=False)
        except (pa.ArrowException, OSError, ValueError):
            raise UnreadableFile(f"{path.name} is not a Parquet file that can be read: write it again") from None

    def _check(self, schema: Any, name: str) -> None:
        missing = [key for key in self.keys if key not in schema.names]
        if missing:
            raise UnknownColumn(f"{name} lacks the column {missing[0]!r}; it has {', '.join(schema.names[:12])}")


def source(table: Any, keys: Sequence[str], types: Mapping[str, str] | None = None) -> Source:
    """A source of anything that one can be made of."""
    return table if isinstance(table, Source) else Source(table, tuple(keys), dict(types or {}))


def _readable(batches: Iterator[Any], name: str) -> Iterator[Any]:
    import pyarrow as pa

    try:
        for batch in batches:
            for start in range(0, batch.num_rows, BATCH_ROWS):
                yield batch.slice(start, BATCH_ROWS)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(name, error) from None


def _unreadable(name: str, error: Exception) -> UnreadableFile:
    """In our words: Arrow's own message may quote a row."""
    text = str(error)
    if "straddling" in text:
        return UnreadableFile(f"{name} has a row longer than {CSV_BLOCK_BYTES >> 20} MiB. Write it as Parquet.")
    if "conversion error" in text:
        return UnreadableFile(
            f"{name}: a key cannot be read as the type it was given. Leave it text, or clean the column."
        )
    return UnreadableFile(f"{name} cannot be read: check its encoding (UTF-8), quotes, separators and compression")
