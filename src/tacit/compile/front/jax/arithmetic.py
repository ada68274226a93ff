"""Rules for arithmetic, comparison, selection, logic and conversion."""

from __future__ import annotations

from typing import Any

import numpy as np

from tacit.compile.front.jax import ops
from tacit.compile.front.jax.builder import Builder, Operand, Ref, kind_of
from tacit.compile.front.jax.lower import lowers, refusal

MAX_POWER = 64
"""Public integer exponents up to this become products."""


@lowers("add", "add_any")
def add(b: Builder, _: Any, x: Operand, y: Operand) -> Operand:
    """x + y."""
    return ops.add(b, x, y)


@lowers("sub")
def sub(b: Builder, _: Any, x: Operand, y: Operand) -> Operand:
    """x - y."""
    return ops.sub(b, x, y)


@lowers("mul")
def mul(b: Builder, _: Any, x: Operand, y: Operand) -> Operand:
    """x * y."""
    return ops.mul(b, x, y)


@lowers("neg")
def neg(b: Builder, _: Any, x: Operand) -> Operand:
    """-x."""
    return ops.neg(b, x)


@lowers("square")
def square(b: Builder, _: Any, x: Operand) -> Operand:
    """x * x."""
    return ops.square(b, x)


@lowers("div")
def div(b: Builder, _: Any, x: Operand, y: Operand) -> Operand:
    """x / y; of integers the quotient rounded towards zero."""
    if ops.kind(x) == "fixed":
        return ops.divide(b, x, y)
    return b.emit("trunc_divide", [x, y], np.broadcast_shapes(x.shape, y.shape), "int", ops.dtype(x))


@lowers("rem")
def rem(b: Builder, _: Any, x: Operand, y: Operand) -> Operand:
    """x - y * trunc(x / y): the remainder with the sign of x."""
    return b.emit("rem", [x, y], np.broadcast_shapes(x.shape, y.shape), ops.kind(x), ops.dtype(x))


@lowers("integer_pow")
def integer_pow(b: Builder, eqn: Any, x: Operand) -> Operand:
    """x**n for a public integer n, by squaring; a negative power is the reciprocal of the positive one."""
    return power_by_squaring(b, x, eqn.params["y"])


def _powers(b: Builder, x: Operand, exponents: Any) -> Operand:
    """x to public integer powers that differ: each power once, then a public choice."""
    shape = np.broadcast_shapes(x.shape, exponents.shape)
    x, exponents = ops.broadcast_to(b, x, shape), np.broadcast_to(exponents, shape)
    result: Operand | None = None
    for exponent in np.unique(exponents):
        power = power_by_squaring(b, x, int(exponent))
        result = power if result is None else ops.select(b, exponents == exponent, power, result)
    return np.ones(shape) if result is None else result


def power_by_squaring(b: Builder, x: Operand, n: int) -> Operand:
    """x**n for a public integer n."""
    if n == 0:
        return np.ones(x.shape)
    if n < 0:
        return power_by_squaring(b, ops.divide(b, np.asarray(1.0), x), -n)
    result: Operand | None = None
    base = x
    while True:
        if n & 1:
            result = base if result is None else ops.mul(b, result, base)
        n >>= 1
        if not n:
            return result  # type: ignore[return-value]
        base = ops.square(b, base)


@lowers("pow")
def pow_(b: Builder, _: Any, x: Operand, y: Operand) -> Operand:
    """x**y: by squaring for a public integer exponent, else exp(y log x) for positive x."""
    if ops.known(y) and y.size and np.all(y == y.flat[0]):  # type: ignore[union-attr]
        exponent = float(y.flat[0])  # type: ignore[union-attr]
        if exponent.is_integer() and abs(exponent) <= MAX_POWER:
            shape = np.broadcast_shapes(x.shape, y.shape)
            return ops.broadcast_to(b, power_by_squaring(b, x, int(exponent)), shape)
        if exponent == 0.5:
            return ops.broadcast_to(b, ops.unary(b, "sqrt", x), np.broadcast_shapes(x.shape, y.shape))
        if exponent == -0.5:
            return ops.broadcast_to(b, ops.unary(b, "rsqrt", x), np.broadcast_shapes(x.shape, y.shape))
    if ops.known(y) and np.all(y == np.rint(y)) and np.all(np.abs(y) <= MAX_POWER):  # type: ignore[arg-type]
        return _powers(b, x, np.asarray(y))
    if ops.kind(x) == "int":
        raise refusal(b, "an integer power of secret exponent", "Convert the base to float, or use a public exponent.")
    if ops.kind(y) == "int":
        y = ops.convert(b, y, "fixed", ops.dtype(x))
    return b.emit("power", [x, y], np.broadcast_shapes(x.shape, y.shape), "fixed", ops.dtype(x))


