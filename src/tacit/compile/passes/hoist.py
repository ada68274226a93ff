"""Loop-invariant code."""

from __future__ import annotations

from dataclasses import replace

from tacit.compile.passes.edit import Editor
from tacit.compile.program import Program, Step


def hoist(program: Program) -> Program:
    """Move steps of a loop's body that read neither carry nor row in front of the loop."""
    if not any(step.name == "scan" for step in program.steps):
        return program
    edit = Editor(program)
    for original in program.steps:
        step = edit.current(original)
        edit.keep(_hoisted(edit, step) if step.name == "scan" else step)
    return edit.finish()


def _hoisted(edit: Editor, step: Step) -> Step:
    body = step.bodies[0]
    consts = int(step.params["consts"])
    outside = dict(
        zip(body.inputs[:consts], step.inputs[:consts], strict=True)
    )  # body slot -> slot in front of the loop
    stay: list[Step] = []
    moved: set[int] = set()
    for inner in body.steps:
        invariant = all(slot in outside or slot in body.constants for slot in inner.inputs) and not inner.bodies
        if not invariant or not any(slot in outside for slot in inner.inputs):
            stay.append(inner)
            continue
        inputs = []
        for slot in inner.inputs:
            if slot not in outside:
                declared = body.slots[slot]
                outside[slot] = edit.constant(body.constants[slot], declared.kind, declared.dtype)
            inputs.append(outside[slot])
        outputs = tuple(edit.slot(body.slots[slot]) for slot in inner.outputs)
        edit.keep(replace(inner, inputs=tuple(inputs), outputs=outputs))
        outside.update(zip(inner.outputs, outputs, strict=True))
        moved.update(inner.outputs)
    if not moved:
        return step
    needed = {slot for inner in stay for slot in inner.inputs} | set(body.outputs)
    fresh = [slot for slot in sorted(moved) if slot in needed]
    inner_program = replace(body, inputs=(*body.inputs[:consts], *fresh, *body.inputs[consts:]), steps=tuple(stay))
    return replace(
        step,
        inputs=(*step.inputs[:consts], *(outside[slot] for slot in fresh), *step.inputs[consts:]),
        params={**step.params, "consts": consts + len(fresh)},
        bodies=(inner_program,),
    )
