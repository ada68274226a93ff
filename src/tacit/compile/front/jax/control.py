"""Rules for calls, loops and branches.

Calls are inlined. A loop keeps its body; JAX's own partial evaluation first takes out of it all that public values decide,
so that counters and schedules are computed while tracing and reach the body as one public row per iteration. A branch on
a secret computes every side and selects. A `while` whose condition is secret is refused.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax._src.interpreters import partial_eval as pe
from jax.extend import core as jex

from tacit.compile.front.jax import known, ops
from tacit.compile.front.jax.builder import Builder, Operand, Ref, at, kind_of
from tacit.compile.front.jax.lower import lower_closed, lower_equation, lowers, refusal
from tacit.compile.front.jax.source import body_written_by_user
from tacit.foundation.errors import UnsupportedOperation

MAX_TRIPS = 1_000_000

# --- calls ----------------------------------------------------------------------------------------------------------


@lowers(
    "jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint", "composite"
)
def call(b: Builder, eqn: Any, *operands: Operand) -> list[Operand]:
    """The body, inlined, unless the library computes the whole."""
    named = NAMED.get(eqn.params.get("name", ""))
    if named is not None and any(ops.is_secret(x) for x in operands):
        function, write = named
        if _fits(eqn.params["name"], operands) and _is_library(eqn, function):
            return [write(b, *operands)]
    body = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
    if not hasattr(body, "consts"):
        body = jex.ClosedJaxpr(body, ())
    line = "" if body_written_by_user(body.jaxpr) else b.line
    return lower_closed(b, body, operands, line=line)


def _step(name: str) -> Callable[..., Operand]:
    """One step of the library on the operands, of the first one's kind."""

    def write(b: Builder, *operands: Operand) -> Operand:
        shape = np.broadcast_shapes(*(x.shape for x in operands))
        return b.emit(name, operands, shape, ops.kind(operands[0]), ops.dtype(operands[0]))

    return write


def _signbit(b: Builder, x: Operand) -> Operand:
    """Whether x < 0: fixed point has no negative zero."""
    return ops.compare(b, "lt", x, np.asarray(0.0))


def _copysign(b: Builder, x: Operand, y: Operand) -> Operand:
    """|x| with the sign of y."""
    size = ops.unary(b, "abs", x)
    return ops.select(b, _signbit(b, y), ops.neg(b, size), size)


def _ldexp(b: Builder, x: Operand, n: Operand) -> Operand:
    """x * 2**n."""
    return ops.mul(b, x, ops.unary(b, "exp2", ops.convert(b, n, "fixed", ops.dtype(x))))


NAMED: dict[str, tuple[Callable[..., Any], Callable[..., Operand]]] = {
    "remainder": (jnp.remainder, _step("mod")),
    "floor_divide": (jnp.floor_divide, _step("floor_divide")),
    "hypot": (jnp.hypot, _step("hypot")),
    "log10": (jnp.log10, _step("log10")),
    "log2": (jnp.log2, _step("log2")),
    "signbit": (jnp.signbit, _signbit),
    "copysign": (jnp.copysign, _copysign),
    "ldexp": (jnp.ldexp, _ldexp),
}
"""Calls that JAX names and that are lowered as a whole: the function that JAX traces, and what is written instead."""


def _fits(name: str, operands: Sequence[Operand]) -> bool:
    """Say whether the library takes such operands: a public divisor must not be zero, hypot takes two secrets."""
    if name in {"remainder", "floor_divide"}:
        divisor = operands[1]
        return isinstance(divisor, Ref) or bool(np.all(divisor))
    if name == "ldexp":
        return ops.is_secret(operands[0])
    return all(ops.is_secret(x) and ops.kind(x) == "fixed" for x in operands)


def _is_library(eqn: Any, function: Callable[..., Any]) -> bool:
    """Say whether a named call is JAX's own function of that name: its body must be the one that JAX traces."""
    avals = tuple((v.aval.shape, str(v.aval.dtype), bool(v.aval.weak_type)) for v in eqn.invars)
    return _reference(function, avals) == str(eqn.params["jaxpr"])


@functools.cache
def _reference(function: Callable[..., Any], avals: tuple[tuple[Any, str, bool], ...]) -> str:
    specs = [jax.ShapeDtypeStruct(shape, dtype, weak_type=weak) for shape, dtype, weak in avals]
    calls = [eqn for eqn in jax.make_jaxpr(function)(*specs).jaxpr.eqns if eqn.primitive.name in {"jit", "pjit"}]
    return str(calls[-1].params["jaxpr"]) if calls else ""


