"""A table's distinct keys in a secret random order, on disk, made in bounded memory.

Every key becomes a number modulo p (hash_to_field) and a tag, the encryption of half the number under a secret key. Records of
(tag, number, row) are spilled into buckets by their tags; a bucket is sorted by tag in memory and appended to three files. So
equal keys come together, and the order of distinct keys is that of a random permutation which nobody else knows.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from tacit.algorithm.psi.keys import identifiers
from tacit.algorithm.psi.source import Source
from tacit.primitive.psi.points import POINT_BYTES, Octets, hash_to_numbers

RECORD = np.dtype([("tag", ">u8"), ("number", "u1", (POINT_BYTES,)), ("row", "<i8")])
WORKING_SET = 6
"""Bytes of memory for each byte of a bucket while it is sorted."""

MAX_BUCKETS = 1024


@dataclass(frozen=True)
class Distinct:
    """Distinct keys on disk. Item i has the rows rows[starts[i] : starts[i + 1]] of the table, rising."""

    folder: Path
    count: int
    rows: int
    """Of the table, with those whose keys are null."""
    kept: int
    """Of the table, without them."""
    digest: str
    """Of the items in their order: changes when the table does."""

    def read(self, start: int, stop: int) -> Octets:
        """Numbers [stop - start, 32]."""
        return read_rows(self.folder / "items", np.dtype(np.uint8), POINT_BYTES, start, stop)

    def starts(self, start: int, stop: int) -> NDArray[np.int64]:
        """starts[start:stop], of count + 1."""
        return read_rows(self.folder / "starts", np.dtype(np.int64), 1, start, stop).reshape(-1)

    def rows_of(self, items: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of some items, one item after the other, and how many each has."""
        if not len(items):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        starts = np.memmap(self.folder / "starts", np.int64, "r")
        begin, counts = starts[items], starts[items + 1] - starts[items]
        rows = np.memmap(self.folder / "rows", np.int64, "r")
        first = np.repeat(begin - np.cumsum(counts) + counts, counts)
        return np.asarray(rows[first + np.arange(len(first))]), np.asarray(counts)


def read_rows(path: Path, dtype: np.dtype[Any], width: int, start: int, stop: int) -> NDArray[Any]:
    """Rows [start, stop) of a file of fixed-size rows, [stop - start, width]."""
    size = dtype.itemsize * width
    out = np.empty((stop - start, width), dtype)
    if not out.size:
        return out
    with path.open("rb") as file:
        file.seek(start * size)
        if file.readinto(out.data.cast("B")) != out.nbytes:
            raise OSError(f"{path.name} ends before row {stop}")
    return out


def private_file(path: Path, *, append: bool = False) -> BinaryIO:
    """A file that its user only can read, for writing or appending."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if append else os.O_TRUNC)
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def spill(
    source: Source, folder: Path, order_key: bytes, *, nulls: str, memory: int
) -> tuple[Distinct, tuple[str, ...]]:
    """Read a table once and write its distinct keys to `folder`. Also returns the kinds of the key columns.

    `memory`: bytes that a bucket may take while it is sorted. Raises what `Source.open` and `identifiers` raise.
    """
    kinds, batches = source.open()
    count = min(MAX_BUCKETS, 1 + source.rows_hint() * RECORD.itemsize * WORKING_SET // memory)
    cipher = Cipher(algorithms.AES(order_key), modes.ECB())  # noqa: S305  a permutation of single blocks is what is wanted
    encrypt = cipher.encryptor()
    total = kept = 0
    files = [private_file(folder / f"bucket-{i}") for i in range(count)]
    try:
        for batch in batches:
            octets, offsets, rows = identifiers(batch, source.keys, nulls)
            records = np.empty(len(rows), RECORD)
            records["number"] = hash_to_numbers(octets, offsets)
            blocks = encrypt.update(np.ascontiguousarray(records["number"][:, :16]).tobytes())
            records["tag"] = np.frombuffer(blocks, ">u8")[::2]
            records["row"] = rows + total
            _scatter(records, (records["tag"] >> np.uint64(32)).astype(np.uint64), files)
            total += batch.num_rows
            kept += len(rows)
    finally:
        for file in files:
            file.close()
    items, digest = _gather(folder, count)
    return Distinct(folder, items, total, kept, digest), kinds


def _scatter(records: NDArray[Any], high: NDArray[np.uint64], files: Sequence[BinaryIO]) -> None:
    """Append records to the buckets of their tags."""
    if len(files) == 1:
        files[0].write(records.tobytes())
        return
    bucket = (high * np.uint64(len(files))) >> np.uint64(32)
    order = np.argsort(bucket, kind="stable")
    bounds = np.searchsorted(bucket[order], np.arange(len(files) + 1, dtype=np.uint64))
    for i, file in enumerate(files):
        if bounds[i] < bounds[i + 1]:
            file.write(records[order[bounds[i] : bounds[i + 1]]].tobytes())


def _gather(folder: Path, buckets: int) -> tuple[int, str]:
    """Sort bucket after bucket; returns the number of distinct keys and the digest."""
    digest = hashlib.sha256()
    count = at = 0
    with (
        private_file(folder / "items") as items,
        private_file(folder / "rows") as rows,
        private_file(folder / "starts") as starts,
    ):
        for i in range(buckets):
            path = folder / f"bucket-{i}"
            records = np.fromfile(path, RECORD)
            path.unlink()
            order, first = _grouped(records)
            numbers = np.ascontiguousarray(records["number"][order[first]])
            digest.update(numbers.data)
            digest.update(first.astype("<i8").data)
            items.write(numbers.data)
            rows.write(np.ascontiguousarray(records["row"][order]).data)
            starts.write((first + at).astype(np.int64).data)
            count += len(first)
            at += len(records)
        starts.write(np.array([at], np.int64).data)
    return count, digest.hexdigest()


def _grouped(records: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order that brings equal numbers together, rows rising; and where in it each group begins."""
    tags, numbers = records["tag"].astype(np.uint64), records["number"]
    low = np.uint64(len(tags).bit_length())
    mask = (np.uint64(1) << low) - np.uint64(1)
    ranked = np.sort((tags & ~mask) | np.arange(len(tags), dtype=np.uint64))  # one word: faster than by reference
    order = (ranked & mask).astype(np.int64)
    first = _first(order, tags & ~mask, numbers)
    if first is None:  # two keys agree in their first bits
        order = np.argsort(tags, kind="stable")
        first = _first(order, tags, numbers)
    if first is None:  # and in all bits of their tags
        words = np.ascontiguousarray(numbers).view(np.uint64)
        order = np.lexsort((*words.T, tags))
        new = np.ones(len(order), bool)
        new[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
        first = np.flatnonzero(new)
    return order, first


def _first(order: NDArray[np.int64], tags: NDArray[np.uint64], numbers: Octets) -> NDArray[np.int64] | None:
    """Where each group of equal tags begins; None if a group has different numbers."""
    new = np.ones(len(order), bool)
    new[1:] = tags[order[1:]] != tags[order[:-1]]
    repeated = np.flatnonzero(~new)
    if (numbers[order[repeated]] != numbers[order[repeated - 1]]).any():
        return None
    return np.flatnonzero(new)
