"""Plans: programs prepared once for many runs, with calls bound, constants in place and consumers listed."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, final

from tacit.compile.bind import bind, prepared
from tacit.compile.program import Program, SlotType
from tacit.compile.serialize import digest

DEFAULT_BITS = 18
CACHED_PLANS = 64


@final
class Node:
    """One step of a plan."""

    __slots__ = ("bodies", "function", "inputs", "line", "local", "name", "number", "outputs", "params", "several")

    def __init__(
        self, number: int, name: str, line: str, inputs: tuple[int, ...], outputs: tuple[int, ...], *, local: bool
    ) -> None:
        self.number = number
        self.name = name
        self.line = line
        self.inputs = inputs
        self.outputs = outputs
        self.several = len(outputs) != 1
        self.local = local
        self.function: Any = None
        self.params: dict[str, Any] = {}
        self.bodies: tuple[Plan, ...] = ()


@final
class Plan:
    """A program compiled for a number of fraction bits; immutable, shared by all runs and all parties of a process."""

    __slots__ = (
        "awaited", "bits", "consumers", "free", "inputs", "missing", "nodes", "outputs", "program", "size", "start", "template", "uses",
    )  # fmt: skip

    def __init__(self, program: Program, bits: int) -> None:
        self.program = program
        self.bits = bits
        self.inputs = program.inputs
        self.outputs = program.outputs
        self.template: list[Any] = [None] * len(program.slots)
        constants = {slot: prepared(array, bits) for slot, array in program.constants.items()}
        for slot, array in constants.items():
            self.template[slot] = array
        written = {slot for step in program.steps for slot in step.outputs}
        raised = raised_slots(program)
        consumers: list[list[Node]] = [[] for _ in program.slots]
        given = set(program.inputs)
        self.missing: list[int] = []
        """How many operands of each node steps have yet to write."""
        self.awaited: list[int] = []
        """The same, inputs included: for loop bodies, whose carries arrive one by one."""
        self.start: list[Node] = []
        """Nodes that read inputs and constants only."""
        self.free: list[Node] = []
        """Nodes that read constants only."""
        self.nodes: list[Node] = []
        for number, step in enumerate(program.steps):
            node = Node(number, step.name, step.line, step.inputs, step.outputs, local=False)
            waits = {slot for slot in step.inputs if slot in written}
            inputs = {slot for slot in step.inputs if slot in given}
            if step.bodies:
                node.several = True
                node.bodies = tuple(Plan(body, bits) for body in step.bodies)
                node.params = dict(step.params)
            else:
                bound = bind(step, program.slots, constants, raised, bits)
                node.function, node.params, node.local = bound.function, dict(bound.params), bound.local
            for slot in waits | inputs:
                consumers[slot].append(node)
            self.missing.append(len(waits))
            self.awaited.append(len(waits) + len(inputs))
            self.nodes.append(node)
            if not waits:
                self.start.append(node)
                if not inputs:
                    self.free.append(node)
        self.size = sum(1 + _inner(node) for node in self.nodes)
        """Steps of one run, those of loops as often as they run."""
        self.consumers = tuple(tuple(nodes) for nodes in consumers)
        self.uses = program.uses()
        for slot in program.constants:
            self.uses[slot] = 1 << 60  # never freed

    def type_of(self, slot: int) -> SlotType:
        """The declared type of a slot."""
        return self.program.slots[slot]


def _inner(node: Node) -> int:
    times: int = node.params.get("length", 1)
    return times * max((body.size for body in node.bodies), default=0)


_PLANS: OrderedDict[tuple[str, int], Plan] = OrderedDict()


def prepare(program: Program, bits: int = DEFAULT_BITS) -> Plan:
    """The plan of a program, cached by its digest."""
    key = (digest(program), bits)
    plan = _PLANS.get(key)
    if plan is None:
        plan = _PLANS[key] = Plan(program, bits)
        if len(_PLANS) > CACHED_PLANS:
            _PLANS.popitem(last=False)
    else:
        _PLANS.move_to_end(key)
    return plan


def raised_slots(program: Program) -> set[int]:
    """The slots whose values carry more fraction bits than the session's: products kept untruncated, and what moves them."""
    raised: set[int] = set()
    for step in program.steps:
        if step.params.get("keep") or (step.name in _KEEPS_SCALE and any(slot in raised for slot in step.inputs)):
            raised.update(step.outputs)
    return raised


_KEEPS_SCALE = frozenset(
    {"add", "sub", "neg", "sum", "reshape", "transpose", "broadcast", "slice", "reverse", "take", "pad", "concatenate"}
)
