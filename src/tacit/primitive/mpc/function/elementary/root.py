"""sqrt, rsqrt, cbrt, hypot: a series of the root on the normalised number."""

from __future__ import annotations

import numpy as np

from tacit.primitive.mpc.form import Elementwise
from tacit.primitive.mpc.function.contract import Domain, bounded, contract
from tacit.primitive.mpc.function.elementary.normal import power, power_of
from tacit.primitive.mpc.function.elementary.series import elementwise
from tacit.primitive.mpc.function.elementary.table import CBRT, RSQRT, SQRT
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Fixed

SOURCE = "Fourier extension on a normalised number; ours"


ROOT_ERROR = bounded("2**-16 relative + 1.5 ulps", lambda bits, exact, *_: 2.0**-16 * np.abs(exact) + 1.5 * 2.0**-bits)
RSQRT_ERROR = bounded("2**-15 relative + 1.5 ulps", lambda bits, exact, *_: 2.0**-15 * np.abs(exact) + 1.5 * 2.0**-bits)


def _top(bits: int) -> int:
    """The exponent of the first x in ring units whose root leaves too little room."""
    return min(60, 78 - bits)


@contract(
    domain=Domain(
        "x < 2**(min(60, 78 - bits) - bits)",
        lambda bits: ((0.0, 2.0 ** (_top(bits) - bits)),),
        "0 for negative x",
    ),
    error=ROOT_ERROR,
    source=SOURCE,
)
@elementwise
async def sqrt(k: Kernel, x: Fixed) -> Fixed:
    """The square root; 0 for x <= 0.

    Reveals: nothing. Costs: 9 rounds (10 above 1024 elements); 21 powers of two on one opening, 12 dealt terms, two products.
    Error: 2**-16 relative + 1.5 ulps.
    """
    top = _top(x.bits)
    plan = power_of(SQRT, 0.5, x.bits, 0, top, 0.0, 2.0 ** ((top - x.bits) / 2))
    return Fixed(await power(k, x.share, plan), x.bits)


@contract(
    domain=Domain(
        "2**(max(0, 3 bits - 66) - bits) <= x < 2**(61 - bits)",
        lambda bits: ((2.0 ** (max(0, 3 * bits - 66) - bits), 2.0 ** (61 - bits)),),
        "the result for the least x",
    ),
    error=RSQRT_ERROR,
    source=SOURCE,
)
@elementwise
async def rsqrt(k: Kernel, x: Fixed) -> Fixed:
    """1 / sqrt(x); for x <= 0 the largest result, 2**(bits / 2) up to 22 fraction bits.

    Reveals: nothing. Costs: 9 rounds (10 above 1024 elements); up to 20 powers of two on one opening, 14 dealt terms, two products.
    Error: 2**-15 relative + 1.5 ulps.
    """
    low = max(0, 3 * x.bits - 66)
    plan = power_of(RSQRT, -0.5, x.bits, low, min(60, 3 * x.bits + 2), 2.0 ** ((x.bits - low) / 2), 0.0)
    return Fixed(await power(k, x.share, plan), x.bits)


@contract(
    domain=Domain("|x| < 2**(60 - bits)", lambda bits: ((-(2.0 ** (60 - bits)), 2.0 ** (60 - bits)),)),
    error=ROOT_ERROR,
    source=SOURCE,
)
@elementwise
async def cbrt(k: Kernel, x: Fixed) -> Fixed:
    """The cube root, of either sign.

    Reveals: nothing. Costs: 9 rounds (15 above 1024 elements); 21 powers of two on one opening (twice that for small
        tensors), 12 dealt terms, two products. Error: 2**-16 relative + 1.5 ulps.
    """
    plan = power_of(CBRT, 1 / 3, x.bits, 0, 60, 0.0, 2.0 ** ((60 - x.bits) / 3))
    return Fixed(await power(k, x.share, plan, signed=True), x.bits)


@contract(
    domain=Domain("x**2 + y**2 < 2**(60 - 2 bits)", lambda bits: ((-(2.0 ** (29 - bits)), 2.0 ** (29 - bits)),)),
    error=bounded("2**-16 relative + 2.5 ulps", lambda bits, exact, *_: 2.0**-16 * np.abs(exact) + 2.5 * 2.0**-bits),
    source=SOURCE,
)
@elementwise
async def hypot(k: Kernel, x: Fixed, y: Fixed) -> Fixed:
    """sqrt(x**2 + y**2).

    Computes: the sum of squares keeps all its 2 * bits fraction bits, so that small sides lose nothing.
    Reveals: nothing. Costs: 11 rounds; two products and those of `sqrt`. Error: 2**-16 relative + 2.5 ulps.
    """
    squares = k.add(await k.product(Elementwise(), x.share, x.share), await k.product(Elementwise(), y.share, y.share))
    # In ring units, sqrt(x**2 + y**2) is the integer root of the sum: no scale is involved.
    plan = power_of(SQRT, 0.5, 0, 0, 60, 0.0, 2.0**30)
    return Fixed(await power(k, squares, plan, positive=True), x.bits)
