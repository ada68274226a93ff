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
    "logistic": "sigmoid", "tanh": "tanh", "erf": "erf", "sin": "sin", "cos": "cos", "tan": "tan",
}  # fmt: skip
"""JAX primitives that are one function of the library."""


def _library(primitive: str, name: str) -> None:
    @lowers(primitive)
    def rule(b: Builder, _: Any, x: Operand) -> Operand:
        return ops.unary(b, name, x)

    rule.__doc__ = f"{name}(x)."


for _primitive, _name in LIBRARY.items():
    _library(_primitive, _name)


@lowers("erfc")
def erfc(b: Builder, _: Any, x: Operand) -> Operand:
    """1 - erf(x)."""
    return ops.sub(b, np.asarray(1.0), ops.unary(b, "erf", x))


@lowers("erf_inv")
def erf_inv(b: Builder, _: Any, x: Operand) -> Operand:
    """The inverse of erf on |x| < 1, by two polynomials in w = -log(1 - x**2).

    Source: M. Giles, Approximating the erfinv function (2010), single precision.
    """
    w = ops.neg(b, ops.unary(b, "log", ops.sub(b, np.asarray(1.0), ops.square(b, x))))
    near = ops.polynomial(b, ops.sub(b, w, np.asarray(2.5)), _ERF_INV_NEAR)
    far = ops.polynomial(b, ops.sub(b, ops.unary(b, "sqrt", ops.maximum(b, w, np.asarray(1.0))), np.asarray(3.0)), _ERF_INV_FAR)
    return ops.mul(b, x, ops.select(b, ops.compare(b, "lt", w, np.asarray(5.0)), near, far))


@lowers("sinh")
def sinh(b: Builder, _: Any, x: Operand) -> Operand:
    """(exp(x) - exp(-x)) / 2, with expm1 so that small x keep their digits."""
    up, down = ops.unary(b, "expm1", x), ops.unary(b, "expm1", ops.neg(b, x))
    return ops.mul(b, np.asarray(0.5), ops.sub(b, up, down))


@lowers("cosh")
def cosh(b: Builder, _: Any, x: Operand) -> Operand:
    """(exp(x) + exp(-x)) / 2."""
    up, down = ops.unary(b, "exp", x), ops.unary(b, "exp", ops.neg(b, x))
    return ops.mul(b, np.asarray(0.5), ops.add(b, up, down))


@lowers("asinh")
def asinh(b: Builder, _: Any, x: Operand) -> Operand:
    """sign(x) log(|x| + sqrt(x**2 + 1))."""
    size = ops.unary(b, "abs", x)
    root = ops.unary(b, "sqrt", ops.add(b, ops.square(b, x), np.asarray(1.0)))
    result = ops.unary(b, "log", ops.add(b, size, root))
    return _with_sign_of(b, x, result)


@lowers("acosh")
def acosh(b: Builder, _: Any, x: Operand) -> Operand:
    """log(x + sqrt(x**2 - 1)) for x >= 1."""
    root = ops.unary(b, "sqrt", ops.sub(b, ops.square(b, x), np.asarray(1.0)))
    return ops.unary(b, "log", ops.add(b, x, root))


@lowers("atanh")
def atanh(b: Builder, _: Any, x: Operand) -> Operand:
    """(log(1 + x) - log(1 - x)) / 2 for |x| < 1."""
    up = ops.unary(b, "log", ops.add(b, np.asarray(1.0), x))
    down = ops.unary(b, "log", ops.sub(b, np.asarray(1.0), x))
    return ops.mul(b, np.asarray(0.5), ops.sub(b, up, down))


@lowers("cbrt")
def cbrt(b: Builder, _: Any, x: Operand) -> Operand:
    """sign(x) |x|**(1/3)."""
    size = ops.unary(b, "abs", x)
    tiny = ops.compare(b, "eq", x, np.asarray(0.0))
    log = ops.unary(b, "log", ops.select(b, tiny, np.asarray(1.0), size))
    root = ops.unary(b, "exp", ops.mul(b, np.asarray(1 / 3), log))
    return _with_sign_of(b, x, ops.select(b, tiny, np.asarray(0.0), root))


