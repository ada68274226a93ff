"""Normalisation: x = m / scale with m in [63/64, 8), for a shared x of unknown size; then powers of x from powers of m.

The size of x is found by comparing it with every eighth power of two, all on one opening and in one tree (`Kernel.octaves`). The indicators, lifted, give any
function of the window for free (`Steps.curve`): the factor `scale`, a power of two, so that m = x * scale is exact, and the
factor by which a power of m becomes that power of x. A series of m does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil, floor, log2, prod
from typing import final

from tacit.primitive.mpc.form import Elementwise
from tacit.primitive.mpc.function.elementary.opening import SMALL, Steps, octaves, steps
from tacit.primitive.mpc.function.elementary.series import evaluate
from tacit.primitive.mpc.function.elementary.table import Series
from tacit.primitive.mpc.kernel import Arith, Bits, Kernel
from tacit.primitive.mpc.separable import ROOM

OCTAVES = 3
"""Octaves of a window: more make the series longer, fewer make the comparisons more."""
_WIDEST = 24  # fraction bits of a power of m


@final
@dataclass(frozen=True, slots=True)
class Windows:
    """[2**(low + 3 w), 2**(low + 3 w + 3)) for w < count, in ring units."""

    low: int
    count: int

    @property
    def bits(self) -> int:
        """The fraction bits of m: the exponent of the uppermost window."""
        return self.low + OCTAVES * (self.count - 1)

    @property
    def thresholds(self) -> list[int]:
        """The ends of all windows, ascending."""
        return [1 << (self.low + OCTAVES * w) for w in range(self.count + 1)]

    @property
    def scales(self) -> list[int]:
        """M / x in each window; 0 below and above them."""
        return [0, *[1 << (OCTAVES * (self.count - 1 - w)) for w in range(self.count)], 0]

    @property
    def substitutes(self) -> list[int]:
        """What m is where no window holds x: 1."""
        return [1 << self.bits, *[0] * self.count, 1 << self.bits]


def windows(low: int, top: int) -> Windows:
    """As few windows as cover [2**low, 2**top)."""
    return Windows(low, ceil((top - low) / OCTAVES))


@final
@dataclass(frozen=True, slots=True)
class Normal:
    """A normalised number."""

    mantissa: Arith
    """m, of `bits` fraction bits; 1 where x lies outside all windows."""
    scale: Arith
    """m / x as a ring element, negative where x is; 0 outside all windows."""
    where: Steps
    signed: bool

    def curve(self, k: Kernel, levels: list[int], *, negative: int = -1) -> Arith:
        """A step function of |x|: its level below, in each and above all windows; times `negative` for negative x."""
        if self.signed:
            levels = [negative * level for level in reversed(levels[1:])] + levels
        return self.where.curve(k, levels)


async def normalise(
    k: Kernel, x: Arith, span: Windows, *, signed: bool = False, positive: bool = False, sharp: bool = True
) -> Normal:
    """Find the window of x.

    Computes: with `signed`, of |x|, by twice the comparisons; else numbers below the first window, negative ones included,
        count as below; with `positive` there are none. Unless `sharp`, the upper end is so to a 64th only.
    Reveals: nothing. Costs: 5 rounds (6 above 1024 elements); one opening of x, a comparison and a lift per threshold (for
        more elements a quarter of a comparison's bytes each), one product.
    """
    thresholds = span.thresholds
    if signed:
        where = await steps(k, x, [1 - t for t in reversed(thresholds)] + thresholds)
    else:
        where = await octaves(k, x, span.low, span.count + 1, positive=positive, sharp=sharp)
    found = Normal(x, x, where, signed)
    scale = found.curve(k, span.scales)
    mantissa = await k.product(Elementwise(), x, scale)
    return Normal(k.add(mantissa, found.curve(k, span.substitutes, negative=1)), scale, where, signed)


@final
@dataclass(frozen=True, slots=True)
class Power:
    """How x**exponent is made of m**exponent for numbers of `fraction` bits."""

    series: Series
    span: Windows
    levels: tuple[int, ...]
    bits: int
    """Fraction bits of m**exponent."""
    shift: int
    sharp: bool
    """Whether results are not negligible right below the uppermost window's end."""


@cache
def power_of(series: Series, exponent: float, fraction: int, low: int, top: int, below: float, above: float) -> Power:
    """The plan for x**exponent with x in [2**low, 2**top) ring units, `below` and `above` the results outside."""
    span = windows(low, top)
    ends = [low + OCTAVES * w for w in range(span.count)]
    # In ring units: (x / 2**fraction)**exponent * 2**fraction with x = m * 2**end.
    exponents = [exponent * (end - fraction) + fraction for end in ends]
    largest = max(exponents) + max(0.0, OCTAVES * exponent)
    outside = [max(0.0, log2(max(v, 2.0**-fraction)) + fraction) for v in (below, above)]
    room = floor(ROOM - max(largest, *outside))
    bits = min(room - 2, _WIDEST)
    kept = min(room - bits, 10)  # fraction bits of the levels
    levels = [round(2.0 ** (e + kept)) for e in exponents]
    edge = [round(v * 2.0 ** (fraction + kept)) for v in (below, above)]
    sharp = above > 0 or exponents[-1] + OCTAVES * exponent > -1
    return Power(series, span, (edge[0], *levels, edge[1]), bits, bits + kept, sharp)


async def power(k: Kernel, x: Arith, plan: Power, *, signed: bool = False, positive: bool = False) -> Arith:
    """x**exponent; with `signed` sign(x) |x|**exponent; with `positive` x must not be negative.

    Reveals: nothing. Costs: 9 rounds (above 1024 elements 10, or 15 if signed): `normalise`, one `separable`, one product.
    Error: the series' relative error and 2**-bits of the plan, relative; and one ulp.
    """
    if signed and prod(x.shape) > SMALL:
        negative = await k.negative(x)
        return await flip(k, negative, await power(k, await flip(k, negative, x), plan, positive=True))
    found = await normalise(k, x, plan.span, signed=signed, positive=positive, sharp=plan.sharp)
    root = await evaluate(k, found.mantissa, plan.series, plan.span.bits, plan.bits)
    return await k.product(Elementwise(), root, found.curve(k, list(plan.levels)), truncate=plan.shift)


async def flip(k: Kernel, negative: Bits, x: Arith) -> Arith:
    """-x where the bit is 1, else x. Costs: one `gate`."""
    return k.linear(lambda s, t: s - t - t, x, await k.gate(negative, x))
