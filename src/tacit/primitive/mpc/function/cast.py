"""From one kind of value to another."""

from __future__ import annotations

import numpy as np

from tacit.primitive.mpc.function.compare import ne
from tacit.primitive.mpc.function.contract import EXACT, RANGE, contract, ulps
from tacit.primitive.mpc.function.operand import DEFAULT_BITS, number, rescaled
from tacit.primitive.mpc.function.rounding import whole
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Boolean, Fixed, Integer, Value


@contract(domain=RANGE, error=ulps(1))
async def to_fixed(k: Kernel, x: Value, *, bits: int = DEFAULT_BITS) -> Fixed:
    """The value as a real with `bits` fraction bits.

    Reveals: nothing. Costs: none; a `lift` for truth values; a `truncate` for a real of more fraction bits.
    Error: none, or 0 or +1 ulp where fraction bits are cut. Domain: |x| < 2**(62 - bits).
    """
    value = await number(k, x)
    return Fixed(await rescaled(k, value.share, value.bits if type(value) is Fixed else 0, bits), bits)


@contract(domain=RANGE, error=EXACT)
async def to_integer(k: Kernel, x: Value, *, rounding: str = "trunc") -> Integer:
    """The value as an integer; reals are rounded by "trunc" (towards zero), "floor", "ceil", "even" or "away".

    Reveals: nothing. Costs: none for integers, a `lift` for truth values, for reals those of `rounding.py`. Error: none.
    """
    value = await number(k, x)
    if type(value) is Fixed:
        return Integer(await whole(k, value.share, value.bits, rounding))
    return Integer(value.share)


@contract(domain=RANGE, error=EXACT)
async def to_boolean(k: Kernel, x: Value) -> Boolean:
    """Whether the value is not zero.

    Reveals: nothing. Costs: none for truth values, else those of `ne`. Error: none.
    """
    return x if type(x) is Boolean else await ne(k, x, np.zeros((), np.int64))
