"""Random protocol programs: trees of exchanges in sequence, side by side and spawned, and what they must cost."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from tacit.primitive.driver import Driver, gather
from tacit.primitive.profile import Where

NAMES = ("alice", "bob", "carol")
PATTERNS = {
    "swap": (("alice", "bob"), ("bob", "alice")),
    "deal": (("carol", "bob"),),
    "ring": (("alice", "bob"), ("bob", "carol"), ("carol", "alice")),
    "nobody": (),
}
"""Who sends to whom in one exchange."""

Tree = tuple[Any, ...]

_LEAVES = st.tuples(st.just("talk"), st.sampled_from(sorted(PATTERNS)), st.integers(0, 40))
TREES: st.SearchStrategy[Tree] = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.tuples(st.just("then"), st.lists(inner, max_size=4)),
        st.tuples(st.just("beside"), st.lists(inner, max_size=4)),
        st.tuples(st.just("spawn"), inner, inner),
        st.tuples(st.just("shared"), inner, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=14,
)


async def run(driver: Driver, tree: Tree) -> None:
    """Carry out a tree at one party."""
    kind = tree[0]
    if kind == "talk":
        await talk(driver, tree[1], tree[2])
    elif kind == "then":
        for inner in tree[1]:
            await run(driver, inner)
    elif kind == "beside":
        await gather(*[run(driver, inner) for inner in tree[1]])
    elif kind == "spawn":
        deferred = driver.spawn(run(driver, tree[1]), Where(0, "spawned"))
        await run(driver, tree[2])
        await deferred
    else:
        deferred = driver.spawn(run(driver, tree[1]), Where(0, "shared"))

        async def after(inner: Tree) -> None:
            await deferred
            await run(driver, inner)

        await gather(*[after(inner) for inner in tree[2]])


async def talk(driver: Driver, pattern: str, size: int) -> list[np.ndarray]:
    """One exchange of `size` bytes along a pattern; every party takes part, with empty lists where it has no message."""
    pairs = PATTERNS[pattern]
    sends = [(to, np.full(size, size, np.uint8)) for sender, to in pairs if sender == driver.me]
    receives = [(sender, np.zeros(size, np.uint8)) for sender, to in pairs if to == driver.me]
    received = await driver.exchange(sends, receives, silent=not pairs)
    for array in received:
        assert (array == size).all()
    return received


def rounds(tree: Tree) -> int:
    """The longest chain of exchanges in which somebody talks."""
    kind = tree[0]
    if kind == "talk":
        return int(bool(PATTERNS[tree[1]]))
    if kind == "then":
        return sum(map(rounds, tree[1]))
    if kind == "beside":
        return max(map(rounds, tree[1]), default=0)
    if kind == "spawn":
        return max(rounds(tree[1]), rounds(tree[2]))
    return rounds(tree[1]) + max(map(rounds, tree[2]))


def operations(tree: Tree) -> int:
    """How many exchanges there are."""
    kind = tree[0]
    if kind == "talk":
        return 1
    if kind in ("then", "beside"):
        return sum(map(operations, tree[1]))
    if kind == "spawn":
        return operations(tree[1]) + operations(tree[2])
    return operations(tree[1]) + sum(map(operations, tree[2]))
