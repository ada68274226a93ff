"""From steps to library calls: which function, with which parameters, and whether it can wait for a peer.

A step says what is computed; the library's functions have signatures of their own, and some steps are local compositions
of kernel operations that no library function needs. Both meet here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import numpy as np

from tacit.compile import public
from tacit.compile.constant import MIRRORED, order_with, product_with, sum_with
from tacit.compile.contraction import contraction
from tacit.compile.program import SlotType, Step
from tacit.foundation.errors import UnsupportedOperation
from tacit.primitive.mpc.form import Geometry
from tacit.primitive.mpc.function import FUNCTIONS
from tacit.primitive.mpc.function.arithmetic import bilinear
from tacit.primitive.mpc.function.chunk import CHUNK
from tacit.primitive.mpc.function.operand import constant
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Boolean, Fixed, Integer, Value

Call: TypeAlias = Callable[..., Any]

SENTINEL = 1e30
"""Public reals at least this large, infinities included, stand for `larger than any value` and saturate."""


@final
@dataclass(frozen=True, slots=True)
class Bound:
    """A step ready to be called: `await function(k, *values, **params)`."""

    function: Call
    params: Mapping[str, Any]
    local: bool
    """Whether the call is certain to finish without waiting for a peer."""


def bind(step: Step, types: tuple[SlotType, ...], constants: Mapping[int, Any], raised: set[int], bits: int) -> Bound:
    """Find the call of a step. `raised` are the slots that carry more than the session's `bits` fraction bits."""
    inputs = [types[slot] for slot in step.inputs]
    if step.name == "embed":
        return Bound(_embed(types[step.outputs[0]], bits), {}, local=True)
    if all(declared.public for declared in inputs):
        return Bound(_public(step), {}, local=True)
    local = _is_local(step, inputs, constants, raised)
    adapter = _ADAPTERS.get(step.name)
    fast = _with_constant(step, inputs, constants)
    if fast is not None:
        return Bound(fast, {}, local)
    if step.name == "dot_general":
        function, params = _contraction(step, inputs)
    elif adapter is not None:
        function, params = adapter(step, bits)
    else:
        function, params = _library(step.name), dict(step.params)
    if step.name in _SCALED and "bits" not in params:
        params["bits"] = bits
    return Bound(function, params, local)


def prepared(array: Any, bits: int) -> Any:
    """A constant as the library takes it: sentinels saturate at a quarter of the range, and NaN, which no share has, is 0.

    A sum or difference of two saturated values still lies within the range of comparison.
    """
    if array.dtype != np.float64 or array.size == 0:
        return array
    beyond = ~(np.abs(array) < SENTINEL)
    if not beyond.any():
        return array
    limit = 2.0 ** (60 - bits)
    return np.where(beyond, np.where(np.isnan(array), 0.0, np.copysign(limit, array)), array)


def embed(k: Kernel, value: Value, declared: SlotType, bits: int) -> Value:
    """A public value as a secret of the declared kind; a secret as it is. Local."""
    if type(value) in {Fixed, Integer, Boolean}:
        return value
    array = prepared(np.asarray(value), bits)
    if declared.kind == "bool":
        return Boolean(k.public_bits(array))
    if declared.kind == "int":
        return Integer(k.public(constant(array, None)))
    return Fixed(k.public(constant(array, bits)), bits)


# --- adapters -------------------------------------------------------------------------------------------------------


def _library(name: str) -> Call:
    function = FUNCTIONS.get(name)
    if function is None:
        raise UnsupportedOperation(f"the function library has no {name}")
    return function


def _embed(declared: SlotType, bits: int) -> Call:
    async def hide(k: Kernel, value: Value) -> Value:
        return embed(k, value, declared, bits)

    return hide


def _public(step: Step) -> Call:
    params = dict(step.params)

    async def compute(_: Kernel, *values: Any) -> Any:
        return public.evaluate(step.name, values, params)

    return compute


def _renamed(name: str, **renames: str) -> Callable[[Step, int], tuple[Call, dict[str, Any]]]:
    """The library function `name`; `new=old` passes the step's parameter `old` as `new`, others keep their names."""
    inverse = {old: new for new, old in renames.items()}

    def adapt(step: Step, _: int) -> tuple[Call, dict[str, Any]]:
        return _library(name), {inverse.get(key, key): value for key, value in step.params.items()}

    return adapt


def _over(name: str) -> Callable[[Step, int], tuple[Call, dict[str, Any]]]:
    return _renamed(name, axis="axes")


def _convolution(step: Step, _: int) -> tuple[Call, dict[str, Any]]:
    p = dict(step.params)
    geometry = Geometry(p.pop("strides"), p.pop("padding"), p.pop("dilation"), p.pop("groups"))
    return _library(step.name), {"geometry": geometry, **p}


def _convert(step: Step, bits: int) -> tuple[Call, dict[str, Any]]:
    if step.params["kind"] == "fixed":
        return _library("to_fixed"), {"bits": bits}
    return _library("to_integer"), {}


def _contraction(step: Step, inputs: list[SlotType]) -> tuple[Call, dict[str, Any]]:
    p = step.params
    form = contraction(inputs[0].shape, inputs[1].shape, p["contract"], p["batch"])
    keep = bool(p.get("keep"))

    async def compute(k: Kernel, x: Value, y: Value) -> Value:
        return await bilinear(k, form, x, y, keep=keep)

    return compute, {}


