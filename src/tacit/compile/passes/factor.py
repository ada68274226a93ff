"""Public factors move outwards, where they meet each other and fewer elements.

c x y = c (x y), sum(c x) = c sum(x), c x + c y = c (x + y). A factor below one that is applied first costs digits that the
following product would have needed: the 1/n of a mean loss, applied to the cotangents, would cost every gradient log2 n
bits. (A factor above one stays where it is: applied last, it would magnify rounding.) Applied last it meets the learning rate, and both are one factor. Where it met none, and a product has more elements than
one of its operands, `settle` takes it back to the smaller operand.
"""

from __future__ import annotations

from tacit.compile.passes.edit import Editor
from tacit.compile.program import Program, Step

PRODUCTS = frozenset({"mul", "dot_general", "conv", "conv_image_gradient", "conv_kernel_gradient"})
MOVES = frozenset({"sum", "reshape", "transpose", "neg"})
SMALLEST = 2.0**-6
"""Factors from this size on may be applied early: they cost six digits of the operand at most."""


def factor(program: Program) -> Program:
    """Pull public scalar factors out of products, sums, selections against zero, and sums of like factors."""
    return _Puller(program).run()


def settle(program: Program) -> Program:
    """Take a public factor of a product to the smaller operand, where that saves truncations and costs few digits."""
    edit = Editor(program)
    uses = program.uses()
    for original in program.steps:
        step = edit.current(original)
        if step.name != "mul" or not _settled(edit, step, uses):
            edit.keep(step)
    return edit.finish()


class _Puller:
    """One walk; a factor that was pulled out of one step is pulled on out of the next."""

    def __init__(self, program: Program) -> None:
        self.edit = Editor(program)
        self.readers: dict[int, list[Step]] = {}
        """Who reads a slot; a slot that stands for another has its readers."""
        for step in program.steps:
            for slot in step.inputs:
                self.readers.setdefault(slot, []).append(step)
        self.outputs = set(program.outputs)
        self.stands_for: dict[int, int] = {}

    def run(self) -> Program:
        """Walk all steps."""
        edit = self.edit
        for original in edit.program.steps:
            step = edit.current(original)
            pulled = self._pulled(step)
            if pulled is None:
                edit.keep(step)
            else:
                edit.replace(step.outputs[0], pulled)
                self.stands_for[pulled] = step.outputs[0]
        return edit.finish()

    def _pulled(self, step: Step) -> int | None:
        if step.name in PRODUCTS:
            return self._from_product(step)
        if step.name in MOVES:
            return self._from_one(step, step.inputs[0])
        if step.name == "select" and self.edit.scalar(step.inputs[2]) == 0:
            return self._from_one(step, step.inputs[1])
        return self._from_sum(step) if step.name in {"add", "sub"} else None

    def _from_product(self, step: Step) -> int | None:
        """(c x) y = c (x y) for secret y."""
        slots = self.edit.slots
        for place, slot in enumerate(step.inputs):
            if not slots[step.inputs[1 - place]].public and slots[step.outputs[0]].kind == "fixed":
                pulled = self._from_one(step, slot)
                if pulled is not None:
                    return pulled
        return None

    def _from_one(self, step: Step, slot: int) -> int | None:
        """f(.., c x, ..) = c f(.., x, ..)."""
        found = self._scaled(slot)
        if found is None:
            return None
        x, c = found
        inputs = [x if s == slot else s for s in step.inputs]
        if inputs.count(x) > 1 and step.inputs.count(slot) > 1:
            return None
        moved = self.edit.emit(step.name, inputs, self.edit.slots[step.outputs[0]], step.line, **step.params)
        return self._times(moved, c, step)

    def _from_sum(self, step: Step) -> int | None:
        """c x + c y = c (x + y), and with opposite signs c (x - y)."""
        slots = self.edit.slots
        left, right = (self._scaled(slot) for slot in step.inputs)
        out = slots[step.outputs[0]]
        if left is None or right is None or abs(left[1]) != abs(right[1]) or left[1] == 0:
            return None
        if slots[left[0]].shape != out.shape or slots[right[0]].shape != out.shape:
            return None
        name = step.name if left[1] == right[1] else {"add": "sub", "sub": "add"}[step.name]
        total = self.edit.emit(name, [left[0], right[0]], out, step.line)
        return self._times(total, left[1], step)

    def _scaled(self, slot: int) -> tuple[int, float] | None:
        """(x, c) where a slot is c x for a public scalar c and a secret real x of its type, and all its readers pull c out."""
        slots = self.edit.slots
        step = self.edit.producer.get(slot)
        if step is None or step.name != "mul" or slots[slot].kind != "fixed" or not self._free(slot):
            return None
        for constant, x in (step.inputs, step.inputs[::-1]):
            c = self.edit.scalar(constant)
            if c is not None and abs(c) < 1 and not slots[x].public and slots[x] == slots[slot]:
                return x, c
        return None

    def _free(self, slot: int) -> bool:
        """Say whether nothing but steps that pull a factor out reads a slot."""
        original = slot
        while original in self.stands_for:
            original = self.stands_for[original]
        readers = self.readers.get(original, [])
        if original in self.outputs:
            return False
        return len(readers) <= 1 or all(self._pulls(step, original) for step in readers)

    def _pulls(self, step: Step, slot: int) -> bool:
        slots = self.edit.slots
        if step.name in PRODUCTS:
            first, second = step.inputs
            return first != second and not slots[second if first == slot else first].public
        return step.name in MOVES or (
            step.name == "select" and slot == step.inputs[1] and self.edit.scalar(step.inputs[2]) == 0
        )

    def _times(self, slot: int, c: float, step: Step) -> int:
        out = self.edit.slots[step.outputs[0]]
        return self.edit.emit("mul", [slot, self.edit.constant(c, "fixed", out.dtype)], out, step.line)


def _settled(edit: Editor, step: Step, uses: list[int]) -> bool:
    out = edit.slots[step.outputs[0]]
    for constant, slot in (step.inputs, step.inputs[::-1]):
        c = edit.scalar(constant)
        product = edit.producer.get(slot)
        if c is None or product is None or product.name not in PRODUCTS or slot >= len(uses) or uses[slot] > 1:
            continue
        if abs(c) < SMALLEST or c == round(c) or edit.slots[slot] != out or out.kind != "fixed":
            continue
        size, place = min((edit.slots[s].size, place) for place, s in enumerate(product.inputs))
        chosen = edit.slots[product.inputs[place]]
        if size >= out.size or chosen.public or chosen.kind != "fixed":
            continue
        scaled = edit.emit("mul", [product.inputs[place], edit.constant(c, "fixed", out.dtype)], chosen, step.line)
        inputs = list(product.inputs)
        inputs[place] = scaled
        edit.replace(step.outputs[0], edit.emit(product.name, inputs, out, product.line, **product.params))
        return True
    return False