@lowers("atan")
def atan(b: Builder, _: Any, x: Operand) -> Operand:
    """The angle, from the angle of min(|x|, 1/|x|)."""
    size = ops.unary(b, "abs", x)
    large = ops.compare(b, "gt", size, np.asarray(1.0))
    inverse = ops.divide(b, np.asarray(1.0), ops.select(b, large, size, np.asarray(1.0)))
    angle = _small_angle(b, ops.select(b, large, inverse, size))
    return _with_sign_of(b, x, ops.select(b, large, ops.sub(b, np.asarray(math.pi / 2), angle), angle))


@lowers("atan2")
def atan2(b: Builder, _: Any, y: Operand, x: Operand) -> Operand:
    """The angle of the point (x, y) in (-pi, pi]; 0 at the origin."""
    y, x = (ops.broadcast_to(b, v, np.broadcast_shapes(x.shape, y.shape)) for v in (y, x))
    zero = np.asarray(0.0)
    across, along = ops.unary(b, "abs", y), ops.unary(b, "abs", x)
    steep = ops.compare(b, "gt", across, along)
    longer = ops.select(b, steep, across, along)
    shorter = ops.sub(b, ops.add(b, across, along), longer)
    origin = ops.compare(b, "eq", longer, zero)
    angle = _small_angle(b, ops.divide(b, shorter, ops.select(b, origin, np.asarray(1.0), longer)))
    angle = ops.select(b, steep, ops.sub(b, np.asarray(math.pi / 2), angle), angle)
    angle = ops.select(b, ops.compare(b, "lt", x, zero), ops.sub(b, np.asarray(math.pi), angle), angle)
    return _with_sign_of(b, y, angle)


@lowers("asin")
def asin(b: Builder, _: Any, x: Operand) -> Operand:
    """The angle whose sine is x, |x| <= 1."""
    return _asin(b, x)


@lowers("acos")
def acos(b: Builder, _: Any, x: Operand) -> Operand:
    """pi / 2 - asin(x), |x| <= 1."""
    return ops.sub(b, np.asarray(math.pi / 2), _asin(b, x))


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


def _small_angle(b: Builder, x: Operand) -> Operand:
    """atan(x) for 0 <= x <= 1: an odd polynomial of degree 15, error below 4e-8."""
    return ops.mul(b, x, ops.polynomial(b, ops.square(b, x), _ATAN))


def _asin(b: Builder, x: Operand) -> Operand:
    """asin by the half-angle formula above 1/2, where the series of x alone would lose digits."""
    size = ops.unary(b, "abs", x)
    large = ops.compare(b, "gt", size, np.asarray(0.5))
    half = ops.mul(b, np.asarray(0.5), ops.sub(b, np.asarray(1.0), size))
    inner = ops.select(b, large, half, ops.square(b, size))
    root = ops.unary(b, "sqrt", ops.select(b, large, half, np.asarray(1.0)))
    base = ops.select(b, large, root, size)
    angle = ops.mul(b, base, ops.polynomial(b, inner, _ASIN))
    far = ops.sub(b, np.asarray(math.pi / 2), ops.add(b, angle, angle))
    return _with_sign_of(b, x, ops.select(b, large, far, angle))


# --- coefficients ---------------------------------------------------------------------------------------------------


def _fitted(function: Any, degree: int, high: float) -> tuple[float, ...]:
    """Coefficients of the interpolant in the Chebyshev points of (0, high): near the minimax polynomial."""
    nodes = high * (0.5 + 0.5 * np.cos(np.pi * (np.arange(4 * degree) + 0.5) / (4 * degree)))
    fit = np.polynomial.Chebyshev.fit(nodes, function(nodes), degree, domain=[0.0, high])
    return tuple(float(c) for c in fit.convert(kind=np.polynomial.Polynomial).coef)


_ATAN = _fitted(lambda t: np.arctan(np.sqrt(t)) / np.sqrt(t), 8, 1.0)
_ASIN = _fitted(lambda t: np.arcsin(np.sqrt(t)) / np.sqrt(t), 6, 0.25)
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
