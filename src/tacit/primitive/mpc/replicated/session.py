"""Opening a `Replicated` session at one party."""

from __future__ import annotations

from collections.abc import Sequence

from tacit.foundation.errors import ConfigError
from tacit.primitive.driver import Driver
from tacit.primitive.mpc.party import agree
from tacit.primitive.mpc.replicated.context import Context
from tacit.primitive.mpc.replicated.door import ReplicatedLocal, ReplicatedPhantom
from tacit.primitive.mpc.replicated.kernel import ReplicatedKernel
from tacit.primitive.phantom import dry_party


async def open_session(driver: Driver, names: Sequence[str], *, exact: bool = False) -> ReplicatedKernel:
    """Agree on pairwise seeds and return this party's kernel. `names` are the three parties, in one order for all.

    Costs: 1 round, 32 bytes to each peer.
    """
    if len(names) != 3 or len(set(names)) != 3:
        raise ConfigError(f"Replicated takes three different parties, not {list(names)}")
    prgs = await agree(driver, names, "replicated")
    return ReplicatedKernel(Context(driver, names, prgs, ReplicatedLocal()), exact=exact)


def dry_session(names: Sequence[str], me: str, *, exact: bool = False) -> tuple[ReplicatedKernel, Driver]:
    """A kernel that counts rounds and bytes of party `me` and computes nothing."""
    driver, prgs = dry_party(names, me)
    context = Context(driver, names, prgs, ReplicatedPhantom())
    return ReplicatedKernel(context, exact=exact), driver
