"""Operands: from what a function is given (shared or public, real, integer or truth value) to ring elements of one scale.

Scales. A `Fixed` carries its fraction bits. Where two meet in a sum or a comparison, the result has the larger number of
bits when that is at most `RAISED_BITS` (the other operand is multiplied up, which is local), else the smaller (the larger
operand is truncated). An `Integer` or an integer constant joins a `Fixed` at its scale; a real constant joins an `Integer`
as a `Fixed` of `DEFAULT_BITS`, unless the caller says how many.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import frexp, isfinite, ldexp
from typing import Any, TypeAlias

import numpy as np
from typing_extensions import TypeIs

from tacit.foundation.errors import DomainError, FixedPointOverflow, TypeMismatch
from tacit.primitive.local import NativeLocal, encode
from tacit.primitive.mpc.kernel import VALUE_BITS, Arith, Bilinear, Kernel, Ring, Shape
from tacit.primitive.mpc.value import Boolean, Fixed, Integer, Secret, Value

Number: TypeAlias = Fixed | Integer
Operand: TypeAlias = Arith | Ring

DEFAULT_BITS = 18
RAISED_BITS = 40
LOCAL = NativeLocal()

_LARGEST = 2**VALUE_BITS
_MASK = 2**64 - 1


def is_secret(x: Any) -> TypeIs[Secret]:
    """Say whether an operand is shared."""
    kind = type(x)
    return kind is Fixed or kind is Integer or kind is Boolean


def wrap(share: Arith, bits: int | None) -> Number:
    """A `Fixed` of so many bits, or an `Integer` where `bits` is None."""
    return Integer(share) if bits is None else Fixed(share, bits)


def bits_of(x: Value) -> int | None:
    """The fraction bits of a `Fixed`, else None."""
    return x.bits if type(x) is Fixed else None


async def number(k: Kernel, x: Value) -> Number:
    """A shared number as it is, a shared truth value as the integer 0 or 1. Costs: a lift for truth values."""
    if type(x) is Fixed or type(x) is Integer:
        return x
    if type(x) is Boolean:
        return Integer(await k.lift(x.share))
    raise TypeMismatch(
        f"a shared operand is needed here, not a public {type(x).__name__}. Compute on public values in NumPy."
    )


async def aligned(k: Kernel, x: Value, y: Value, bits: int | None = None) -> tuple[Operand, Operand, int | None]:
    """Both operands as ring elements of one scale: shares, or arrays where public; and that scale (None: integers).

    Costs: a lift for a shared truth value; a truncation where a `Fixed` has too many bits, see the module.
    Errors: TypeMismatch where both are public; those of `constant`.
    """
    if not (is_secret(x) or is_secret(y)):
        raise TypeMismatch("both operands are public; compute on them in NumPy, or share one of them")
    scale = common_bits((x, y), bits)
    return await at_scale(k, x, scale), await at_scale(k, y, scale), scale


def common_bits(xs: Sequence[Value], bits: int | None = None) -> int | None:
    """The fraction bits at which values meet, see the module; None where all are integers or truth values."""
    fixed = [x.bits for x in xs if type(x) is Fixed]
    if fixed:
        high = max(fixed)
        return high if high <= RAISED_BITS else min(fixed)
    if any(is_real(x) for x in xs):
        return DEFAULT_BITS if bits is None else bits
    return None


async def at_scale(k: Kernel, x: Value, bits: int | None) -> Operand:
    """One operand as ring elements of so many fraction bits (None: integers): a share, or an array where public."""
    if type(x) is Fixed:
        return await rescaled(k, x.share, x.bits, bits or 0)
    if type(x) is Integer:
        return await rescaled(k, x.share, 0, bits or 0)
    if type(x) is Boolean:
        return await rescaled(k, await k.lift(x.share), 0, bits or 0)
    return constant(x, bits)


async def rescaled(k: Kernel, share: Arith, bits: int, target: int) -> Arith:
    """The same numbers at another scale: multiplied up (local), or truncated."""
    if bits == target:
        return share
    if bits < target:
        return k.scale(share, np.asarray(np.uint64(1 << (target - bits))))
    return await k.truncate(share, bits - target)


def is_real(x: Any) -> bool:
    """Say whether a public operand is real; shared ones are not public."""
    return not is_secret(x) and np.asarray(x).dtype.kind == "f"


def constant(values: Any, bits: int | None) -> Ring:
    """Public numbers as ring elements of so many fraction bits (None: integers).

    Errors: FixedPointOverflow where a value does not fit; DomainError for NaN and infinity; TypeMismatch for a real
    where integers are needed, or for what is no number.
    """
    array = np.asarray(values)
    if array.dtype.kind == "f":
        if bits is None:
            raise TypeMismatch("a real constant meets integers here; cast one of them")
        return encode(array, bits)
    if array.dtype.kind not in "iub":
        raise TypeMismatch(f"a constant of dtype {array.dtype} is no number")
    scale = bits or 0
    if array.size:
        peak = max(int(array.max()), -int(array.min()))
        if peak >= _LARGEST >> scale:
            raise FixedPointOverflow(observed=float(peak), limit=float(_LARGEST >> scale), fraction_bits=scale)
    ring = array.astype(np.int64).view(np.uint64)
    return np.asarray(ring << np.uint64(scale)) if scale else ring


def multiplier(values: Any, bits: int) -> tuple[Ring, int]:
    """Public factors as ring elements and their scale: as few fraction bits as are exact, else a full mantissa.

    Reals are rounded to 2**-(bits + 1), and where all are below 1 to 2**-bits of the largest |factor|, so that small factors
    lose nothing. Factors that are exact with fewer bits, such as 0.5 or 3.0, get those
    only, and so need a shorter truncation or none. Powers of two are always exact.
    """
    array = np.asarray(values)
    if array.dtype.kind != "f":
        return constant(array, None), 0
    if array.size == 1:
        ring, scale = _mantissa(array.item(), bits)
        return np.array(ring & _MASK, np.uint64).reshape(array.shape), scale
    peak = float(np.max(np.abs(array), initial=0.0))
    if not isfinite(peak):
        raise DomainError("a public factor is NaN or infinite. Fill or drop missing values first.")
    width = _width(peak, bits)
    ring_array = encode(array, width)
    union = int(np.bitwise_or.reduce(ring_array, axis=None))
    spare = min(_trailing_zeros(union), width)
    if spare:
        ring_array = np.asarray(np.right_shift(ring_array.view(np.int64), np.int64(spare))).view(np.uint64)
    return ring_array, width - spare


def _mantissa(value: float, bits: int) -> tuple[int, int]:
    if not isfinite(value):
        raise DomainError(f"a public factor is {value}. Fill or drop missing values first.")
    width = _width(abs(value), bits)
    scaled = round(ldexp(value, width))
    if abs(scaled) >= _LARGEST:
        raise FixedPointOverflow(observed=abs(value), limit=ldexp(1.0, VALUE_BITS - width), fraction_bits=width)
    spare = min(_trailing_zeros(scaled), width)
    return scaled >> spare, width - spare


def _width(peak: float, bits: int) -> int:
    """Fraction bits: `bits`, and for a peak below 1 as many more as it has leading zeros; at most 61."""
    if peak == 0.0:
        return bits
    mantissa, exponent = frexp(peak)
    if mantissa == 0.5:  # a power of two: itself is its leading bit
        exponent -= 1
    return min(bits + max(0, -exponent), 61)


def _trailing_zeros(value: int) -> int:
    return (value & -value).bit_length() - 1 if value else 64


class Times:
    """A product with a public operand, as the linear map that a kernel applies to each share.

    `shape` tells the shape of the result without computing it.
    """

    __slots__ = ("constant", "form", "left")

    def __init__(self, form: Bilinear, constant: Ring, *, left: bool) -> None:
        self.form = form
        self.constant = constant
        self.left = left
        """Whether the public operand is the left one."""

    def __call__(self, share: Ring) -> Ring:
        """The product with one share."""
        if self.left:
            return self.form.apply(LOCAL, self.constant, share)
        return self.form.apply(LOCAL, share, self.constant)

    def shape(self, shape: Shape) -> Shape:
        """The shape of the result for a share of this shape."""
        return self.form.shape(self.constant.shape, shape) if self.left else self.form.shape(shape, self.constant.shape)
