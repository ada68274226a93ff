"""The passes: each takes a program and returns one that computes the same, cheaper. The flow is this tuple; print it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from tacit.compile.passes.contract import contract
from tacit.compile.passes.cse import share
from tacit.compile.passes.dead import drop_dead
from tacit.compile.passes.defer import defer_truncation
from tacit.compile.passes.factor import factor, settle
from tacit.compile.passes.hoist import hoist
from tacit.compile.passes.opening import open_early
from tacit.compile.passes.pool import commute_pooling
from tacit.compile.passes.recognise import recognise
from tacit.compile.passes.schedule import schedule
from tacit.compile.passes.simplify import simplify
from tacit.compile.passes.strengthen import strengthen
from tacit.compile.program import Program, validate

Pass: TypeAlias = Callable[[Program], Program]

ALGEBRA: tuple[Pass, ...] = (simplify, share, recognise, drop_dead, strengthen, factor, share, drop_dead)
PASSES: tuple[Pass, ...] = (
    drop_dead,
    *ALGEBRA,
    *ALGEBRA,
    contract,
    hoist,
    commute_pooling,
    simplify,
    settle,
    share,
    drop_dead,
    defer_truncation,
    schedule,
)


OUTERMOST: tuple[Pass, ...] = (open_early,)
"""What is done to the whole program, and not to its bodies."""


def optimise(program: Program, passes: Sequence[Pass] = PASSES, outermost: Sequence[Pass] = OUTERMOST) -> Program:
    """Run the passes in order on the program and on every body, innermost first; at last `outermost`."""
    program = program.with_bodies(lambda body: optimise(body, passes, ()))
    for rewrite in (*passes, *outermost):
        program = rewrite(program)
    validate(program)
    return program


def describe(passes: Sequence[Pass] = (*PASSES, *OUTERMOST)) -> str:
    """The flow in words: each pass, where it first occurs, with the first line of its docstring."""
    return "\n".join(f"{p.__name__:18} {(p.__doc__ or '').strip().splitlines()[0]}" for p in dict.fromkeys(passes))