@lowers("custom_vmap_call", "custom_lin")
def custom_call(b: Builder, eqn: Any, *operands: Operand) -> list[Operand]:
    """The body, inlined."""
    return lower_closed(b, eqn.params["call"], operands)


# --- branches -------------------------------------------------------------------------------------------------------


@lowers("cond")
def cond(b: Builder, eqn: Any, index: Operand, *operands: Operand) -> list[Operand]:
    """branches[index](*operands): one branch for a public index, else all of them and a selection."""
    branches = eqn.params["branches"]
    if ops.known(index):
        chosen = int(np.clip(int(np.asarray(index)), 0, len(branches) - 1))
        return lower_closed(b, branches[chosen], operands)
    if not ops.is_secret(index):
        return _switch(b, eqn, index, operands)
    results = [lower_closed(b, branch, operands) for branch in branches]
    return [_chosen(b, index, list(cases)) for cases in zip(*results, strict=True)]


def _chosen(b: Builder, index: Operand, cases: list[Operand]) -> Operand:
    result = cases[0]
    for number, case in enumerate(cases[1:], start=1):
        if case is result:
            continue
        taken = index if ops.kind(index) == "bool" else ops.compare(b, "ge", index, np.asarray(number))
        result = ops.select(b, taken, case, result)
    return result


def _switch(b: Builder, eqn: Any, index: Operand, operands: Sequence[Operand]) -> list[Operand]:
    """A public index that changes within a loop: the interpreter enters the branch it names."""
    slots = [x for x in operands if isinstance(x, Ref)]
    results = [(v.aval.shape, kind_of(v.aval.dtype), str(v.aval.dtype)) for v in eqn.outvars]
    bodies = []
    for branch in eqn.params["branches"]:
        inner = b.inner()
        mine = iter([inner.input(x.shape, x.type.kind, x.type.dtype, public=x.type.public) for x in slots])
        inputs = [next(mine) if isinstance(x, Ref) else x for x in operands]
        bodies.append(inner.build(lower_closed(inner, branch, inputs)))
    return list(b.emit_many("switch", [index, *slots], results, bodies))


# --- loops ----------------------------------------------------------------------------------------------------------


@lowers("scan")
def scan(b: Builder, eqn: Any, *operands: Operand) -> list[Operand]:
    """A loop of public length: its public part runs now, its secret part becomes a step with a body."""
    if contains(eqn.params["jaxpr"].jaxpr, "while"):
        return _unrolled(b, eqn, operands)
    unknown = [isinstance(operand, Ref) for operand in operands]
    if all(unknown):
        return _scan_step(b, eqn, operands)
    public_part, secret_part, out_unknown, _ = pe.partial_eval_jaxpr_nounits(
        known.jaxpr_of(eqn), unknown, instantiate=False
    )
    results = known.evaluate(public_part, [x for x, u in zip(operands, unknown, strict=True) if not u])
    settled = iter(results[: out_unknown.count(False)])
    inputs = [*results[out_unknown.count(False) :], *(x for x, u in zip(operands, unknown, strict=True) if u)]
    rest = iter(_residual(b, secret_part, inputs))
    return [next(rest) if u else next(settled) for u in out_unknown]


def _residual(b: Builder, closed: Any, operands: Sequence[Operand]) -> list[Operand]:
    """The secret part: the loop itself, and what partial evaluation put around it."""
    values: dict[Any, Any] = dict(zip(closed.jaxpr.invars, operands, strict=True))
    values.update(zip(closed.jaxpr.constvars, closed.consts, strict=True))

    def read(v: Any) -> Any:
        return np.asarray(v.val, v.aval.dtype) if isinstance(v, jex.Literal) else values[v]

    for eqn in closed.jaxpr.eqns:
        inputs = [read(v) for v in eqn.invars]
        secret_loop = eqn.primitive.name == "scan" and any(isinstance(x, Ref) for x in inputs)
        outputs = _scan_step(b, eqn, inputs) if secret_loop else lower_equation(b, eqn, inputs)
        values.update(zip(eqn.outvars, outputs, strict=True))
    return [read(v) for v in closed.jaxpr.outvars]


