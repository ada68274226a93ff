"""Running a program over a kernel: every step starts as soon as its operands are there.

Local steps run at once, inside whichever coroutine produced their last operand. A step that needs the other parties is a
coroutine of its own, so that all steps that can run share rounds. The order in which steps start follows from the program
alone, never from timing: it is the same at every party, which is what the driver's schedule rests on.

A step costs one to four microseconds beside its own work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, final

import numpy as np

from tacit.compile.bind import embed
from tacit.compile.plan import DEFAULT_BITS, Node, Plan, prepare
from tacit.compile.program import Program
from tacit.foundation.errors import InputError
from tacit.primitive.driver import Deferred
from tacit.primitive.mpc.function import FUNCTIONS
from tacit.primitive.mpc.function.structure import move
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Value
from tacit.primitive.profile import Where


class Spawner(Protocol):
    """What the interpreter needs of a driver."""

    @property
    def generation(self) -> int:
        """The round that the running coroutine is in."""

    def spawn(self, coroutine: Coroutine[Any, Any, Any], where: Where, generation: int | None = None) -> Deferred:
        """Start a coroutine beside the running one, whose last operand came in round `generation`."""


class Observer(Protocol):
    """Sees every value as it is written; for `check` on the Ideal protocol, never for a real one."""

    def __call__(self, plan: Plan, slot: int, value: Value) -> None:
        """Take note of a slot's value."""


@final
class Tally:
    """How many steps of a run are done; another thread may read it."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = 0


async def execute(
    k: Kernel,
    driver: Spawner,
    plan: Plan | Program,
    inputs: Sequence[Value],
    *,
    observer: Observer | None = None,
    tally: Tally | None = None,
) -> list[Value]:
    """Run a program on shared inputs and return its outputs; outputs that no secret enters are public arrays.

    tally: counts the steps done, of `plan.size`.

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
    return await Run(k, driver, plan, observer, tally or Tally()).outputs(inputs)


