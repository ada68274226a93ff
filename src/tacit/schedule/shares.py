"""Shares at rest: one party's shares of named values in one file of its own.

Format: a line of JSON (version, model name, which is the same in all parties' files of one save, protocol, party, and for each
value its scale, shape and number of arrays), then the raw little-endian arrays, then SHA-256 of all that. Nothing is unpickled; sizes are checked first.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from tacit.foundation.errors import InputError
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Fixed, Integer, Value

VERSION = 2
DIGEST_BYTES = 32
MAX_HEAD = 1 << 20


def write_shares(path: Path, kernel: Kernel, party: str, model: str, values: Mapping[str, Value]) -> None:
    """Write this party's shares; the file is readable by its user only and replaces an older one at once."""
    entries: list[dict[str, Any]] = []
    body = b""
    for name, value in values.items():
        if not isinstance(value, (Fixed, Integer)):
            raise InputError(f"{name} is a truth value or public; only shared numbers are saved")
        arrays = [np.ascontiguousarray(array, "<u8") for array in kernel.dump(value.share)]
        bits = value.bits if isinstance(value, Fixed) else None
        entries.append({"name": name, "bits": bits, "shape": list(value.shape), "arrays": len(arrays)})
        body += b"".join(array.tobytes() for array in arrays)
    head = {"version": VERSION, "model": model, "protocol": type(kernel).__name__, "party": party, "values": entries}
    data = json.dumps(head, sort_keys=True).encode() + b"\n" + body
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data + hashlib.sha256(data).digest())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_shares(path: Path, kernel: Kernel, party: str, names: Sequence[str]) -> tuple[str, list[Value]]:
    """The model's name and the named values.

    Raises: InputError for a file that is missing, damaged, of another party or protocol, or lacks a value.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"no share file {path.name}: {error.strerror}") from None
    if len(data) < DIGEST_BYTES or not _fits(data):
        raise InputError(f"{path.name} is damaged: its digest does not fit. Restore it from a copy.")
    line, _, body = data[:-DIGEST_BYTES].partition(b"\n")
    try:
        head = json.loads(line[:MAX_HEAD])
        found = (head["version"], head["protocol"], head["party"])
        entries = [
            (str(entry["name"]), entry["bits"], tuple(map(int, entry["shape"])), int(entry["arrays"]))
            for entry in head["values"]
        ]
    except (ValueError, TypeError, KeyError):
        raise InputError(f"{path.name} is no share file of version {VERSION}") from None
    if found != (VERSION, type(kernel).__name__, party):
        raise InputError(
            f"{path.name} holds {found[2]}'s shares under {found[1]} (version {found[0]}), "
            f"not {party}'s under {type(kernel).__name__} (version {VERSION})"
        )
    values: dict[str, Value] = {}
    at = 0
    for name, bits, shape, count in entries:
        size = prod(shape)
        if min(shape, default=0) < 0 or at + 8 * size * count > len(body):
            raise InputError(f"{path.name} ends before the shares of {name!r}")
        arrays = [
            np.frombuffer(body, np.uint64, size, at + 8 * size * number).reshape(shape).copy()
            for number in range(count)
        ]
        at += 8 * size * count
        share = kernel.restore(shape, arrays)
        values[name] = Integer(share) if bits is None else Fixed(share, bits)
    missing = [name for name in names if name not in values]
    if missing:
        raise InputError(f"{path.name} holds {sorted(values)}, but not {missing[0]!r}")
    return str(head["model"]), [values[name] for name in names]


def _fits(data: bytes) -> bool:
    return hashlib.sha256(memoryview(data)[:-DIGEST_BYTES]).digest() == data[-DIGEST_BYTES:]
