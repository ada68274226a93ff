"""Running a program over a kernel: every step starts as soon as its operands are there.

Local steps run at once, inside whichever coroutine produced their last operand. A step that needs the other parties is a
coroutine of its own, so that all steps that can run share rounds. The order in which steps start follows from the program
alone, never from timing: it is the same at every party, which is what the driver's schedule rests on.

`prepare` turns a program into a `Plan` once: calls bound, constants in place, consumers listed. A step then costs a few
microseconds beside its own work.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, final

import numpy as np

from tacit.compile.bind import bind, embed, prepared
from tacit.compile.program import Program, SlotType
from tacit.compile.serialize import digest
from tacit.foundation.errors import InputError
from tacit.primitive.driver import Deferred
from tacit.primitive.mpc.function import FUNCTIONS
from tacit.primitive.mpc.function.structure import move
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Value
from tacit.primitive.profile import Where

DEFAULT_BITS = 18
CACHED_PLANS = 64


class Spawner(Protocol):
    """What the interpreter needs of a driver."""

    def spawn(self, coroutine: Coroutine[Any, Any, Any], where: Where) -> Deferred:
        """Start a coroutine beside the running one."""


class Observer(Protocol):
    """Sees every value as it is written; for `check` on the Ideal protocol, never for a real one."""

    def __call__(self, plan: Plan, slot: int, value: Value) -> None:
        """Take note of a slot's value."""


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

    __slots__ = ("bits", "consumers", "inputs", "missing", "nodes", "outputs", "program", "start", "template", "uses")

    def __init__(self, program: Program, bits: int) -> None:
        self.program = program
        self.bits = bits
        self.inputs = program.inputs
        self.outputs = program.outputs
        self.template: list[Any] = [None] * len(program.slots)
        for slot, array in program.constants.items():
            self.template[slot] = prepared(array, bits)
        written = {slot for step in program.steps for slot in step.outputs}
        raised = raised_slots(program)
        consumers: list[list[Node]] = [[] for _ in program.slots]
        self.missing: list[int] = []
        self.start: list[Node] = []
        self.nodes: list[Node] = []
        for number, step in enumerate(program.steps):
            node = Node(number, step.name, step.line, step.inputs, step.outputs, local=False)
            waits = {slot for slot in step.inputs if slot in written}
            if step.bodies:
                node.several = True
                node.bodies = tuple(Plan(body, bits) for body in step.bodies)
                node.function = _CONTROL[step.name]
                node.params = dict(step.params)
            else:
                bound = bind(step, program.slots, program.constants, raised, bits)
                node.function, node.params, node.local = bound.function, dict(bound.params), bound.local
            for slot in waits:
                consumers[slot].append(node)
            self.missing.append(len(waits))
            self.nodes.append(node)
            if not waits:
                self.start.append(node)
        self.consumers = tuple(tuple(nodes) for nodes in consumers)
        self.uses = program.uses()
        for slot in program.constants:
            self.uses[slot] = 1 << 60  # never freed

    def type_of(self, slot: int) -> SlotType:
        """The declared type of a slot."""
        return self.program.slots[slot]


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


async def execute(
    k: Kernel, driver: Spawner, plan: Plan | Program, inputs: Sequence[Value], *, observer: Observer | None = None
) -> list[Value]:
    """Run a program on shared inputs and return its outputs; outputs that no secret enters are public arrays.

    Costs: the rounds of the longest chain of steps, the bytes of all.
    Errors: InputError where the inputs do not fit the program; those of the functions.
    """
    if isinstance(plan, Program):
        plan = prepare(plan)
    if len(inputs) != len(plan.inputs):
        raise InputError(f"the program takes {len(plan.inputs)} inputs, {len(inputs)} were given")
    for slot, value in zip(plan.inputs, inputs, strict=True):
        if tuple(value.shape) != plan.type_of(slot).shape:
            raise InputError(f"an input of shape {value.shape} was given where {plan.type_of(slot)} is needed")
    return await _Run(k, driver, plan, observer).outputs(inputs)


