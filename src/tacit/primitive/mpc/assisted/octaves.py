"""The size of a shared number among many powers of two, in `Assisted`: one tree for all of them, not one for each.

With X = x + r open, x lies in [0, 2**e) iff the digits of x above e are all zero. A digit of x is zero iff
    r's digit is X's digit less the borrow into it,
and the borrow is [X's digits below < r's digits below], which two digits below decide up to a 64th of 2**e; that is precise
enough for a number that is normalised. So with the dealt indicators of r's digits (see `compare.py`), which are local to select
by the public X, one level of ANDs finds all zero digits; two levels of ANDs over the digits from the top down to each e follow.

Why two digits are enough: let all digits above e be found zero, d among them, and b_d the borrow as it was found. Then X_d = r_d +
b_d, so the true borrow out of d, given b_d, is [X_d < r_d], or b_d if X_d = r_d; but that is b_d = 0 in the latter case. The
found borrow into the digit above is the same. So the digits above e are those of floor(x / 2**e) with a borrow at e that
is right unless X and r agree in the two digits below and borrow underneath, and then 63/64 2**e < x < 2**e.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from math import prod
from typing import Any, final

import numpy as np

from tacit.primitive.driver import Deferred, gather
from tacit.primitive.local import words_for
from tacit.primitive.mpc.assisted import compare
from tacit.primitive.mpc.assisted.arithmetic import masked, open_masked
from tacit.primitive.mpc.assisted.conjunction import Set, conjunctions
from tacit.primitive.mpc.assisted.context import Context, Deal
from tacit.primitive.mpc.assisted.share import Additive, Packed
from tacit.primitive.mpc.kernel import Ring

STEP = 3
"""Octaves between powers: the bits of a digit below the highest power."""
_TOP_DIGIT = 4
_GROUP = 4  # digits that one level of the tree takes together


@final
@dataclass(frozen=True)
class Layout:
    """Digits as bit ranges, ascending: some that only borrow, one for each power but the last, those above all powers."""

    digits: tuple[tuple[int, int], ...]
    below: int
    powers: int

    @property
    def planes(self) -> int:
        """Indicators dealt for the digits of a mask."""
        return sum(2 ** (end - begin) - 1 for begin, end in self.digits)


@cache
def layout(low: int, count: int) -> Layout:
    """The digits for the powers 2**low, 2**(low + 3), ...; `count` of them."""
    first = [max(0, low - 2 * STEP), max(0, low - STEP), low]
    marks = sorted(set(first)) + [low + STEP * i for i in range(1, count)]
    below = len(set(first)) - 1
    top = marks[-1]
    marks += [*range(top + _TOP_DIGIT, 64, _TOP_DIGIT), 64]
    return Layout(tuple(pairwise(marks)), below, count)


async def octaves(ctx: Context, x: Additive, low: int, count: int, *, positive: bool, sharp: bool) -> list[Packed]:
    """[x < 2**(low + 3 i)] for i < count: 1 up to 63/64 of it, 0 from it on, either between; with `sharp` the last is exact.

    With `positive` x must not be negative, else negative numbers are below all powers.
    Reveals: nothing. Domain: |x| < 2**62, low + 3 (count - 1) <= 62.
    Costs: the opening of x if it is not open (1 round, 8 bytes), 3 rounds; for 15 powers from 1 on 100 bits per element and
        party and 425 from helper to follower, where 15 comparisons take 495 and 1673. One comparison more if not
        `positive`, and one if `sharp`.
    """
    exact = ([] if positive else [0]) + ([1 << (low + STEP * (count - 1))] if sharp else [])
    if not exact:
        return await _octaves(ctx, x, low, count, None)
    await open_masked(ctx, [x])
    sign = None if positive else Deferred()
    found, compared = await gather(_octaves(ctx, x, low, count - sharp, sign), _compared(ctx, x, exact, sign))
    return [*found, *compared[len(exact) - sharp :]]


async def _compared(ctx: Context, x: Additive, thresholds: list[int], sign: Deferred | None) -> list[Packed]:
    """Exact comparisons; the first is handed to `sign`."""
    found = await compare.below(ctx, x, thresholds)
    if sign is not None:
        ctx.driver.resolve(sign, found[0])
    return found


async def _octaves(ctx: Context, x: Additive, low: int, count: int, sign: Deferred | None) -> list[Packed]:
    """The powers that are found to a 64th; `sign` is [x < 0], which is below all of them."""
    local, size = ctx.local, prod(x.shape)
    words, plan = words_for(size), layout(low, count)
    digits, total = len(plan.digits) - plan.below, len(plan.digits)
    dealt = await _deal_indicators(ctx, x, plan, words)
    selected = equal = zero = grouped = None
    if dealt is not None:
        assert x.opened is not None
        assert x.opened.value is not None
        public = local.to_planes(local.flat(x.opened.value), 64)
        rows = local.rows(2 * digits + 2 * total, words, _selected, plan, local, public, dealt, leader=ctx.leader)
        selected, equal = rows[digits:], rows[:digits]
    borrowed = await conjunctions(ctx, selected, _borrowing(plan), digits + 2 * total, words)
    if equal is not None:
        zero = local.rows(digits, words, _zeros, plan, equal, borrowed)
    found = await conjunctions(ctx, zero, _within_groups(digits), digits, words)
    negative = None if sign is None else (await sign).words
    if zero is not None:
        grouped = local.rows(digits, words, _grouped, zero, found)
        if negative is not None:
            keep = local.invert(negative) if ctx.leader else negative
            grouped = local.join([grouped, keep.reshape(1, words)])
    signed = sign is not None
    whole = await conjunctions(ctx, grouped, _prefixes(digits, plan.powers, signed=signed), digits + signed, words)
    if whole is None:
        return [Packed(x.shape, None) for _ in range(count)]
    # Where the sign entered, [x < 0] is missing: the two exclude each other.
    return [Packed(x.shape, row if negative is None else local.xor(row, negative)) for row in whole]


async def _deal_indicators(ctx: Context, x: Additive, plan: Layout, words: int) -> Ring | None:
    """Open x if it is not, and deal shares of the indicators of its mask's digits; None at the helper."""
    local, deal = ctx.local, ctx.deal_bits(plan.planes * words)

    def fill(deal: Deal) -> None:
        planes = local.to_planes(local.flat(masked(x)), 64)
        local.run(_deal_digits, plan, local, planes, deal.own.reshape(plan.planes, words))

    await open_masked(ctx, [x], (), deal, fill)
    return None if ctx.helper else deal.own.reshape(plan.planes, words)


