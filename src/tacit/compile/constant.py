"""Sums, products and comparisons with a public constant, encoded once for each scale instead of once for each call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from tacit.primitive.mpc.function.operand import constant, multiplier, rescaled
from tacit.primitive.mpc.kernel import Kernel, Ring
from tacit.primitive.mpc.value import Boolean, Fixed, Integer, Value

Call = Callable[..., Awaitable[Value]]


def sum_with(name: str, values: Any, place: int) -> Call:
    """x + c, x - c or c - x; the secret stands at `place` of the two operands. Local."""
    rings: dict[int | None, Ring] = {}
    turned = name == "sub"

    async def compute(k: Kernel, *operands: Value) -> Value:
        x = operands[place]
        bits = x.bits if type(x) is Fixed else None
        ring = rings.get(bits)
        if ring is None:
            ring = constant(values, bits)
            ring = rings[bits] = np.negative(ring) if turned and place == 0 else ring
        share = x.share  # type: ignore[union-attr]
        if turned and place == 1:
            share = k.linear(np.negative, share)
        total = k.add_public(share, ring)
        return Integer(total) if bits is None else Fixed(total, bits)

    return compute


def product_with(values: Any, place: int, *, keep: bool) -> Call:
    """c * x, truncated to the scale of x unless kept or c is an integer."""
    factors: dict[int | None, tuple[Ring, int]] = {}

    async def compute(k: Kernel, *operands: Value) -> Value:
        x = operands[place]
        bits = x.bits if type(x) is Fixed else None
        found = factors.get(bits)
        if found is None:
            found = factors[bits] = multiplier(values, bits or 0)
        ring, scale = found
        share = k.scale(x.share, ring)  # type: ignore[union-attr]
        if bits is None:
            return Integer(share)
        if keep or not scale:
            return Fixed(share, bits + scale)
        return Fixed(await rescaled(k, share, bits + scale, bits), bits)

    return compute


def order_with(name: str, values: Any, place: int) -> Call:
    """lt, le, gt or ge of a secret, at `place` of the two operands, and a constant: one `negative` of a difference."""
    relation = name if place == 0 else MIRRORED[name]  # of x to c
    inverted = relation in {"ge", "le"}
    # x < c and x >= c ask for the sign of x - c; x > c and x <= c for that of c - x
    subtrahend = 0 if relation in {"lt", "ge"} else 1
    zero = not np.any(values)
    difference = sum_with("sub", values, subtrahend)

    async def compute(k: Kernel, *operands: Value) -> Value:
        x = operands[place]
        if zero:
            share = x.share if subtrahend == 0 else k.linear(np.negative, x.share)  # type: ignore[union-attr]
        else:
            share = (await difference(k, x, x)).share  # type: ignore[union-attr]
        negative = await k.negative(share)
        return Boolean(k.invert(negative) if inverted else negative)

    return compute


MIRRORED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}
