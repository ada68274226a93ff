"""Operations whose operands are all public are computed while tracing: by NumPy where it is exactly JAX, else by JAX.

NumPy answers in microseconds; JAX compiles every operation for every new shape, which takes tens of milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core as jex

from tacit.compile import public

Known = Any
"""A NumPy array, or a JAX array where the dtype is JAX's own (random keys)."""


def compute(eqn: Any, operands: Sequence[Known]) -> list[Known]:
    """The results of one equation on concrete operands."""
    fast = _FAST.get(eqn.primitive.name)
    if fast is not None and all(isinstance(x, np.ndarray) for x in operands):
        with np.errstate(all="ignore"):
            result = fast(eqn.params, *operands)
        if result is not None:
            return [np.asarray(result, eqn.outvars[0].aval.dtype)]
    return evaluate(jaxpr_of(eqn), operands)


def evaluate(closed: Any, operands: Sequence[Known]) -> list[Known]:
    """The results of a closed jaxpr on concrete operands, computed by JAX on this machine."""
    with jax.ensure_compile_time_eval():
        results = jax.jit(jex.jaxpr_as_fun(closed))(*operands)
    return [concrete(result) for result in results]


def jaxpr_of(eqn: Any) -> Any:
    """A closed jaxpr that holds this one equation."""
    inputs = [jex.Var(v.aval) if isinstance(v, jex.Literal) else v for v in eqn.invars]
    fresh = [jex.Var(v.aval) for v in inputs]  # an operand may occur twice
    outputs = [jex.Var(v.aval) for v in eqn.outvars]
    single = eqn.replace(invars=fresh, outvars=outputs)
    return jex.ClosedJaxpr(
        jex.Jaxpr((), fresh, outputs, [single], eqn.effects, debug_info=_debug_info(len(fresh), len(outputs))), ()
    )


def concrete(value: Any) -> Known:
    """A NumPy array, unless the dtype is one that only JAX knows."""
    if hasattr(value, "dtype") and jax.dtypes.issubdtype(value.dtype, jax.dtypes.extended):
        return value
    return np.asarray(value)


def _debug_info(inputs: int, outputs: int) -> Any:
    return jex.DebugInfo("known", "known", ("",) * inputs, ("",) * outputs)


def _only_floats(function: Callable[..., Any]) -> Callable[..., Any]:
    def apply(_: Mapping[str, Any], *xs: Any) -> Any:
        return function(*xs) if xs[0].dtype.kind == "f" else None

    return apply


def _plainly(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda _, *xs: function(*xs)


def _select(_: Mapping[str, Any], which: Any, *cases: Any) -> Any:
    return np.where(which, cases[1], cases[0]) if which.dtype == np.bool_ and len(cases) == 2 else None


def _broadcast(params: Mapping[str, Any], x: Any, *_: Any) -> Any:
    return public.broadcast(x, shape=params["shape"], axes=params["broadcast_dimensions"])


def _iota(params: Mapping[str, Any]) -> Any:
    shape, axis = params["shape"], params["dimension"]
    along = np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
    return np.broadcast_to(along, shape)


def _cast(params: Mapping[str, Any], x: Any) -> Any:
    target = np.dtype(params["new_dtype"])
    return x.astype(target) if (x.dtype.kind in "bf" and target.kind == "f") or x.dtype.kind == "b" else None


def _slice(params: Mapping[str, Any], x: Any) -> Any:
    strides = params["strides"] or (1,) * x.ndim
    return public.slice_(x, start=params["start_indices"], stop=params["limit_indices"], stride=strides)


_FAST: Mapping[str, Callable[..., Any]] = {
    "add": _plainly(np.add),
    "add_any": _plainly(np.add),
    "sub": _plainly(np.subtract),
    "mul": _plainly(np.multiply),
    "div": _only_floats(np.divide),
    "neg": _plainly(np.negative),
    "max": _plainly(np.maximum),
    "min": _plainly(np.minimum),
    "lt": _plainly(np.less),
    "le": _plainly(np.less_equal),
    "gt": _plainly(np.greater),
    "ge": _plainly(np.greater_equal),
    "eq": _plainly(np.equal),
    "ne": _plainly(np.not_equal),
    "sqrt": _only_floats(np.sqrt),
    "square": _plainly(np.square),
    "and": _plainly(np.bitwise_and),
    "or": _plainly(np.bitwise_or),
    "not": _plainly(np.bitwise_not),
    "select_n": _select,
    "broadcast_in_dim": _broadcast,
    "iota": _iota,
    "convert_element_type": _cast,
    "reshape": lambda p, x, *_: x.reshape(p["new_sizes"]) if p["dimensions"] is None and not _ else None,
    "squeeze": lambda p, x: np.squeeze(x, tuple(p["dimensions"])),
    "expand_dims": lambda p, x: np.expand_dims(x, tuple(p["dimensions"])),
    "transpose": lambda p, x: x.transpose(p["permutation"]),
    "concatenate": lambda p, *xs: np.concatenate(xs, p["dimension"]),
    "slice": _slice,
    "stop_gradient": _plainly(np.asarray),
    "copy": _plainly(np.asarray),
}
