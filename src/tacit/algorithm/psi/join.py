"""From tokens to rows, in bounded memory: equal tokens, then the rows of a join as SQL has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.algorithm.psi.spill import Distinct, private_file, read_rows
from tacit.primitive.psi.token import match

CHUNK = 1 << 20
WORKING_SET = 8
PAIR = np.dtype([("mine", "<i8"), ("theirs", "<i8")])
_WORD = 1 << 32


@dataclass(frozen=True)
class Matches:
    """Items that both sides have, by rising place in the sender's order: the order that both sides know."""

    path: Path
    count: int
    column: str
    """Which place is this side's: "mine" at the receiver, "theirs" at the sender."""

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        """This side's items."""
        for pairs in self._pairs():
            yield np.ascontiguousarray(pairs[self.column])

    def places(self) -> Iterator[NDArray[np.int64]]:
        """Places in the sender's order."""
        for pairs in self._pairs():
            yield np.ascontiguousarray(pairs["theirs"])

    def _pairs(self) -> Iterator[NDArray[Any]]:
        for start in range(0, self.count, CHUNK):
            yield read_rows(self.path, PAIR, 1, start, min(start + CHUNK, self.count)).reshape(-1)


def match_files(folder: Path, mine: int, theirs: int, token: int, memory: int) -> Matches:
    """Compare the receiver's token files, `mine` and `theirs`, bucket by bucket."""
    buckets = 1 + (mine + theirs) * (token + 8) * WORKING_SET // memory
    _partition(folder / "mine", mine, token, buckets)
    _partition(folder / "theirs", theirs, token, buckets)
    ranges = 1 + min(mine, theirs) * PAIR.itemsize * WORKING_SET // memory
    width = -(-max(theirs, 1) // ranges)
    outs = [private_file(folder / f"pairs-{i}") for i in range(ranges)]
    for bucket in range(buckets):
        (left, left_at), (right, right_at) = (_bucket(folder / name, bucket, token) for name in ("mine", "theirs"))
        i, j = match(left, right)
        pairs = np.empty(len(i), PAIR)
        pairs["mine"], pairs["theirs"] = left_at[i], right_at[j]
        place = pairs["theirs"] // width
        for number, out in enumerate(outs):
            out.write((pairs if ranges == 1 else pairs[place == number]).tobytes())
    count = 0
    with private_file(folder / "matches") as whole:
        for number, out in enumerate(outs):
            out.close()
            path = folder / f"pairs-{number}"
            pairs = np.fromfile(path, PAIR)
            path.unlink()
            whole.write(pairs[np.argsort(pairs["theirs"], kind="stable")].tobytes())
            count += len(pairs)
    return Matches(folder / "matches", count, "mine")


def _partition(path: Path, count: int, token: int, buckets: int) -> None:
    """Split a token file by the tokens' first octets, each token with its place."""
    record = np.dtype([("token", "u1", (token,)), ("at", "<i8")])
    outs = [private_file(path.with_name(f"{path.name}-{i}")) for i in range(buckets)]
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        records = np.empty(stop - start, record)
        records["token"] = read_rows(path, np.dtype(np.uint8), token, start, stop)
        records["at"] = np.arange(start, stop)
        head = np.ascontiguousarray(records["token"][:, :4]).view("<u4").reshape(-1).astype(np.uint64)
        bucket = (head * np.uint64(buckets)) // np.uint64(_WORD)
        for i, out in enumerate(outs):
            out.write((records if buckets == 1 else records[bucket == i]).tobytes())
    for out in outs:
        out.close()


def _bucket(path: Path, number: int, token: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    part = path.with_name(f"{path.name}-{number}")
    records = np.fromfile(part, np.dtype([("token", "u1", (token,)), ("at", "<i8")]))
    part.unlink()
    return np.ascontiguousarray(records["token"]), np.ascontiguousarray(records["at"])


# --- rows -------------------------------------------------------------------------------------------------------------


def joined(
    items: Distinct, found: NDArray[np.int64], partners: NDArray[np.int64], side: str
) -> Iterator[NDArray[np.int64]]:
    """This side's rows of the pairs that some common items make: every left row with every right row, left by left.

    partners: how many rows the other side has of each item.
    """
    rows, counts = items.rows_of(found)
    first = np.cumsum(counts) - counts
    ends = np.cumsum(counts * partners)
    total = int(ends[-1]) if len(ends) else 0
    for start in range(0, total, CHUNK):
        at = np.arange(start, min(start + CHUNK, total))
        item = np.searchsorted(ends, at, side="right")
        within = at - (ends[item] - counts[item] * partners[item])
        right = partners[item] if side == "left" else counts[item]
        yield rows[first[item] + (within // right if side == "left" else within % right)]


def unmatched(flags: NDArray[np.uint8]) -> Iterator[NDArray[np.int64]]:
    """Rows without a partner, rising. flags: 1 for each row that has one."""
    for start in range(0, len(flags), CHUNK):
        yield np.flatnonzero(flags[start : start + CHUNK] == 0) + start
