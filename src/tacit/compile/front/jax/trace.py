"""From a JAX function to a `Program`.

`trace(function, *arguments)` takes the function's own arguments: a leaf that is a `jax.ShapeDtypeStruct` stands for a
secret of that shape and dtype; every other leaf is public and takes part as it is, Python numbers included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import jax
import numpy as np
from jax._src import config

from tacit.compile.front.jax import (  # noqa: F401  (rules register when they are imported)
    arithmetic,
    control,
    elementary,
    indexing,
    linear,
    reduction,
    shape,
    window,
)
from tacit.compile.front.jax.builder import Builder, kind_of
from tacit.compile.front.jax.lower import lower_closed
from tacit.compile.program import Program
from tacit.foundation.errors import InputError, SecrecyError


@final
@dataclass(frozen=True, slots=True)
class Traced:
    """A program and how its inputs and outputs are made of the function's arguments and results."""

    program: Program
    input_specs: tuple[jax.ShapeDtypeStruct, ...]
    """Shape and dtype of each secret leaf, in the order of the program's inputs."""
    in_tree: Any
    secret_leaves: tuple[int, ...]
    """Which leaves of the flattened (arguments, keywords) are the program's inputs."""
    out_tree: Any
    output_specs: tuple[jax.ShapeDtypeStruct, ...]


def trace(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Traced:
    """Trace and lower a function.

    Errors: UnsupportedOperation names the construct, the user's line and what to write instead; SecrecyError where
    Python control flow asks for the truth of a secret; InputError where nothing is secret.
    """
    leaves, in_tree = jax.tree.flatten((arguments, keywords))
    secret = tuple(n for n, leaf in enumerate(leaves) if isinstance(leaf, jax.ShapeDtypeStruct))
    if not secret:
        raise InputError("no argument is secret: pass a jax.ShapeDtypeStruct for each one that is")
    specs = tuple(leaves[n] for n in secret)
    out_tree: list[Any] = []

    def flat(*values: Any) -> list[Any]:
        filled = list(leaves)
        for place, value in zip(secret, values, strict=True):
            filled[place] = value
        args, kwargs = jax.tree.unflatten(in_tree, filled)
        outputs, tree = jax.tree.flatten(function(*args, **kwargs))
        out_tree[:] = [tree]
        return outputs

    try:
        with config.softmax_custom_jvp(True):  # the derivative that divides nothing by small numbers
            closed = jax.make_jaxpr(flat)(*specs)
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
        raise SecrecyError(_explain(error)) from None
    builder = Builder(routes_pooling=control.contains(closed.jaxpr, "select_and_scatter_add"))
    inputs = [builder.input(s.shape, kind_of(s.dtype), str(s.dtype)) for s in specs]
    outputs = lower_closed(builder, closed, inputs)
    program = builder.build([x if not isinstance(x, np.ndarray) else np.asarray(x) for x in outputs])
    results = tuple(jax.ShapeDtypeStruct(v.shape, v.dtype) for v in closed.out_avals)
    return Traced(program, specs, in_tree, secret, out_tree[0], results)


def _explain(error: Exception) -> str:
    first = str(error).split("\n")[0]
    return (
        f"Python asked for the value of a secret: {first} Use jnp.where or lax.cond instead of `if`, lax.fori_loop "
        "instead of a loop over a secret, and jnp instead of numpy functions."
    )
