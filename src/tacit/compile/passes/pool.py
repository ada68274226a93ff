"""relu after max-pooling instead of before it: fewer elements, the same result."""

from __future__ import annotations

from tacit.compile.passes.edit import Editor
from tacit.compile.program import Program

MOVES = frozenset({"reshape", "transpose", "take", "slice", "broadcast"})


def commute_pooling(program: Program) -> Program:
    """max(relu(x)) over windows becomes relu(max(x)), where nothing else reads the relu."""
    uses = program.uses()
    producers = program.producers()
    passed: dict[int, int] = {}  # output of a relu to skip -> the maximum that comes before it now
    for step in program.steps:
        if step.name != "max" or program.slots[step.outputs[0]].kind == "bool":
            continue
        slot = step.inputs[0]
        while slot in producers and producers[slot].name in MOVES and uses[slot] == 1:
            slot = producers[slot].inputs[0]
        relu = producers.get(slot)
        if relu is not None and relu.name == "relu" and uses[slot] == 1:
            passed[slot] = step.outputs[0]
    if not passed:
        return program
    edit = Editor(program)
    late = set(passed.values())
    for original in program.steps:
        step = edit.current(original)
        if original.name == "relu" and original.outputs[0] in passed:
            edit.replace(original.outputs[0], step.inputs[0])
            continue
        edit.keep(step)
        if original.outputs and original.outputs[0] in late:
            out = original.outputs[0]
            pooled = edit.slot(edit.slots[out])
            edit.steps[-1] = type(step)(step.name, step.inputs, (pooled,), step.params, step.line, step.bodies)
            edit.producer[pooled] = edit.steps[-1]
            edit.replace(out, edit.emit("relu", [pooled], edit.slots[out], step.line))
    return edit.finish()
