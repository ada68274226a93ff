"""Comparisons: exact, because x < y is the sign of x - y.

Operands are as in `arithmetic.py`; the result is a shared truth value. The difference must be below 2**62 in the ring,
which leaves 2**(62 - bits) for reals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tacit.primitive.mpc.function.arithmetic import difference, spread_bits
from tacit.primitive.mpc.function.chunk import broadcast_shape, chunked, large
from tacit.primitive.mpc.function.contract import EXACT, contract, magnitude
from tacit.primitive.mpc.function.operand import Number, bits_of, number, wrap
from tacit.primitive.mpc.kernel import Arith, Bits, Kernel
from tacit.primitive.mpc.value import Boolean, Value

DIFFERENCE = magnitude(62, 1, "x - y")


@contract(domain=DIFFERENCE, error=EXACT)
async def lt(k: Kernel, x: Value, y: Value) -> Boolean:
    """x < y.

    Reveals: nothing. Costs: one `negative`. Error: none. Domain: |x - y| < 2**(62 - bits).
    """
    if large(x, y):
        return await chunked(k, lt, x, y)
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
    """x != y, as [x - y < 0] xor [y - x < 0]; truth values are compared by one local xor.

    Reveals: nothing. Costs: one `negative` of twice the size. Error: none. Domain: |x - y| < 2**(62 - bits).
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

    Reveals: nothing. Costs: one `negative` of twice the size; none for truth values. Error: none.
    """
    return Boolean(k.invert((await ne(k, x, y)).share))


@contract(domain=magnitude(62, 1), error=EXACT)
async def is_zero(k: Kernel, x: Value) -> Boolean:
    """x == 0.

    Reveals: nothing. Costs: one `negative` of twice the size. Error: none.
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
    """-1, 0 or 1, of the operand's kind and scale: [-x < 0] - [x < 0].

    Reveals: nothing. Costs: one `negative` and one `lift`, both of twice the size. Error: none.
    """
    value = await number(k, x)
    if large(value):
        return await chunked(k, sign, value)
    signs = await k.lift(await both_signs(k, value.share))
    share = k.linear(lambda s: s[1, ...] - s[0, ...], signs)
    bits = bits_of(value)
    if bits:
        share = k.scale(share, np.asarray(np.uint64(1 << bits)))
    return wrap(share, bits)


async def both_signs(k: Kernel, x: Arith) -> Bits:
    """[x < 0] and [-x < 0], stacked along a new first axis."""
    return await k.negative(k.linear(lambda s: np.stack([s, np.negative(s)]), x))


async def nonzero(k: Kernel, x: Arith) -> Bits:
    """[x != 0]."""
    signs = await both_signs(k, x)
    return k.xor(k.rearrange(lambda s: s[0], signs), k.rearrange(lambda s: s[1], signs))


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
