"""Sums and element-wise products of shared and public numbers.

Operands are `Fixed`, `Integer`, `Boolean` (counted as 0 and 1) or public arrays, at least one of them shared; shapes
broadcast as in NumPy. An integer with a real gives a real. See `operand.py` for scales.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tacit.foundation.errors import TypeMismatch
from tacit.primitive.mpc.form import Elementwise
from tacit.primitive.mpc.function.contract import EXACT, PRODUCT, RANGE, bounded, contract, magnitude, ulps
from tacit.primitive.mpc.function.operand import (
    DEFAULT_BITS,
    Number,
    Times,
    aligned,
    bits_of,
    is_real,
    is_secret,
    multiplier,
    number,
    rescaled,
    wrap,
)
from tacit.primitive.mpc.kernel import Arith, Bilinear, Bits, Kernel, Ring
from tacit.primitive.mpc.value import Boolean, Fixed, Integer, Value

ELEMENTWISE = Elementwise()


def _smaller(x: Any, c: Any = 0.0) -> Any:
    return x * min(0.5, c)


PUBLIC_FACTOR = bounded(
    "1 ulp; with a public real factor c also |x| * 2**-bits * min(1/2, max|c|)",
    lambda bits, _exact, *operands: 2.0**-bits * (1 + _smaller(*[np.max(np.abs(v), initial=0) for v in operands])),
)


@contract(domain=RANGE, error=EXACT)
async def add(k: Kernel, x: Value, y: Value, *, bits: int | None = None) -> Number:
    """x + y.

    Reveals: nothing. Costs: none. Error: none (1 ulp where an operand of many fraction bits is truncated).
    """
    if type(x) is Fixed and type(y) is Fixed and x.bits == y.bits:
        return Fixed(k.add(x.share, y.share), x.bits)
    a, b, scale = await aligned(k, x, y, bits)
    if type(b) is np.ndarray:
        return wrap(k.add_public(a, b), scale)
    if type(a) is np.ndarray:
        return wrap(k.add_public(b, a), scale)
    return wrap(k.add(a, b), scale)


@contract(domain=RANGE, error=EXACT)
async def sub(k: Kernel, x: Value, y: Value, *, bits: int | None = None) -> Number:
    """x - y.

    Reveals: nothing. Costs: none. Error: none (1 ulp where an operand of many fraction bits is truncated).
    """
    share, scale = await difference(k, x, y, bits)
    return wrap(share, scale)


async def difference(k: Kernel, x: Value, y: Value, bits: int | None = None) -> tuple[Arith, int | None]:
    """x - y as a share, and its scale: what comparisons and selections start from."""
    if type(x) is Fixed and type(y) is Fixed and x.bits == y.bits:
        return k.sub(x.share, y.share), x.bits
    a, b, scale = await aligned(k, x, y, bits)
    if type(b) is np.ndarray:
        return k.add_public(a, np.negative(b)), scale
    if type(a) is np.ndarray:
        return k.add_public(k.linear(np.negative, b), a), scale
    return k.sub(a, b), scale


@contract(domain=RANGE, error=EXACT)
async def neg(k: Kernel, x: Value) -> Number:
    """-x.

    Reveals: nothing. Costs: none. Error: none.
    """
    value = await number(k, x)
    return wrap(k.linear(np.negative, value.share), value.bits if type(value) is Fixed else None)


@contract(domain=PRODUCT, error=PUBLIC_FACTOR, source="eprint 2020/1225 for the masked product")
async def mul(k: Kernel, x: Value, y: Value, *, bits: int | None = None, keep: bool = False) -> Number:
    """x * y, element-wise.

    Computes: reals are truncated to `bits` (by default the smaller of the operands'); with `keep` they are not, and the
        result's own `bits` say what it carries. A shared truth value gates the other operand. A public operand costs
        no product, and no truncation either where its values are integers.
    Reveals: nothing. Costs: one `product`; with a public operand at most one `truncate`.
    Error: 0 or +1 ulp; a real constant c is rounded besides, to 2**-(bits + 1), or where |c| < 1 to 2**-bits * max|c|.
    Domain: |x y| < 2**(62 - 2 bits) and |x| < 2**(62 - 2 bits) where y is public.
    """
    if type(x) is Fixed and type(y) is Fixed:
        total = x.bits + y.bits
        if keep:
            return Fixed(await k.product(ELEMENTWISE, x.share, y.share), total)
        if bits is None:
            bits = min(x.bits, y.bits)
        return Fixed(await k.product(ELEMENTWISE, x.share, y.share, truncate=total - bits), bits)
    if type(x) is Boolean:
        return await _gated(k, x, y, bits, keep=keep)
    if type(y) is Boolean:
        return await _gated(k, y, x, bits, keep=keep)
    return await bilinear(k, ELEMENTWISE, x, y, bits=bits, keep=keep)


async def _gated(k: Kernel, a: Boolean, x: Any, bits: int | None, *, keep: bool) -> Number:
    """a * x for a shared truth value: one gate, or a lift and a public factor."""
    kind = type(x)
    if kind is Boolean:
        shape = np.broadcast_shapes(a.shape, x.shape)
        return Integer(await k.lift(await k.both(spread_bits(k, a.share, shape), spread_bits(k, x.share, shape))))
    if kind is Fixed or kind is Integer:
        shape = np.broadcast_shapes(a.shape, x.shape)
        share = await k.gate(spread_bits(k, a.share, shape), spread(k, x.share, shape))
        return wrap(share, x.bits if kind is Fixed else None)
    return await bilinear(k, ELEMENTWISE, Integer(await k.lift(a.share)), x, bits=bits, keep=keep)


def spread(k: Kernel, x: Arith, shape: tuple[int, ...]) -> Arith:
    """x broadcast to a shape."""
    return x if x.shape == shape else k.linear(lambda s: np.broadcast_to(s, shape), x)


def spread_bits(k: Kernel, a: Bits, shape: tuple[int, ...]) -> Bits:
    """Bits broadcast to a shape."""
    return a if a.shape == shape else k.rearrange(lambda s: np.broadcast_to(s, shape), a)


async def bilinear(k: Kernel, form: Bilinear, x: Any, y: Any, *, bits: int | None = None, keep: bool = False) -> Number:
    """form(x, y): the one path of all products, see `mul` for scales and costs."""
    if type(x) is Boolean:
        x = Integer(await k.lift(x.share))
    if type(y) is Boolean:
        y = Integer(await k.lift(y.share))
    if is_secret(x) and is_secret(y):
        first, second = bits_of(x), bits_of(y)
        if first is None and second is None:
            return Integer(await k.product(form, x.share, y.share))
        total = (first or 0) + (second or 0)
        if keep:
            return Fixed(await k.product(form, x.share, y.share), total)
        if bits is None:
            bits = total if first is None or second is None else min(first, second)
        if total >= bits:
            return Fixed(await k.product(form, x.share, y.share, truncate=total - bits), bits)
        return Fixed(await rescaled(k, await k.product(form, x.share, y.share), total, bits), bits)
    if is_secret(x):
        return await _public_product(k, form, x, y, bits, left=False, keep=keep)
    if is_secret(y):
        return await _public_product(k, form, y, x, bits, left=True, keep=keep)
    raise TypeMismatch("both operands are public; compute on them in NumPy, or share one of them")


async def _public_product(
    k: Kernel, form: Bilinear, x: Any, values: Any, bits: int | None, *, left: bool, keep: bool
) -> Number:
    fixed = type(x) is Fixed
    if not fixed and not is_real(values):
        ring, _ = multiplier(values, 0)
        return Integer(_times(k, form, x.share, ring, left=left))
    if bits is None:
        bits = x.bits if fixed else DEFAULT_BITS
    ring, scale = multiplier(values, bits)
    total = scale + (x.bits if fixed else 0)
    share = _times(k, form, x.share, ring, left=left)
    if keep:
        return Fixed(share, total)
    return Fixed(await rescaled(k, share, total, bits), bits)


def _times(k: Kernel, form: Bilinear, x: Arith, ring: Ring, *, left: bool) -> Arith:
    if form is ELEMENTWISE:
        return k.scale(x, ring)
    return k.linear(Times(form, ring, left=left), x)


@contract(domain=PRODUCT, error=ulps(1), source="eprint 2020/1225 for the masked product")
async def square(k: Kernel, x: Value, *, bits: int | None = None, keep: bool = False) -> Number:
    """x * x: one opening instead of two.

    Reveals: nothing. Costs: one `product`. Error: 0 or +1 ulp.
    """
    if type(x) is Boolean:
        return await number(k, x)
    return await mul(k, x, x, bits=bits, keep=keep)


@contract(domain=magnitude(62, 1), error=ulps(1))
async def rescale(k: Kernel, x: Fixed, bits: int) -> Fixed:
    """The same numbers with `bits` fraction bits: what follows a sum of kept products.

    Reveals: nothing. Costs: one `truncate` where bits are cut, else none. Error: 0 or +1 ulp where bits are cut.
    """
    return Fixed(await rescaled(k, x.share, x.bits, bits), bits)
