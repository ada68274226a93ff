"""Walking a jaxpr: what public values alone decide is computed at once, the secret rest becomes steps.

Every operand is either concrete or a slot. An equation whose operands are all concrete is evaluated while tracing; any
other is handed to the rule of its primitive. Rules live beside this file, grouped by what they do, and register with
`lowers`. A primitive without a rule is an `UnsupportedOperation` that names the user's line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from jax.extend import core as jex

from tacit.compile.front.jax import known
from tacit.compile.front.jax.builder import Builder, Operand, Ref, at, kind_of
from tacit.compile.front.jax.source import line_of
from tacit.foundation.errors import UnsupportedOperation

Rule: TypeAlias = Callable[..., Operand | Sequence[Operand]]
RULES: dict[str, Rule] = {}


def lowers(*primitives: str) -> Callable[[Rule], Rule]:
    """Register a rule `(builder, equation, *operands) -> result or results` for primitives."""

    def register(rule: Rule) -> Rule:
        for name in primitives:
            if name in RULES:
                raise RuntimeError(f"two rules for {name}")
            RULES[name] = rule
        return rule

    return register


def lower_closed(b: Builder, closed: Any, operands: Sequence[Operand], *, line: str = "") -> list[Operand]:
    """Lower a closed jaxpr inline; a `line` given here overrides those inside."""
    return lower_jaxpr(b, closed.jaxpr, closed.consts, operands, line=line)


def lower_jaxpr(
    b: Builder, jaxpr: Any, consts: Sequence[Any], operands: Sequence[Operand], *, line: str = ""
) -> list[Operand]:
    """Lower a jaxpr inline and return its outputs, each concrete or a slot."""
    values: dict[Any, Any] = {}

    def read(variable: Any) -> Any:
        if isinstance(variable, jex.Literal):
            return np.asarray(variable.val, variable.aval.dtype)
        return values[variable]

    for variable, value in zip(jaxpr.constvars, consts, strict=True):
        values[variable] = value if isinstance(value, Ref) else known.concrete(value)
    values.update(zip(jaxpr.invars, operands, strict=True))
    outer = b.line
    last = _last_uses(jaxpr)
    for number, eqn in enumerate(_without_unread(jaxpr)):
        b.line = line or line_of(eqn.source_info) or outer
        results = lower_equation(b, eqn, [read(variable) for variable in eqn.invars])
        values.update(zip(eqn.outvars, results, strict=True))
        for variable in last.get(number, ()):
            values.pop(variable, None)
    b.line = outer
    return [read(variable) for variable in jaxpr.outvars]


def lower_equation(b: Builder, eqn: Any, operands: Sequence[Operand]) -> list[Operand]:
    """Lower one equation on operands of which some may be concrete."""
    name = eqn.primitive.name
    rule = RULES.get(name)
    if name not in _INLINED and all(not isinstance(operand, Ref) for operand in operands):
        return known.compute(eqn, operands)
    if rule is None:
        raise refusal(b, name)
    result: Any = rule(b, eqn, *operands)
    results = list(result) if isinstance(result, (list, tuple)) else [result]
    return [_checked(eqn, name, value, variable.aval) for value, variable in zip(results, eqn.outvars, strict=True)]


def refusal(b: Builder, what: str, cure: str = "") -> UnsupportedOperation:
    """The error for a construct at the builder's line, with what to write instead."""
    cure = cure or CURES.get(what, "Compute it from public values, or express it with supported operations.")
    return UnsupportedOperation(f"{what} has no secure form{at(b.line)}. {cure}")


def _checked(eqn: Any, name: str, value: Operand, aval: Any) -> Operand:
    if not isinstance(value, Ref):
        return value if not isinstance(value, np.ndarray) else np.asarray(value, aval.dtype).reshape(aval.shape)
    if value.shape != aval.shape or value.type.kind != kind_of(aval.dtype):
        raise RuntimeError(f"the rule for {name} gave {value.type}, not {aval.str_short()}: {eqn}")
    return value


def _without_unread(jaxpr: Any) -> list[Any]:
    """The equations, results that nobody reads marked as dropped where there are several."""
    read = {v for eqn in jaxpr.eqns for v in eqn.invars if not isinstance(v, jex.Literal)}
    read.update(v for v in jaxpr.outvars if not isinstance(v, jex.Literal))
    return [
        eqn.replace(outvars=[v if v in read else jex.DropVar(v.aval) for v in eqn.outvars])
        if len(eqn.outvars) > 1
        else eqn
        for eqn in jaxpr.eqns
    ]


def _last_uses(jaxpr: Any) -> dict[int, list[Any]]:
    """The variables that die after each equation, so that public arrays are freed while tracing."""
    last: dict[Any, int] = {}
    for number, eqn in enumerate(jaxpr.eqns):
        for variable in (*eqn.invars, *eqn.outvars):
            if not isinstance(variable, jex.Literal):
                last[variable] = number
    for variable in jaxpr.outvars:
        if not isinstance(variable, jex.Literal):
            last.pop(variable, None)
    dying: dict[int, list[Any]] = {}
    for variable, number in last.items():
        dying.setdefault(number, []).append(variable)
    return dying


_INLINED = {"jit", "closed_call", "core_call", "remat2", "checkpoint", "custom_jvp_call", "custom_vjp_call", "pjit"}
"""Calls are entered even when all operands are public, so that cheap bodies need no compilation."""

_LINALG = "Use jnp.linalg on public values, or solve by iteration (lax.fori_loop of matrix products)."
_RANDOM = "Draw random numbers from a public key, outside of the secret values."
CURES: dict[str, str] = {
    "fft": "Multiply by the DFT matrix: x @ cos and x @ sin tables.",
    "eigh": "Use power iteration (lax.fori_loop of matrix products) for the leading eigenvectors.",
    "eig": "Use power iteration (lax.fori_loop of matrix products) for the leading eigenvectors.",
    "svd": "Use power iteration on x.T @ x for the leading singular vectors.",
    "qr": _LINALG,
    "geqrf": _LINALG,
    "householder_product": _LINALG,
    "lu": "Use a symmetric positive definite matrix and jax.scipy.linalg.cho_solve, or solve by iteration.",
    "schur": _LINALG,
    "hessenberg": _LINALG,
    "tridiagonal_solve": _LINALG,
    "random_bits": _RANDOM,
    "random_wrap": _RANDOM,
    "random_seed": _RANDOM,
    "random_fold_in": _RANDOM,
    "threefry2x32": _RANDOM,
    "rng_bit_generator": _RANDOM,
    "nextafter": "Fixed point has a uniform grid: add 2.0**-fraction_bits.",
    "bitcast_convert_type": "The bits of a floating-point number do not exist in fixed point. Use arithmetic.",
    "complex": "Keep the real and the imaginary part as two arrays.",
    "pure_callback": "A callback would show the secret to Python. Reveal the value first.",
    "io_callback": "A callback would show the secret to Python. Reveal the value first.",
    "debug_callback": "Printing would show the secret. Reveal the value first.",
    "debug_print": "Printing would show the secret. Reveal the value first.",
    "digamma": "Use a polynomial on the range you need.",
    "polygamma": "Use a polynomial on the range you need.",
    "igamma": "Use a polynomial on the range you need.",
    "igammac": "Use a polynomial on the range you need.",
    "regularized_incomplete_beta": "Use a polynomial on the range you need.",
    "scaled_matmul_wrapper": "Multiply by the scales, then use jnp.matmul.",
    "zeta": "Use a polynomial on the range you need.",
}
