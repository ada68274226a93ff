"""Integers as bits: bitwise logic, shifts, population count.

Integers are two's complement of `width` bits, -2**(width - 1) <= x < 2**(width - 1): a smaller width costs less. On truth
values the bitwise functions are the logical ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tacit.foundation.errors import DomainError, TypeMismatch
from tacit.primitive.driver import gather
from tacit.primitive.mpc.function.arithmetic import mul, spread
from tacit.primitive.mpc.function.chunk import broadcast_shape
from tacit.primitive.mpc.function.compare import ring
from tacit.primitive.mpc.function.contract import EXACT, Domain, contract
from tacit.primitive.mpc.function.index import one_hot_bits
from tacit.primitive.mpc.function.logic import logical_and, logical_not, logical_or, logical_xor
from tacit.primitive.mpc.function.operand import constant, is_secret
from tacit.primitive.mpc.function.rounding import whole
from tacit.primitive.mpc.kernel import Arith, Bits, Kernel
from tacit.primitive.mpc.value import Boolean, Integer, Value

WORD = 64
WIDTH = Domain(
    "-2**(width - 1) <= x < 2**(width - 1)", lambda _bits: ((-(2.0**61), 2.0**61),), "the low `width` bits count"
)


@contract(domain=WIDTH, error=EXACT)
async def bitwise_and(k: Kernel, x: Value, y: Value, *, width: int = WORD) -> Any:
    """x & y.

    Reveals: nothing. Costs: `decompose`, `both` and `compose` of `width` bits; a public mask saves the `both`, and a small one
        most of the bits. Error: none.
    """
    if type(x) is Boolean or type(y) is Boolean:
        return await logical_and(k, x, y)
    if not is_secret(x):
        x, y = y, x
    if is_secret(y):
        a, b = await _both_bits(k, x, y, width)
        return Integer(await _signed(k, await k.both(a, b)))
    mask = np.asarray(y)
    shape = broadcast_shape(_integer(x).shape, mask.shape)
    used = width if mask.min(initial=0) < 0 else max(1, int(mask.max(initial=0)).bit_length())
    bits = await k.decompose(spread(k, _integer(x), shape), used)
    kept = k.mask_bits(bits, _public_bits(np.broadcast_to(mask, shape), used))
    return Integer(await _signed(k, kept) if used == width else await k.compose(kept))


@contract(domain=WIDTH, error=EXACT)
async def bitwise_or(k: Kernel, x: Value, y: Value, *, width: int = WORD) -> Any:
    """x | y, as x + y - (x & y).

    Reveals: nothing. Costs: those of `bitwise_and`. Error: none.
    """
    if type(x) is Boolean or type(y) is Boolean:
        return await logical_or(k, x, y)
    return await _from_and(k, x, y, 1, width)


@contract(domain=WIDTH, error=EXACT)
async def bitwise_xor(k: Kernel, x: Value, y: Value, *, width: int = WORD) -> Any:
    """x ^ y; with a public operand as x + y - 2 (x & y).

    Reveals: nothing. Costs: `decompose` and `compose` of `width` bits. Error: none.
    """
    if type(x) is Boolean or type(y) is Boolean:
        return await logical_xor(k, x, y)
    if is_secret(x) and is_secret(y):
        a, b = await _both_bits(k, x, y, width)
        return Integer(await _signed(k, k.xor(a, b)))
    return await _from_and(k, x, y, 2, width)


async def _from_and(k: Kernel, x: Value, y: Value, times: int, width: int) -> Integer:
    """x + y - times * (x & y)."""
    if not is_secret(x):
        x, y = y, x
    common = k.scale((await bitwise_and(k, x, y, width=width)).share, ring(-times))
    if type(y) is Integer:
        return Integer(k.add(k.add(_integer(x), y.share), common))
    return Integer(k.add_public(k.add(common, _integer(x)), constant(y, None)))


@contract(domain=WIDTH, error=EXACT)
async def bitwise_not(k: Kernel, x: Value) -> Any:
    """~x, which is -x - 1; of truth values the negation.

    Reveals: nothing. Costs: none. Error: none.
    """
    if type(x) is Boolean:
        return await logical_not(k, x)
    return Integer(k.add_public(k.linear(np.negative, _integer(x)), ring(-1)))


@contract(domain=WIDTH, error=EXACT)
async def popcount(k: Kernel, x: Value, *, width: int = WORD) -> Integer:
    """How many of the low `width` bits are set.

    Reveals: nothing. Costs: `decompose` and `lift` of `width` bits. Error: none.
    """
    bits = await k.lift(await k.decompose(_integer(x), width))
    return Integer(k.linear(lambda s: s.sum(axis=-1, dtype=np.uint64), bits))


@contract(domain="the result is below 2**62", error=EXACT)
async def shift_left(k: Kernel, x: Value, count: Value) -> Integer:
    """x * 2**count for 0 <= count < 62, public or shared.

    Reveals: nothing. Costs: none for a public count; else a one-hot code of 6 bits and one `product`. Error: none.
    """
    if not is_secret(count):
        return Integer(k.scale(_integer(x), np.left_shift(np.uint64(1), _counts(count))))
    power = Integer(await k.compose(await one_hot_bits(k, _integer(count), WORD - 2)))
    return Integer((await mul(k, x if not is_secret(x) else Integer(_integer(x)), power)).share)


@contract(domain=WIDTH, error=EXACT)
async def shift_right(k: Kernel, x: Value, count: Value, *, width: int = WORD) -> Integer:
    """floor(x / 2**count) for 0 <= count < 62, public or shared: the arithmetic shift.

    Reveals: nothing. Costs: for one public count a `truncate`, a `negative` and a `lift`; else `decompose` and `compose` of
        `width` bits, and for a shared count six `both`s of them. Error: none.
    """
    if not is_secret(count):
        counts = _counts(count)
        if counts.size == 1:
            share = spread(k, _integer(x), broadcast_shape(_integer(x).shape, counts.shape))
            return Integer(await whole(k, share, int(counts.reshape(-1)[0]), "floor"))
    return await _shifted_bits(k, x, count, width, arithmetic=True)


@contract(domain=WIDTH, error=EXACT)
async def shift_right_logical(k: Kernel, x: Value, count: Value, *, width: int = WORD) -> Integer:
    """The low `width` bits of x moved down by 0 <= count < 62, zeros from above; the result counts as signed.

    Reveals: nothing. Costs: `decompose` and `compose` of `width` bits; for a shared count six `both`s of them. Error: none.
    """
    return await _shifted_bits(k, x, count, width, arithmetic=False)


async def _shifted_bits(k: Kernel, x: Value, count: Value, width: int, *, arithmetic: bool) -> Integer:
    if not is_secret(count):
        counts = _counts(count)
        shape = broadcast_shape(_integer(x).shape, counts.shape)
        bits = await k.decompose(spread(k, _integer(x), shape), width)
        source = np.broadcast_to(counts, shape).astype(np.int64)[..., None] + np.arange(width)
        moved = k.rearrange(lambda b: np.take_along_axis(b, np.minimum(source, width - 1), -1), bits)
        return Integer(await _signed(k, moved if arithmetic else k.mask_bits(moved, source < width)))
    if not is_secret(x):
        x = Integer(k.public(constant(x, None)))
    shape = broadcast_shape(_integer(x).shape, count.shape)
    bits, amount = await gather(
        k.decompose(spread(k, _integer(x), shape), width), k.decompose(spread(k, _integer(count), shape), 6)
    )
    for level in range(6):
        step = 1 << level
        moved = k.rearrange(_down(step, arithmetic=arithmetic), bits)
        chosen = k.rearrange(_repeated(level, width), amount)
        bits = k.xor(bits, await k.both(chosen, k.xor(bits, moved)))
    return Integer(await _signed(k, bits))


def _down(step: int, *, arithmetic: bool) -> Any:
    def moved(b: Any) -> Any:
        kept = b[..., step:]
        fill = np.repeat(b[..., -1:], min(step, b.shape[-1]), axis=-1)
        return np.concatenate([kept, fill if arithmetic else np.zeros_like(fill)], axis=-1)

    return moved


def _repeated(level: int, width: int) -> Any:
    return lambda b: np.broadcast_to(b[..., level : level + 1], (*b.shape[:-1], width))


async def _both_bits(k: Kernel, x: Value, y: Value, width: int) -> tuple[Bits, Bits]:
    a, b = _integer(x), _integer(y)
    shape = broadcast_shape(a.shape, b.shape)
    stacked = k.linear(lambda s, t: np.stack([np.broadcast_to(s, shape), np.broadcast_to(t, shape)]), a, b)
    bits = await k.decompose(stacked, width)
    return k.rearrange(lambda s: s[0], bits), k.rearrange(lambda s: s[1], bits)


async def _signed(k: Kernel, bits: Bits) -> Arith:
    """The integer whose two's complement these bits are: with the top bit flipped it is offset by 2**(width - 1)."""
    width = bits.shape[-1]
    top = np.zeros(bits.shape, np.bool_)
    top[..., -1] = True
    return k.add_public(await k.compose(k.xor(bits, k.public_bits(top))), ring(-(1 << (width - 1))))


def _integer(x: Value) -> Arith:
    if type(x) is Integer:
        return x.share
    raise TypeMismatch(f"a shared integer is needed here, not a {type(x).__name__}. Cast it with to_integer.")


def _counts(count: Value) -> Any:
    counts = np.asarray(count)
    if counts.dtype.kind not in "iu":
        raise TypeMismatch(f"a shift count is an integer, not {counts.dtype}")
    if counts.size and (counts.min() < 0 or counts.max() > WORD - 3):
        raise DomainError(f"shift counts lie between 0 and 61, not {counts.min()} to {counts.max()}")
    return counts.astype(np.uint64)


def _public_bits(values: Any, width: int) -> Any:
    return (
        values.astype(np.int64).view(np.uint64)[..., None] >> np.arange(width, dtype=np.uint64) & np.uint64(1)
    ).astype(np.bool_)