@final
class _Run:
    """One execution of a plan, or of a loop body once."""

    __slots__ = ("driver", "k", "missing", "observer", "plan", "spawned", "uses", "values")

    def __init__(self, k: Kernel, driver: Spawner, plan: Plan, observer: Observer | None) -> None:
        self.k = k
        self.driver = driver
        self.plan = plan
        self.observer = observer
        self.values = plan.template.copy()
        self.missing = plan.missing.copy()
        self.uses = plan.uses.copy()
        self.spawned: list[Deferred] = []

    async def outputs(self, inputs: Sequence[Value]) -> list[Value]:
        """Run to the end."""
        values, plan = self.values, self.plan
        for slot, value in zip(plan.inputs, inputs, strict=True):
            values[slot] = value
        if plan.start:
            self._advance(list(plan.start))
        spawned = self.spawned
        last = None
        for deferred in spawned:  # grows while it is walked
            if not deferred.done:
                await deferred
            if last is None or deferred.generation > last.generation:
                last = deferred
        if last is not None:
            await last  # whatever follows comes after the last round
        return [values[slot] for slot in plan.outputs]

    def _advance(self, ready: list[Node]) -> None:
        """Run all local nodes that can run, and start all others that can."""
        k, values = self.k, self.values
        for node in ready:  # grows while it is walked
            if node.local:
                coroutine = node.function(k, *[values[slot] for slot in node.inputs], **node.params)
                try:
                    coroutine.send(None)
                except StopIteration as stop:
                    self._written(node, stop.value, ready)
                else:
                    raise RuntimeError(f"{node.name} was taken to be local, but waits for a peer")
            else:
                where = Where(node.number, node.name, node.line)
                self.spawned.append(self.driver.spawn(self._interact(node), where))

    async def _interact(self, node: Node) -> None:
        values = self.values
        arguments = [values[slot] for slot in node.inputs]
        if node.bodies:
            result = await node.function(self, node, arguments)
        else:
            result = await node.function(self.k, *arguments, **node.params)
        del arguments
        ready: list[Node] = []
        self._written(node, result, ready)
        if ready:
            self._advance(ready)

    def _written(self, node: Node, result: Any, ready: list[Node]) -> None:
        """Store results, free what nobody reads any more, and add the nodes that became ready."""
        values, uses, missing, consumers = self.values, self.uses, self.missing, self.plan.consumers
        for slot in node.inputs:
            uses[slot] -= 1
            if not uses[slot]:
                values[slot] = None
        for slot, value in zip(node.outputs, result, strict=True) if node.several else ((node.outputs[0], result),):
            if self.observer is not None:
                self.observer(self.plan, slot, value)
            if uses[slot]:
                values[slot] = value
            for consumer in consumers[slot]:
                number = consumer.number
                missing[number] -= 1
                if not missing[number]:
                    ready.append(consumer)


async def _scan(run: _Run, node: Node, arguments: list[Value]) -> list[Value]:
    """The body once for each row; carries stay in place, rows of results are stacked."""
    k, driver, body = run.k, run.driver, node.bodies[0]
    p = node.params
    first, second = p["consts"], p["consts"] + p["carry"]
    bits = body.bits
    types = [body.type_of(slot) for slot in body.inputs[first:second]]
    consts, rows = arguments[:first], arguments[second:]
    carry = [await embed(k, value, t, bits) for value, t in zip(arguments[first:second], types, strict=True)]
    length, count = p["length"], p["carry"]
    order = range(length - 1, -1, -1) if p["reverse"] else range(length)
    ys: list[list[Value]] = [[] for _ in body.outputs[count:]]
    for i in order:
        row = [move(k, _Row(i), value) for value in rows]
        results = await _Run(k, driver, body, run.observer).outputs([*consts, *carry, *row])
        carry = [await embed(k, value, t, bits) for value, t in zip(results[:count], types, strict=True)]
        for column, value in zip(ys, results[count:], strict=True):
            column.append(value)
    if p["reverse"]:
        for column in ys:
            column.reverse()
    return [*carry, *[await FUNCTIONS["stack"](k, *column, axis=0) for column in ys]]


async def _switch(run: _Run, node: Node, arguments: list[Value]) -> list[Value]:
    """The body that a public index names, clamped to those there are."""
    index = int(np.asarray(arguments[0]))
    body = node.bodies[min(max(index, 0), len(node.bodies) - 1)]
    types = [run.plan.type_of(slot) for slot in node.outputs]
    results = await _Run(run.k, run.driver, body, run.observer).outputs(arguments[1:])
    return [await embed(run.k, value, t, body.bits) for value, t in zip(results, types, strict=True)]


class _Row:
    """The i-th element along the first axis, as a linear map."""

    __slots__ = ("i",)

    def __init__(self, i: int) -> None:
        self.i = i

    def __call__(self, s: Any) -> Any:
        return s[self.i]


def raised_slots(program: Program) -> set[int]:
    """The slots whose values carry more fraction bits than the session's: products kept untruncated, and what moves them."""
    raised: set[int] = set()
    for step in program.steps:
        if step.params.get("keep"):
            raised.update(step.outputs)
        elif step.name in _KEEPS_SCALE and any(slot in raised for slot in step.inputs):
            raised.update(step.outputs)
    return raised


_KEEPS_SCALE = frozenset(
    {"add", "sub", "neg", "sum", "reshape", "transpose", "broadcast", "slice", "reverse", "take", "pad", "concatenate"}
)
_CONTROL = {"scan": _scan, "switch": _switch}
