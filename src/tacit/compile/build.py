"""From a JAX function to bytes that parties run: trace, rewrite, serialise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from tacit.compile.front.jax.trace import trace
from tacit.compile.passes import optimise
from tacit.compile.program import Program
from tacit.compile.serialize import digest, dump


@final
@dataclass(frozen=True, slots=True)
class Compiled:
    """A program ready to be sent: what it is, its hash, and its bytes."""

    program: Program
    digest: str
    data: bytes


def compile_function(function: Callable[..., Any], specs: Sequence[Any]) -> Compiled:
    """Compile a function of secrets of the given shapes and dtypes (`jax.ShapeDtypeStruct`); results in flat order.

    Raises: UnsupportedOperation or SecrecyError, naming the user's line.
    """
    program = optimise(trace(function, *specs).program)
    return Compiled(program, digest(program), dump(program))
