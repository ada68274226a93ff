"""reciprocal and divide: a series of 1 / m on the normalised divisor."""

from __future__ import annotations

from functools import cache
from math import prod

import numpy as np

from tacit.primitive.mpc.form import Elementwise
from tacit.primitive.mpc.function.arithmetic import mul, spread
from tacit.primitive.mpc.function.contract import Domain, bounded, contract
from tacit.primitive.mpc.function.elementary.normal import Power, Windows, flip, normalise, power, power_of
from tacit.primitive.mpc.function.elementary.opening import SMALL
from tacit.primitive.mpc.function.elementary.series import elementwise, evaluate
from tacit.primitive.mpc.function.elementary.table import RECIPROCAL
from tacit.primitive.mpc.function.operand import Number, is_secret
from tacit.primitive.mpc.kernel import Arith, Kernel
from tacit.primitive.mpc.value import Fixed, Value

SOURCE = "Fourier extension of 1 / m on a normalised divisor; ours"
_DIGITS = 20  # fraction bits of 1 / m in a quotient
_GUARD = 3  # of them survive until the divisor's size is undone
_WINDOWS = 14  # of three octaves: the 42 of the contract


def lowest(bits: int) -> float:
    """The smallest |x| whose reciprocal is right."""
    return 2.0 ** (max(0, 2 * bits - 37) - bits)


RECIPROCAL_DOMAIN = Domain(
    "2**(max(0, 2 bits - 37) - bits) <= |x| < 2**(61 - bits)",
    lambda bits: ((lowest(bits), 2.0 ** (61 - bits)),),
    "1 / 0, and below the least |x|, is the reciprocal of the least",
)


@contract(
    domain=RECIPROCAL_DOMAIN,
    error=bounded("2**-15 relative + 1.5 ulps", lambda bits, exact, *_: 2.0**-15 * np.abs(exact) + 1.5 * 2.0**-bits),
    source=SOURCE,
)
@elementwise
async def reciprocal(k: Kernel, x: Fixed) -> Fixed:
    """1 / x; 1 / 0 is the largest reciprocal, 2**min(bits, 37 - bits).

    Reveals: nothing. Costs: 9 rounds (15 above 1024 elements); about 2 bits / 3 powers of two on one opening, 18 dealt terms,
        two products. Error: 2**-15 relative + 1.5 ulps. Domain: every x of up to 18 fraction bits but 0; see the contract.
    """
    return Fixed(await power(k, x.share, _reciprocal(x.bits), signed=True), x.bits)


def _reciprocal(bits: int) -> Power:
    # From 2**(2 bits + 1) ring units on the result is below half an ulp.
    low = max(0, 2 * bits - 37)
    return power_of(RECIPROCAL, -1.0, bits, low, 2 * bits + 1, 2.0 ** (bits - low), 0.0)


async def inverse(k: Kernel, x: Arith, bits: int, out: int, largest: int) -> Arith:
    """1 / x with `out` fraction bits for x in [1, largest] of `bits` fraction bits: few comparisons, no sign.

    Reveals: nothing. Costs: 9 rounds (10 above 1024 elements from 32 on); a comparison per three octaves of `largest`. Error: 2**-15 relative + 1 ulp.
    """
    # A window below 1 as well: x is a rounded number.
    plan = power_of(RECIPROCAL, -1.0, bits, bits - 1, bits + largest.bit_length(), 1.0, 0.0)
    value = await power(k, x, plan)
    return value if out == bits else await k.truncate(value, bits - out)


@cache
def _quotient_windows(bits: int) -> Windows:
    return Windows(max(0, bits - 18), _WINDOWS)


@contract(
    domain=Domain(
        "|x| < 2**(42 - bits), 2**-min(bits, 18) <= |y| < 2**(42 - min(bits, 18)), |x / y| < 2**(20 + min(0, 18 - bits))",
        lambda bits: (
            (-(2.0 ** (42 - bits)), 2.0 ** (42 - bits)),
            (2.0 ** -min(bits, 18), 2.0 ** (42 - min(bits, 18))),
        ),
        "x / 0 is 0; a quotient that is too large wraps",
    ),
    error=bounded(
        "2**-15 relative + 1.5 ulps + ulp / |y|",
        lambda bits, exact, _x, y: 2.0**-15 * np.abs(exact) + 2.0**-bits * (1.5 + 1 / np.abs(y)),
    ),
    source=SOURCE,
)
async def divide(k: Kernel, x: Value, y: Value) -> Number:
    """X / y.

    Computes: x * (1 / m) * scale, where y = m / scale: the size of y is undone last, so that no digit of a small
        quotient is lost. A public divisor is a public factor, and 1 / y is `reciprocal`.
    Reveals: nothing. Costs: 11 rounds (17 above 1024 elements); 15 powers of two on one opening (twice that for small
        tensors), 18 dealt terms, three products. Error: 2**-15 relative + 1.5 ulps + an ulp of x, which is an ulp / |y|.
    """
    if not is_secret(y):
        return await mul(k, x, 1.0 / np.asarray(y, np.float64))
    if not is_secret(x) and np.all(np.asarray(x) == 1) and np.ndim(x) <= len(y.shape):
        inverted: Fixed = await reciprocal(k, y)
        return Fixed(spread(k, inverted.share, np.broadcast_shapes(np.shape(x), y.shape)), inverted.bits)
    result: Fixed = await _divide(k, x, y)
    return result


@elementwise
async def _divide(k: Kernel, x: Value, y: Fixed) -> Fixed:
    if prod(y.shape) <= SMALL:
        return await quotient(k, x, y, signed=True)
    negative = await k.negative(y.share)
    size = Fixed(await flip(k, negative, y.share), y.bits)
    result = await quotient(k, x, size, positive=True)
    return Fixed(await flip(k, negative, result.share), result.bits)


async def quotient(k: Kernel, x: Value, y: Fixed, *, signed: bool = False, positive: bool = False) -> Fixed:
    """X / y for positive y, or with `signed` for any; see `divide`."""
    span = _quotient_windows(y.bits)
    found = await normalise(k, y.share, span, signed=signed, positive=positive)
    root = Fixed(await evaluate(k, found.mantissa, RECIPROCAL, span.bits, _DIGITS), _DIGITS)
    first = await mul(k, x, root, bits=y.bits + _GUARD)
    cut = span.bits - y.bits + _GUARD
    return Fixed(await k.product(Elementwise(), first.share, found.scale, truncate=cut), y.bits)
