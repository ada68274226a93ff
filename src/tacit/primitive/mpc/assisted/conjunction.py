"""ANDs of many shared bits at a time, on packed planes: every input is opened once, whichever ANDs it enters.

With an input x_i open as X_i = x_i xor m_i, the AND over a set S of inputs is the XOR over all T within S of
(AND of X_i, i in S but not in T) and (AND of m_i, i in T). The helper knows the masks and deals shares of the latter for
every T of two or more that some set needs (ABY2.0, eprint 2020/1225).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from tacit.primitive.mpc.assisted.context import Context
from tacit.primitive.mpc.kernel import Ring

Set = tuple[int, ...]
Indices = NDArray[np.intp]


@final
@dataclass(frozen=True, eq=False)
class Plan:
    """What to deal and where to find it for ANDs over `sets` of `inputs` inputs."""

    inputs: int
    sets: tuple[Set, ...]
    products: tuple[Set, ...]
    """The sets of two or more whose masks' AND is dealt, smaller ones first."""
    sizes: tuple[tuple[Indices, Indices, Indices], ...]
    """For all ANDs of one size: their positions; their inputs, [size, ANDs]; and for each T within them, numbered by its
    members' places, the row of its term among (1, masks, products), [2**size, ANDs]."""


@cache
def plan(inputs: int, sets: tuple[Set, ...]) -> Plan:
    """The plan for ANDs over sets of ascending inputs."""
    wanted = {t for s in sets for count in range(2, len(s) + 1) for t in combinations(s, count)}
    products = tuple(sorted(wanted, key=lambda t: (len(t), t)))
    row: dict[Set, int] = {
        (): 0,
        **{(i,): 1 + i for i in range(inputs)},
        **{t: 1 + inputs + i for i, t in enumerate(products)},
    }
    sizes = []
    for size in sorted({len(s) for s in sets}):
        where = [i for i, s in enumerate(sets) if len(s) == size]
        chosen = [sets[i] for i in where]
        terms = [[row[tuple(s[b] for b in range(size) if t >> b & 1)] for s in chosen] for t in range(2**size)]
        sizes.append((np.array(where), np.array(chosen).T, np.array(terms)))
    return Plan(inputs, sets, products, tuple(sizes))


def deal(found: Plan, masks: Ring, out: Ring) -> None:
    """out ^= the ANDs of masks [inputs, words] that are dealt, [products, words]."""
    rows: dict[Set, Ring] = {(i,): masks[i] for i in range(found.inputs)}
    for i, t in enumerate(found.products):
        rows[t] = rows[t[:-1]] & masks[t[-1]]
        out[i] ^= rows[t]


def close(found: Plan, opened: Ring, masks: Ring, dealt: Ring, *, leader: bool) -> Ring:
    """A compute party's shares of the ANDs, [sets, words]."""
    words = opened.shape[1]
    one = np.full((1, words), np.uint64(0xFFFFFFFFFFFFFFFF if leader else 0))
    table = np.concatenate([one, masks, dealt])
    out = np.empty((len(found.sets), words), np.uint64)
    for where, inputs, terms in found.sizes:
        rest = table[terms]
        for place in inputs:  # settle one input after the other: with it in T, or opened
            rest = rest[1::2] ^ (opened[place] & rest[::2])
        out[where] = rest[0]
    return out


async def conjunctions(ctx: Context, bits: Any, sets: tuple[Set, ...], inputs: int, words: int) -> Any:
    """Packed shares of the AND over each set, [sets, words]; None at the helper.

    `bits` are a compute party's shares of the inputs, [inputs, words], None at the helper.
    Reveals: nothing; inputs are opened under fresh masks. Costs: 1 round, `inputs` bits per element and party; a bit per
        element from helper to follower for each set of two or more inputs within one of the sets.
    """
    local, found = ctx.local, plan(inputs, sets)
    count = len(found.products)
    drawn, correlation = ctx.blind(inputs * words, count * words, bits=True, onto=True)
    masks, dealt = drawn.reshape(inputs, words), correlation.own.reshape(count, words)
    if ctx.helper:
        local.run(deal, found, masks, dealt)
        await ctx.give(correlation)
        return None
    own = local.xor(bits, masks)
    (theirs,) = await ctx.swap([local.flat(own)], correlation)
    opened = local.xor(own, theirs.reshape(own.shape))
    return local.rows(len(sets), words, close, found, opened, masks, dealt, leader=ctx.leader)
