"""The builder: collects slots, constants and steps while a jaxpr is walked.

An operand is either a `Ref` (a slot) or a concrete array known while tracing. An operation on concrete arrays alone is
computed at once and leaves no step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tacit.compile import public
from tacit.compile.program import CONSTANT_DTYPES, Constant, Kind, Program, Shape, SlotType, Step, constant_kind
from tacit.compile.serialize import freeze
from tacit.foundation.errors import CompileError, UnsupportedOperation

MAX_INTEGER = 2**62


@final
@dataclass(frozen=True, slots=True)
class Ref:
    """A slot of the program under construction."""

    slot: int
    type: SlotType

    @property
    def shape(self) -> Shape:
        """The shape."""
        return self.type.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.type.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.type.size


Operand: TypeAlias = Ref | NDArray[Any]


class Builder:
    """A program under construction. `line` is the source line that the next steps belong to."""

    def __init__(self, line: str = "", *, routes_pooling: bool = False) -> None:
        self.line = line
        self.routes_pooling = routes_pooling
        """Whether gradients of max-pooling occur, which share the comparisons of the forward pass."""
        self.slots: list[SlotType] = []
        self.inputs: list[int] = []
        self.constants: dict[int, Constant] = {}
        self.steps: list[Step] = []
        self._known: dict[tuple[Any, ...], int] = {}

    def input(self, shape: Sequence[int], kind: Kind, dtype: str, *, public: bool = False) -> Ref:
        """Declare the next input."""
        ref = self._slot(SlotType(tuple(shape), kind, dtype, public))
        self.inputs.append(ref.slot)
        return ref

    def ref(self, operand: Operand) -> Ref:
        """The slot of an operand; a concrete array becomes a constant."""
        if isinstance(operand, Ref):
            return operand
        array = canonical(operand)
        key = (array.dtype.str, array.shape, array.tobytes() if array.size <= 1 << 16 else id(operand))
        if key not in self._known:
            array = array.copy()
            array.setflags(write=False)
            ref = self._slot(SlotType(array.shape, constant_kind(array), str(operand.dtype), public=True))
            self.constants[ref.slot] = array
            self._known[key] = ref.slot
            if array.size > 1 << 16:
                self._known["alive", id(operand)] = operand  # type: ignore[assignment]  # keeps the id from being reused
        slot = self._known[key]
        return Ref(slot, self.slots[slot])

    def at(self, slot: int) -> Ref:
        """A slot by its number."""
        return Ref(slot, self.slots[slot])

    def emit(
        self, name: str, operands: Sequence[Operand], shape: Sequence[int], kind: Kind, dtype: str, /, **params: Any
    ) -> Operand:
        """Append a step with one output and return it; computed at once when all operands are concrete."""
        if all(not isinstance(operand, Ref) for operand in operands):
            return public.evaluate(name, [canonical(operand) for operand in operands], params)  # type: ignore[arg-type]
        return self.emit_many(name, operands, [(shape, kind, dtype)], **params)[0]

    def hide(self, operand: Operand, kind: Kind, dtype: str) -> Ref:
        """A public operand as a secret one, for functions that take nothing else."""
        ref = self.ref(operand)
        if not ref.type.public:
            return ref
        hidden = self._slot(SlotType(ref.shape, kind, dtype))
        self.steps.append(Step("embed", (ref.slot,), (hidden.slot,), {}, self.line))
        return hidden

    def emit_many(
        self,
        name: str,
        operands: Sequence[Operand],
        results: Sequence[tuple[Sequence[int], Kind, str]],
        bodies: Sequence[Program] = (),
        /,
        **params: Any,
    ) -> list[Ref]:
        """Append a step with several outputs."""
        inputs = [self.ref(operand) for operand in operands]
        seen = all(ref.type.public for ref in inputs) and not bodies
        if seen and not public.knows(name):
            raise UnsupportedOperation(f"{name} of a public value that changes within a loop{at(self.line)}")
        outputs = [self._slot(SlotType(tuple(map(int, shape)), kind, dtype, seen)) for shape, kind, dtype in results]
        frozen = {key: freeze(plain(value)) for key, value in params.items()}
        self.steps.append(
            Step(name, tuple(r.slot for r in inputs), tuple(r.slot for r in outputs), frozen, self.line, tuple(bodies))
        )
        return outputs

    def inner(self) -> Builder:
        """A builder for a body at this line."""
        return Builder(self.line, routes_pooling=self.routes_pooling)

    def build(self, outputs: Sequence[Operand]) -> Program:
        """The finished program."""
        slots = tuple(self.ref(output).slot for output in outputs)
        return Program(tuple(self.slots), tuple(self.inputs), self.constants, tuple(self.steps), slots)

    def _slot(self, declared: SlotType) -> Ref:
        self.slots.append(declared)
        return Ref(len(self.slots) - 1, declared)


def canonical(array: NDArray[Any]) -> Constant:
    """A concrete array as float64, int64 or bool. Refuses complex numbers and integers beyond 62 bits."""
    kind = kind_of(array.dtype)
    if kind == "int" and array.dtype == np.uint64 and array.size and int(array.max()) >= MAX_INTEGER:
        raise CompileError(f"the public integer {int(array.max())} does not fit 62 bits. Use a smaller integer.")
    return np.asarray(array).astype(CONSTANT_DTYPES[kind], copy=False)


def kind_of(dtype: Any) -> Kind:
    """The kind that stands for a dtype."""
    name = str(dtype)
    if name == "bool":
        return "bool"
    if name.startswith(("int", "uint")):
        return "int"
    if name.startswith(("float", "bfloat")):
        return "fixed"
    raise UnsupportedOperation(f"values of dtype {name} have no secure form. Use real floats, integers or booleans.")


def plain(value: Any) -> Any:
    """A parameter without NumPy scalars."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (tuple, list)):
        return tuple(plain(item) for item in value)
    return value


def at(line: str) -> str:
    """`at file.py:12`, or nothing."""
    return f" at {line}" if line else ""
