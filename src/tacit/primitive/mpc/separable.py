"""Functions that split over a difference: what one opening and one dealt vector compute.

`f(u - v) = 2**-scale * sum_j left_j(u) * right_j(v)`, with u = x + r visible and v = r a mask that the dealer knows.
Both families live on a circle: a ring element is multiplied by a public integer `turn` modulo 2**64 and read as an angle,
2**64 being the full turn. Since (u - v) * turn = u * turn - v * turn modulo 2**64, a wrap of the ring is a full turn
and changes nothing; the period 2**64 / turn in ring units may be any real number to 2**-64.

- `TrigonometricSeries`: sin k(a - b) = sin ka cos kb - cos ka sin kb, so two terms per harmonic. A smooth function on
  an interval is such a series with a period longer than the interval (a Fourier extension: Boyd 2002; Huybrechs 2010).
- `ExponentialWindow`: 2**(a - b) = 2**a * 2**-b for real numbers; the circle is cut into digits, so that exactly one of a
  few terms is not zero and its exponent is in range.

Both sides are rounded to integers. Factors come from float64 arithmetic, whose last bits may differ between machines:
that is within the stated error, and no party has to reproduce what another computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, factorial, ldexp, log2, pi
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from tacit.primitive.mpc.kernel import Ring, Separable

Reals = NDArray[np.float64]

RING_BITS = 64
ROOM = 61
"""The sum of products stays below 2**61, half of what a truncation takes."""
BLOCK = 8192
"""Elements of one pass: few enough for the scratch rows to stay in the first cache levels."""

_MAGIC = 1.5 * 2.0**52
_MAGIC_BITS = np.float64(_MAGIC).view(np.uint64)
_MANTISSA = 52
_SINE = tuple((-1.0) ** i / factorial(2 * i + 1) for i in range(7))  # on a quarter turn: error (pi/4)**15 / 15! = 2e-14


@final
@dataclass(frozen=True, eq=False)
class TrigonometricSeries(Separable):
    """sum_k cosines[k] cos(h_k t) + sines[k] sin(h_k t) + slope * x with t = 2 pi x turn / 2**64 and h_k = 1 + stride * k.

    Computes: that sum times 2**bits, for a ring element x. The linear part is exact modulo 2**64 and costs two terms.
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

    def __post_init__(self) -> None:
        room = ROOM - ceil(log2(self.peak))
        weight = sum(map(abs, self.cosines + self.sines))
        visible = min(room // 2 + max(0, round(log2(weight or 1.0) / 2)), 44)
        found = {
            "split": (visible, room - visible),
            "rate": round(ldexp(self.slope, room)) % 2**RING_BITS,
            "scale": room - self.bits,
            "terms": 2 * len(self.cosines) + (2 if self.slope else 0),
        }
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def left(self, u: Ring) -> Ring:
        """sin(h_k a) and cos(h_k a) for each k, and u itself for the linear part."""
        return _by_blocks(u, self.terms, self._left)

    def right(self, v: Ring) -> Ring:
        """Their partners: c_k cos and s_k sin of the mask's angle, combined."""
        return _by_blocks(v, self.terms, self._right)

    def _left(self, u: Ring, rows: Reals) -> None:
        count = 2 * len(self.cosines)
        visible, _ = self.split
        self._harmonics(u, rows[:count], ldexp(1.0, visible))
        _to_ring(rows[:count])
        if self.slope:
            words = rows[count:].view(np.uint64)
            np.multiply(u, np.uint64(self.rate), out=words[0])
            words[1] = 1

    def _right(self, v: Ring, rows: Reals) -> None:
        # sin(h a) meets c sin(h b) + s cos(h b); cos(h a) meets c cos(h b) - s sin(h b).
        count = 2 * len(self.cosines)
        _, hidden = self.split
        odd = not any(self.cosines)
        waves = rows[:count]
        self._harmonics(v, waves, ldexp(1.0, hidden), swapped=odd)
        signed = np.outer(self.sines, (1.0, -1.0)).reshape(count, 1)
        if odd:
            np.multiply(waves, signed, out=waves)
        else:
            crossed = waves.reshape(-1, 2, v.size)[:, ::-1].copy().reshape(count, v.size) if any(self.sines) else None
            np.multiply(waves, np.repeat(self.cosines, 2).reshape(count, 1), out=waves)
            if crossed is not None:
                np.multiply(crossed, signed, out=crossed)
                np.add(waves, crossed, out=waves)
        _to_ring(waves)
        if self.slope:
            words = rows[count:].view(np.uint64)
            words[0] = 1
            np.multiply(v, np.uint64(-self.rate % 2**RING_BITS), out=words[1])

    def _harmonics(self, x: Ring, rows: Reals, unit: float, *, swapped: bool = False) -> None:
        """Pairs of rows unit * (sin, cos)(h_k t), or (cos, sin), by s_(k+1) = 2 cos(stride t) s_k - s_(k-1)."""
        sine, cosine = sine_and_cosine(x * np.uint64(self.turn))
        pairs = rows.reshape(-1, 2, x.size)
        first, second = pairs[0, ::-1] if swapped else pairs[0]
        np.multiply(sine, unit, out=first)
        np.multiply(cosine, unit, out=second)
        if len(pairs) == 1:
            return
        if self.stride == 2:
            double = np.multiply(cosine, cosine, out=cosine)
            np.multiply(double, 4.0, out=double)
            np.subtract(double, 2.0, out=double)
            np.multiply(double, pairs[0], out=pairs[1])
            # One stride before the first harmonic: sin(-t) = -sin(t), cos(-t) = cos(t).
            first_next, second_next = pairs[1, ::-1] if swapped else pairs[1]
            np.add(first_next, first, out=first_next)
            np.subtract(second_next, second, out=second_next)
        else:
            double = np.multiply(cosine, 2.0, out=cosine)
            np.multiply(double, pairs[0], out=pairs[1])
            second_next = pairs[1, 0] if swapped else pairs[1, 1]
            np.subtract(second_next, unit, out=second_next)
        for k in range(2, len(pairs)):
            np.multiply(double, pairs[k - 1], out=pairs[k])
            np.subtract(pairs[k], pairs[k - 2], out=pairs[k])


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

    DIGITS: ClassVar[int] = 4

    def __post_init__(self) -> None:
        hidden = 30
        room = ROOM - 1 - self.top
        found = {"terms": self.DIGITS, "scale": room - self.bits, "split": (room - hidden, hidden)}
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def left(self, u: Ring) -> Ring:
        """2**(low digit + octaves * ((high digit - j) mod DIGITS)), rounded, for each j."""
        return _by_blocks(u, self.terms, self._left)

    def right(self, v: Ring) -> Ring:
        """[high digit == j] * 2**-(low digit), rounded, for each j."""
        return _by_blocks(v, self.terms, self._right)

    def _left(self, u: Ring, rows: Reals) -> None:
        visible, _ = self.split
        lowest = self.top - (self.DIGITS - 1) * self.octaves
        # The circle is turned so that the least exponent of the domain has angle zero.
        turned = round(-lowest * 2**RING_BITS / (self.DIGITS * self.octaves)) % 2**RING_BITS
        high, low = self._digits(u * np.uint64(self.turn) + np.uint64(turned))
        np.add(low, float(lowest + visible), out=low)
        base = np.exp2(low, out=low).view(np.uint64)
        step = np.uint64(self.octaves << _MANTISSA)  # one digit up, in the exponent field
        for j in range(self.DIGITS):
            row = rows[j].view(np.uint64)
            np.subtract(high, np.uint64(j), out=row)
            np.bitwise_and(row, np.uint64(self.DIGITS - 1), out=row)
            np.multiply(row, step, out=row)
            np.add(row, base, out=row)
        _to_ring(rows)

    def _right(self, v: Ring, rows: Reals) -> None:
        _, hidden = self.split
        high, low = self._digits(v * np.uint64(self.turn))
        np.subtract(float(hidden), low, out=low)
        factor = np.exp2(low, out=low)
        for j in range(self.DIGITS):
            np.multiply(factor, high == np.uint64(j), out=rows[j])
        _to_ring(rows)

    def _digits(self, angle: Ring) -> tuple[Ring, Reals]:
        """The high digit, and the rest in octaves below one digit."""
        shift = self.DIGITS.bit_length() - 1
        high = angle >> np.uint64(RING_BITS - shift)
        rest = (angle << np.uint64(shift)) >> np.uint64(1)  # below 2**63, so that the signed conversion serves
        return high, np.multiply(rest.view(np.int64), ldexp(self.octaves, 1 - RING_BITS), dtype=np.float64)


def sine_and_cosine(angle: Ring) -> tuple[Reals, Reals]:
    """The sine and cosine of 2 pi angle / 2**64.

    Computes: a Taylor polynomial for the sine on a quarter of the angle, cos = sqrt(1 - sin**2) there (at least 0.7, so that
        nothing cancels), then two doublings. Error: 2**-43.
    """
    quarter = np.multiply(angle.view(np.int64), ldexp(2 * pi, -RING_BITS - 2), dtype=np.float64)
    square = np.multiply(quarter, quarter)
    sine = np.multiply(square, _SINE[-1])
    for coefficient in _SINE[-2:0:-1]:
        np.add(sine, coefficient, out=sine)
        np.multiply(sine, square, out=sine)
    np.add(sine, _SINE[0], out=sine)
    np.multiply(sine, quarter, out=sine)
    np.multiply(sine, sine, out=square)
    cosine = np.subtract(1.0, square, out=quarter)
    np.sqrt(cosine, out=cosine)
    for _ in range(2):
        np.multiply(sine, cosine, out=cosine)
        np.multiply(sine, sine, out=square)
        np.add(cosine, cosine, out=sine)
        np.multiply(square, -2.0, out=square)
        np.add(square, 1.0, out=cosine)
    return sine, cosine


def turn_of(period: float) -> int:
    """The public factor that makes `period` ring units a full turn."""
    return round(2**RING_BITS / period)


def _by_blocks(x: Ring, terms: int, fill: Callable[[Ring, Reals], None]) -> Ring:
    """[n] -> [terms, n] by blocks that stay in the cache; an array without memory (a dry run) is answered in kind."""
    size = x.size
    if size > 1 and x.strides == (0,):
        return np.broadcast_to(np.uint64(0), (terms, size))
    rows = np.empty((terms, size))
    for begin in range(0, size, BLOCK):
        fill(x[begin : begin + BLOCK], rows[:, begin : begin + BLOCK])
    return rows.view(np.uint64)


def _to_ring(rows: Reals) -> None:
    """Round to integers and store them as ring elements, in place; |value| < 2**51."""
    np.add(rows, _MAGIC, out=rows)
    words = rows.view(np.uint64)
    np.subtract(words, _MAGIC_BITS, out=words)
