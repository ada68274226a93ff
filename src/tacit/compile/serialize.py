"""Programs as bytes: a JSON header and raw little-endian arrays, checked against bounds before anything is built.

Layout: magic, header length (8 bytes, little-endian), header (canonical JSON), arrays one after another. The digest
names a program in policies, ledgers and caches; it leaves source lines out, for they change nothing that is computed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tacit.compile.program import CONSTANT_DTYPES, KINDS, Constant, Program, SlotType, Step, validate
from tacit.foundation.errors import CompileError

MAGIC = b"TACITPROGRAM\x00\x01"
MAX_HEADER = 1 << 28
MAX_BYTES = 1 << 34
MAX_DEPTH = 32
MAX_RANK = 32


def dump(program: Program) -> bytes:
    """The canonical bytes of a program, source lines included."""
    return _dump(program, lines=True)


def digest(program: Program) -> str:
    """The SHA-256, in hexadecimal, of the canonical bytes without source lines."""
    return hashlib.sha256(_dump(program, lines=False)).hexdigest()


def load(data: bytes) -> Program:
    """The program of `dump`; CompileError for anything that is not one. Runs nothing."""
    if len(data) > MAX_BYTES:
        raise CompileError(f"the program has {len(data)} bytes; {MAX_BYTES} are allowed")
    if not data.startswith(MAGIC) or len(data) < len(MAGIC) + 8:
        raise CompileError("these bytes are not a program of this version")
    start = len(MAGIC) + 8
    length = int.from_bytes(data[len(MAGIC) : start], "little")
    if length > MAX_HEADER or start + length > len(data):
        raise CompileError(f"the program's header claims {length} bytes, more than there are")
    try:
        header = json.loads(data[start : start + length].decode("utf-8"))
        program = _read(header, memoryview(data)[start + length :], 0)
    except CompileError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, OverflowError) as error:
        raise CompileError(f"the program's header is malformed ({type(error).__name__})") from None
    validate(program)
    return program


# --- writing --------------------------------------------------------------------------------------------------------


def _dump(program: Program, *, lines: bool) -> bytes:
    blobs: list[bytes] = []
    header = json.dumps(_header(program, blobs, [0], lines), separators=(",", ":"), sort_keys=True).encode()
    return b"".join([MAGIC, len(header).to_bytes(8, "little"), header, *blobs])


def _header(program: Program, blobs: list[bytes], offset: list[int], lines: bool) -> dict[str, Any]:
    constants = []
    for slot in sorted(program.constants):
        array = program.constants[slot]
        raw = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        constants.append([slot, offset[0], len(raw)])
        offset[0] += len(raw)
        blobs.append(raw)
    return {
        "slots": [[list(t.shape), t.kind, t.dtype, t.public] for t in program.slots],
        "inputs": list(program.inputs),
        "constants": constants,
        "steps": [
            {
                "name": step.name,
                "inputs": list(step.inputs),
                "outputs": list(step.outputs),
                "params": dict(step.params),
                "line": step.line if lines else "",
                "bodies": [_header(body, blobs, offset, lines) for body in step.bodies],
            }
            for step in program.steps
        ],
        "outputs": list(program.outputs),
    }


# --- reading --------------------------------------------------------------------------------------------------------


def _read(header: Mapping[str, Any], blob: memoryview, depth: int) -> Program:
    if depth > MAX_DEPTH:
        raise CompileError(f"bodies are nested deeper than {MAX_DEPTH}")
    slots = tuple(_slot(*entry) for entry in header["slots"])
    constants: dict[int, Constant] = {}
    for slot, offset, size in header["constants"]:
        constants[_index(slot, len(slots))] = _array(slots[slot], blob, _natural(offset), _natural(size))
    steps = tuple(
        Step(
            name=_text(entry["name"]),
            inputs=tuple(_index(slot, len(slots)) for slot in entry["inputs"]),
            outputs=tuple(_index(slot, len(slots)) for slot in entry["outputs"]),
            params={_text(name): freeze(value) for name, value in entry["params"].items()},
            line=_text(entry["line"]),
            bodies=tuple(_read(body, blob, depth + 1) for body in entry["bodies"]),
        )
        for entry in header["steps"]
    )
    inputs = tuple(_index(slot, len(slots)) for slot in header["inputs"])
    outputs = tuple(_index(slot, len(slots)) for slot in header["outputs"])
    return Program(slots, inputs, constants, steps, outputs)


def freeze(value: Any) -> Any:
    """A JSON value with tuples for lists, as parameters are written."""
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise CompileError(f"a parameter of type {type(value).__name__} cannot be part of a program")


def _slot(shape: list[int], kind: Any, dtype: str, public: bool) -> SlotType:
    if kind not in KINDS or not isinstance(public, bool) or len(shape) > MAX_RANK:
        raise CompileError("a slot's type is malformed")
    slot = SlotType(tuple(_natural(extent) for extent in shape), kind, _text(dtype), public)
    if slot.size > MAX_BYTES:
        raise CompileError(f"a slot of {slot.size} elements is too large")
    return slot


def _array(declared: SlotType, blob: memoryview, offset: int, size: int) -> Constant:
    dtype = np.dtype(CONSTANT_DTYPES[declared.kind]).newbyteorder("<")
    if offset + size > len(blob) or size != declared.size * dtype.itemsize:
        raise CompileError("a constant lies outside of the program's bytes")
    raw = blob[offset : offset + size]
    if declared.kind == "bool" and np.frombuffer(raw, np.uint8).max(initial=0) > 1:
        raise CompileError("a truth value is neither 0 nor 1")
    array = np.frombuffer(raw, dtype).reshape(declared.shape).astype(CONSTANT_DTYPES[declared.kind])
    array.setflags(write=False)
    return array


def _natural(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise CompileError("a size or position is not a natural number")
    return value


def _index(value: Any, count: int) -> int:
    if _natural(value) >= count:
        raise CompileError(f"slot {value} does not exist; the program has {count}")
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise CompileError("a name is not a text")
    return value
