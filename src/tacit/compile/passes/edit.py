"""Editing a program: walk its steps, emit others, and let later steps read what replaced their operands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tacit.compile.program import CONSTANT_DTYPES, Constant, Kind, Program, SlotType, Step


class Editor:
    """A program under rewriting. Slots keep their numbers; new ones are added behind."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.slots: list[SlotType] = list(program.slots)
        self.constants: dict[int, Constant] = dict(program.constants)
        self.steps: list[Step] = []
        self.producer: dict[int, Step] = {}
        self.replaced: dict[int, int] = {}

    def now(self, slot: int) -> int:
        """The slot that stands for `slot` now."""
        while slot in self.replaced:
            slot = self.replaced[slot]
        return slot

    def current(self, step: Step) -> Step:
        """A step with its operands brought up to date."""
        inputs = tuple(self.now(slot) for slot in step.inputs)
        return step if inputs == step.inputs else replace(step, inputs=inputs)

    def keep(self, step: Step) -> None:
        """Append a step as it is."""
        self.steps.append(step)
        for slot in step.outputs:
            self.producer[slot] = step

    def replace(self, slot: int, by: int) -> None:
        """Let every later reader of `slot` read `by`."""
        if slot != by:
            self.replaced[slot] = by

    def emit(self, name: str, inputs: Sequence[int], declared: SlotType, line: str, **params: Any) -> int:
        """Append a new step with one output; its slot."""
        slot = self.slot(declared)
        self.keep(Step(name, tuple(inputs), (slot,), params, line))
        return slot

    def slot(self, declared: SlotType) -> int:
        """A new slot."""
        self.slots.append(declared)
        return len(self.slots) - 1

    def constant(self, array: Any, kind: Kind, dtype: str) -> int:
        """A new constant."""
        value = np.asarray(array, CONSTANT_DTYPES[kind])
        slot = self.slot(SlotType(value.shape, kind, dtype, public=True))
        self.constants[slot] = value
        return slot

    def scalar(self, slot: int) -> float | None:
        """The value of a public constant whose elements are all equal, else None."""
        array = self.constants.get(slot)
        if array is None or array.size == 0 or array.dtype == np.bool_:
            return None
        first = array.reshape(-1)[0]
        return float(first) if array.size == 1 or bool(np.all(array == first)) else None

    def finish(self) -> Program:
        """The rewritten program."""
        outputs = tuple(self.now(slot) for slot in self.program.outputs)
        return Program(tuple(self.slots), self.program.inputs, self.constants, tuple(self.steps), outputs)
