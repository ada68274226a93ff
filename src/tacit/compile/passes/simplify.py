"""Moves that cancel, and arithmetic that is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from tacit.compile.passes.edit import Editor
from tacit.compile.program import Program, Step

NONNEGATIVE = frozenset({"exp", "exp2", "sigmoid", "relu", "square", "softmax", "sqrt", "rsqrt", "abs"})
MANY = 4096
PRESERVES_SIGN = frozenset(
    {"sum", "reshape", "transpose", "broadcast", "slice", "reverse", "take", "max", "min", "mean", "cumsum"}
)


def simplify(program: Program) -> Program:
    """Join chains of reshapes, transposes and constant factors; drop what changes nothing (|exp(x)|, --x)."""
    edit = Editor(program)
    positive: set[int] = set()
    for original in program.steps:
        step = edit.current(original)
        rule = _RULES.get(step.name)
        if rule is None or not rule(edit, step, positive):
            edit.keep(step)
        out = edit.now(step.outputs[0]) if step.outputs else -1
        written = edit.producer.get(out)
        if written is not None and _is_nonnegative(edit, written, positive):
            positive.add(out)
    return edit.finish()


def _is_nonnegative(edit: Editor, step: Step, positive: set[int]) -> bool:
    if step.name in NONNEGATIVE:
        return True
    if step.name in PRESERVES_SIGN:
        return step.inputs[0] in positive
    if step.name in {"add", "mul"}:
        return all(s in positive or ((v := edit.scalar(s)) is not None and v >= 0) for s in step.inputs)
    return step.name == "convert" and edit.slots[step.inputs[0]].kind == "bool"


def _after_negation(edit: Editor, step: Step) -> bool:
    """f(-x) = -f(x) for linear f: signs move outwards, where sums and differences absorb them."""
    before = edit.producer.get(step.inputs[0])
    if before is None or before.name != "neg":
        return False
    out = edit.slots[step.outputs[0]]
    inner = edit.emit(step.name, before.inputs, out, step.line, **step.params)
    edit.replace(step.outputs[0], edit.emit("neg", [inner], out, step.line))
    return True


def _reshape(edit: Editor, step: Step, _: set[int]) -> bool:
    if _after_negation(edit, step):
        return True
    (source,), (out,) = step.inputs, step.outputs
    before = edit.producer.get(source)
    if before is not None and before.name == "reshape":
        source = before.inputs[0]
    if edit.slots[source].shape == edit.slots[out].shape:
        edit.replace(out, source)
        return True
    if source == step.inputs[0]:
        return False
    edit.replace(out, edit.emit("reshape", [source], edit.slots[out], step.line, shape=edit.slots[out].shape))
    return True


def _transpose(edit: Editor, step: Step, _: set[int]) -> bool:
    """Compose with an earlier transpose; one that only moves axes of length one is a reshape."""
    (source,), (out,) = step.inputs, step.outputs
    axes = tuple(step.params["axes"])
    before = edit.producer.get(source)
    composed = before is not None and before.name == "transpose"
    if composed and before is not None:
        axes = tuple(before.params["axes"][a] for a in axes)
        source = before.inputs[0]
    shape = edit.slots[source].shape
    if axes == tuple(range(len(axes))):
        edit.replace(out, source)
        return True
    long = [a for a in axes if shape[a] != 1]
    if long == sorted(long):
        edit.replace(out, edit.emit("reshape", [source], edit.slots[out], step.line, shape=edit.slots[out].shape))
        return True
    if not composed:
        return False
    edit.replace(out, edit.emit("transpose", [source], edit.slots[out], step.line, axes=axes))
    return True


def _broadcast(edit: Editor, step: Step, _: set[int]) -> bool:
    """A reshape that only adds axes of length one is part of the broadcast that follows."""
    if _after_negation(edit, step):
        return True
    (source,), (out,) = step.inputs, step.outputs
    before = edit.producer.get(source)
    if before is None or before.name != "reshape":
        return False
    inner, outer = edit.slots[before.inputs[0]].shape, edit.slots[source].shape
    places = [a for a, n in enumerate(outer) if n != 1]
    if [outer[a] for a in places] != list(inner):
        return False
    axes = tuple(step.params["axes"][a] for a in places)
    shape = edit.slots[out].shape
    edit.replace(out, edit.emit("broadcast", [before.inputs[0]], edit.slots[out], step.line, shape=shape, axes=axes))
    return True


def _neg(edit: Editor, step: Step, _: set[int]) -> bool:
    before = edit.producer.get(step.inputs[0])
    if before is None:
        return False
    if before.name == "neg":
        edit.replace(step.outputs[0], before.inputs[0])
        return True
    if before.name == "mul":
        for factor, x in (before.inputs, before.inputs[::-1]):
            c = edit.scalar(factor)
            out = edit.slots[step.outputs[0]]
            if c is not None and edit.slots[x].shape == out.shape:
                turned = edit.constant(-c, edit.slots[factor].kind, edit.slots[factor].dtype)
                edit.replace(step.outputs[0], edit.emit("mul", [x, turned], out, step.line))
                return True
    if before.name == "sub":
        edit.replace(step.outputs[0], edit.emit("sub", before.inputs[::-1], edit.slots[step.outputs[0]], step.line))
        return True
    return False


def _sum_of_signs(edit: Editor, step: Step, _: set[int]) -> bool:
    """x + (-y) = x - y, x - (-y) = x + y."""
    x, y = step.inputs
    out = edit.slots[step.outputs[0]]
    right, left = edit.producer.get(y), edit.producer.get(x)
    other = "sub" if step.name == "add" else "add"
    if right is not None and right.name == "neg":
        edit.replace(step.outputs[0], edit.emit(other, [x, right.inputs[0]], out, step.line))
        return True
    if step.name == "add" and left is not None and left.name == "neg":
        edit.replace(step.outputs[0], edit.emit("sub", [y, left.inputs[0]], out, step.line))
        return True
    return False


def _factor(edit: Editor, step: Step, _: set[int]) -> bool:
    """c * (d * x) = (c d) * x for public c, d, where no digit that fixed point keeps is lost; (-x) * y = -(x * y)."""
    if step.inputs[0] == step.inputs[1]:
        edit.replace(step.outputs[0], edit.emit("square", step.inputs[:1], edit.slots[step.outputs[0]], step.line))
        return True
    for factor, rest in (step.inputs, step.inputs[::-1]):
        c = edit.scalar(factor)
        if c is None:
            continue
        out = edit.slots[step.outputs[0]]
        before = edit.producer.get(rest)
        if edit.slots[factor].shape and edit.slots[rest].shape == out.shape:
            scalar = edit.constant(c, edit.slots[factor].kind, edit.slots[factor].dtype)
            edit.replace(step.outputs[0], edit.emit("mul", [rest, scalar], out, step.line))
            return True
        if before is None or before.name not in {"mul", "neg"} or edit.slots[rest].shape != out.shape:
            break
        if before.name == "neg":
            new = edit.constant(-c, out.kind, out.dtype)
            edit.replace(step.outputs[0], edit.emit("mul", [before.inputs[0], new], out, step.line))
            return True
        for inner, x in (before.inputs, before.inputs[::-1]):
            d = edit.scalar(inner)
            if d is None or edit.slots[x].shape != out.shape or edit.slots[x].kind != out.kind:
                continue
            if out.kind == "fixed" and not 2.0**-20 <= abs(c * d) <= 2.0**20:
                return False
            if _is_mean(edit, x, d):
                return False
            new = edit.constant(c * d, out.kind, out.dtype)
            edit.replace(step.outputs[0], edit.emit("mul", [x, new], out, step.line))
            return True
    for place, slot in enumerate(step.inputs):
        negated = edit.producer.get(slot)
        if negated is not None and negated.name == "neg":
            out = edit.slots[step.outputs[0]]
            product = edit.emit("mul", [negated.inputs[0], step.inputs[1 - place]], out, step.line)
            edit.replace(step.outputs[0], edit.emit("neg", [product], out, step.line))
            return True
    return False


def _is_mean(edit: Editor, total: int, factor: float) -> bool:
    """Say whether a factor makes a mean of a sum of so many terms that the library's mean is better: it divides in two steps."""
    before = edit.producer.get(total)
    if before is None or before.name != "sum":
        return False
    shape = edit.slots[before.inputs[0]].shape
    terms = prod(shape[a] for a in before.params["axes"])
    return terms > MANY and abs(factor * terms - 1) < 1e-6


