"""`psi`: the intersection or join of two tables, both sides in this process; and of more parties' keys.

Both sides run the very code that two machines would run, each in a thread and with nothing but a channel between them. Between
machines each party calls `align` (or `align_all`) with its own table and driver.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from tacit.algorithm.psi.keys import letters
from tacit.algorithm.psi.options import MEMORY_BYTES, Options
from tacit.algorithm.psi.party import Alignment, align
from tacit.algorithm.psi.source import Source, source
from tacit.algorithm.psi.spill import spill
from tacit.foundation.errors import DuplicateIdentifier, KeyTypeRefused, LinkError
from tacit.primitive.driver import Driver
from tacit.primitive.psi.ring import intersect_all
from tacit.resource.channel import MemoryChannel


@final
@dataclass(frozen=True)
class Joined:
    """Both sides' parts of a result; a side that nothing is revealed to has rows of None."""

    left: Alignment
    right: Alignment

    @property
    def size(self) -> int | None:
        """Distinct keys in common."""
        return self.left.size if self.left.size is not None else self.right.size


def psi(
    left: Any,
    right: Any,
    *,
    keys: Sequence[str],
    right_keys: Sequence[str] | None = None,
    protocol: str = "ecdh",
    reveal_to: str = "both",
    how: str = "inner",
    cardinality_only: bool = False,
    nulls: str = "refuse",
    types: Mapping[str, str] | None = None,
    memory: int = MEMORY_BYTES,
    work: Path | None = None,
) -> Joined:
    """Which rows of two tables belong together, by the values of their key columns.

    left, right: `pyarrow.Table`, or the path of a CSV or Parquet file of any size. right_keys: where the names differ. The other
    arguments: see `Options` and `Source`. `work`: a folder for both jobs' states.
    Reveals, Costs, Raises: as `tacit.algorithm.psi.party.align`.
    """
    options = Options(how, reveal_to, cardinality_only, nulls, protocol, memory=memory)
    sources = {"left": source(left, keys, types), "right": source(right, right_keys or keys, types)}

    def part(side: str, peer: str) -> Callable[[Driver], Coroutine[Any, Any, Alignment]]:
        folder = work / side if work else None
        return lambda driver: align(driver, peer, sources[side], side, options, work=folder)

    results = in_threads({"left": part("left", "right"), "right": part("right", "left")})
    return Joined(results["left"], results["right"])


def psi_all(
    tables: Mapping[str, Any], *, keys: Sequence[str], reveal_to: Sequence[str] | None = None, **options: Any
) -> dict[str, NDArray[np.int64] | int]:
    """What is common to two or more parties' tables. Rows, in one order for all, to those of `reveal_to`; to others the size.

    `options`: of `align_all`. Reveals, Costs, Raises: as `align_all`.
    """
    names = list(tables)
    shown = names if reveal_to is None else list(reveal_to)

    def part(name: str) -> Callable[[Driver], Coroutine[Any, Any, NDArray[np.int64] | int]]:
        return lambda driver: align_all(driver, names, source(tables[name], keys), shown, **options)

    return in_threads({name: part(name) for name in names})


async def align_all(
    driver: Driver,
    parties: Sequence[str],
    table: Source,
    reveal_to: Sequence[str],
    *,
    nulls: str = "refuse",
    memory: int = MEMORY_BYTES,
) -> NDArray[np.int64] | int:
    """One party's part in the intersection of all parties' tables: its rows, in an order common to all, or the size.

    Protocol, leakage, costs: `tacit.primitive.psi.ring`; the first of `reveal_to`, or of the parties, is the matcher.
    Raises: DuplicateIdentifier, because rows of more than two tables are not multiplied; KeyTypeRefused; DataError of the table.
    """
    with tempfile.TemporaryDirectory(prefix="tacit-psi-") as scratch:
        items, kinds = spill(table, Path(scratch), os.urandom(16), nulls=nulls, memory=memory)
        if items.count != items.kept:
            raise DuplicateIdentifier(
                f"{items.kept - items.count} of {items.kept} records repeat a key. Keep one record for each key."
            )
        mine = np.frombuffer(letters(kinds).encode().ljust(16, b"\0"), np.uint8)
        others = {name: np.empty(16, np.uint8) for name in parties if name != driver.me}
        await driver.exchange([(name, mine) for name in others], list(others.items()))
        for name, theirs in others.items():
            if theirs.tobytes() != mine.tobytes():
                raise KeyTypeRefused(
                    f"the key columns of {driver.me} and {name} are of different kinds. Cast them alike."
                )
        matcher = reveal_to[0] if reveal_to else parties[0]
        common = await intersect_all(driver, parties, items.read(0, items.count), reveal_to, matcher)
        if common.positions is None:
            return common.size or 0
        return items.rows_of(common.positions)[0]


def in_threads(programs: Mapping[str, Callable[[Driver], Coroutine[Any, Any, Any]]]) -> dict[str, Any]:
    """Run every party in a thread of its own over memory channels; results by name.

    Raises: the error that came first, rather than what it made of the others' links.
    """
    mesh = MemoryChannel.mesh(list(programs), threads=True)
    results: dict[str, Any] = {}
    errors: list[BaseException] = []

    def work(name: str) -> None:
        driver = Driver(name, mesh[name], deadline=3600.0)
        try:
            results[name] = driver.run(programs[name](driver))
        except BaseException as error:  # noqa: BLE001  raised again below, in the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(name,), daemon=True) for name in programs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise next((error for error in errors if not isinstance(error, LinkError)), errors[0])
    return results