@final
class Run:
    """One execution of a plan, or of one iteration of a loop."""

    __slots__ = (
        "driver",
        "k",
        "left",
        "loop",
        "missing",
        "number",
        "observer",
        "plan",
        "rounds",
        "spawned",
        "tally",
        "uses",
        "values",
    )

    def __init__(
        self,
        k: Kernel,
        driver: Spawner,
        plan: Plan,
        observer: Observer | None,
        tally: Tally,
        loop: Loop | None = None,
        number: int = 0,
    ) -> None:
        self.k = k
        self.driver = driver
        self.plan = plan
        self.observer = observer
        self.tally = tally
        self.values = plan.template.copy()
        # The round in which the last operand of each node came: a step that another step's result wakes may wait for longer.
        self.rounds = [driver.generation if loop is None else loop.start] * len(plan.nodes)
        self.uses = plan.uses.copy()
        self.loop = loop
        self.number = number
        if loop is None:
            self.missing = plan.missing.copy()
            self.spawned: deque[Deferred] = deque()
            self.left = 0
        else:
            self.missing = plan.awaited.copy()
            self.spawned = loop.spawned
            self.left = len(plan.nodes) + len(plan.inputs)

    async def outputs(self, inputs: Sequence[Value]) -> list[Value]:
        """Run to the end."""
        values, plan = self.values, self.plan
        for slot, value in zip(plan.inputs, inputs, strict=True):
            values[slot] = value
        if plan.start:
            self.advance(list(plan.start))
        await all_done(self.spawned)
        return [values[slot] for slot in plan.outputs]

    def advance(self, ready: list[Node]) -> None:
        """Run all local nodes that can run, and start all others that can."""
        k, values = self.k, self.values
        for node in ready:  # grows while it is walked
            if node.local:
                coroutine = node.function(k, *[values[slot] for slot in node.inputs], **node.params)
                try:
                    coroutine.send(None)
                except StopIteration as stop:
                    self._written(node, stop.value, ready, self.rounds[node.number])
                else:
                    raise RuntimeError(f"{node.name} was taken to be local, but waits for a peer")
            else:
                where = Where(node.number, node.name, node.line)
                self.spawned.append(self.driver.spawn(self._interact(node), where, self.rounds[node.number]))

    def provide(self, slot: int, value: Value, generation: int) -> list[Node]:
        """Set an input of a loop's iteration, known since round `generation`; the nodes that became ready."""
        assert self.loop is not None
        self.values[slot] = value
        ready: list[Node] = []
        self._wake(slot, ready, generation)
        if slot in self.loop.sinks:
            self.loop.hand(self.number, slot, value, generation)
        self._count()
        return ready

    async def _interact(self, node: Node) -> None:
        values = self.values
        arguments = [values[slot] for slot in node.inputs]
        if node.bodies:
            result = await _CONTROL[node.name](self, node, arguments)
        else:
            result = await node.function(self.k, *arguments, **node.params)
        del arguments
        ready: list[Node] = []
        self._written(node, result, ready, self.driver.generation)
        if ready:
            self.advance(ready)
        if self.loop is not None:
            self.loop.drain()

    def _written(self, node: Node, result: Any, ready: list[Node], generation: int) -> None:
        """Store results, free what nobody reads any more, and add the nodes that became ready."""
        values, uses, loop = self.values, self.uses, self.loop
        self.tally.done += 1
        for slot in node.inputs:
            uses[slot] -= 1
            if not uses[slot]:
                values[slot] = None
        for slot, value in zip(node.outputs, result, strict=True) if node.several else ((node.outputs[0], result),):
            if self.observer is not None:
                self.observer(self.plan, slot, value)
            if uses[slot]:
                values[slot] = value
            self._wake(slot, ready, generation)
            if loop is not None and slot in loop.sinks:
                loop.hand(self.number, slot, value, generation)
        if loop is not None:
            self._count()

    def _wake(self, slot: int, ready: list[Node], generation: int) -> None:
        missing, rounds = self.missing, self.rounds
        for consumer in self.plan.consumers[slot]:
            number = consumer.number
            rounds[number] = max(rounds[number], generation)
            missing[number] -= 1
            if not missing[number]:
                ready.append(consumer)

    def _count(self) -> None:
        self.left -= 1
        if not self.left:
            assert self.loop is not None
            self.loop.finished(self)


async def all_done(spawned: deque[Deferred]) -> None:
    """Wait until everything spawned is done, also what is added meanwhile; what follows comes after the last round."""
    last = None
    while spawned:
        deferred = spawned.popleft()
        if not deferred.done:
            await deferred
        if last is None or deferred.generation > last.generation:
            last = deferred
    if last is not None:
        await last


# --- control --------------------------------------------------------------------------------------------------------


async def _switch(run: Run, node: Node, arguments: list[Value]) -> list[Value]:
    """The body that a public index names, clamped to those there are."""
    index = int(np.asarray(arguments[0]))
    body = node.bodies[min(max(index, 0), len(node.bodies) - 1)]
    types = [run.plan.type_of(slot) for slot in node.outputs]
    results = await Run(run.k, run.driver, body, run.observer, run.tally).outputs(arguments[1:])
    return [embed(run.k, value, t, body.bits) for value, t in zip(results, types, strict=True)]


async def _scan(run: Run, node: Node, arguments: list[Value]) -> list[Value]:
    """The body once for each row; carries go on as they come, rows of results are stacked."""
    return await Loop(run, node, arguments).outputs()


