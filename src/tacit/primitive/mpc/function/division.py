"""Whole quotients and remainders: exact.

By a public divisor c the quotient is estimated by products with 2**s / c and truncations, each of which leaves a remainder about
2**29 times smaller; the bound of what is left is public and computed along. When it is below 2 c, seven comparisons side by
side settle quotient and remainder. By a shared divisor the estimate is a rounded `divide` and another of what it missed, and
the rest is settled in the same way, so the result is exact wherever `divide` is nearly right.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tacit.foundation.errors import DomainError
from tacit.primitive.driver import gather
from tacit.primitive.mpc.function.arithmetic import ELEMENTWISE, spread
from tacit.primitive.mpc.function.chunk import broadcast_shape, chunked, large
from tacit.primitive.mpc.function.compare import ring, shift, signs
from tacit.primitive.mpc.function.contract import EXACT, Domain, contract
from tacit.primitive.mpc.function.operand import Number, at_scale, common_bits, wrap
from tacit.primitive.mpc.function.rounding import whole
from tacit.primitive.mpc.kernel import VALUE_BITS, Arith, Kernel
from tacit.primitive.mpc.value import Fixed, Value

DIVIDE = Domain("y != 0, |x / y| < 2**(62 - bits); for a shared y the domain of `divide`")
_PRECISION = 30


@contract(domain=DIVIDE, error=EXACT)
async def floor_divide(k: Kernel, x: Value, y: Value, *, bits: int | None = None) -> Number:
    """floor(x / y), as NumPy's `//`.

    Reveals: nothing. Costs: for a public y two or three `truncate`s, three `negative`s and three `lift`s side by side;
        for a shared y two `divide`s besides.
    Error: none. Errors: DomainError where a public y is 0.
    """
    return (await _divided(k, x, y, towards_zero=False, bits=bits))[0]


@contract(domain=DIVIDE, error=EXACT)
async def mod(k: Kernel, x: Value, y: Value, *, bits: int | None = None) -> Number:
    """x - y floor(x / y): the remainder with the sign of y, as NumPy's `%`.

    Reveals: nothing. Costs: those of `floor_divide`. Error: none. Errors: DomainError where a public y is 0.
    """
    return (await _divided(k, x, y, towards_zero=False, bits=bits))[1]


@contract(domain=DIVIDE, error=EXACT)
async def trunc_divide(k: Kernel, x: Value, y: Value, *, bits: int | None = None) -> Number:
    """x / y without its fraction: `jax.lax.div` on integers.

    Reveals: nothing. Costs: those of `floor_divide`. Error: none. Errors: DomainError where a public y is 0.
    """
    return (await _divided(k, x, y, towards_zero=True, bits=bits))[0]


@contract(domain=DIVIDE, error=EXACT)
async def rem(k: Kernel, x: Value, y: Value, *, bits: int | None = None) -> Number:
    """The remainder with the sign of x: `jax.lax.rem`, C's `fmod`.

    Reveals: nothing. Costs: those of `floor_divide`. Error: none. Errors: DomainError where a public y is 0.
    """
    return (await _divided(k, x, y, towards_zero=True, bits=bits))[1]


async def _divided(k: Kernel, x: Value, y: Value, *, towards_zero: bool, bits: int | None) -> tuple[Number, Number]:
    """Quotient and remainder, both at the operands' common scale."""
    if large(x, y):
        return await chunked(k, _divided, x, y, towards_zero=towards_zero, bits=bits)
    scale = common_bits((x, y), bits)
    shape = broadcast_shape(x.shape, y.shape)
    a = await at_scale(k, x, scale)
    share = spread(k, k.public(a) if type(a) is np.ndarray else a, shape)
    b = await at_scale(k, y, scale)
    if type(b) is np.ndarray:
        quotient, rest = await _by_public(k, share, np.broadcast_to(b.view(np.int64), shape), towards_zero=towards_zero)
    else:
        quotient, rest = await _by_shared(k, share, spread(k, b, shape), scale, towards_zero=towards_zero)
    if scale:
        quotient = k.scale(quotient, ring(1 << scale))
    return wrap(quotient, scale), wrap(rest, scale)


async def _by_public(k: Kernel, x: Arith, divisor: Any, *, towards_zero: bool) -> tuple[Arith, Arith]:
    """Integers: x = divisor * quotient + rest."""
    if np.any(divisor == 0):
        raise DomainError(f"{int(np.sum(divisor == 0))} divisors are zero")
    signs = np.sign(divisor).view(np.uint64)
    turned = bool(np.any(divisor < 0))
    if turned:  # x / -c = -x / c
        x = k.scale(x, signs)
    size = np.abs(divisor)
    if size.size and not towards_zero and size.min() == size.max() and int(size.min()).bit_count() == 1:
        power = int(size.min()).bit_length() - 1
        quotient = await whole(k, x, power, "floor")
        rest = k.linear(lambda s, t: s - (t << np.uint64(power)), x, quotient)
    else:
        c = size.view(np.uint64)
        quotient, rest = await _estimated(k, x, size)
        probes = [k.add_public(rest, c), rest, k.add_public(rest, np.negative(c))]
        step = await _correction(k, x, probes, towards_zero=towards_zero)
        quotient, rest = k.add(quotient, step), k.sub(rest, k.scale(step, c))
    return quotient, k.scale(rest, signs) if turned else rest