def _borrowing(plan: Layout) -> tuple[Set, ...]:
    """Per digit with a digit below: [it changes] and [the one below is less]; and with two: changes, equal, less."""
    digits, total = len(plan.digits) - plan.below, len(plan.digits)
    less, same = digits, digits + total
    sets: list[Set] = []
    for i in range(plan.below, total):
        change = i - plan.below
        if i >= 1:
            sets.append((change, less + i - 1))
        if i >= 2:
            sets.append((change, less + i - 2, same + i - 1))
    return tuple(sets)


def _within_groups(digits: int) -> tuple[Set, ...]:
    """The ANDs from the top of each group down to each of its other digits."""
    return tuple(tuple(range(i - i % _GROUP, i + 1)) for i in range(digits) if i % _GROUP)


def _prefixes(digits: int, powers: int, *, signed: bool) -> tuple[Set, ...]:
    """For each power, ascending, the inputs whose AND is [all digits above it are zero]."""
    sets: list[Set] = []
    for power in range(powers):
        at = digits - 1 - power
        whole_groups = [g + _GROUP - 1 for g in range(0, at - at % _GROUP, _GROUP)]
        sets.append((*whole_groups, at, *([digits] if signed else [])))
    return tuple(sets)


def _deal_digits(plan: Layout, local: Any, planes: Ring, out: Ring) -> None:
    """out ^= the indicators of all digits of a mask given as 64 planes."""
    at = 0
    for begin, end in plan.digits:
        rows = 2 ** (end - begin) - 1
        local.deal_digit(planes[begin:end], out[at : at + rows])
        at += rows


def _selected(plan: Layout, local: Any, public: Ring, dealt: Ring, *, leader: bool) -> Ring:
    """Shares of: for each digit above `below`, is X's equal to r's; for each of them, does a borrow change whether x's is
    zero; for each digit, is X's less; for each digit, is it equal.
    """
    total, at = len(plan.digits), 0
    digits = total - plan.below
    out = np.empty((2 * digits + 2 * total, public.shape[1]), np.uint64)
    again, change, less, equal = np.split(out, [digits, 2 * digits, 2 * digits + total])
    for i, (begin, end) in enumerate(plan.digits):
        rows = 2 ** (end - begin) - 1
        hot, digit = dealt[at : at + rows], public[begin:end]
        at += rows
        less[i], equal[i] = local.digits_close(digit, hot, leader=leader)
        if i >= plan.below:
            _, with_borrow = local.digits_close(_decreased(digit), hot, leader=leader)
            again[i - plan.below] = equal[i]
            np.bitwise_xor(equal[i], with_borrow[0], out=change[i - plan.below])
    return out


def _decreased(digit: Ring) -> Ring:
    """The planes of a digit less one: a bit changes where all below it are zero."""
    out, any_below = np.empty_like(digit), np.zeros(digit.shape[1], np.uint64)
    for i, plane in enumerate(digit):
        np.bitwise_xor(plane, ~any_below, out=out[i])
        any_below |= plane
    return out


def _zeros(plan: Layout, equal: Ring, borrowed: Ring) -> Ring:
    """Shares of [x's digit is zero], from the top down: X's and r's are equal, or the borrow changes that."""
    out, at = equal.copy(), 0
    for i in range(plan.below, len(plan.digits)):
        for _ in range(min(i, 2)):
            out[i - plan.below] ^= borrowed[at]
            at += 1
    return out[::-1].copy()


def _grouped(zero: Ring, found: Ring) -> Ring:
    """The ANDs within groups for every digit; the first of a group is itself."""
    out = zero.copy()
    out[[i for i in range(len(zero)) if i % _GROUP]] = found
    return out
