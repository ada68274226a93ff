"""exp and its relatives, from powers of two on a window of exponents (`ExponentialWindow`).

For results up to 2**26 the window yields exp(x / 2), which needs half the exponents, and one product squares it. For
arguments that are never positive (softmax) the window alone is enough, with more fraction bits.
"""

from __future__ import annotations

from functools import cache
from math import ceil, floor, log2

import numpy as np

from tacit.primitive.driver import gather
from tacit.primitive.mpc.form import Elementwise
from tacit.primitive.mpc.function.contract import Domain, bounded, contract
from tacit.primitive.mpc.function.elementary.opening import offset
from tacit.primitive.mpc.function.elementary.series import elementwise
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.separable import ExponentialWindow, turn_of
from tacit.primitive.mpc.value import Fixed, Value

LOG2E = log2(np.e)
TOP = 26
"""exp saturates at 2**26."""

_OCTAVES = 9
_HALF_TOP = TOP // 2
_HALF_LOW = _HALF_TOP - 3 * _OCTAVES
_HALF_BITS = 17  # (2**13 * 2**17)**2 = 2**60
_DOWN_TOP = 1
_DOWN_LOW = _DOWN_TOP - 3 * _OCTAVES

SOURCE = "2**(u - v) = 2**u 2**-v on a window of exponents; ours"


def _domain(top: float) -> Domain:
    def limits(bits: int) -> tuple[tuple[float, float], ...]:
        return ((-(2.0 ** (61 - bits)), 2.0 ** (61 - bits)),)

    return Domain(f"|x| < 2**(61 - bits); above {top:.2f} the result stays 2**{TOP}", limits)


ERROR = bounded(
    "2**-15 relative + 2**-17 + 1 ulp", lambda bits, exact, *_: 2.0**-15 * np.abs(exact) + 2.0**-17 + 2.0**-bits
)
SHIFTED = bounded(
    "2**-15 relative + 2**-14.4 + 1 ulp",
    lambda bits, exact, *_: 2.0**-15 * np.abs(exact) + 2.0**-14.4 + 2.0**-bits,
)


@contract(domain=_domain(TOP / LOG2E), error=ERROR, source=SOURCE)
@elementwise
async def exp(k: Kernel, x: Fixed) -> Fixed:
    """The exponential; 0 below -19.4, 2**26 above 18.02.

    Reveals: nothing. Costs: 6 rounds; one opening, two comparisons, 4 dealt terms, one product.
    Error: 2**-15 relative + 2**-17 + 1 ulp.
    """
    return await _power_of_base(k, x, LOG2E)


@contract(domain=_domain(TOP), error=ERROR, source=SOURCE)
@elementwise
async def exp2(k: Kernel, x: Fixed) -> Fixed:
    """2**x; 0 below -28, 2**26 above 26.

    Reveals: nothing. Costs: those of `exp`. Error: 2**-15 relative + 2**-17 + 1 ulp.
    """
    return await _power_of_base(k, x, 1.0)


@contract(domain=_domain(TOP / LOG2E), error=SHIFTED, source=SOURCE)
async def expm1(k: Kernel, x: Value) -> Fixed:
    """exp(x) - 1.

    Reveals: nothing. Costs: those of `exp`. Error: that of `exp`: not relative to the result near 0.
    """
    value: Fixed = await exp(k, x)
    return Fixed(offset(k, value.share, -(1 << value.bits)), value.bits)


async def halves(k: Kernel, x: Fixed) -> tuple[Fixed, Fixed]:
    """exp(x) / 2 and exp(-x) / 2, side by side: what hyperbolic functions are made of."""
    mirrored = Fixed(k.linear(np.negative, x.share), x.bits)
    up, down = await gather(_power_of_base(k, x, LOG2E, 1), _power_of_base(k, mirrored, LOG2E, 1))
    return up, down


async def _power_of_base(k: Kernel, x: Fixed, rate: float, halvings: int = 0) -> Fixed:
    """2**(rate * x - halvings), as the square of 2**(rate * x / 2)."""
    half = _window(rate / 2, _HALF_TOP, _HALF_BITS, x.bits)
    ends = [ceil(2 * _HALF_LOW / rate * 2**x.bits), floor(TOP / rate * 2**x.bits) + 1]
    root, (low, high) = await gather(k.separable(x.share, half), k.below(x.share, ends))
    most = 1 << (_HALF_TOP + _HALF_BITS)
    root = offset(k, await k.either(k.xor(low, high), root, high, -most), most)
    return Fixed(await k.product(Elementwise(), root, root, truncate=2 * _HALF_BITS - x.bits + halvings), x.bits)


@elementwise
async def decay(k: Kernel, x: Fixed, *, out: int) -> Fixed:
    """exp(x) for x <= 0; the result has `out` fraction bits (at most 28); 0 below -18.02.

    Reveals: nothing. Costs: 4 rounds; one opening, one comparison, 4 dealt terms, one `gate`.
    Error: 2**-21 relative + 2**-29 + 1 ulp, and 2**-26 where cut off.
    """
    end = ceil(_DOWN_LOW / LOG2E * 2**x.bits)
    window = _window(LOG2E, _DOWN_TOP, out, x.bits)
    body, (low,) = await gather(k.separable(x.share, window), k.below(x.share, [end]))
    return Fixed(await k.gate(k.invert(low), body), out)


@cache
def _window(rate: float, top: int, out: int, bits: int) -> ExponentialWindow:
    """2**(rate x) for ring elements of `bits` fraction bits."""
    period = ExponentialWindow.DIGITS * _OCTAVES / rate
    return ExponentialWindow(turn_of(period * 2.0**bits), _OCTAVES, top, out)