@final
class Loop:
    """A loop whose iterations overlap: a step starts once its own operands are there, whatever else its iteration awaits.

    What depends on a row alone is computed ahead, and what only feeds stacked results (a loss that is recorded) keeps no
    later iteration waiting: a loop's rounds are those of its carries.
    """

    def __init__(self, run: Run, node: Node, arguments: list[Value]) -> None:
        p = node.params
        first, second = p["consts"], p["consts"] + p["carry"]
        self.body = node.bodies[0]
        self.spawned: deque[Deferred] = deque()
        self.sinks: dict[int, list[int]] = {}
        """Body slots that become carries of the next iteration: the carries' numbers."""
        for number, slot in enumerate(self.body.outputs[: p["carry"]]):
            self.sinks.setdefault(slot, []).append(number)
        self._run = run
        self._length: int = p["length"]
        self._reverse: bool = p["reverse"]
        self._consts = arguments[:first]
        self._initial = arguments[first:second]
        self._rows = arguments[second:]
        self._entries = self.body.inputs[first:second]
        self._live: dict[int, Run] = {}
        self._early: dict[int, list[tuple[int, Value, int]]] = {}
        self._handed: deque[tuple[Run, list[Node]]] = deque()
        self._results: list[list[Value]] = [[] for _ in range(self._length)]
        self.start = run.driver.generation
        self._begun = 0
        self._due = min(AHEAD, self._length)

    async def outputs(self) -> list[Value]:
        """Run all iterations; final carries, then stacked results."""
        self._early[0] = [(carry, value, self.start) for carry, value in enumerate(self._initial)]
        self.drain()
        await all_done(self.spawned)
        carries = len(self._entries)
        final = [self._embedded(n, value) for n, value in enumerate(self._results[-1][:carries])]
        columns = list(zip(*(row[carries:] for row in self._results), strict=True))
        if self._reverse:
            columns = [column[::-1] for column in columns]
        return [*final, *[await FUNCTIONS["stack"](self._run.k, *column, axis=0) for column in columns]]

    def hand(self, number: int, slot: int, value: Value, generation: int) -> None:
        """A carry of iteration `number` is known, since round `generation`: give it to the next one."""
        if number + 1 == self._length:
            return
        following = self._live.get(number + 1)
        for carry in self.sinks[slot]:
            if following is None:
                self._early.setdefault(number + 1, []).append((carry, value, generation))
            else:
                ready = following.provide(self._entries[carry], self._embedded(carry, value), generation)
                self._handed.append((following, ready))

    def finished(self, run: Run) -> None:
        """An iteration is over: keep its results, begin another."""
        self._results[run.number] = [run.values[slot] for slot in self.body.outputs]
        del self._live[run.number]
        self._due += self._begun + self._due < self._length

    def drain(self) -> None:
        """Go on with the iterations that were handed something, and begin those that may begin."""
        handed = self._handed
        while handed or self._due:
            if handed:
                run, ready = handed.popleft()
                run.advance(ready)
            else:
                self._due -= 1
                self._begin()

    def _begin(self) -> None:
        number = self._begun
        self._begun += 1
        k, body = self._run.k, self.body
        run = self._live[number] = Run(k, self._run.driver, body, self._run.observer, self._run.tally, self, number)
        row = _Row(self._length - 1 - number if self._reverse else number)
        rows = [move(k, row, value) for value in self._rows]
        first, second = len(self._consts), len(self._consts) + len(self._entries)
        given = [*zip(body.inputs[:first], self._consts, strict=True), *zip(body.inputs[second:], rows, strict=True)]
        self._handed.append((run, list(body.free)))
        for slot, value in given:
            self._handed.append((run, run.provide(slot, value, self.start)))
        for carry, value, generation in self._early.pop(number, ()):
            self._handed.append((run, run.provide(self._entries[carry], self._embedded(carry, value), generation)))
        for slot in self.sinks:
            if slot in body.program.constants:
                self.hand(number, slot, run.values[slot], self.start)

    def _embedded(self, carry: int, value: Value) -> Value:
        return embed(self._run.k, value, self.body.type_of(self._entries[carry]), self.body.bits)


class _Row:
    """The i-th element along the first axis, as a linear map."""

    __slots__ = ("i",)

    def __init__(self, i: int) -> None:
        self.i = i

    def __call__(self, s: Any) -> Any:
        return s[self.i]


AHEAD = 3
"""Iterations of a loop that may be under way at once."""
_CONTROL = {"scan": _scan, "switch": _switch}

__all__ = ["DEFAULT_BITS", "Observer", "Plan", "Spawner", "Tally", "execute", "prepare"]
