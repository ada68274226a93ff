"""The state of one side's job on disk, so that it goes on after either side was killed.

A job's folder, which its user alone can enter, holds `job.json` (what was read, how far the exchange is), `secret` (the keys),
the spilled items and the tokens that came so far. Items are public hashes of identifiers and could be guessed, so the
folder deserves the care that the table itself gets. `finish` removes everything.
"""

from __future__ import annotations

import hmac
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, final

from tacit.algorithm.psi.keys import letters
from tacit.algorithm.psi.options import Options
from tacit.algorithm.psi.source import Source
from tacit.algorithm.psi.spill import Distinct, private_file, spill
from tacit.foundation.errors import JobChanged
from tacit.foundation.files import write_private
from tacit.primitive.psi.points import Octets, Scalar
from tacit.primitive.psi.stream import BATCH

TICKET_BYTES = 16
ORDER_KEY_BYTES = 16
CHECKPOINT_STEPS = 8
_NONE = bytes(TICKET_BYTES)


@dataclass
class _State:
    """What job.json holds."""

    terms: list[Any]
    stamp: list[int] | None
    kinds: str
    count: int
    rows: int
    kept: int
    digest: str
    ticket: str = _NONE.hex()
    peer: str = _NONE.hex()
    key: str = ""
    steps: int = 0


@final
class Job:
    """One side of an intersection: its items, its keys and its progress. `begin` makes it or takes it up again."""

    def __init__(self, folder: Path, state: _State, items: Distinct, secret: bytes) -> None:
        self.folder = folder
        self.items = items
        self._state = state
        self._secret = secret

    @classmethod
    def begin(cls, folder: Path, source: Source, side: str, options: Options) -> Job:
        """Read the table, or find that this was done before the job was broken off.

        Raises: JobChanged where the folder holds a job with other terms or another table; the errors of the table.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        terms = [side, list(source.keys), dict(source.types), *_agreed(options), options.nulls]
        old = cls._load(folder)
        if old is not None and old.terms != terms:
            raise JobChanged(
                f"{folder.name} holds a job with other terms. Finish it as it was begun, or remove the folder."
            )
        stamp = source.stamp()
        if old is not None and stamp is not None and old.stamp == stamp:
            items = Distinct(folder, old.count, old.rows, old.kept, old.digest)
            return cls(folder, old, items, (folder / "secret").read_bytes())
        secret = os.urandom(ORDER_KEY_BYTES) + Scalar.fresh().danger_octets()
        if old is not None:
            secret = (folder / "secret").read_bytes()
        else:
            write_private(folder / "secret", secret)
        items, kinds = spill(source, folder, secret[:ORDER_KEY_BYTES], nulls=options.nulls, memory=options.memory)
        state = _State(terms, stamp, letters(kinds), items.count, items.rows, items.kept, items.digest)
        if old is not None:
            if not hmac.compare_digest(old.digest, items.digest):
                raise JobChanged(
                    f"the table changed since the job in {folder.name} was begun. Remove the folder to begin anew."
                )
            state.ticket, state.peer, state.key, state.steps = old.ticket, old.peer, old.key, old.steps
        job = cls(folder, state, items, secret)
        job._save()
        return job

    @staticmethod
    def _load(folder: Path) -> _State | None:
        try:
            return _State(**json.loads((folder / "job.json").read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            raise JobChanged(f"the state in {folder.name} is damaged. Remove the folder to begin anew.") from None

    def _save(self) -> None:
        write_private(self.folder / "job.json", json.dumps(asdict(self._state)).encode())

    @property
    def kinds(self) -> str:
        """The kinds of the key columns, a letter each."""
        return self._state.kinds

    @property
    def scalar(self) -> Scalar:
        """This side's secret scalar."""
        return Scalar(self._secret[ORDER_KEY_BYTES:])

    @property
    def steps(self) -> int:
        """Batches that are done."""
        return self._state.steps

    def tickets(self) -> bytes:
        """This side's ticket and the peer's, as far as it is known: what tells a job that goes on from a new one."""
        if self._state.ticket == _NONE.hex():
            self._state.ticket = os.urandom(TICKET_BYTES).hex()
        return bytes.fromhex(self._state.ticket) + bytes.fromhex(self._state.peer)

    def meet(self, theirs: bytes) -> None:
        """Go on where both sides were, or, unless each knows the other's ticket, begin the exchange again with a new scalar."""
        mine = self.tickets()
        their_ticket, my_ticket_there = theirs[:TICKET_BYTES], theirs[TICKET_BYTES:]
        known = hmac.compare_digest(mine[TICKET_BYTES:], their_ticket) and hmac.compare_digest(
            mine[:TICKET_BYTES], my_ticket_there
        )
        if not known:
            self._secret = self._secret[:ORDER_KEY_BYTES] + Scalar.fresh().danger_octets()
            write_private(self.folder / "secret", self._secret)
            self._state.steps, self._state.key = 0, ""
        self._state.peer = their_ticket.hex()
        self._save()

    def use_key(self, key: Octets) -> None:
        """Note the sender's public key; with another one than before, tokens that came are worth nothing."""
        if self._state.key != key.tobytes().hex():
            self._state.key, self._state.steps = key.tobytes().hex(), 0
            self._save()

    def advance(self, steps: int) -> None:
        """Note that batches are done, and their tokens on disk."""
        self._state.steps = steps
        self._save()

    def finish(self) -> None:
        """Remove everything, the keys first."""
        (self.folder / "secret").unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __repr__(self) -> str:
        return f"Job({self.folder.name}, {self.items.count} items, {self.steps} batches done, keys hidden)"


def _agreed(options: Options) -> list[Any]:
    return [options.how, options.reveal_to, options.cardinality_only, options.protocol, options.statistical_bits]


@final
class TokenFiles:
    """The receiver's tokens on disk; every few batches they are certain to be there, and the job says so."""

    def __init__(self, job: Job, token: int, sender: int) -> None:
        self._job = job
        self._files: dict[str, BinaryIO] = {}
        for name, count in (("mine", job.items.count), ("theirs", sender)):
            self._files[name] = private_file(job.folder / name, append=True)
            self._files[name].truncate(min(job.steps * BATCH, count) * token)

    def mine(self, tokens: Octets) -> None:
        """Tokens of this side's next items."""
        self._files["mine"].write(tokens.data)

    def theirs(self, tokens: Octets) -> None:
        """Tokens of the sender's next items."""
        self._files["theirs"].write(tokens.data)

    def done(self, steps: int) -> None:
        """Make sure, now and then, that what came so far will not come again."""
        if steps % CHECKPOINT_STEPS == 0:
            self._certain()
            self._job.advance(steps)

    def _certain(self) -> None:
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())

    def close(self, steps: int | None = None) -> None:
        """Close the files, with all `steps` done or after a failure."""
        if steps is not None:
            self._certain()
            self._job.advance(steps)
        for file in self._files.values():
            file.close()