@lowers("max")
def maximum(b: Builder, _: Any, x: Operand, y: Operand) -> Operand:
    """The larger."""
    return ops.maximum(b, x, y)


@lowers("min")
def minimum(b: Builder, _: Any, x: Operand, y: Operand) -> Operand:
    """The smaller."""
    return ops.minimum(b, x, y)


@lowers("clamp")
def clamp(b: Builder, _: Any, low: Operand, x: Operand, high: Operand) -> Operand:
    """x within [low, high]."""
    return ops.minimum(b, ops.maximum(b, x, low), high)


@lowers("abs")
def abs_(b: Builder, eqn: Any, x: Operand) -> Operand:
    """|x|."""
    if str(eqn.invars[0].aval.dtype).startswith("uint"):
        return x
    return ops.unary(b, "abs", x)


@lowers("sign")
def sign(b: Builder, _: Any, x: Operand) -> Operand:
    """-1, 0 or 1."""
    return ops.unary(b, "sign", x)


@lowers("floor")
def floor(b: Builder, _: Any, x: Operand) -> Operand:
    """The largest integer not above x."""
    return ops.unary(b, "floor", x)


@lowers("ceil")
def ceil(b: Builder, _: Any, x: Operand) -> Operand:
    """The smallest integer not below x."""
    return ops.unary(b, "ceil", x)


