"""Comparisons: exact, because x < y is the sign of x - y.

Operands are as in `arithmetic.py`; the result is a shared truth value. The difference must be below 2**62 in the ring,
which leaves 2**(62 - bits) for reals. Ring elements are integers, so 0 < d is the same as not d - 1 < 0: wherever several
comparisons of one value are needed, they are signs of its shifts by public constants, which protocols open together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tacit.primitive.driver import gather
from tacit.primitive.mpc.function.arithmetic import difference, spread_bits
from tacit.primitive.mpc.function.chunk import broadcast_shape, chunked, large
from tacit.primitive.mpc.function.contract import EXACT, contract, magnitude
from tacit.primitive.mpc.function.operand import Number, bits_of, is_secret, number, wrap
from tacit.primitive.mpc.kernel import Arith, Bits, Kernel, Ring
from tacit.primitive.mpc.value import Boolean, Value

MINUS_ONE = np.asarray(2**64 - 1, np.uint64)
DIFFERENCE = magnitude(62, 1, "x - y")


@contract(domain=DIFFERENCE, error=EXACT)
async def lt(k: Kernel, x: Value, y: Value) -> Boolean:
    """x < y.

    Reveals: nothing. Costs: one `negative`. Error: none. Domain: |x - y| < 2**(62 - bits).
    """
    if large(x, y):
        return await chunked(k, lt, x, y)
    if is_secret(y) and not is_secret(x):
        share, _ = await difference(k, y, x)
        return Boolean(k.invert(await k.negative(k.add_public(share, MINUS_ONE))))
    share, _ = await difference(k, x, y)
    return Boolean(await k.negative(share))


@contract(domain=DIFFERENCE, error=EXACT)
async def gt(k: Kernel, x: Value, y: Value) -> Boolean:
    """x > y.

    Reveals: nothing. Costs: one `negative`. Error: none. Domain: |x - y| < 2**(62 - bits).
    """
    return await lt(k, y, x)


@contract(domain=DIFFERENCE, error=EXACT)
async def le(k: Kernel, x: Value, y: Value) -> Boolean:
    """x <= y.

    Reveals: nothing. Costs: one `negative`. Error: none. Domain: |x - y| < 2**(62 - bits).
    """
    return Boolean(k.invert((await lt(k, y, x)).share))


@contract(domain=DIFFERENCE, error=EXACT)
async def ge(k: Kernel, x: Value, y: Value) -> Boolean:
    """x >= y.

    Reveals: nothing. Costs: one `negative`. Error: none. Domain: |x - y| < 2**(62 - bits).
    """
    return Boolean(k.invert((await lt(k, x, y)).share))


@contract(domain=DIFFERENCE, error=EXACT)
async def ne(k: Kernel, x: Value, y: Value) -> Boolean:
    """x != y, as not ([d < 0] xor [d - 1 < 0]) for d = x - y; truth values are compared by one local xor.

    Reveals: nothing. Costs: two `negative`s side by side. Error: none. Domain: |x - y| < 2**(62 - bits).
    """
    same = await _unequal_bits(k, x, y)
    if same is not None:
        return same
    if large(x, y):
        return await chunked(k, ne, x, y)
    share, _ = await difference(k, x, y)
    return Boolean(await nonzero(k, share))


@contract(domain=DIFFERENCE, error=EXACT)
async def eq(k: Kernel, x: Value, y: Value) -> Boolean:
    """x == y, as not (x != y).

    Reveals: nothing. Costs: two `negative`s side by side; none for truth values. Error: none.
    """
    return Boolean(k.invert((await ne(k, x, y)).share))


@contract(domain=magnitude(62, 1), error=EXACT)
async def is_zero(k: Kernel, x: Value) -> Boolean:
    """x == 0.

    Reveals: nothing. Costs: two `negative`s side by side. Error: none.
    """
    return await eq(k, x, np.zeros((), np.int64))


@contract(domain=magnitude(62, 1), error=EXACT)
async def is_negative(k: Kernel, x: Value) -> Boolean:
    """x < 0.

    Reveals: nothing. Costs: one `negative`. Error: none.
    """
    if large(x):
        return await chunked(k, is_negative, x)
    return Boolean(await k.negative((await number(k, x)).share))


@contract(domain=magnitude(62, 1), error=EXACT)
async def sign(k: Kernel, x: Value) -> Number:
    """-1, 0 or 1, of the operand's kind and scale: 1 - [x < 0] - [x - 1 < 0] on ring elements.

    Reveals: nothing. Costs: two `negative`s, then two `lift`s, side by side. Error: none.
    """
    value = await number(k, x)
    if large(value):
        return await chunked(k, sign, value)
    below, not_above = await gather(*[k.lift(a) for a in await signs(k, value.share, shift(k, value.share, -1))])
    bits = bits_of(value)
    one = np.uint64(1 << (bits or 0))
    share = k.linear(lambda s, t: np.multiply(np.add(s, t), np.negative(one)), below, not_above)
    return wrap(k.add_public(share, np.asarray(one)), bits)


async def signs(k: Kernel, *xs: Arith) -> list[Bits]:
    """[x < 0] of each, side by side."""
    return await gather(*[k.negative(x) for x in xs])


def shift(k: Kernel, x: Arith, by: int) -> Arith:
    """x plus a public integer."""
    return k.add_public(x, ring(by))


def ring(value: int) -> Ring:
    """An integer as a public ring element."""
    return np.asarray(value & (2**64 - 1), np.uint64)


async def nonzero(k: Kernel, x: Arith) -> Bits:
    """[x != 0]."""
    below, not_above = await signs(k, x, shift(k, x, -1))
    return k.invert(k.xor(below, not_above))


async def _unequal_bits(k: Kernel, x: Any, y: Any) -> Boolean | None:
    """x xor y where both are truth values, else None."""
    if type(x) is not Boolean and type(y) is not Boolean:
        return None
    if type(x) is not Boolean:
        x, y = y, x
    if type(y) is Boolean:
        shape = broadcast_shape(x.shape, y.shape)
        return Boolean(k.xor(spread_bits(k, x.share, shape), spread_bits(k, y.share, shape)))
    values = np.asarray(y)
    if values.dtype != np.bool_:
        return None
    shape = broadcast_shape(x.shape, values.shape)
    return Boolean(k.xor(spread_bits(k, x.share, shape), k.public_bits(np.broadcast_to(values, shape))))
