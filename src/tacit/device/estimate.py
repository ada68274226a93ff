"""What a function would cost, before anything is computed or sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tacit.compile.cost import Cost, Network
from tacit.compile.cost import cost as price
from tacit.compile.front.jax.trace import trace
from tacit.compile.passes import optimise
from tacit.primitive.mpc.assisted.session import dry_session as dry_assisted
from tacit.primitive.mpc.protocol import Assisted, Protocol
from tacit.primitive.mpc.replicated.session import dry_session as dry_replicated

PARTIES = ("leader", "follower", "helper")


def cost(
    function: Callable[..., Any], *specs: Any, protocol: Protocol | None = None, network: str | Network = "lan"
) -> Cost:
    """Price a function of secrets: exact rounds and bytes, modelled seconds, by operation and source line.

    specs: for each argument a `jax.ShapeDtypeStruct` (or a structure of them) for a secret; everything else is public and
    taken as it is. network: "loopback", "lan" (1 Gbps, 0.5 ms) or "wan" (100 Mbps, 40 ms), or a `Network`. Sharing the
    inputs and revealing the results is not counted. Functions that open a random order (sorting) are counted for one
    possible order; all others exactly: it is the real protocol code that runs, on shapes alone.
    Raises: what tracing raises; ConfigError for an unknown network.
    """
    chosen = protocol or Assisted()
    dry = dry_assisted if isinstance(chosen, Assisted) else dry_replicated
    sessions = {party: _session(dry, party, chosen.exact) for party in PARTIES}
    program = optimise(trace(function, *specs).program)
    return price(program, sessions, bits=chosen.fraction_bits, network=network)


def _session(dry: Any, party: str, exact: bool) -> Callable[[], Any]:
    return lambda: dry(PARTIES, party, exact=exact)
