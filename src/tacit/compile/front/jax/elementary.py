"""Rules for elementary functions: those of the library, and those that a few of them make up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tacit.compile.front.jax import ops
from tacit.compile.front.jax.builder import Builder, Operand
from tacit.compile.front.jax.lower import lowers

LIBRARY = {
    "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log", "log1p": "log1p", "sqrt": "sqrt", "rsqrt": "rsqrt",
    "logistic": "sigmoid", "tanh": "tanh", "erf": "erf", "erfc": "erfc", "sin": "sin", "cos": "cos", "tan": "tan",
    "asin": "asin", "acos": "acos", "atan": "atan", "sinh": "sinh", "cosh": "cosh", "asinh": "asinh", "acosh": "acosh",
    "atanh": "atanh", "cbrt": "cbrt",
}  # fmt: skip
"""JAX primitives that are one function of the library."""


def _library(primitive: str, name: str) -> None:
    @lowers(primitive)
    def rule(b: Builder, _: Any, x: Operand) -> Operand:
        return ops.unary(b, name, x)

    rule.__doc__ = f"{name}(x)."


for _primitive, _name in LIBRARY.items():
    _library(_primitive, _name)


@lowers("atan2")
def atan2(b: Builder, _: Any, y: Operand, x: Operand) -> Operand:
    """The angle of the point (x, y)."""
    if ops.is_all(y, 0):
        return ops.select(b, ops.compare(b, "lt", x, np.asarray(0.0)), np.asarray(math.pi), np.asarray(0.0))
    sides = [b.hide(v, "fixed", ops.dtype(x)) for v in (y, x)]
    return b.emit("atan2", sides, np.broadcast_shapes(x.shape, y.shape), "fixed", ops.dtype(x))


@lowers("erf_inv")
def erf_inv(b: Builder, _: Any, x: Operand) -> Operand:
    """The inverse of erf on |x| < 1, by two polynomials in w = -log(1 - x**2).

    Source: M. Giles, Approximating the erfinv function (2010), single precision.
    """
    w = ops.neg(b, ops.unary(b, "log", ops.sub(b, np.asarray(1.0), ops.square(b, x))))
    near = ops.polynomial(b, ops.sub(b, w, np.asarray(2.5)), _ERF_INV_NEAR)
    far = ops.polynomial(
        b, ops.sub(b, ops.unary(b, "sqrt", ops.maximum(b, w, np.asarray(1.0))), np.asarray(3.0)), _ERF_INV_FAR
    )
    return ops.mul(b, x, ops.select(b, ops.compare(b, "lt", w, np.asarray(5.0)), near, far))


@lowers("lgamma")
def lgamma(b: Builder, _: Any, x: Operand) -> Operand:
    """log Gamma(x) for x > 0: Stirling's series at x + 6, less the logarithm of x (x + 1) ... (x + 5).

    Source: Abramowitz and Stegun 6.1.41; the truncation error at x + 6 >= 6 is below 1e-8.
    """
    shifted = ops.add(b, x, np.asarray(6.0))
    inverse = ops.divide(b, np.asarray(1.0), shifted)
    log = ops.unary(b, "log", shifted)
    main = ops.sub(b, ops.mul(b, ops.sub(b, shifted, np.asarray(0.5)), log), shifted)
    tail = ops.mul(b, inverse, ops.polynomial(b, ops.square(b, inverse), (1 / 12, -1 / 360, 1 / 1260)))
    series = ops.add(b, ops.add(b, main, np.asarray(0.5 * math.log(2 * math.pi))), tail)
    for step in range(6):
        series = ops.sub(b, series, ops.unary(b, "log", ops.add(b, x, np.asarray(float(step)))))
    return series


@lowers("bessel_i0e", "bessel_i1e")
def bessel(b: Builder, eqn: Any, x: Operand) -> Operand:
    """The scaled modified Bessel functions of order 0 and 1.

    Source: Abramowitz and Stegun 9.8.1 to 9.8.4, |error| below 2.2e-7 of the scaled values.
    """
    first = eqn.primitive.name == "bessel_i1e"
    size = ops.unary(b, "abs", x)
    large = ops.compare(b, "gt", size, np.asarray(3.75))
    ratio = ops.square(b, ops.mul(b, ops.select(b, large, np.asarray(3.75), size), np.asarray(1 / 3.75)))
    near = ops.polynomial(b, ratio, _I1_NEAR if first else _I0_NEAR)
    if first:
        near = ops.mul(b, near, size)
    near = ops.mul(b, near, ops.unary(b, "exp", ops.neg(b, ops.minimum(b, size, np.asarray(3.75)))))
    outer = ops.select(b, large, size, np.asarray(3.75))
    inverse = ops.divide(b, np.asarray(3.75), outer)
    far = ops.mul(b, ops.polynomial(b, inverse, _I1_FAR if first else _I0_FAR), ops.unary(b, "rsqrt", outer))
    result = ops.select(b, large, far, near)
    return _with_sign_of(b, x, result) if first else result


# --- pieces ---------------------------------------------------------------------------------------------------------


def _with_sign_of(b: Builder, x: Operand, size: Operand) -> Operand:
    return ops.select(b, ops.compare(b, "lt", x, np.asarray(0.0)), ops.neg(b, size), size)


# --- coefficients ---------------------------------------------------------------------------------------------------

_ERF_INV_NEAR = (
    1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.000218580870, -4.39150654e-06, -3.5233877e-06,
    3.43273939e-07, 2.81022636e-08,
)  # fmt: skip
_ERF_INV_FAR = (
    2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844, 0.00134934322, 0.000100950558,
    -0.000200214257,
)  # fmt: skip
_I0_NEAR = (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813)
_I0_FAR = (
    0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537, -0.01647633, 0.00392377,
)  # fmt: skip
_I1_NEAR = (0.5, 0.87890594, 0.51498869, 0.15084934, 0.02658733, 0.00301532, 0.00032411)
_I1_FAR = (
    0.39894228, -0.03988024, -0.00362018, 0.00163801, -0.01031555, 0.02282967, -0.02895312, 0.01787654, -0.00420059,
)  # fmt: skip
