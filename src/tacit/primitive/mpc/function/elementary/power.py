"""Powers: products for a public integer exponent, exp(y log x) for any other."""

from __future__ import annotations

import numpy as np

from tacit.primitive.mpc.function.arithmetic import mul, square
from tacit.primitive.mpc.function.contract import Domain, bounded, contract
from tacit.primitive.mpc.function.elementary.exponential import exp
from tacit.primitive.mpc.function.elementary.logarithm import log
from tacit.primitive.mpc.function.elementary.quotient import reciprocal
from tacit.primitive.mpc.function.elementary.root import rsqrt, sqrt
from tacit.primitive.mpc.function.elementary.series import real
from tacit.primitive.mpc.function.operand import Number, bits_of, is_secret, number, wrap
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Value

LARGEST_EXPONENT = 64
"""Integer exponents up to this become products; larger ones are real exponents."""

INTEGER = Domain("every partial power below 2**(62 - 2 bits); x != 0 for negative exponents")
POWER = Domain("x > 0 unless y is a public integer; |y log x| < 18; |y| < 2**(57 - 2 bits)")


@contract(
    domain=INTEGER, error="an ulp per product, carried through the products that follow", source="square and multiply"
)
async def integer_pow(k: Kernel, x: Value, *, exponent: int) -> Number:
    """x**exponent for a public integer; exact for shared integers and exponents >= 0.

    Reveals: nothing. Costs: 2 log2(exponent) products at most; `reciprocal` first for a negative exponent.
    Error: an ulp per product, carried on; for a negative exponent that of `reciprocal` to that power.
    """
    if exponent < 0:
        return await integer_pow(k, await reciprocal(k, await real(k, x)), exponent=-exponent)
    base = await number(k, x)
    if exponent == 0:
        bits = bits_of(base)
        return wrap(k.public(np.full(base.shape, 1 << (bits or 0), np.uint64)), bits)
    result: Number | None = None
    while True:
        if exponent & 1:
            result = base if result is None else await mul(k, result, base)
        exponent >>= 1
        if not exponent and result is not None:
            return result
        base = await square(k, base)


@contract(
    domain=POWER,
    error=bounded(
        "(2**-14 + (2**-15 + 3 ulps) |y|) relative + 2**-16 + 2 ulps where x > 0 and y is not an integer",
        lambda bits, exact, _x, y: (
            (2.0**-14 + (2.0**-15 + 3 * 2.0**-bits) * np.abs(y)) * np.abs(exact) + 2.0**-16 + 2 * 2.0**-bits
        ),
    ),
    source="exp(y log x)",
)
async def power(k: Kernel, x: Value, y: Value) -> Number:
    """x**y.

    Computes: for a public integer y (one number) products; for 0.5 and -0.5 the roots; else exp(y log x), which
        needs x > 0. Arrays of public exponents that are not all equal, and shared ones, take the last way.
    Reveals: nothing. Costs: those of `integer_pow`; or of `log`, one product and `exp`.
    Error: see the contract; that of `integer_pow` or of the root where they apply.
    """
    if not is_secret(y):
        exponents = np.unique(np.asarray(y, np.float64))
        if len(exponents) == 1 and (is_secret(x) and np.broadcast_shapes(np.shape(y), x.shape) == x.shape):
            exponent = float(exponents[0])
            if exponent.is_integer() and abs(exponent) <= LARGEST_EXPONENT:
                return await integer_pow(k, x, exponent=int(exponent))
            if exponent == 0.5:
                return await sqrt(k, x)
            if exponent == -0.5:
                return await rsqrt(k, x)
    if not is_secret(x):
        return await exp(k, await mul(k, y, np.log(np.asarray(x, np.float64))))
    return await exp(k, await mul(k, await log(k, x), y if is_secret(y) else np.asarray(y, np.float64)))


@contract(domain=POWER, error="that of `power`", source="exp(y log x)")
async def float_power(k: Kernel, x: Value, y: Value) -> Number:
    """x**y, real for integers too.

    Reveals: nothing. Costs: those of `power`. Error: that of `power`.
    """
    return await power(k, await real(k, x) if is_secret(x) else x, await real(k, y) if is_secret(y) else y)
