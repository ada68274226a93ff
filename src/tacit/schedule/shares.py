"""Shares at rest: one party's shares of named values in one file of its own.

Format: a line of JSON (version, party-independent model name, protocol, and for each value its kind, scale, shape and number
of arrays), then the raw little-endian arrays, then SHA-256 of all that. Nothing is unpickled; sizes are checked first.
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

VERSION = 1
MAX_HEAD = 1 << 20


def write_shares(path: Path, kernel: Kernel, model: str, values: Mapping[str, Value]) -> None:
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
    head = {"version": VERSION, "model": model, "protocol": type(kernel).__name__, "values": entries}
    data = json.dumps(head, sort_keys=True).encode() + b"\n" + body
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data + hashlib.sha256(data).digest())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_shares(path: Path, kernel: Kernel, names: Sequence[str]) -> tuple[str, list[Value]]:
    """The model's name and the named values. Raises InputError for a file that is missing, damaged or does not fit."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"no share file {path.name}: {error.strerror}") from None
    if len(data) < hashlib.sha256().digest_size or hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise InputError(f"{path.name} is damaged: its digest does not fit. Restore it from a copy.")
    line, _, body = data[:-32].partition(b"\n")
    head = json.loads(line[:MAX_HEAD])
    if head["version"] != VERSION or head["protocol"] != type(kernel).__name__:
        raise InputError(
            f"{path.name} holds shares of {head['protocol']} version {head['version']}, not of {type(kernel).__name__} {VERSION}"
        )
    found: dict[str, Value] = {}
    at = 0
    for entry in head["values"]:
        shape = tuple(entry["shape"])
        size = 8 * prod(shape)
        arrays = []
        for _ in range(entry["arrays"]):
            arrays.append(np.frombuffer(body, np.uint64, size // 8, at).reshape(shape).copy())
            at += size
        share = kernel.restore(shape, arrays)
        found[entry["name"]] = Integer(share) if entry["bits"] is None else Fixed(share, entry["bits"])
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(f"{path.name} holds {sorted(found)}, but not {missing[0]!r}")
    return head["model"], [found[name] for name in names]
