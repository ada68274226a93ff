"""The order of steps: what others wait for longest comes first."""

from __future__ import annotations

from dataclasses import replace

from tacit.compile.program import Program

WAITING = 1
LOCAL = frozenset(
    {"add", "sub", "neg", "sum", "reshape", "transpose", "broadcast", "slice", "reverse", "take", "pad", "concatenate"}
)


def schedule(program: Program) -> Program:
    """Order steps by how early they can run, and among those by how much still follows; rounds are shared in any order."""
    level: dict[int, int] = {}
    depth: list[int] = []
    for step in program.steps:
        begin = max((level.get(slot, 0) for slot in step.inputs), default=0)
        depth.append(begin)
        for slot in step.outputs:
            level[slot] = begin + _weight(step.name)
    height: dict[int, int] = {}
    tall: list[int] = [0] * len(program.steps)
    for number in range(len(program.steps) - 1, -1, -1):
        step = program.steps[number]
        after = max((height.get(slot, 0) for slot in step.outputs), default=0)
        tall[number] = after + _weight(step.name)
        for slot in step.inputs:
            height[slot] = max(height.get(slot, 0), tall[number])
    order = sorted(range(len(program.steps)), key=lambda n: (depth[n], _weight(program.steps[n].name), -tall[n], n))
    return replace(program, steps=_respecting(program, order))


def _weight(name: str) -> int:
    return 0 if name in LOCAL else WAITING


def _respecting(program: Program, order: list[int]) -> tuple:  # type: ignore[type-arg]
    """The steps in this order, each after what it reads (local steps of one level may depend on each other)."""
    written = set(program.inputs) | set(program.constants)
    pending = list(order)
    placed = []
    while pending:
        left = []
        for number in pending:
            step = program.steps[number]
            if all(slot in written for slot in step.inputs):
                placed.append(step)
                written.update(step.outputs)
            else:
                left.append(number)
        pending = left
    return tuple(placed)
