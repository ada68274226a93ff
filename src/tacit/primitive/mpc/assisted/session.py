"""Opening an `Assisted` session at one party."""

from __future__ import annotations

from collections.abc import Sequence

from tacit.foundation.errors import ConfigError
from tacit.primitive.driver import Driver
from tacit.primitive.local import NativeLocal
from tacit.primitive.mpc.assisted.context import Context
from tacit.primitive.mpc.assisted.kernel import AssistedKernel
from tacit.primitive.mpc.party import agree
from tacit.primitive.phantom import PhantomLocal, dry_party


async def open_session(driver: Driver, names: Sequence[str], *, exact: bool = False) -> AssistedKernel:
    """Agree on pairwise seeds and return this party's kernel. `names` are leader, follower, helper.

    Costs: 1 round, 32 bytes to each peer.
    """
    if len(names) != 3 or len(set(names)) != 3:
        raise ConfigError(f"Assisted takes three different parties (leader, follower, helper), not {list(names)}")
    prgs = await agree(driver, names, "assisted")
    return AssistedKernel(Context(driver, names, prgs, NativeLocal()), exact=exact)


def dry_session(names: Sequence[str], me: str, *, exact: bool = False) -> tuple[AssistedKernel, Driver]:
    """A kernel that counts rounds and bytes of party `me` and computes nothing."""
    driver, prgs = dry_party(names, me)
    context = Context(driver, names, prgs, PhantomLocal())
    return AssistedKernel(context, exact=exact), driver