def _scan_step(b: Builder, eqn: Any, operands: Sequence[Operand]) -> list[Operand]:
    """A scan none of whose carries is public any more."""
    p = eqn.params
    first, second = p["num_consts"], p["num_consts"] + p["num_carry"]
    consts, carry, rows = list(operands[:first]), list(operands[first:second]), list(operands[second:])
    outputs = [v.aval for v in eqn.outvars]

    def body(inner: Builder, carry: list[Operand], rows: list[Operand], consts: list[Operand]) -> list[Operand]:
        return lower_closed(inner, p["jaxpr"], [*consts, *carry, *rows])

    if p["length"] == 0:
        return [*carry, *(np.zeros(aval.shape, aval.dtype) for aval in outputs[p["num_carry"] :])]
    return _loop(b, body, consts, carry, rows, outputs, length=p["length"], reverse=bool(p["reverse"]))


def _loop(
    b: Builder, body: Callable[..., list[Operand]], consts: list[Operand], carry: list[Operand], rows: list[Operand],
    outputs: list[Any], *, length: int, reverse: bool,
) -> list[Operand]:  # fmt: skip
    """One `scan` step: constants are embedded in the body, public rows stay public, every carry is secret.

    `outputs` are the shapes and dtypes of the final carries and of the stacked rows of results.
    """
    if length == 1:
        results = body(
            b, list(carry), [ops.index(b, x, 0, 0) if isinstance(x, Ref) else np.asarray(x)[0] for x in rows], consts
        )
        count = len(carry)
        return [*results[:count], *(_stacked_once(b, y) for y in results[count:])]
    invariant = {n: np.asarray(x)[0] for n, x in enumerate(rows) if not isinstance(x, Ref) and _constant(x)}
    varying = [x for n, x in enumerate(rows) if n not in invariant]
    shared = [x for x in consts if isinstance(x, Ref)]
    inner = b.inner()
    const_refs = iter([inner.input(x.shape, x.type.kind, x.type.dtype, public=x.type.public) for x in shared])
    carry_refs = [inner.input(x.shape, ops.kind(x), ops.dtype(x)) for x in carry]
    row_refs = iter([inner.input(x.shape[1:], ops.kind(x), ops.dtype(x), public=not ops.is_secret(x)) for x in varying])
    results = body(
        inner,
        list(carry_refs),
        [invariant[n] if n in invariant else next(row_refs) for n in range(len(rows))],
        [next(const_refs) if isinstance(x, Ref) else x for x in consts],
    )
    count = len(carry)
    written = [n for n, result in enumerate(results) if n < count or isinstance(result, Ref)]
    program = inner.build([results[n] for n in written])
    types = [(outputs[n].shape, kind_of(outputs[n].dtype), str(outputs[n].dtype)) for n in written]
    step = b.emit_many(
        "scan", [*shared, *carry, *varying], types, [program],
        length=length, consts=len(shared), carry=count, reverse=reverse,
    )  # fmt: skip
    refs = dict(zip(written, step, strict=True))
    return [
        refs[n] if n in refs else np.broadcast_to(np.asarray(result), (length, *np.shape(result)))
        for n, result in enumerate(results)
    ]


def _stacked_once(b: Builder, y: Operand) -> Operand:
    return ops.reshape(b, y, (1, *y.shape)) if isinstance(y, Ref) else np.asarray(y)[None]


def _constant(rows: Operand) -> bool:
    """Say whether all rows of a public array are equal, so that the loop may hold one."""
    array = np.asarray(rows)
    return bool(array.dtype.kind in "fiub" and np.array_equal(array, np.broadcast_to(array[:1], array.shape)))


def _unrolled(b: Builder, eqn: Any, operands: Sequence[Operand]) -> list[Operand]:
    """A scan whose body holds a `while`: each iteration is lowered by itself, so that trip counts may differ."""
    p = eqn.params
    first, second = p["num_consts"], p["num_consts"] + p["num_carry"]
    carry, ys = list(operands[first:second]), []
    order = range(p["length"])
    for i in reversed(order) if p["reverse"] else order:
        rows = [ops.index(b, x, 0, i) if isinstance(x, Ref) else np.asarray(x)[i] for x in operands[second:]]
        results = lower_closed(b, p["jaxpr"], [*operands[:first], *carry, *rows])
        carry = results[: p["num_carry"]]
        ys.append(results[p["num_carry"] :])
    if p["reverse"]:
        ys.reverse()
    stacked = [
        np.stack([np.asarray(y) for y in column])
        if not any(isinstance(y, Ref) for y in column)
        else ops.stack(b, column, 0)
        for column in zip(*ys, strict=True)
    ]
    if not ys:
        stacked = [np.zeros(v.aval.shape, v.aval.dtype) for v in eqn.outvars[p["num_carry"] :]]
    return [*carry, *stacked]


