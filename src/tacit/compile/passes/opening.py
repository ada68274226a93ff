"""Inputs that a loop multiplies row by row are made ready whole, before the loop.

A protocol that opens its factors under masks then opens such an input once: rows, columns and batches of it follow locally, in
every epoch, and in every later run on the same shares.
"""

from __future__ import annotations

from tacit.compile.passes.edit import Editor
from tacit.compile.program import Program, Step

PRODUCTS = frozenset({"mul", "square", "dot_general", "conv", "conv_image_gradient", "conv_kernel_gradient"})
MOVES = frozenset({"reshape", "transpose", "take", "slice", "concatenate", "reverse", "pad", "broadcast"})
SPARE = 2
"""An input is opened whole if the loop reads at least one element in so many."""


def open_early(program: Program) -> Program:
    """Prepare inputs whose rows a loop multiplies."""
    producers = program.producers()
    wanted: dict[int, None] = {}
    for step in program.steps:
        if step.name != "scan":
            continue
        multiplied = multiplied_inputs(step.bodies[0])
        first, second = step.params["consts"], step.params["consts"] + step.params["carry"]
        for place, slot in enumerate(step.inputs):
            if place in multiplied and not first <= place < second:
                wanted.update(dict.fromkeys(_sources(program, producers, slot)))
    if not wanted:
        return program
    edit = Editor(program)
    for slot in wanted:
        declared = edit.slots[slot]
        edit.replaced[slot] = edit.emit("prepare", [slot], declared, _first_line(program, slot))
    for original in program.steps:
        edit.keep(edit.current(original))
    return edit.finish()


def multiplied_inputs(body: Program) -> set[int]:
    """Which inputs of a body, by place, reach a product of two secrets through nothing but moves."""
    reached: set[int] = set()
    for step in body.steps:
        if step.name in PRODUCTS and not any(body.slots[slot].public for slot in step.inputs):
            reached.update(step.inputs)
        elif step.name == "scan":
            inner = multiplied_inputs(step.bodies[0])
            reached.update(slot for place, slot in enumerate(step.inputs) if place in inner)
    for step in reversed(body.steps):
        if step.name in MOVES and any(slot in reached for slot in step.outputs):
            reached.update(step.inputs)
    return {place for place, slot in enumerate(body.inputs) if slot in reached and _is_number(body, slot)}


def _sources(program: Program, producers: dict[int, Step], slot: int) -> list[int]:
    """The inputs of the program that a slot is made of by moves alone; none if anything else takes part."""
    found: dict[int, None] = {}
    pending = [slot]
    while pending:
        current = pending.pop()
        step = producers.get(current)
        if current in program.inputs:
            found[current] = None
        elif step is not None and step.name in MOVES:
            pending.extend(step.inputs)
        elif current not in program.constants:
            return []
    read = program.slots[slot].size
    inputs = [s for s in found if _is_number(program, s)]
    return inputs if sum(program.slots[s].size for s in inputs) <= SPARE * read else []


def _is_number(program: Program, slot: int) -> bool:
    declared = program.slots[slot]
    return not declared.public and declared.kind != "bool"


def _first_line(program: Program, slot: int) -> str:
    return next((step.line for step in program.steps if slot in step.inputs), "")
