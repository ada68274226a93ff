"""Rounding to integers: exact, whatever the protocol's truncation does.

A truncation gives t = floor(x / 2**bits) or one more. What is left, d = x - 2**bits t, lies in [-2**bits, 2**bits), and
its sign tells which. Whether x was an integer, or halfway between two, follows from comparisons of d alone; all
comparisons are made side by side.
"""

from __future__ import annotations

import numpy as np

from tacit.foundation.errors import ConfigError
from tacit.primitive.driver import gather
from tacit.primitive.mpc.function.chunk import chunked, large
from tacit.primitive.mpc.function.compare import shift
from tacit.primitive.mpc.function.contract import EXACT, RANGE, contract
from tacit.primitive.mpc.function.operand import Number, number
from tacit.primitive.mpc.kernel import Arith, Bits, Kernel
from tacit.primitive.mpc.value import Fixed, Value

MODES = ("floor", "ceil", "trunc", "even", "away")


@contract(domain=RANGE, error=EXACT)
async def floor(k: Kernel, x: Value) -> Number:
    """The largest integer not above x, of x's kind and scale.

    Reveals: nothing. Costs: one `truncate`, one `negative`, one `lift`; none for integers. Error: none.
    """
    return await _rounded(k, x, "floor")


@contract(domain=RANGE, error=EXACT)
async def ceil(k: Kernel, x: Value) -> Number:
    """The smallest integer not below x, of x's kind and scale.

    Reveals: nothing. Costs: those of `floor`. Error: none.
    """
    return await _rounded(k, x, "ceil")


@contract(domain=RANGE, error=EXACT)
async def trunc(k: Kernel, x: Value) -> Number:
    """x without its fraction, of x's kind and scale.

    Reveals: nothing. Costs: one `truncate`, four `negative`s side by side, one `both`, two `lift`s. Error: none.
    """
    return await _rounded(k, x, "trunc")


@contract(domain=RANGE, error=EXACT)
async def round_(k: Kernel, x: Value, *, ties: str = "even") -> Number:
    """The nearest integer, of x's kind and scale; halves go to the "even" one or "away" from zero.

    Reveals: nothing. Costs: one `truncate`, three `negative`s and a `decompose` of one bit ("away": four `negative`s) side
        by side, one `both`, two `lift`s. Error: none.
    """
    return await _rounded(k, x, ties)


async def _rounded(k: Kernel, x: Value, mode: str) -> Number:
    value = await number(k, x)
    if type(value) is not Fixed:
        return value
    if large(value):
        return await chunked(k, _rounded, value, mode=mode)
    share = await whole(k, value.share, value.bits, mode)
    return Fixed(k.scale(share, np.asarray(np.uint64(1 << value.bits))), value.bits)


async def whole(k: Kernel, x: Arith, bits: int, mode: str) -> Arith:
    """x / 2**bits rounded to an integer by one of MODES, as a share of the integer."""
    if mode not in MODES:
        raise ConfigError(f"rounding is one of {', '.join(MODES)}, not {mode!r}")
    if not bits:
        return x
    if mode == "ceil":
        return k.linear(np.negative, await whole(k, k.linear(np.negative, x), bits, "floor"))
    shifted = k.add_public(x, np.asarray(np.uint64(1 << (bits - 1)))) if mode in {"even", "away"} else x
    quotient = await k.truncate(shifted, bits)
    left = k.linear(lambda s, t: s - (t << np.uint64(bits)), shifted, quotient)
    if mode == "floor":
        return k.sub(quotient, await k.lift(await k.negative(left)))
    over, exact, third = await _tests(k, left, bits, quotient if mode == "even" else x, parity=mode == "even")
    if mode == "even":
        third = k.xor(third, over)  # the parity of the floor
    fix = await k.both(third, k.invert(exact) if mode == "trunc" else exact)
    first, second = await gather(k.lift(over), k.lift(fix))
    if mode == "trunc":
        return k.linear(lambda s, t, u: s - t + u, quotient, first, second)
    return k.linear(lambda s, t, u: s - t - u, quotient, first, second)


async def _tests(k: Kernel, left: Arith, bits: int, other: Arith, *, parity: bool) -> tuple[Bits, Bits, Bits]:
    """[left < 0], [left is 0 or -2**bits], and the parity of `other` or else [other < 0]."""
    probes = [k.negative(left), k.negative(shift(k, left, -1)), k.negative(shift(k, left, 2**bits - 1))]
    over, second, last, third = await gather(*probes, k.decompose(other, 1) if parity else k.negative(other))
    if parity:
        third = k.rearrange(lambda b: b[..., 0], third)
    return over, k.xor(k.xor(over, second), last), third
