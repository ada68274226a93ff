"""The program: typed slots, public constants, and a flat list of steps over the function library.

A front end writes it, passes rewrite it, `execute` runs it, `cost` prices it. It holds no secret and no code: a step
is the name of a function in `tacit.primitive.mpc.function` and parameters that JSON can say. `print(program)` reads
like the source it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import CompileError

Kind: TypeAlias = Literal["fixed", "int", "bool"]
KINDS: tuple[Kind, ...] = ("fixed", "int", "bool")
Shape: TypeAlias = tuple[int, ...]
Constant: TypeAlias = NDArray[np.float64] | NDArray[np.int64] | NDArray[np.bool_]
CONSTANT_DTYPES: Mapping[Kind, Any] = {"fixed": np.float64, "int": np.int64, "bool": np.bool_}


@final
@dataclass(frozen=True, slots=True)
class SlotType:
    """What a slot holds: shape, representation, the front end's dtype name, and whether every party may see it."""

    shape: Shape
    kind: Kind
    dtype: str
    public: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    def __str__(self) -> str:
        extents = ",".join(map(str, self.shape))
        return f"{'public ' if self.public else ''}{self.kind}[{extents}]"


@final
@dataclass(frozen=True, slots=True)
class Step:
    """One call of a library function: slots in, slots out, parameters, and the user's source line.

    `bodies` holds sub-programs of the control steps: `scan` has one, `switch` has one for each branch.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    line: str = ""
    bodies: tuple[Program, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Program:
    """A straight-line program in single assignment: every slot is an input, a constant, or the output of one step."""

    slots: tuple[SlotType, ...]
    inputs: tuple[int, ...]
    constants: Mapping[int, Constant]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]

    def __str__(self) -> str:
        return "\n".join(_lines(self, ""))

    def count(self) -> int:
        """Steps in all, each body counted once."""
        return sum(1 + sum(body.count() for body in step.bodies) for step in self.steps)

    def walk(self) -> Iterator[Step]:
        """All steps, those of bodies included."""
        for step in self.steps:
            yield step
            for body in step.bodies:
                yield from body.walk()

    def producers(self) -> dict[int, Step]:
        """The step that writes each slot."""
        return {slot: step for step in self.steps for slot in step.outputs}

    def uses(self) -> list[int]:
        """How often each slot is read, outputs of the program included."""
        count = [0] * len(self.slots)
        for step in self.steps:
            for slot in step.inputs:
                count[slot] += 1
        for slot in self.outputs:
            count[slot] += 1
        return count

    def with_bodies(self, rewrite: Any) -> Program:
        """The program with `rewrite` applied to every body, innermost last."""
        if not any(step.bodies for step in self.steps):
            return self
        steps = tuple(
            replace(step, bodies=tuple(rewrite(body) for body in step.bodies)) if step.bodies else step
            for step in self.steps
        )
        return replace(self, steps=steps)


def constant_kind(array: NDArray[Any]) -> Kind:
    """The kind that a public array of canonical dtype stands for."""
    if array.dtype == np.float64:
        return "fixed"
    if array.dtype == np.int64:
        return "int"
    if array.dtype == np.bool_:
        return "bool"
    raise CompileError(f"a constant has dtype {array.dtype}; float64, int64 and bool are canonical")


def validate(program: Program) -> None:
    """Check single assignment, order, slot numbers and constant types, bodies included; CompileError otherwise."""
    count = len(program.slots)
    written: set[int] = set()

    def write(slot: int, what: str) -> None:
        if not 0 <= slot < count:
            raise CompileError(f"{what} writes slot {slot}, but the program has {count}")
        if slot in written:
            raise CompileError(f"{what} writes slot {slot} a second time")
        written.add(slot)

    for slot in program.inputs:
        write(slot, "an input")
    for slot, array in program.constants.items():
        write(slot, "a constant")
        declared = program.slots[slot]
        if array.shape != declared.shape or array.dtype != CONSTANT_DTYPES[declared.kind] or not declared.public:
            raise CompileError(f"constant {slot} is {array.dtype}{array.shape}, declared {declared}")
    for number, step in enumerate(program.steps):
        for slot in step.inputs:
            if slot not in written:
                raise CompileError(f"step {number} ({step.name}) reads slot {slot} before it is written")
        for slot in step.outputs:
            write(slot, f"step {number} ({step.name})")
        for body in step.bodies:
            validate(body)
    for slot in program.outputs:
        if slot not in written:
            raise CompileError(f"output slot {slot} is never written")


def _lines(program: Program, indent: str) -> Iterator[str]:
    yield f"{indent}program({', '.join(f'%{s}: {program.slots[s]}' for s in program.inputs)}):"
    for step in program.steps:
        inputs = ", ".join(_operand(program, slot) for slot in step.inputs)
        params = "".join(f", {name}={_compact(value)}" for name, value in sorted(step.params.items()))
        outputs = ", ".join(f"%{s}: {program.slots[s]}" for s in step.outputs)
        line = f"  # {step.line}" if step.line else ""
        yield f"{indent}  {outputs} = {step.name}({inputs}{params}){line}"
        for body in step.bodies:
            yield from _lines(body, indent + "    ")
    yield f"{indent}  return {', '.join(_operand(program, slot) for slot in program.outputs)}"


def _operand(program: Program, slot: int) -> str:
    array = program.constants.get(slot)
    if array is None:
        return f"%{slot}"
    if array.size == 1:
        value = f"{array.reshape(())[()]:g}" if array.dtype != np.bool_ else str(bool(array.reshape(())[()]))
        return value if array.shape == () else f"{value}{list(array.shape)}"
    return f"{program.slots[slot].kind}{list(array.shape)}"


def _compact(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return "(" + ",".join(_compact(item) for item in value) + ")"
    return str(value)