async def _estimated(k: Kernel, x: Arith, divisor: Any) -> tuple[Arith, Arith]:
    """A quotient such that |x - divisor * quotient| < 2 divisor."""
    c = divisor.astype(np.float64)
    least = int(divisor.min(initial=2**62))
    shift = _PRECISION + least.bit_length() - 1
    inverse = np.rint(np.ldexp(1.0, shift) / c).astype(np.uint64)
    factors = divisor.view(np.uint64)
    bound = np.full(c.shape, 2.0**VALUE_BITS)
    quotient, rest = k.public(np.zeros(x.shape, np.uint64)), x
    while np.any(bound >= 2 * c):
        cut = max(0, int(np.frexp(bound.max())[1]) - _PRECISION)
        head = await k.truncate(rest, cut) if cut else rest
        product = k.scale(head, inverse)
        part = await k.truncate(product, shift - cut) if shift > cut else k.scale(product, ring(1 << (cut - shift)))
        quotient = k.add(quotient, part)
        rest = k.sub(rest, k.scale(part, factors))
        # |head - rest / 2**cut| < 1, |inverse - 2**shift / c| <= 1/2, and the last truncation adds at most 1
        error = np.ldexp(1.0, cut - shift - 1) + np.ldexp(bound, -shift - 1) + (shift > cut)
        left = (2.0**cut if cut else 0.0) + c * error
        if np.any((left >= bound) & (bound >= 2 * c)):
            raise DomainError(
                f"divisors between {least} and {int(divisor.max())} are too far apart for one call. Divide in groups."
            )
        bound = left
    return quotient, rest


async def _correction(k: Kernel, x: Arith, probes: list[Arith], *, towards_zero: bool) -> Arith:
    """What a quotient lacks, from [rest + c, rest, rest - c] with |rest| < 2 c.

    That is floor(rest / c), and 1 more where it goes towards zero, x < 0, and c does not divide x.
    """
    if not towards_zero:
        lifted = await gather(*[k.lift(a) for a in await signs(k, *probes)])
        return shift(k, k.linear(lambda s, t, u: np.negative(s + t + u), *lifted), 1)
    *below, negative = await signs(k, *probes, *[shift(k, probe, -1) for probe in probes], x)
    divides = below[0]  # c divides x where one probe is 0: its sign changes when 1 is taken off
    for bits in below[1:]:
        divides = k.xor(divides, bits)
    upwards = await k.both(negative, k.invert(divides))
    lifted = await gather(*[k.lift(a) for a in (*below[:3], upwards)])
    return shift(k, k.linear(lambda s, t, u, v: v - (s + t + u), *lifted), 1)


async def _by_shared(
    k: Kernel, x: Arith, divisor: Arith, scale: int | None, *, towards_zero: bool
) -> tuple[Arith, Arith]:
    """Integers again, for a shared divisor: x' = x sign(divisor) by |divisor|, estimated by `divide`."""
    from tacit.primitive.mpc.function import FUNCTIONS  # the registry imports this module

    turned = await k.negative(divisor)
    pair = k.linear(lambda s, t: np.stack([s, t]), x, divisor)
    double = await k.gate(k.rearrange(lambda b: np.stack([b, b]), turned), pair)
    x, size = [k.linear(_upright(i), pair, double) for i in range(2)]
    quotient, rest = k.public(np.zeros(x.shape, np.uint64)), x
    for _ in range(2):  # the second estimate is of what the first one missed
        estimate = await FUNCTIONS["divide"](k, wrap(rest, scale), wrap(size, scale))
        part = await whole(k, estimate.share, estimate.bits, "even") if type(estimate) is Fixed else estimate.share
        quotient, rest = k.add(quotient, part), k.sub(rest, await k.product(ELEMENTWISE, part, size))
    step = await _correction(k, x, [k.add(rest, size), rest, k.sub(rest, size)], towards_zero=towards_zero)
    rest = k.sub(rest, await k.product(ELEMENTWISE, step, size))
    double_rest = await k.gate(turned, rest)
    return k.add(quotient, step), k.linear(lambda s, t: s - t - t, rest, double_rest)


def _upright(i: int) -> Any:
    return lambda s, t: s[i, ...] - t[i, ...] - t[i, ...]
