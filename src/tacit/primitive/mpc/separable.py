"""Functions that split over a difference: what one opening and one dealt vector compute.

`f(u - v) = 2**-scale * sum_j left_j(u) * right_j(v)`, with u = x + r visible and v = r a mask that the dealer knows.
Both families live on a circle: a ring element is multiplied by a public integer `turn` modulo 2**64 and read as an angle,
2**64 being the full turn. Since (u - v) * turn = u * turn - v * turn modulo 2**64, a wrap of the ring is a full turn
and changes nothing; the period 2**64 / turn in ring units may be any real number to 2**-64.

- `TrigonometricSeries`: sin k(a - b) = sin ka cos kb - cos ka sin kb, so two terms per harmonic. A smooth function on
  an interval is such a series with a period longer than the interval (a Fourier extension: Boyd 2002; Huybrechs 2010).
- `ExponentialWindow`: 2**(a - b) = 2**a * 2**-b for real numbers; the circle is cut into digits, so that exactly one of a
  few terms is not zero and its exponent is in range.

Both sides are rounded to integers. Factors come from float64 arithmetic in `native/src/separable_loops.hpp`, fused with what
becomes of them: the visible side's are multiplied by what was dealt, the mask's are dealt.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, ldexp, log2
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from tacit import _native
from tacit.primitive.mpc.kernel import Ring, Separable

Reals = NDArray[np.float64]

RING_BITS = 64
ROOM = 61
"""The sum of products stays below 2**61, half of what a truncation takes."""


@final
@dataclass(frozen=True, eq=False)
class TrigonometricSeries(Separable):
    """sum_k cosines[k] cos(h_k t) + sines[k] sin(h_k t) + slope * x with t = 2 pi x turn / 2**64 and h_k = 1 + stride * k.

    Computes: that sum times 2**bits, for a ring element x. The linear part is exact modulo 2**64 and costs two terms.
        left: sin(h_k a) and cos(h_k a) for each k, u * rate and 1 for the linear part; right: their partners
        c_k sin(h_k b) + s_k cos(h_k b) and c_k cos(h_k b) - s_k sin(h_k b), 1 and -v * rate.
    Error: (sum |coefficients| + harmonics) * 2**-(width - 1), see `split`; float64 adds less than 2**-42 of them.
    """

    turn: int
    cosines: tuple[float, ...]
    sines: tuple[float, ...]
    stride: int
    bits: int
    peak: float
    """The largest |value| that must not wrap."""
    slope: float = 0.0
    split: tuple[int, int] = field(init=False)
    """Fraction bits of the visible and of the hidden factors."""
    rate: int = field(init=False)
    """The linear part's factor on the ring."""
    _coefficients: tuple[Reals, Reals] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        room = ROOM - ceil(log2(self.peak))
        weight = sum(map(abs, self.cosines + self.sines))
        visible = min(room // 2 + max(0, round(log2(weight or 1.0) / 2)), 44)
        found = {
            "split": (visible, room - visible),
            "rate": round(ldexp(self.slope, room)) % 2**RING_BITS,
            "scale": room - self.bits,
            "terms": 2 * len(self.cosines) + (2 if self.slope else 0),
            "_coefficients": (np.array(self.cosines), np.array(self.sines)),
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def close(self, u: Ring, dealt: Ring) -> Ring:
        """sum_j left_j(u) * dealt[j]."""
        out = np.empty(u.size, np.uint64)
        _native.series_close(
            *(u, dealt, self.turn, self.stride, len(self.cosines), self.split[0], bool(self.slope), self.rate, out)
        )
        return out

    def deal(self, v: Ring, minus: Ring, out: Ring) -> None:
        """out[j] = right_j(v) - minus[j]."""
        cosines, sines = self._coefficients
        _native.series_deal(
            *(v, cosines, sines, minus, self.turn, self.stride, self.split[1], bool(self.slope), self.rate, out)
        )


@final
@dataclass(frozen=True, eq=False)
class ExponentialWindow(Separable):
    """2**(y + bits) for y = x turn / 2**64 * DIGITS * octaves, from DIGITS terms.

    Computes: with 2**64 a circle of DIGITS digits of `octaves` octaves each, the mask's term of its own high digit j is
        2**-(low digit), all others are 0; the visible side multiplies by 2**(low digit + octaves * ((high digit - j) mod
        DIGITS)). Exponents add as real numbers, so digits need no borrow.
    Domain: top - (DIGITS - 1) * octaves <= y <= top; outside the result is arbitrary.
    Error: 2**(octaves - 31) relative and 2**(top - 31) absolute at most.
    """

    turn: int
    octaves: int
    top: int
    bits: int
    split: tuple[int, int] = field(init=False)
    """Fraction bits of the visible and of the hidden factors."""
    _start: tuple[int, int] = field(init=False, repr=False)
    """The least exponent of a visible factor, and the angle that puts it at zero."""

    DIGITS: ClassVar[int] = 4

    def __post_init__(self) -> None:
        hidden = 30
        room = ROOM - 1 - self.top
        lowest = self.top - (self.DIGITS - 1) * self.octaves
        turned = round(-lowest * 2**RING_BITS / (self.DIGITS * self.octaves)) % 2**RING_BITS
        found = {
            "terms": self.DIGITS,
            "scale": room - self.bits,
            "split": (room - hidden, hidden),
            "_start": (lowest + room - hidden, turned),
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def close(self, u: Ring, dealt: Ring) -> Ring:
        """sum_j left_j(u) * dealt[j]."""
        out = np.empty(u.size, np.uint64)
        lowest, turned = self._start
        _native.window_close(u, dealt, self.turn, turned, self.octaves, lowest, out)
        return out

    def deal(self, v: Ring, minus: Ring, out: Ring) -> None:
        """out[j] = right_j(v) - minus[j]."""
        _native.window_deal(v, minus, self.turn, self.octaves, self.split[1], out)


def turn_of(period: float) -> int:
    """The public factor that makes `period` ring units a full turn."""
    return round(2**RING_BITS / period)
