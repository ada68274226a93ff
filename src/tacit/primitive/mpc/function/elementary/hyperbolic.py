"""sinh, cosh and the inverse hyperbolic functions, from exponentials and logarithms; tanh is in `activation.py`."""

from __future__ import annotations

import numpy as np

from tacit.primitive.driver import gather
from tacit.primitive.mpc.form import Elementwise
from tacit.primitive.mpc.function.contract import Domain, absolute, bounded, contract
from tacit.primitive.mpc.function.elementary.exponential import halves
from tacit.primitive.mpc.function.elementary.logarithm import logarithm
from tacit.primitive.mpc.function.elementary.normal import flip, power, power_of
from tacit.primitive.mpc.function.elementary.opening import offset
from tacit.primitive.mpc.function.elementary.series import elementwise
from tacit.primitive.mpc.function.elementary.table import SQRT
from tacit.primitive.mpc.kernel import Arith, Kernel
from tacit.primitive.mpc.value import Fixed

SINES = Domain("|x| <= 18", lambda _bits: ((-18.0, 18.0),), "2**25, of the sign of sinh x")
SINES_ERROR = bounded(
    "2**-15 relative + 2**-16 + 2 ulps", lambda bits, exact, *_: 2.0**-15 * np.abs(exact) + 2.0**-16 + 2 * 2.0**-bits
)
DEFINITION = "the definition"


@contract(domain=SINES, error=SINES_ERROR, source=DEFINITION)
@elementwise
async def sinh(k: Kernel, x: Fixed) -> Fixed:
    """(exp(x) - exp(-x)) / 2.

    Reveals: nothing. Costs: those of two `exp` side by side. Error: 2**-15 relative + 2**-16 + 2 ulps.
    """
    up, down = await halves(k, x)
    return Fixed(k.sub(up.share, down.share), x.bits)


@contract(domain=SINES, error=SINES_ERROR, source=DEFINITION)
@elementwise
async def cosh(k: Kernel, x: Fixed) -> Fixed:
    """(exp(x) + exp(-x)) / 2.

    Reveals: nothing. Costs: those of two `exp` side by side. Error: 2**-15 relative + 2**-16 + 2 ulps.
    """
    up, down = await halves(k, x)
    return Fixed(k.add(up.share, down.share), x.bits)


@contract(
    domain=Domain("|x| < 2**(29 - bits)", lambda bits: ((-(2.0 ** (29 - bits)), 2.0 ** (29 - bits)),)),
    error=absolute(2**-14, 5),
    source="asinh x = log(x + sqrt(x**2 + 1))",
)
@elementwise
async def asinh(k: Kernel, x: Fixed) -> Fixed:
    """The inverse of sinh.

    Reveals: nothing. Costs: 22 rounds: a sign, those of `sqrt` and `log`. Error: 2**-14 + 5 ulps.
    """
    negative = await k.negative(x.share)
    size = await flip(k, negative, x.share)
    return Fixed(await flip(k, negative, await _log_of_sum(k, size, 1, x.bits)), x.bits)


@contract(
    domain=Domain("1 <= x < 2**(29 - bits)", lambda bits: ((1.0, 2.0 ** (29 - bits)),), "log x below 1"),
    error=absolute(2**-14, 5),
    source="acosh x = log(x + sqrt(x**2 - 1))",
)
@elementwise
async def acosh(k: Kernel, x: Fixed) -> Fixed:
    """The inverse of cosh.

    Reveals: nothing. Costs: 17 rounds: those of `sqrt` and `log`. Error: 2**-14 + 5 ulps.
    """
    return Fixed(await _log_of_sum(k, x.share, -1, x.bits), x.bits)


async def _log_of_sum(k: Kernel, x: Arith, one: int, bits: int) -> Arith:
    """log(x + sqrt(x**2 + one)), the square with all its fraction bits."""
    squared = offset(k, await k.product(Elementwise(), x, x), one << (2 * bits))
    root = await power(k, squared, power_of(SQRT, 0.5, 0, 0, 60, 0.0, 2.0**30))
    return (await logarithm(k, Fixed(k.add(x, root), bits), 1.0, bits, top=32)).share


@contract(
    domain=Domain("-1 < x < 1", lambda bits: ((2.0**-bits - 1, 1 - 2.0**-bits),), "as at the nearer end"),
    error=absolute(2**-15, 3),
    source="atanh x = (log(1 + x) - log(1 - x)) / 2",
)
@elementwise
async def atanh(k: Kernel, x: Fixed) -> Fixed:
    """The inverse of tanh.

    Reveals: nothing. Costs: those of two `log` of numbers below 2, side by side. Error: 2**-15 + 3 ulps.
    """
    above, below = offset(k, x.share, 1 << x.bits), offset(k, k.linear(np.negative, x.share), 1 << x.bits)
    logs = [logarithm(k, Fixed(v, x.bits), 0.5, x.bits, top=x.bits + 1) for v in (above, below)]
    first, second = await gather(*logs)
    return Fixed(k.sub(first.share, second.share), x.bits)
