"""Sums of products as one product: the result's size is communicated, not the size of what is summed."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from tacit.compile.passes.edit import Editor
from tacit.compile.program import Program, Step

MAX_TERMS = 1024
"""Squares that are summed before their truncation in place of a mean of truncated ones: |sum| < 2**(62 - 2 bits)."""


def contract(program: Program) -> Program:
    """sum(x * y) and sum(x**2) become contractions; transposes of a contraction's operands become its axes."""
    edit = Editor(program)
    uses = program.uses()
    for original in program.steps:
        step = edit.current(original)
        if step.name in {"sum", "mean"} and _sum_of_products(edit, step, uses):
            continue
        if step.name == "dot_general" and _absorb_transposes(edit, step):
            continue
        edit.keep(step)
    return edit.finish()


def _sum_of_products(edit: Editor, step: Step, uses: list[int]) -> bool:
    source = step.inputs[0]
    before = edit.producer.get(source)
    if before is None or before.name not in {"mul", "square"} or (source < len(uses) and uses[source] > 1):
        return False
    x, y = before.inputs if before.name == "mul" else (before.inputs[0], before.inputs[0])
    shape, axes = edit.slots[source].shape, tuple(step.params["axes"])
    left, right = edit.slots[x], edit.slots[y]
    if left.shape != shape or right.shape != shape or left.public or right.public:
        return False
    if not {left.kind, right.kind} <= {"fixed", "int"}:
        return False
    terms = prod(shape[a] for a in axes)
    if step.name == "mean" and terms > MAX_TERMS:
        return False
    kept = tuple(a for a in range(len(shape)) if a not in axes)
    out = edit.slots[step.outputs[0]]
    product = edit.emit("dot_general", [x, y], out, step.line, contract=(axes, axes), batch=(kept, kept))
    if step.name == "mean":
        product = edit.emit("mul", [product, edit.constant(1.0 / terms, "fixed", out.dtype)], out, step.line)
    edit.replace(step.outputs[0], product)
    return True


def _absorb_transposes(edit: Editor, step: Step) -> bool:
    """dot(transpose(x), y) reads x itself, so that x is masked and opened once for all its uses."""
    sides = []
    for slot in step.inputs:
        before = edit.producer.get(slot)
        axes = tuple(before.params["axes"]) if before is not None and before.name == "transpose" else None
        sides.append((slot, None) if axes is None or before is None else (before.inputs[0], axes))
    if all(axes is None for _, axes in sides):
        return False
    contract_axes, batch_axes, free_orders = [], [], []
    for (slot, axes), contracted, batched in zip(sides, step.params["contract"], step.params["batch"], strict=True):
        rank = len(edit.slots[slot].shape)
        free = [a for a in range(rank) if a not in contracted and a not in batched]
        place = axes if axes is not None else tuple(range(rank))
        contract_axes.append(tuple(place[a] for a in contracted))
        batch_axes.append(tuple(place[a] for a in batched))
        moved = [place[a] for a in free]
        free_orders.append([sorted(moved).index(a) for a in moved])
    lead = len(batch_axes[0])
    order = list(range(lead))
    for offset, positions in zip((lead, lead + len(free_orders[0])), free_orders, strict=True):
        order += [offset + p for p in positions]
    out = edit.slots[step.outputs[0]]
    shape = [0] * len(order)
    for position, source in enumerate(order):
        shape[source] = out.shape[position]
    declared = replace(out, shape=tuple(shape))
    params = {**step.params, "contract": tuple(contract_axes), "batch": tuple(batch_axes)}
    product = edit.emit("dot_general", [slot for slot, _ in sides], declared, step.line, **params)
    if order != list(range(len(order))):
        product = edit.emit("transpose", [product], out, step.line, axes=tuple(order))
    edit.replace(step.outputs[0], product)
    return True
