"""Public factors move outwards, where they meet each other and fewer elements.

c x y = c (x y), sum(c x) = c sum(x), c x + c y = c (x + y). A factor below one that is applied first costs digits that the
following product would have needed; applied last it costs one truncation of the smallest tensor.
"""

from __future__ import annotations

from tacit.compile.passes.edit import Editor
from tacit.compile.program import Program, Step

PRODUCTS = frozenset({"mul", "dot_general", "conv", "conv_image_gradient", "conv_kernel_gradient"})
MOVES = frozenset({"sum", "reshape", "transpose"})
ROUNDS = 8


def factor(program: Program) -> Program:
    """Pull public scalar factors out of products, sums and differences; repeated until nothing moves."""
    for _ in range(ROUNDS):
        edit = Editor(program)
        uses = program.uses()
        moved = False
        for original in program.steps:
            step = edit.current(original)
            if _pulled(edit, step, uses):
                moved = True
            else:
                edit.keep(step)
        if not moved:
            break
        program = edit.finish()
    return program


def _pulled(edit: Editor, step: Step, uses: list[int]) -> bool:
    if step.name in PRODUCTS:
        return _from_product(edit, step, uses)
    if step.name in MOVES:
        return _from_move(edit, step, uses)
    return step.name in {"add", "sub"} and _from_sum(edit, step, uses)


def _from_product(edit: Editor, step: Step, uses: list[int]) -> bool:
    """(c x) y = c (x y) for secret y."""
    out = edit.slots[step.outputs[0]]
    for place, slot in enumerate(step.inputs):
        found = _scaled(edit, slot, uses)
        if found is None or edit.slots[step.inputs[1 - place]].public or out.kind != "fixed":
            continue
        x, c = found
        operands = [x, step.inputs[1]] if place == 0 else [step.inputs[0], x]
        product = edit.emit(step.name, operands, out, step.line, **step.params)
        edit.replace(step.outputs[0], _times(edit, product, c, step))
        return True
    return False


def _from_move(edit: Editor, step: Step, uses: list[int]) -> bool:
    """f(c x) = c f(x) for linear f that adds no elements."""
    found = _scaled(edit, step.inputs[0], uses)
    if found is None:
        return False
    x, c = found
    moved = edit.emit(step.name, [x], edit.slots[step.outputs[0]], step.line, **step.params)
    edit.replace(step.outputs[0], _times(edit, moved, c, step))
    return True


def _from_sum(edit: Editor, step: Step, uses: list[int]) -> bool:
    """c x + c y = c (x + y), and with opposite signs c (x - y)."""
    left, right = (_scaled(edit, slot, uses) for slot in step.inputs)
    out = edit.slots[step.outputs[0]]
    if left is None or right is None or abs(left[1]) != abs(right[1]) or left[1] == 0:
        return False
    if edit.slots[left[0]].shape != out.shape or edit.slots[right[0]].shape != out.shape:
        return False
    name = step.name if left[1] == right[1] else {"add": "sub", "sub": "add"}[step.name]
    total = edit.emit(name, [left[0], right[0]], out, step.line)
    edit.replace(step.outputs[0], _times(edit, total, left[1], step))
    return True


def _scaled(edit: Editor, slot: int, uses: list[int]) -> tuple[int, float] | None:
    """(x, c) where a slot that nothing else reads is c x for a public scalar c and a secret real x of the same shape."""
    step = edit.producer.get(slot)
    if step is None or step.name != "mul" or slot >= len(uses) or uses[slot] > 1 or edit.slots[slot].kind != "fixed":
        return None
    for constant, x in (step.inputs, step.inputs[::-1]):
        c = edit.scalar(constant)
        if c is not None and not edit.slots[x].public and edit.slots[x] == edit.slots[slot]:
            return x, c
    return None


def _times(edit: Editor, slot: int, c: float, step: Step) -> int:
    out = edit.slots[step.outputs[0]]
    return edit.emit("mul", [slot, edit.constant(c, "fixed", out.dtype)], out, step.line)
