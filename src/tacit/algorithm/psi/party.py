"""One side of a two-party intersection, from its table to its rows.

Protocol, leakage and costs are those of `tacit.primitive.psi.stream`, and of `tacit.primitive.psi.ring` where only the
size is asked for. Beyond that:

Reveals: to both sides, the number of the other's distinct keys and the kinds of its key columns. Where both get the result:
to the sender, which of its keys the receiver has; to each side, how often the other has each common key, if any
occurs twice anywhere among them; and, for joins that keep them, how many rows without a partner the other has. One side alone: to
the receiver, which of its keys the other has, and not how often.
Costs: 3 rounds more, one bit for each key of the sender and 4 bytes for each repeated common key where both get the result.
Memory: about `options.memory`, plus batches, for tables of any size. Disk: 56 bytes for each row while sorting, then 40 and a token.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, final

import numpy as np
from numpy.typing import NDArray

from tacit.algorithm.psi.job import Job, TokenFiles
from tacit.algorithm.psi.join import CHUNK, PAIR, Matches, joined, match_files, unmatched
from tacit.algorithm.psi.options import HOW, REVEAL, SIDES, Options
from tacit.algorithm.psi.source import Source
from tacit.algorithm.psi.spill import Distinct, private_file
from tacit.foundation.errors import KeyTypeRefused, ProtocolError, TermsDiffer
from tacit.foundation.ledger import Ledger
from tacit.primitive.driver import Driver
from tacit.primitive.psi.points import POINT_BYTES, Octets
from tacit.primitive.psi.ring import intersect_all
from tacit.primitive.psi.stream import BATCH, Terms, receive, send
from tacit.primitive.psi.token import MAX_ITEMS, token_bytes

_OFFER = struct.Struct("<4sIBBBBB3x16sQQ32s")
_MAGIC = b"PSI1"
MAPPED_BYTES = 1 << 26
"""A result above this stays on disk, mapped into memory."""


@final
@dataclass(frozen=True)
class Alignment:
    """What one side learns. Row i of the result is made of rows[i] of the left and rows[i] of the right table.

    rows: this side's row numbers, int64, -1 where its table has no partner; None where nothing is revealed to it.
    pairs: how many of them, the first ones, have a partner. size: common distinct keys. theirs: distinct keys of the other side.
    """

    side: str
    rows: NDArray[np.int64] | None
    pairs: int | None
    size: int | None
    theirs: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def take(self, table: Any) -> Any:
        """The rows of a `pyarrow.Table`, nulls where there is no partner."""
        import pyarrow as pa

        if self.rows is None:
            raise ProtocolError(f"nothing was revealed to the {self.side} side")
        rows = np.asarray(self.rows)
        return table.take(pa.array(rows, mask=rows < 0))


async def align(
    driver: Driver,
    peer: str,
    source: Source,
    side: str,
    options: Options,
    *,
    work: Path | None = None,
    ledger: Ledger | None = None,
) -> Alignment:
    """Join this side's table, the left or the right one, with the peer's.

    `work` is a folder for the job's state: give the same one after a failure, on both sides, and the job goes on. Without it a
    temporary folder serves.
    Raises: TermsDiffer and KeyTypeRefused where the sides ask for different things; JobChanged; DataError of the table; PointRefused and
    ProtocolError where the peer deviates; LinkError.
    """
    with tempfile.TemporaryDirectory(prefix="tacit-psi-") as scratch:
        job = Job.begin(Path(scratch) / "job" if work is None else work, source, side, options)
        alignment = await _Side(driver, peer, job, side, options).run()
        if ledger is not None:
            _record(ledger, driver.me, peer, alignment, options)
        job.finish()
        return alignment


class _Side:
    """One side of one run."""

    def __init__(self, driver: Driver, peer: str, job: Job, side: str, options: Options) -> None:
        self.driver = driver
        self.peer = peer
        self.job = job
        self.side = side
        self.options = options
        self.receives = side == options.receiver

    async def run(self) -> Alignment:
        """Agree, exchange, compare, tell."""
        items, options = self.job.items, self.options
        theirs, done, key = await self._agree()
        if options.cardinality_only:
            return await self._count(theirs)
        counts = (items.count, theirs) if self.receives else (theirs, items.count)
        terms = Terms(*counts, token_bytes(*counts, options.statistical_bits), done)
        matches = None
        if self.receives:
            tokens = TokenFiles(self.job, terms.token, theirs)
            try:
                await receive(self.driver, self.peer, items, key, terms, tokens)
            except BaseException:
                tokens.close()
                raise
            tokens.close(terms.steps)
            matches = match_files(self.job.folder, items.count, theirs, terms.token, options.memory)
        else:
            await send(self.driver, self.peer, items, self.job.scalar, terms)
        if options.reveal_to == "both":
            matches = await self._tell(matches, terms)
            return await self._join(matches, theirs)
        return self._alone(matches, theirs)

    # --- agreeing ----------------------------------------------------------------------------------------------

    async def _agree(self) -> tuple[int, int, Octets]:
        """The number of the peer's items, how many batches are done, and the sender's key."""
        theirs = await self._swap(self.job.tickets())
        self.job.meet(theirs)
        own_key = bytes(POINT_BYTES) if self.receives else self.job.scalar.public().tobytes()
        mine = self._offer(own_key)
        offer = _OFFER.unpack(await self._swap(_OFFER.pack(*mine)))
        self._compare(mine, offer)
        count, steps, key = offer[-3:]
        if count > MAX_ITEMS:
            raise ProtocolError(f"{self.peer} announced {count} keys; {MAX_ITEMS} are the most")
        public = np.frombuffer(key if self.receives else own_key, np.uint8)
        done = steps
        if self.receives:
            before = self.job.steps
            self.job.use_key(public)
            done = self.job.steps
            if done != before:
                raise TermsDiffer(f"{self.peer} came back with another key. Begin again: what was exchanged is void.")
        longest = max(self.job.items.count, count)
        if done > -(-longest // BATCH):
            raise ProtocolError(f"{self.peer} claims {done} batches of {longest} keys")
        return count, done, public

    def _offer(self, key: bytes) -> tuple[Any, ...]:
        o = self.options
        return (
            _MAGIC,
            BATCH,
            SIDES.index(self.side),
            REVEAL.index(o.reveal_to),
            HOW.index(o.how),
            int(o.cardinality_only),
            o.statistical_bits,
            self.job.kinds.encode(),
            self.job.items.count,
            self.job.steps if self.receives else 0,
            key,
        )

    def _compare(self, mine: tuple[Any, ...], theirs: tuple[Any, ...]) -> None:
        names = ("format", "batch size", "side", "reveal_to", "how", "cardinality_only", "statistical_bits")
        for name, ours, other in zip(names, mine, theirs, strict=False):
            if (ours == other) == (name == "side"):
                raise TermsDiffer(
                    f"{self.driver.me} and {self.peer} differ in {name}: {ours!r} here and {other!r} there"
                    if name != "side"
                    else f"{self.driver.me} and {self.peer} both say that theirs is the {self.side} table"
                )
        kinds = theirs[7].rstrip(b"\0").decode("ascii", "replace")
        if kinds != self.job.kinds:
            raise KeyTypeRefused(
                f"the key columns are of the kinds {self.job.kinds} at {self.driver.me} and {kinds!r} at {self.peer} (T text, "
                "B bytes, I integer, L boolean, D date, S timestamp). Cast them alike, or give `types` for a CSV file."
            )

    async def _swap(self, mine: bytes) -> bytes:
        room = np.empty(len(mine), np.uint8)
        await self.driver.exchange([(self.peer, np.frombuffer(bytearray(mine), np.uint8))], [(self.peer, room)])
        return room.tobytes()

    # --- cardinality -------------------------------------------------------------------------------------------

    async def _count(self, theirs: int) -> Alignment:
        """The size alone. Memory: about 96 bytes for each key, since a shuffle needs all of them."""
        left, right = (self.driver.me, self.peer) if self.side == "left" else (self.peer, self.driver.me)
        matcher = left if self.options.receiver == "left" else right
        told = (left, right) if self.options.reveal_to == "both" else (matcher,)
        numbers = self.job.items.read(0, self.job.items.count)
        common = await intersect_all(self.driver, (left, right), numbers, (), matcher, told)
        return Alignment(self.side, None, None, common.size, theirs)

    # --- telling -----------------------------------------------------------------------------------------------

    async def _tell(self, matches: Matches | None, terms: Terms) -> Matches:
        """The receiver marks the sender's matches, one bit for each of its keys."""
        places = matches.places() if matches else iter(())
        held = np.empty(0, np.int64)
        count = 0
        out = None if self.receives else private_file(self.job.folder / "matches")
        for start in range(0, terms.sender, CHUNK):
            stop = min(start + CHUNK, terms.sender)
            bits = np.zeros(stop - start, bool)
            while self.receives and (not len(held) or held[-1] < stop):
                more = next(places, None)
                if more is None:
                    break
                held = np.concatenate([held, more])
            cut = int(np.searchsorted(held, stop))
            bits[held[:cut] - start] = True
            held = held[cut:]
            packed = np.packbits(bits)
            if self.receives:
                await self.driver.exchange([(self.peer, packed)], [])
                continue
            await self.driver.exchange([], [(self.peer, packed)])
            found = np.flatnonzero(np.unpackbits(packed, count=stop - start)) + start
            pairs = np.zeros(len(found), PAIR)
            pairs["theirs"] = found
            count += len(found)
            if out is not None:
                out.write(pairs.tobytes())
        if out is None:
            assert matches is not None
            return matches
        out.close()
        return Matches(self.job.folder / "matches", count, "theirs")

    async def _join(self, matches: Matches, theirs: int) -> Alignment:
        """Both sides' rows of the join, place by place."""
        items, how = self.job.items, self.options.how
        flags = _flags(self.job.folder, items)
        with private_file(self.job.folder / "out") as out:
            pairs = 0
            repeated = 1
            for found in matches.chunks():
                rows, counts = items.rows_of(found)
                flags[rows] = 1
                repeated = max(repeated, int(counts.max(initial=1)))
            twice = max(repeated, await self._peers(repeated)) > 1
            for found in matches.chunks():
                partners = await self._multiplicities(found) if twice else np.ones(len(found), np.int64)
                for rows in joined(items, found, partners, self.side):
                    pairs += len(rows)
                    out.write(rows.astype(np.int64).data)
            if how in {"left", "full"}:
                await self._keep(out, flags, self.side == "left")
            if how in {"right", "full"}:
                await self._keep(out, flags, self.side == "right")
        rows = _result(self.job.folder / "out")
        return Alignment(self.side, rows, pairs, matches.count, theirs, {"repeated": twice})

    async def _peers(self, mine: int) -> int:
        """Swap whether any common key is there more than once: 1 or 2."""
        (word,) = struct.unpack("<Q", await self._swap(struct.pack("<Q", min(mine, 2))))
        return int(word)

    async def _multiplicities(self, found: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows the peer has of each common key."""
        _, counts = self.job.items.rows_of(found)
        if int(counts.max(initial=0)) >= 1 << 32:
            raise ProtocolError("a key has 2**32 rows or more; a join of so many is refused")
        theirs = np.frombuffer(await self._swap(counts.astype("<u4").tobytes()), "<u4").astype(np.int64)
        if not theirs.all():
            raise ProtocolError(f"{self.peer} has no row of a key that both have")
        return theirs

    async def _keep(self, out: BinaryIO, flags: NDArray[np.uint8], mine: bool) -> None:
        """Rows without a partner: this side's own, or as many places as the peer has of them."""
        count = int(len(flags) - np.count_nonzero(flags)) if mine else 0
        (theirs,) = struct.unpack("<Q", await self._swap(struct.pack("<Q", count)))
        if mine:
            out.writelines(rows.astype(np.int64).data for rows in unmatched(flags))
            return
        if theirs > MAX_ITEMS:
            raise ProtocolError(f"{self.peer} announced {theirs} rows without a partner; {MAX_ITEMS} are the most")
        out.writelines(np.full(min(CHUNK, theirs - at), -1, np.int64).data for at in range(0, theirs, CHUNK))

    def _alone(self, matches: Matches | None, theirs: int) -> Alignment:
        """The receiver's own rows, each once; nothing for the other side."""
        if matches is None:
            return Alignment(self.side, None, None, None, theirs)
        items, how = self.job.items, self.options.how
        flags = _flags(self.job.folder, items)
        pairs = 0
        with private_file(self.job.folder / "out") as out:
            for found in matches.chunks():
                rows, _ = items.rows_of(found)
                flags[rows] = 1
                if how != "anti":
                    pairs += len(rows)
                    out.write(rows.data)
            for rows in unmatched(flags) if how in {"left", "right", "anti"} else _nothing():
                out.write(rows.astype(np.int64).data)
        return Alignment(self.side, _result(self.job.folder / "out"), pairs, matches.count, theirs)


def _nothing() -> Iterator[NDArray[np.int64]]:
    yield from ()


def _flags(folder: Path, items: Distinct) -> NDArray[np.uint8]:
    """One octet for each row of the table, on disk."""
    if not items.rows:
        return np.zeros(0, np.uint8)
    private_file(folder / "flags").close()
    return np.memmap(folder / "flags", np.uint8, "r+", shape=(items.rows,))


def _result(path: Path) -> NDArray[np.int64]:
    size = path.stat().st_size
    if size <= MAPPED_BYTES:
        return np.fromfile(path, np.int64)
    return np.memmap(path, np.int64, "r")  # stays readable when the file is unlinked


def _record(ledger: Ledger, me: str, peer: str, alignment: Alignment, options: Options) -> None:
    """What this side learnt, and what it knows the other to have learnt."""
    because = f"private set intersection ({options.protocol}, {options.how})"
    ledger.append("reveal", what=f"the number of distinct keys of {peer}", shape=[], to=[me], because=because)
    ledger.append("reveal", what=f"the number of distinct keys of {me}", shape=[], to=[peer], because=because)
    sides = {alignment.side: me, "right" if alignment.side == "left" else "left": peer}
    to = sorted(name for side, name in sides.items() if options.reveals(side))
    if options.cardinality_only:
        ledger.append("reveal", what=f"how many keys {me} and {peer} share", shape=[], to=to, because=because)
        return
    for owner in to:
        size = [] if alignment.size is None else [alignment.size]
        ledger.append("reveal", what=f"which keys of {owner} are shared", shape=size, to=[owner], because=because)
    if len(to) == 2 and alignment.facts.get("repeated"):
        ledger.append(
            "reveal", what="how often each side has each shared key", shape=[alignment.size], to=to, because=because
        )