@lowers("round")
def round_(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The nearest integer; ties go to the even one, or away from zero, as JAX asked."""
    if "EVEN" in str(eqn.params["rounding_method"]).upper():
        return ops.unary(b, "round", x)
    size = ops.unary(b, "floor", ops.add(b, ops.unary(b, "abs", x), np.asarray(0.5)))
    return ops.select(b, ops.compare(b, "lt", x, np.asarray(0.0)), ops.neg(b, size), size)


@lowers("is_finite")
def is_finite(_b: Builder, _: Any, x: Operand) -> Operand:
    """True: a fixed-point number is always finite."""
    return np.ones(x.shape, np.bool_)


@lowers("real", "conj", "copy", "copy_p", "stop_gradient", "reduce_precision", "name", "optimization_barrier", "tie")
def identity(_b: Builder, _: Any, *xs: Operand) -> Any:
    """The operands themselves."""
    return list(xs)


@lowers("imag")
def imag(_b: Builder, _: Any, x: Operand) -> Operand:
    """Zero: secrets are real."""
    return np.zeros(x.shape)


@lowers("device_put", "sharding_constraint", "pvary", "layout_constraint")
def placed(_b: Builder, _: Any, *xs: Operand) -> Any:
    """The operands themselves: placement is the session's."""
    return list(xs)


def _comparison(name: str) -> None:
    @lowers(name, f"{name}_to")
    def rule(b: Builder, _: Any, x: Operand, y: Operand) -> Operand:
        if ops.kind(x) == "bool" and ops.kind(y) == "bool":
            return _compare_bits(b, name, x, y)
        return ops.compare(b, name, x, y)

    rule.__doc__ = f"[x {name} y]."


for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    _comparison(_name)


def _compare_bits(b: Builder, name: str, x: Operand, y: Operand) -> Operand:
    """Order False < True."""
    if name in {"eq", "ne"}:
        different = ops.logical(b, "logical_xor", x, y)
        return different if name == "ne" else ops.logical_not(b, different)
    if name in {"gt", "ge"}:
        x, y = y, x
    if name in {"lt", "gt"}:
        return ops.logical(b, "logical_and", ops.logical_not(b, x), y)
    return ops.logical(b, "logical_or", ops.logical_not(b, x), y)


@lowers("select_n")
def select_n(b: Builder, eqn: Any, which: Operand, *cases: Operand) -> Operand:
    """cases[which], element-wise."""
    shape = eqn.outvars[0].aval.shape
    if which.shape != shape and which.ndim < len(shape):
        which = ops.broadcast_to(b, ops.reshape(b, which, (*which.shape, *([1] * (len(shape) - which.ndim)))), shape)
    if ops.kind(which) == "bool":
        if len(cases) == 1:
            return cases[0]
        return ops.select(b, which, cases[1], cases[0])
    return choose(b, which, cases)


def choose(b: Builder, which: Operand, cases: Any) -> Operand:
    """cases[which] for an integer `which`, clamped to the cases there are, as JAX does."""
    result = cases[0]
    for number, case in enumerate(cases[1:], start=1):
        result = ops.select(b, ops.compare(b, "ge", which, np.asarray(number)), case, result)
    return result


@lowers("not")
def not_(b: Builder, eqn: Any, x: Operand) -> Operand:
    """NOT of truth values, or of the bits of integers."""
    if ops.kind(x) == "bool":
        return ops.logical_not(b, x)
    width = _unsigned_width(eqn)
    return ops.sub(b, np.asarray(2**width - 1), x) if width else ops.unary(b, "bitwise_not", x)


def _logic(name: str) -> None:
    @lowers(name)
    def rule(b: Builder, _: Any, x: Operand, y: Operand) -> Operand:
        if ops.kind(x) == "bool":
            return ops.logical(b, f"logical_{name}", x, y)
        return b.emit(f"bitwise_{name}", [x, y], np.broadcast_shapes(x.shape, y.shape), "int", ops.dtype(x))

    rule.__doc__ = f"{name.upper()} of truth values, or of the bits of integers."


for _name in ("and", "or", "xor"):
    _logic(_name)


@lowers("shift_left", "shift_right_arithmetic", "shift_right_logical")
def shift(b: Builder, eqn: Any, x: Operand, count: Operand) -> Operand:
    """Integers times or divided by powers of two; a logical shift reads a signed number as its two's complement."""
    shape = np.broadcast_shapes(x.shape, count.shape)
    name = eqn.primitive.name
    if name == "shift_left":
        return b.emit("shift_left", [x, count], shape, "int", ops.dtype(x))
    if name == "shift_right_logical" and not _unsigned_width(eqn):
        return b.emit("shift_right_logical", [x, count], shape, "int", ops.dtype(x), width=_width(eqn))
    return b.emit("shift_right", [x, count], shape, "int", ops.dtype(x))


@lowers("population_count")
def population_count(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The number of ones in the integer's own width."""
    return b.emit("popcount", [x], x.shape, "int", ops.dtype(x), width=_width(eqn))


@lowers("clz")
def count_leading_zeros(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The number of zeros above the highest one: width less the ones after every bit is spread downwards."""
    width = _width(eqn)
    for step in (1, 2, 4, 8, 16, 32):
        if step < width:
            shifted = b.emit("shift_right", [x, np.asarray(step)], x.shape, "int", ops.dtype(x))
            x = b.emit("bitwise_or", [x, shifted], x.shape, "int", ops.dtype(x))
    ones = b.emit("popcount", [x], x.shape, "int", ops.dtype(x), width=width)
    return ops.sub(b, np.asarray(width), ones)


def _width(eqn: Any) -> int:
    return int(np.iinfo(np.dtype(eqn.invars[0].aval.dtype)).bits)


def _unsigned_width(eqn: Any) -> int:
    """The width of an unsigned integer, 0 for a signed one."""
    return _width(eqn) if str(eqn.invars[0].aval.dtype).startswith("uint") else 0


@lowers("convert_element_type")
def convert(b: Builder, eqn: Any, x: Operand) -> Operand:
    """Between floats, integers and truth values; a float becomes an integer by truncation towards zero."""
    target = eqn.params["new_dtype"]
    if str(target).startswith("complex"):
        raise refusal(
            b, "a complex number", "Keep real and imaginary parts as two arrays; for an FFT multiply by the DFT matrix."
        )
    converted = ops.convert(b, x, kind_of(target), str(target))
    return converted if isinstance(converted, Ref) else np.asarray(converted)