def _with_constant(step: Step, inputs: list[SlotType], constants: Mapping[int, Any]) -> Call | None:
    """A sum or an element-wise product of a secret number and a constant of its kind, encoded beforehand."""
    if step.name not in {"add", "sub", "mul", "lt", "le", "gt", "ge"}:
        return None
    for place in (0, 1):
        values = constants.get(step.inputs[1 - place])
        if values is None or inputs[place].public or inputs[place].kind == "bool":
            continue
        if step.name in MIRRORED:
            whole = inputs[1 - place].shape in {(), inputs[place].shape}
            fits = inputs[place].size <= CHUNK and whole and inputs[place].kind == inputs[1 - place].kind
            return order_with(step.name, values, place) if fits else None
        if inputs[place].kind == inputs[1 - place].kind:
            if step.name == "mul":
                return product_with(values, place, keep=bool(step.params.get("keep")))
            return sum_with(step.name, values, place)
    return None


def _own(function: Call) -> Callable[[Step, int], tuple[Call, dict[str, Any]]]:
    return lambda step, _: (function, dict(step.params))


async def _pad(k: Kernel, x: Value, value: Any, *, widths: Any) -> Value:
    return await FUNCTIONS["pad"](k, x, widths, value)


async def _prepare(k: Kernel, x: Value) -> Value:
    """x itself, opened under its mask where the protocol works that way."""
    if type(x) is Fixed or type(x) is Integer:
        await k.prepare(x.share)
    return x


async def _scatter_add(k: Kernel, x: Value, positions: Any, updates: Value) -> Value:
    """x with updates added at public positions, -1 meaning nowhere."""
    size = x.shape[0]
    inside = np.flatnonzero(positions >= 0)
    where = positions[inside]

    def scattered(s: Any) -> Any:
        out = np.zeros(size, s.dtype)
        np.add.at(out, where, s[inside])
        return out

    if type(updates) is Fixed:
        placed: Value = Fixed(k.linear(scattered, updates.share), updates.bits)
    elif type(updates) is Integer:
        placed = Integer(k.linear(scattered, updates.share))
    else:
        placed = scattered(np.asarray(updates))
    return await FUNCTIONS["add"](k, x, placed)


_ADAPTERS: Mapping[str, Callable[[Step, int], tuple[Call, dict[str, Any]]]] = {
    "reshape": _renamed("reshape"),
    "broadcast": _renamed("broadcast_in_dim"),
    "slice": _renamed("slice", limit="stop", strides="stride"),
    "reverse": _renamed("flip", axis="axes"),
    "pad": _own(_pad),
    "scatter_add": _own(_scatter_add),
    "prepare": _own(_prepare),
    "convert": _convert,
    "conv": _convolution,
    "conv_image_gradient": _convolution,
    "conv_kernel_gradient": _convolution,
    **{
        name: _over(name)
        for name in ("sum", "mean", "prod", "max", "min", "any", "all", "softmax", "log_softmax", "logsumexp")
    },
}

_SCALED = frozenset({"rescale"})
"""Functions that must be told the session's fraction bits."""

# --- what cannot wait -----------------------------------------------------------------------------------------------

_MOVES = frozenset({"reshape", "transpose", "broadcast", "slice", "reverse", "take", "logical_not", "logical_xor"})
_SUMS = frozenset({"add", "sub", "neg", "sum", "cumsum", "pad", "concatenate", "scatter_add"})
_PRODUCTS = frozenset({"mul", "dot_general", "conv", "conv_image_gradient", "conv_kernel_gradient"})


def _is_local(step: Step, inputs: list[SlotType], constants: Mapping[int, Any], raised: set[int]) -> bool:
    if step.name in _MOVES:
        return True
    secret = [declared for declared in inputs if not declared.public]
    kinds = {declared.kind for declared in secret}
    if step.name in {"logical_and", "logical_or"}:
        return len(secret) == 1
    if step.name in _SUMS:
        if step.name in {"pad", "concatenate"} and {declared.kind for declared in inputs} == {"bool"}:
            return True
        if "bool" in kinds or (len(kinds) > 1):
            return False
        scales = {slot in raised for slot, declared in zip(step.inputs, inputs, strict=True) if not declared.public}
        real = any(declared.kind == "fixed" for declared in inputs)
        return len(scales) == 1 and (kinds == {"fixed"} or not real)
    if step.name == "convert":
        return inputs[0].kind == "int" and step.params["kind"] == "fixed"
    if step.name in _PRODUCTS and len(secret) == 1 and kinds <= {"fixed", "int"}:
        if step.params.get("keep"):
            return True
        (other,) = [slot for slot, declared in zip(step.inputs, inputs, strict=True) if declared.public]
        array = constants.get(other)
        if kinds == {"int"} and (array is None or array.dtype != np.float64):
            return True
        return array is not None and _integral(array)
    return False


def _integral(array: Any) -> bool:
    return array.dtype != np.float64 or bool(np.all(np.abs(array) < 2.0**40) and np.all(array == np.rint(array)))