def _abs(edit: Editor, step: Step, positive: set[int]) -> bool:
    before = edit.producer.get(step.inputs[0])
    if before is not None and before.name == "neg" and step.name == "abs":
        edit.replace(step.outputs[0], edit.emit("abs", before.inputs, edit.slots[step.outputs[0]], step.line))
        return True
    if step.inputs[0] in positive:
        edit.replace(step.outputs[0], step.inputs[0])
        return True
    return False


def _relu(edit: Editor, step: Step, positive: set[int]) -> bool:
    if step.name == "maximum" and edit.scalar(step.inputs[1]) != 0:
        return False
    return _abs(edit, step, positive)


def _select(edit: Editor, step: Step, _: set[int]) -> bool:
    """A branch that is one public value everywhere is that value."""
    out = edit.slots[step.outputs[0]]
    condition, *branches = step.inputs
    if edit.slots[condition].shape != out.shape:
        return False
    inputs = [condition]
    for slot in branches:
        value = edit.scalar(slot)
        small = value is None or edit.slots[slot].shape == ()
        inputs.append(
            slot if small or value is None else edit.constant(value, edit.slots[slot].kind, edit.slots[slot].dtype)
        )
    if tuple(inputs) == step.inputs:
        return False
    edit.replace(step.outputs[0], edit.emit("select", inputs, out, step.line))
    return True


