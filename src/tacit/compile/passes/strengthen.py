"""Cheaper forms of the same: a truth value gates, and what is known already (a sign, a sigmoid) is not computed again."""

from __future__ import annotations

from tacit.compile.passes.edit import Editor
from tacit.compile.program import Program, Step

PRODUCTS = frozenset({"mul", "dot_general"})
MIRRORED = frozenset({"sigmoid", "softplus"})


def strengthen(program: Program) -> Program:
    """Multiply by truth values and integers as such, without a truncation; share comparisons, sigmoids and softplus."""
    compared = _compared_with_zero(program)
    mirrored = {(step.name, step.inputs[0]) for step in program.steps if step.name in MIRRORED}
    edit = Editor(program)
    for original in program.steps:
        step = edit.current(original)
        if step.name in PRODUCTS and _narrow_product(edit, step):
            continue
        if step.name == "relu" and step.inputs[0] in compared and not edit.slots[step.inputs[0]].public:
            _relu_by_selection(edit, step)
            continue
        if step.name in MIRRORED and _mirror(edit, step, mirrored):
            continue
        edit.keep(step)
    return edit.finish()


def _mirror(edit: Editor, step: Step, present: set[tuple[str, int]]) -> bool:
    """sigmoid(-x) = 1 - sigmoid(x) and softplus(-x) = softplus(x) - x, where the function of x is needed as well."""
    before = edit.producer.get(step.inputs[0])
    if before is None or before.name != "neg" or (step.name, before.inputs[0]) not in present:
        return False
    x, out = before.inputs[0], edit.slots[step.outputs[0]]
    value = edit.emit(step.name, [x], out, step.line)
    if step.name == "sigmoid":
        result = edit.emit("sub", [edit.constant(1.0, "fixed", out.dtype), value], out, step.line)
    else:
        result = edit.emit("sub", [value, x], out, step.line)
    edit.replace(step.outputs[0], result)
    return True


def _narrow_product(edit: Editor, step: Step) -> bool:
    """A factor that was converted to a real number only to be multiplied is used as it was."""
    out = edit.slots[step.outputs[0]]
    narrowed = list(step.inputs)
    for place, slot in enumerate(step.inputs):
        before = edit.producer.get(slot)
        if before is None or before.name != "convert" or before.params["kind"] != "fixed":
            continue
        source = before.inputs[0]
        other = edit.slots[step.inputs[1 - place]]
        if edit.slots[narrowed[1 - place]].kind != "fixed" or other.public:
            continue  # a product of two integers would no longer be real; a public factor is best met by the real one
        if edit.slots[source].kind == "bool" and step.name == "mul":
            return _gate(edit, step, source, step.inputs[1 - place])
        if edit.slots[source].kind == "bool":
            declared = edit.slots[slot]
            integer = type(declared)(declared.shape, "int", "int32", declared.public)
            source = edit.emit("convert", [source], integer, step.line, kind="int")
        narrowed[place] = source
    if tuple(narrowed) == step.inputs:
        return False
    edit.replace(step.outputs[0], edit.emit(step.name, narrowed, out, step.line, **step.params))
    return True


def _gate(edit: Editor, step: Step, condition: int, value: int) -> bool:
    """[condition] * value as a selection against zero."""
    out = edit.slots[step.outputs[0]]
    zero = edit.constant(0.0, "fixed", out.dtype)
    edit.replace(step.outputs[0], edit.emit("select", [condition, value, zero], out, step.line))
    return True


def _relu_by_selection(edit: Editor, step: Step) -> None:
    x, out = step.inputs[0], edit.slots[step.outputs[0]]
    zero = edit.constant(0, out.kind, out.dtype)
    sign = edit.emit("gt", [x, zero], type(out)(out.shape, "bool", "bool"), step.line)
    edit.replace(step.outputs[0], edit.emit("select", [sign, x, zero], out, step.line))


def _compared_with_zero(program: Program) -> set[int]:
    """Slots x for which [x > 0] is a step of its own."""
    compared = set()
    for step in program.steps:
        if step.name == "gt":
            x, y = step.inputs
            array = program.constants.get(y)
            if array is not None and array.size and not array.any():
                compared.add(x)
    return compared
