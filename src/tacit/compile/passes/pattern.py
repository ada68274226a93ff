"""Patterns over steps, written as nested tuples.

`("mul", "x", ("sigmoid", "x"))` matches x * sigmoid(x). A text is a variable: it binds a slot, and must bind the same slot
again; a number matches a public constant of that value (to a relative 1e-5); `...` matches anything. Operands of
commutative steps match in either order. `("as", "e", p)` matches p and binds its slot to e. Broadcasts and reshapes that only repeat or add axes are looked through where a
pattern says `("spread", p)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import EllipsisType
from typing import Any, TypeAlias

from tacit.compile.passes.cse import COMMUTATIVE
from tacit.compile.passes.edit import Editor
from tacit.compile.program import Step

Pattern: TypeAlias = str | float | int | tuple[Any, ...] | EllipsisType
Binding: TypeAlias = dict[str, int]


def matches(
    edit: Editor, step: Step, pattern: tuple[Any, ...], binding: Binding | None = None
) -> Iterator[tuple[Binding, list[Step]]]:
    """Every way in which a step matches: the variables' slots, and the steps matched, outermost first."""
    if step.name != pattern[0] or len(step.inputs) != len(pattern) - 1:
        return
    orders = [step.inputs]
    if step.name in COMMUTATIVE and len(step.inputs) == 2:
        orders.append(step.inputs[::-1])
    for inputs in orders:
        yield from _operands(edit, inputs, pattern[1:], binding or {}, [step])


def _operands(
    edit: Editor, slots: tuple[int, ...], patterns: tuple[Any, ...], binding: Binding, steps: list[Step]
) -> Iterator[tuple[Binding, list[Step]]]:
    if not slots:
        yield binding, steps
        return
    for bound, matched in _operand(edit, slots[0], patterns[0], binding):
        yield from _operands(edit, slots[1:], patterns[1:], bound, [*steps, *matched])


def _operand(edit: Editor, slot: int, pattern: Pattern, binding: Binding) -> Iterator[tuple[Binding, list[Step]]]:
    if pattern is ...:
        yield binding, []
    elif isinstance(pattern, str):
        if binding.get(pattern, slot) == slot:
            yield {**binding, pattern: slot}, []
    elif isinstance(pattern, (int, float)):
        value = edit.scalar(slot)
        if value is not None and abs(value - pattern) <= 1e-5 * abs(pattern):
            yield binding, []
    elif isinstance(pattern, tuple) and pattern[0] == "spread":
        passed: list[Step] = []
        while True:
            for bound, matched in _operand(edit, slot, pattern[1], binding):
                yield bound, [*passed, *matched]
            step = edit.producer.get(slot)
            if step is None or step.name not in {"broadcast", "reshape"}:
                return
            passed.append(step)
            slot = step.inputs[0]
    elif isinstance(pattern, tuple) and pattern[0] == "as":
        for bound, _ in _operand(edit, slot, pattern[1], binding):
            yield from _operand(edit, slot, pattern[2], bound)
    elif isinstance(pattern, tuple):
        step = edit.producer.get(slot)
        if step is not None:
            yield from matches(edit, step, pattern, binding)