def _convert(edit: Editor, step: Step, _: set[int]) -> bool:
    """bool -> int -> fixed is bool -> fixed."""
    before = edit.producer.get(step.inputs[0])
    if before is None or before.name != "convert" or step.params["kind"] != "fixed":
        return False
    if edit.slots[before.inputs[0]].kind != "bool":
        return False
    edit.replace(
        step.outputs[0], edit.emit("convert", before.inputs, edit.slots[step.outputs[0]], step.line, kind="fixed")
    )
    return True


def _sum(edit: Editor, step: Step, _: set[int]) -> bool:
    """The sum of a repeated value is a multiple of it."""
    if _after_negation(edit, step):
        return True
    before = edit.producer.get(step.inputs[0])
    if before is None or before.name != "broadcast" or edit.slots[step.inputs[0]].kind == "bool":
        return False
    source = edit.slots[before.inputs[0]]
    wide, axes = edit.slots[step.inputs[0]].shape, step.params["axes"]
    kept = {place for place, n in zip(before.params["axes"], source.shape, strict=True) if n == wide[place]}
    if any(axis in kept and wide[axis] != 1 for axis in axes):
        return False
    out = edit.slots[step.outputs[0]]
    if prod(source.shape) != prod(out.shape):
        return False
    count = edit.constant(np.asarray(prod(wide[a] for a in axes)), out.kind, out.dtype)
    same = edit.emit("reshape", before.inputs, out, step.line, shape=out.shape)
    edit.replace(step.outputs[0], edit.emit("mul", [same, count], out, step.line))
    return True


_RULES: Mapping[str, Callable[[Editor, Step, set[int]], bool]] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast": _broadcast,
    "neg": _neg,
    "add": _sum_of_signs,
    "sub": _sum_of_signs,
    "mul": _factor,
    "abs": _abs,
    "relu": _relu,
    "maximum": _relu,
    "convert": _convert,
    "select": _select,
    "sum": _sum,
}