@lowers("while")
def while_(b: Builder, eqn: Any, *operands: Operand) -> list[Operand]:
    """A loop whose condition public values decide: its public part runs now and settles the number of trips."""
    p = eqn.params
    first, second = p["cond_nconsts"], p["cond_nconsts"] + p["body_nconsts"]
    cond_consts, consts, carry = operands[:first], operands[first:second], list(operands[second:])
    unknown = [isinstance(x, Ref) for x in carry]
    const_unknown = [isinstance(x, Ref) for x in consts]
    while True:
        public_part, secret_part, out, _ = pe.partial_eval_jaxpr_nounits(
            p["body_jaxpr"], [*const_unknown, *unknown], instantiate=unknown
        )
        if out == unknown:
            break
        unknown = [a or c for a, c in zip(unknown, out, strict=True)]
    condition, _, (secret_condition,), _ = pe.partial_eval_jaxpr_nounits(
        p["cond_jaxpr"], [*(isinstance(x, Ref) for x in cond_consts), *unknown], instantiate=False
    )
    if secret_condition:
        raise UnsupportedOperation(
            f"a while loop's condition depends on a secret{at(b.line)}: how often it runs would be seen. Use "
            "lax.fori_loop with a public number of iterations, and jnp.where to keep the result once it is reached."
        )
    state = [x for x, u in zip(carry, unknown, strict=True) if not u]
    rows, state = _trips(b, condition, public_part, cond_consts, consts, state)
    settled = iter(state)
    if not rows:
        return [x if u else next(settled) for x, u in zip(carry, unknown, strict=True)]
    columns: list[Operand] = [np.stack(column) for column in zip(*rows, strict=True)]

    def body(inner: Builder, carry: list[Operand], rows: list[Operand], consts: list[Operand]) -> list[Operand]:
        return lower_closed(inner, secret_part, [*rows, *consts, *carry])

    outputs = [v.aval for v, u in zip(eqn.outvars, unknown, strict=True) if u]
    held: list[Operand] = [x for x in consts if isinstance(x, Ref)]
    secret = [x for x, u in zip(carry, unknown, strict=True) if u]
    final = (
        iter(_loop(b, body, held, secret, columns, outputs, length=len(rows), reverse=False)) if secret else iter(())
    )
    return [next(final) if u else next(settled) for u in unknown]


def _trips(
    b: Builder, condition: Any, body: Any, cond_consts: Sequence[Operand], consts: Sequence[Operand], state: list[Any]
) -> tuple[list[list[Any]], list[Any]]:
    """Run the public part to its end: the residuals of every iteration, and the final public carries."""
    holds, step = jax.jit(jex.jaxpr_as_fun(condition)), jax.jit(jex.jaxpr_as_fun(body))
    seen = [x for x in cond_consts if not isinstance(x, Ref)]
    fixed = [x for x in consts if not isinstance(x, Ref)]
    rows: list[list[Any]] = []
    with jax.ensure_compile_time_eval():
        while bool(holds(*seen, *state)[0]):
            if len(rows) == MAX_TRIPS:
                raise refusal(b, f"a while loop of more than {MAX_TRIPS} iterations", "Use fewer iterations.")
            results = [known.concrete(x) for x in step(*fixed, *state)]
            rows.append(results[len(state) :])
            state = results[: len(state)]
    return rows, state


def contains(jaxpr: Any, name: str) -> bool:
    """Say whether a primitive occurs in a jaxpr or in one it calls."""
    return any(eqn.primitive.name == name or any(contains(j, name) for j in _inner(eqn)) for eqn in jaxpr.eqns)


def _inner(eqn: Any) -> Iterator[Any]:
    for value in eqn.params.values():
        for item in value if isinstance(value, (tuple, list)) else (value,):
            if hasattr(item, "eqns"):
                yield item
            elif hasattr(item, "jaxpr") and hasattr(item.jaxpr, "eqns"):
                yield item.jaxpr
