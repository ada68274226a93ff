"""Dead code."""

from __future__ import annotations

from dataclasses import replace

from tacit.compile.program import Program, SlotType, Step


def drop_dead(program: Program) -> Program:
    """Drop steps whose results nobody reads, unused results of loops, and slots that no longer occur."""
    live = set(program.outputs)
    kept: list[Step] = []
    for step in reversed(program.steps):
        if not any(slot in live for slot in step.outputs):
            continue
        trimmed = _trim_loop(step, live) if step.name == "scan" else step
        kept.append(trimmed)
        live.update(trimmed.inputs)
    return compact(replace(program, steps=tuple(reversed(kept))))


def _trim_loop(step: Step, live: set[int]) -> Step:
    """A loop without stacked results that nobody reads, without carries that only feed themselves, without unread inputs."""
    body = step.bodies[0]
    consts, carry = int(step.params["consts"]), int(step.params["carry"])
    wanted = {n for n, slot in enumerate(step.outputs) if slot in live}
    while True:
        read = _read_inputs(body, wanted)
        needed = {place - consts for place in read if consts <= place < consts + carry}
        if needed <= wanted:
            break
        wanted |= needed
    carries = [n for n in range(carry) if n in wanted]
    rows = [n for n in range(carry, len(step.outputs)) if n in wanted]
    places = [
        p for p in range(len(step.inputs)) if (consts <= p < consts + carry and p - consts in wanted) or p in read
    ]
    inner = replace(
        body,
        inputs=tuple(body.inputs[p] for p in places),
        outputs=tuple(body.outputs[n] for n in [*carries, *rows]),
    )
    return replace(
        step,
        inputs=tuple(step.inputs[p] for p in places),
        outputs=tuple(step.outputs[n] for n in [*carries, *rows]),
        params={**step.params, "consts": sum(p < consts for p in places), "carry": len(carries)},
        bodies=(drop_dead(inner),),
    )


def _read_inputs(body: Program, wanted: set[int]) -> set[int]:
    """Which inputs (by place) the wanted outputs depend on."""
    live = {body.outputs[n] for n in wanted}
    for step in reversed(body.steps):
        if any(slot in live for slot in step.outputs):
            live.update(step.inputs)
    return {place for place, slot in enumerate(body.inputs) if slot in live}


def compact(program: Program) -> Program:
    """Renumber slots so that only those that occur are left, in order of first appearance."""
    order: dict[int, int] = {}
    for slot in program.inputs:
        order.setdefault(slot, len(order))
    for step in program.steps:
        for slot in (*step.inputs, *step.outputs):
            order.setdefault(slot, len(order))
    for slot in program.outputs:
        order.setdefault(slot, len(order))
    slots: list[SlotType] = [program.slots[slot] for slot in order]
    return Program(
        tuple(slots),
        tuple(order[slot] for slot in program.inputs),
        {order[slot]: array for slot, array in program.constants.items() if slot in order},
        tuple(
            replace(step, inputs=tuple(order[s] for s in step.inputs), outputs=tuple(order[s] for s in step.outputs))
            for step in program.steps
        ),
        tuple(order[slot] for slot in program.outputs),
    )
