"""Deferred truncation: one for a sum of products instead of one for each."""

from __future__ import annotations

from dataclasses import replace
from math import frexp, prod

import numpy as np

from tacit.compile.passes.edit import Editor
from tacit.compile.program import Program, Step

PRODUCTS = frozenset({"mul", "square", "dot_general", "conv", "conv_image_gradient", "conv_kernel_gradient"})
LINEAR = frozenset({"add", "sub", "neg", "sum", "reshape", "transpose"})
MAX_GROWTH = 2**12
"""Summed elements up to which the raised scale is trusted to leave room; a product keeps |value| < 2**(62 - 2 bits)."""
MAX_EXTRA = 4
"""Additional fraction bits of a public factor (one below 1/16 needs more) up to which it may stay raised."""


def defer_truncation(program: Program) -> Program:
    """Keep products at twice the scale where they are only added up, and truncate the sum."""
    uses = program.uses()
    producers = program.producers()
    readers: dict[int, list[Step]] = {}
    for step in program.steps:
        for slot in step.inputs:
            readers.setdefault(slot, []).append(step)
    outputs = set(program.outputs)

    def absorbed(slot: int) -> bool:
        """Whether one linear step is all that reads a slot."""
        return (
            uses[slot] == 1
            and slot not in outputs
            and readers[slot][0].name in LINEAR
            and _real(program, readers[slot][0])
        )

    kept: set[int] = set()
    roots: set[int] = set()
    for step in program.steps:
        out = step.outputs[0] if step.outputs else -1
        if step.name not in LINEAR or not _real(program, step) or absorbed(out):
            continue
        leaves = _leaves(program, producers, absorbed, step)
        products = [
            leaf for leaf in leaves if leaf in producers and _can_wait(program, producers[leaf]) and absorbed(leaf)
        ]
        before = sum(program.slots[leaf].size for leaf in products)
        if before <= program.slots[out].size or _growth(program, producers, absorbed, out) > MAX_GROWTH:
            continue
        kept.update(products)
        roots.add(out)
    return _rewritten(program, kept, roots) if roots else program


def _rewritten(program: Program, kept: set[int], roots: set[int]) -> Program:
    edit = Editor(program)
    for original in program.steps:
        step = edit.current(original)
        out = step.outputs[0] if step.outputs else -1
        if out in kept:
            edit.keep(replace(step, params={**step.params, "keep": True}))
        elif out in roots:
            raised = edit.slot(edit.slots[out])
            edit.keep(replace(step, outputs=(raised,)))
            edit.replace(out, edit.emit("rescale", [raised], edit.slots[out], step.line))
        else:
            edit.keep(step)
    return edit.finish()


def _real(program: Program, step: Step) -> bool:
    """Whether a linear step adds up real secrets only: truth values and integers have no scale to share."""
    return all(program.slots[slot].kind == "fixed" for slot in (*step.inputs, *step.outputs))


def _leaves(program: Program, producers: dict[int, Step], absorbed: object, root: Step) -> list[int]:
    """What the tree of linear steps under a root adds up."""
    leaves: list[int] = []
    pending = list(root.inputs)
    while pending:
        slot = pending.pop()
        step = producers.get(slot)
        if step is not None and step.name in LINEAR and _real(program, step) and absorbed(slot):  # type: ignore[operator]
            pending.extend(step.inputs)
        else:
            leaves.append(slot)
    return leaves


def _growth(program: Program, producers: dict[int, Step], absorbed: object, root: int) -> int:
    """The largest number of elements that are added into one, along any path to the root."""
    step = producers.get(root)
    if step is None or step.name not in LINEAR or not _real(program, step):
        return 1
    inner = [_growth(program, producers, absorbed, slot) if absorbed(slot) else 1 for slot in step.inputs]  # type: ignore[operator]
    if step.name == "sum":
        return inner[0] * prod(program.slots[step.inputs[0]].shape[a] for a in step.params["axes"])
    return sum(inner) if step.name in {"add", "sub"} else inner[0]


def _can_wait(program: Program, step: Step) -> bool:
    """Whether a product may keep its raised scale: real times real, or a public factor of few extra bits."""
    if step.name not in PRODUCTS:
        return False
    sides = [program.slots[slot] for slot in step.inputs]
    if program.slots[step.outputs[0]].kind != "fixed" or any(side.kind != "fixed" for side in sides):
        return False
    for slot, side in zip(step.inputs, sides, strict=True):
        if side.public:
            array = program.constants.get(slot)
            if array is None or array.size == 0 or not np.isfinite(array).all():
                return False
            peak = float(np.abs(array).max())
            if peak == 0 or max(0, -frexp(peak)[1]) > MAX_EXTRA or bool(np.all(array == np.rint(array))):
                return False
    return True
