"""Logic on shared truth values, and trees of it.

Operands are `Boolean` or public boolean arrays, at least one of them shared; shapes broadcast as in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tacit.foundation.errors import TypeMismatch
from tacit.primitive.mpc.function.arithmetic import spread_bits
from tacit.primitive.mpc.function.chunk import broadcast_shape
from tacit.primitive.mpc.function.contract import contract
from tacit.primitive.mpc.kernel import Bits, Kernel
from tacit.primitive.mpc.value import Boolean, Value


@contract()
async def logical_not(k: Kernel, x: Boolean) -> Boolean:
    """not x.

    Reveals: nothing. Costs: none. Error: none.
    """
    return Boolean(k.invert(_truth(x)))


@contract()
async def logical_and(k: Kernel, x: Value, y: Value) -> Boolean:
    """x and y.

    Reveals: nothing. Costs: one `both`; none with a public operand. Error: none.
    """
    if type(x) is not Boolean:
        x, y = y, x
    shape = x.shape if x.shape == y.shape else broadcast_shape(x.shape, y.shape)
    a = spread_bits(k, _truth(x), shape)
    if type(y) is Boolean:
        return Boolean(await k.both(a, spread_bits(k, y.share, shape)))
    return Boolean(k.mask_bits(a, _public_truth(y, shape)))


@contract()
async def logical_or(k: Kernel, x: Value, y: Value) -> Boolean:
    """x or y, as not (not x and not y).

    Reveals: nothing. Costs: one `both`; none with a public operand. Error: none.
    """
    if type(x) is not Boolean:
        x, y = y, x
    x = Boolean(k.invert(_truth(x)))
    y = Boolean(k.invert(y.share)) if type(y) is Boolean else ~_public_truth(y, y.shape)
    return Boolean(k.invert((await logical_and(k, x, y)).share))


@contract()
async def logical_xor(k: Kernel, x: Value, y: Value) -> Boolean:
    """x xor y.

    Reveals: nothing. Costs: none. Error: none.
    """
    if type(x) is not Boolean:
        x, y = y, x
    shape = x.shape if x.shape == y.shape else broadcast_shape(x.shape, y.shape)
    a = spread_bits(k, _truth(x), shape)
    b = spread_bits(k, y.share, shape) if type(y) is Boolean else k.public_bits(_public_truth(y, shape))
    return Boolean(k.xor(a, b))


async def conjunction(k: Kernel, a: Bits, leave: int = 1) -> Bits:
    """AND along the first axis, by a tree, until at most `leave` bits are left of it."""
    while a.shape[0] > leave:
        half = a.shape[0] // 2
        combined = await k.both(k.rearrange(_part(0, half), a), k.rearrange(_part(half, 2 * half), a))
        rest = a.shape[0] - 2 * half
        a = k.rearrange(_append, combined, k.rearrange(_part(2 * half, 2 * half + 1), a)) if rest else combined
    return a


def _part(begin: int, end: int) -> Any:
    return lambda s: s[begin:end]


def _append(s: Any, t: Any) -> Any:
    return np.concatenate([s, t])


def _truth(x: Value) -> Bits:
    if type(x) is Boolean:
        return x.share
    raise TypeMismatch(f"a shared truth value is needed here, not a {type(x).__name__}. Compare with 0 first.")


def _public_truth(x: Value, shape: tuple[int, ...]) -> Any:
    values = np.asarray(x)
    if values.dtype != np.bool_:
        raise TypeMismatch(f"a truth value is needed here, not {values.dtype}. Compare with 0 first.")
    return np.broadcast_to(values, shape)
