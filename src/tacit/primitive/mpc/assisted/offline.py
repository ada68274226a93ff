"""An offline dealer: correlations for a planned job, written to files once and consumed once.

The helper of `Assisted` receives nothing, so it can run ahead of time and be gone before the compute parties start. It runs
its side of a job on shapes, with fresh seeds, and writes one file for each compute party: the leader's is a seed, the
follower's a seed and all dealt corrections in order. Each file must reach its party over a confidential channel: the two
together are as good as the inputs' masks.

A file is spent by opening it: it is renamed before its first byte is used, so that a crash, a copy of the process or a
second run cannot use it again (`CorrelationReused`). Reading past its end is `CorrelationExhausted`; a job that differs
from the dealt one is `ProtocolMismatch`.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import struct
from collections.abc import Callable, Coroutine, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, final

import numpy as np

from tacit.foundation.errors import (
    CorrelationExhausted,
    CorrelationReused,
    InputError,
    ProtocolMismatch,
    UnsupportedOperation,
)
from tacit.foundation.traffic import Traffic
from tacit.primitive.driver import Driver
from tacit.primitive.local import NativeLocal
from tacit.primitive.mpc.assisted.context import Context
from tacit.primitive.mpc.assisted.kernel import AssistedKernel
from tacit.primitive.mpc.party import agree
from tacit.primitive.prg import Prg

MAGIC = b"tacit correlations 2\n"
KEY_BYTES = 16
ENTRY = struct.Struct("<IQ")
Job = Callable[[AssistedKernel], Coroutine[Any, Any, Any]]


def deal(job: Job, names: Sequence[str], folder: Path, description: Mapping[str, Any]) -> dict[str, Path]:
    """Run the helper's side of `job` and write one file for each compute party; returns the paths by party.

    `job(kernel)` shares, computes and reveals as the real one will; where it shares, values are None here. `description`
    is public and names the job (a program's digest, shapes, owners): both parties compare it before they start.
    Raises: UnsupportedOperation when the job needs the helper to receive something (a sort, a reveal to the helper).
    """
    leader, follower, helper = names
    folder.mkdir(parents=True, exist_ok=True)
    session = secrets.token_hex(16)
    head = {"session": session, "names": list(names), "job": dict(description)}
    keys = {leader: os.urandom(KEY_BYTES), follower: os.urandom(KEY_BYTES)}
    paths = {name: folder / f"{name}.correlations" for name in (leader, follower)}
    files = {name: _create(path, {**head, "party": name}, keys[name]) for name, path in paths.items()}
    try:
        driver = Driver(helper, {leader: _Deaf(leader), follower: _Writer(follower, files[follower])})
        context = Context(driver, names, {name: Prg(key) for name, key in keys.items()}, NativeLocal())
        driver.run(job(AssistedKernel(context)))
        for file in files.values():
            os.fsync(file)
    finally:
        for file in files.values():
            os.close(file)
    return paths


async def open_session(
    driver: Driver, names: Sequence[str], path: Path, description: Mapping[str, Any], *, exact: bool = False
) -> AssistedKernel:
    """A compute party's kernel on dealt correlations; spends the file.

    Costs: 2 rounds with the other compute party: seeds, and a comparison of both files' jobs.
    Raises: CorrelationReused, ProtocolMismatch, InputError for a file that is damaged or another party's.
    """
    leader, follower, helper = names
    key, head, start, file = _spend(path, driver.me)
    if head["job"] != dict(description) or head["names"] != list(names):
        raise ProtocolMismatch(f"{path.name} was dealt for another job. Deal correlations for this one.")
    peer = follower if driver.me == leader else leader
    prgs = await agree(driver, (driver.me, peer), f"assisted offline {head['session']}")
    mine = np.frombuffer(
        sha256(json.dumps([head["session"], head["job"]], sort_keys=True).encode()).digest(), np.uint8
    ).copy()
    theirs = np.empty_like(mine)
    await driver.exchange([(peer, mine)], [(peer, theirs)])
    if not hmac.compare_digest(mine.tobytes(), theirs.tobytes()):
        raise ProtocolMismatch(f"{peer} opened correlations of another dealing than {driver.me}")
    driver.channels[helper] = _Reader(helper, path, file, start) if driver.me == follower else _Deaf(helper)
    prgs[helper] = Prg(key)
    return AssistedKernel(Context(driver, names, prgs, NativeLocal()), exact=exact)


def _create(path: Path, head: Mapping[str, Any], key: bytes) -> int:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InputError(f"{path.name} exists; correlations are never written over. Choose another folder.") from None
    os.write(file, MAGIC + json.dumps(head, sort_keys=True).encode() + b"\n" + key)
    return file


def _spend(path: Path, me: str) -> tuple[bytes, dict[str, Any], int, int]:
    """Rename the file, so that nobody opens it again, and read its head: key, head, where the dealt part starts."""
    spent = path.with_suffix(".spent")
    if spent.exists():
        raise CorrelationReused(
            f"{path.name} was used before. Deal new correlations: a mask that is used twice reveals its values."
        )
    try:
        os.link(path, spent)  # fails if `spent` exists, so two processes cannot both pass
        path.unlink()
    except FileExistsError:
        raise CorrelationReused(f"{path.name} was used before. Deal new correlations.") from None
    except FileNotFoundError:
        raise InputError(f"no correlations at {path.name}") from None
    file = os.open(spent, os.O_RDWR)
    first = os.pread(file, 1 << 16, 0)
    line, newline, rest = first.removeprefix(MAGIC).partition(b"\n")
    if not first.startswith(MAGIC) or not newline or len(rest) < KEY_BYTES:
        raise InputError(f"{path.name} holds no correlations, or its head is damaged")
    head = json.loads(line)
    if head["party"] != me:
        raise InputError(f"{path.name} was dealt for {head['party']}, not for {me}")
    start = len(MAGIC) + len(line) + 1 + KEY_BYTES
    os.pwrite(file, bytes(KEY_BYTES), start - KEY_BYTES)  # the seed does not outlive its use on disk
    return rest[:KEY_BYTES], head, start, file


class _Mute:
    """The parts of a channel that a file does not have."""

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.traffic = Traffic()

    def flush(self) -> None:
        """Written as it is posted."""

    def wait(self, seconds: float) -> None:
        """A file does not answer later."""
        raise CorrelationExhausted(
            f"nothing more was dealt by {self.peer}; waited for {seconds:g} s. Deal correlations for the whole job."
        )

    def abort(self, reason: str) -> None:
        """Nobody to tell."""

    def close(self) -> None:
        """Closed by its owner."""


@final
class _Deaf(_Mute):
    """Stands for a party that an offline job never talks to."""

    def post(self, operation: int, payload: Any) -> None:
        """Refuse."""
        del payload
        raise UnsupportedOperation(f"operation {operation} sends to {self.peer}, which an offline dealer cannot reach")

    def take(self, operation: int, into: memoryview) -> bool:
        """Refuse."""
        del into
        raise UnsupportedOperation(
            f"operation {operation} needs a message from {self.peer}, which takes no part while correlations are dealt or used "
            "offline. Sorting and reveals to the helper need Assisted with a live helper."
        )


@final
class _Writer(_Mute):
    """The follower's file, as the helper sees it."""

    def __init__(self, peer: str, file: int) -> None:
        super().__init__(peer)
        self._file = file

    def post(self, operation: int, payload: Any) -> None:
        """Append one dealt message."""
        view = memoryview(payload).cast("B")
        self.traffic.messages_sent += 1
        self.traffic.payload_sent += view.nbytes
        os.write(self._file, ENTRY.pack(operation, view.nbytes))
        while view.nbytes:
            view = view[os.write(self._file, view) :]

    def take(self, operation: int, into: memoryview) -> bool:
        """The follower never writes to the helper."""
        del into
        raise UnsupportedOperation(
            f"operation {operation} needs a message from {self.peer}, which an offline dealer cannot receive"
        )


@final
class _Reader(_Mute):
    """The file, as the follower sees its absent helper."""

    def __init__(self, peer: str, path: Path, file: int, start: int) -> None:
        super().__init__(peer)
        self._path = path
        self._file = file
        self._at = start

    def post(self, operation: int, payload: Any) -> None:
        """Refuse: the helper is gone."""
        del payload
        raise UnsupportedOperation(
            f"operation {operation} sends to the helper {self.peer}, which dealt offline and is gone"
        )

    def take(self, operation: int, into: memoryview) -> bool:
        """The next dealt message; blanked on disk once it was read."""
        head = os.pread(self._file, ENTRY.size, self._at)
        if len(head) < ENTRY.size:
            raise CorrelationExhausted(
                f"{self._path.name} has no correlation left at operation {operation}. Deal correlations for the whole job."
            )
        _, size = ENTRY.unpack(head)
        view = into.cast("B") if into.nbytes else memoryview(bytearray())
        if size != view.nbytes:
            raise ProtocolMismatch(
                f"operation {operation} needs {view.nbytes} dealt bytes, {self._path.name} has {size} there: it was dealt for another job"
            )
        at = self._at + ENTRY.size
        while view.nbytes:
            got = os.preadv(self._file, [view], at)
            if not got:
                raise CorrelationExhausted(f"{self._path.name} ends within operation {operation}")
            view, at = view[got:], at + got
        os.pwrite(self._file, bytes(at - self._at - ENTRY.size), self._at + ENTRY.size)
        self._at = at
        self.traffic.messages_received += 1
        self.traffic.payload_received += size
        return True
