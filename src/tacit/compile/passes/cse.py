"""Common sub-expressions."""

from __future__ import annotations

import json

from tacit.compile.passes.edit import Editor
from tacit.compile.program import Program

COMMUTATIVE = frozenset({"add", "mul", "maximum", "minimum", "eq", "ne", "logical_and", "logical_or", "logical_xor"})


def share(program: Program) -> Program:
    """Compute equal steps once: equal names, operands and parameters; equal constants count as equal operands."""
    edit = Editor(program)
    constants: dict[tuple[str, tuple[int, ...], bytes], int] = {}
    for slot, array in program.constants.items():
        first = constants.setdefault((array.dtype.str, array.shape, array.tobytes()), slot)
        edit.replace(slot, first)
    seen: dict[tuple[str, tuple[int, ...], str], tuple[int, ...]] = {}
    for original in program.steps:
        step = edit.current(original)
        if step.bodies:
            edit.keep(step)
            continue
        inputs = tuple(sorted(step.inputs)) if step.name in COMMUTATIVE else step.inputs
        key = (step.name, inputs, json.dumps(dict(step.params), sort_keys=True))
        if key in seen:
            for slot, first in zip(step.outputs, seen[key], strict=True):
                edit.replace(slot, first)
            continue
        seen[key] = step.outputs
        edit.keep(step)
    return edit.finish()
