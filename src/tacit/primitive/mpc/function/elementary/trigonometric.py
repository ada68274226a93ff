"""sin, cos, tan and their inverses.

A sine is one harmonic on the ring's own circle: two dealt terms, no reduction of the argument, right for every x.
"""

from __future__ import annotations

from functools import cache
from math import pi, sqrt

import numpy as np

from tacit.primitive.driver import gather
from tacit.primitive.mpc.form import Elementwise
from tacit.primitive.mpc.function.contract import Domain, absolute, bounded, contract
from tacit.primitive.mpc.function.elementary.normal import Power, flip, power, power_of
from tacit.primitive.mpc.function.elementary.opening import offset
from tacit.primitive.mpc.function.elementary.quotient import divide, quotient
from tacit.primitive.mpc.function.elementary.series import elementwise, evaluate, ring
from tacit.primitive.mpc.function.elementary.table import ARC, ATAN, RECIPROCAL, SQRT
from tacit.primitive.mpc.function.operand import Number
from tacit.primitive.mpc.kernel import Arith, Bits, Kernel
from tacit.primitive.mpc.separable import TrigonometricSeries, turn_of
from tacit.primitive.mpc.value import Fixed

SOURCE = "sin(u - v) = sin u cos v - cos u sin v on a masked opening; ours"
WAVE = bounded(
    "1.5 ulps + |x| * 2**(bits - 61)", lambda bits, _exact, x: 1.5 * 2.0**-bits + np.abs(x) * 2.0 ** (bits - 61)
)
ANY_ANGLE = Domain("|x| < 2**(62 - bits)", lambda bits: ((-(2.0 ** (62 - bits)), 2.0 ** (62 - bits)),))
UNIT = Domain("-1 <= x <= 1", lambda _bits: ((-1.0, 1.0),), "the value at the nearer end")


@cache
def _wave(bits: int, cosine: float, sine: float) -> TrigonometricSeries:
    return TrigonometricSeries(turn_of(2 * pi * 2.0**bits), (cosine,), (sine,), 1, bits, 1.0)


@contract(domain=ANY_ANGLE, error=WAVE, source=SOURCE)
@elementwise
async def sin(k: Kernel, x: Fixed) -> Fixed:
    """The sine.

    Reveals: nothing. Costs: 2 rounds; one opening, 2 dealt terms. Error: 1.5 ulps + |x| * 2**(bits - 61).
    """
    return Fixed(await k.separable(x.share, _wave(x.bits, 0.0, 1.0)), x.bits)


@contract(domain=ANY_ANGLE, error=WAVE, source=SOURCE)
@elementwise
async def cos(k: Kernel, x: Fixed) -> Fixed:
    """The cosine.

    Reveals: nothing. Costs: 2 rounds; one opening, 2 dealt terms. Error: 1.5 ulps + |x| * 2**(bits - 61).
    """
    return Fixed(await k.separable(x.share, _wave(x.bits, 1.0, 0.0)), x.bits)


@contract(
    domain=Domain("|cos x| >= 2**-8, |x| < 2**(44 - bits)"),
    error=bounded(
        "2**-15 relative + 6 (1 + |tan x|)**2 ulps",
        lambda bits, exact, _x: 2.0**-15 * np.abs(exact) + 6 * (1 + np.abs(exact)) ** 2 * 2.0**-bits,
    ),
    source=SOURCE,
)
@elementwise
async def tan(k: Kernel, x: Fixed) -> Number:
    """The tangent, as sin / cos.

    Reveals: nothing. Costs: 2 rounds and those of `divide`. Error: 2**-15 relative + 6 (1 + |tan x|)**2 ulps.
    """
    sine = Fixed(await k.separable(x.share, _wave(x.bits, 0.0, 1.0)), x.bits)
    cosine = Fixed(await k.separable(x.share, _wave(x.bits, 1.0, 0.0)), x.bits)
    return await divide(k, sine, cosine)


@contract(
    domain=UNIT, error=absolute(2**-14, 4), source="acos(x) / sqrt(1 - x) is smooth: Abramowitz and Stegun 4.4.45"
)
@elementwise
async def acos(k: Kernel, x: Fixed) -> Fixed:
    """The arc cosine, in [0, pi].

    Computes: sqrt(1 - |x|) times a series in |x|; pi minus that for negative x.
    Reveals: nothing. Costs: 16 rounds: the sign, a square root of a number below 1, 8 dealt terms, a product.
    Error: 2**-14 + 4 ulps.
    """
    negative = await k.negative(x.share)
    size = await flip(k, negative, x.share)
    rest = offset(k, k.linear(np.negative, size), 1 << x.bits)
    root, factor = await gather(
        power(k, rest, _root_of_fraction(x.bits)), evaluate(k, size, ARC, x.bits, min(x.bits + 4, 30))
    )
    arc = await k.product(Elementwise(), root, factor, truncate=min(x.bits + 4, 30))
    # pi/2 - arc is odd in x.
    odd = await flip(k, negative, offset(k, arc, -ring(pi / 2, x.bits)))
    return Fixed(offset(k, odd, ring(pi / 2, x.bits)), x.bits)


@contract(
    domain=UNIT, error=absolute(2**-14, 4), source="acos(x) / sqrt(1 - x) is smooth: Abramowitz and Stegun 4.4.45"
)
@elementwise
async def asin(k: Kernel, x: Fixed) -> Fixed:
    """The arc sine, in [-pi/2, pi/2], as pi/2 - acos x.

    Reveals: nothing. Costs: those of `acos`. Error: 2**-14 + 4 ulps.
    """
    arc = await acos(k, x)
    return Fixed(offset(k, k.linear(np.negative, arc.share), ring(pi / 2, x.bits)), x.bits)


@cache
def _root_of_fraction(bits: int) -> Power:
    return power_of(SQRT, 0.5, bits, 0, bits + 1, 0.0, sqrt(2))


@contract(domain=Domain("|x| < 2**(61 - bits)"), error=absolute(2**-14, 5), source=SOURCE)
@elementwise
async def atan(k: Kernel, x: Fixed) -> Fixed:
    """The arc tangent.

    Computes: a series on [0, 1]; above 1, pi/2 minus that of 1 / |x|.
    Reveals: nothing. Costs: 18 rounds: the sign, a `reciprocal` of a number above 1, 10 dealt terms.
    Error: 2**-14 + 5 ulps.
    """
    bits = x.bits
    negative = await k.negative(x.share)
    size = await flip(k, negative, x.share)
    plan = power_of(RECIPROCAL, -1.0, bits, bits, 2 * bits + 1, 1.0, 0.0)
    steep, inverted = await gather(
        k.negative(offset(k, k.linear(np.negative, size), 1 << bits)), power(k, size, plan, positive=True)
    )
    ratio = k.add(size, await k.gate(steep, k.sub(inverted, size)))
    angle = await evaluate(k, ratio, ATAN, bits, bits)
    return Fixed(await flip(k, negative, await _mirrored(k, steep, angle, pi / 2, bits)), bits)


async def _mirrored(k: Kernel, where: Bits, angle: Arith, total: float, bits: int) -> Arith:
    """The angle, or where the bit is 1 the total minus it."""
    twice = k.linear(lambda s: s + s, angle)
    return k.sub(angle, await k.gate(where, offset(k, twice, -ring(total, bits))))


@contract(
    domain=Domain("|x|, |y| < 2**(42 - max(bits, 18))"),
    error=bounded(
        "2**-14 + 6 ulps + 2 ulps / max(|x|, |y|)",
        lambda bits, _exact, y, x: (
            2.0**-14 + 2.0**-bits * (6 + 2 / np.maximum(np.maximum(np.abs(x), np.abs(y)), 2.0**-bits))
        ),
    ),
    source=SOURCE,
)
@elementwise
async def atan2(k: Kernel, y: Fixed, x: Fixed) -> Fixed:
    """The angle of (x, y), in [-pi, pi]; 0 at the origin.

    Computes: the arc tangent of the smaller over the larger side, then reflections: the angle changes its sign with each of
        them, and the constant depends on three bits only.
    Reveals: nothing. Costs: 22 rounds: signs, a comparison, a quotient of positive numbers, 10 dealt terms.
    Error: 2**-14 + 6 ulps + an error of 2 ulps in the larger side.
    """
    bits, shape = x.bits, np.broadcast_shapes(x.shape, y.shape)
    a, b = [k.linear(lambda s: np.broadcast_to(s, shape), v.share) for v in (x, y)]
    left, under = await gather(k.negative(a), k.negative(b))
    width, height = await gather(flip(k, left, a), flip(k, under, b))
    margin = k.sub(width, height)
    steep = await k.negative(margin)
    lost = await k.gate(steep, margin)
    longer, shorter = k.sub(width, lost), k.add(height, lost)
    ratio, quarters = await gather(
        quotient(k, Fixed(shorter, bits), Fixed(longer, bits), positive=True), _quarters(k, steep, left, under)
    )
    angle = await evaluate(k, ratio.share, ATAN, bits, bits)
    turned = await flip(k, k.xor(steep, k.xor(left, under)), angle)
    return Fixed(k.add(turned, k.scale(quarters, np.asarray(np.uint64(ring(pi / 2, bits))))), bits)


async def _quarters(k: Kernel, steep: Bits, left: Bits, under: Bits) -> Arith:
    """Quarter turns to add: steep + 2 [left and not steep], negative where `under`."""
    both = await k.both(left, k.invert(steep))
    one, two = await gather(k.lift(steep), k.lift(both))
    return await flip(k, under, k.linear(lambda s, t: s + t + t, one, two))
