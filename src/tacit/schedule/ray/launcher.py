"""Places the processes of a session on a Ray cluster and watches over them."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, final

from tacit.foundation.errors import ConfigError, SessionError, TacitError
from tacit.schedule.control import ControlLine
from tacit.schedule.launch import Order
from tacit.schedule.process import STOP_SECONDS
from tacit.schedule.ray import cluster
from tacit.schedule.ray.actor import PartyActor
from tacit.schedule.ray.relay import Relay

KILL_SECONDS = 2.0
CLOSE_SECONDS = 1.0


@final
class RayLauncher:
    """Processes as actors, one in each bundle of a placement group; a group for each time that some are started.

    It connects to the cluster when it first starts some, which raises what `cluster.join` does.
    """

    def __init__(self, address: str | None, *, cpus: float, strategy: str) -> None:
        if not cpus > 0 or strategy not in STRATEGIES:
            raise ConfigError(
                f"cpus must be above 0 and strategy one of {', '.join(STRATEGIES)}, not {cpus}, {strategy!r}"
            )
        self._cpus = cpus
        self._strategy = strategy
        self._groups: list[Any] = []
        self._address = address
        self._ray: Any = None

    def start(self, orders: Sequence[Order], timeout: float) -> Iterator[RayMember]:
        """Reserve a bundle for each process, all or none, and start an actor in each.

        Raises: MissingExtra, ConfigError; SessionError when there is no cluster, or no room.
        """
        if self._ray is None:
            self._ray = cluster.join(self._address)
        ray = self._ray
        group = ray.util.placement_group([{"CPU": self._cpus}] * len(orders), strategy=self._strategy)
        self._groups.append(group)
        if not group.wait(timeout):
            ray.util.remove_placement_group(self._groups.pop())
            free, total = ray.available_resources().get("CPU", 0), ray.cluster_resources().get("CPU", 0)
            raise SessionError(
                f"Ray found no room for {len(orders)} processes of {self._cpus:g} CPU each within {timeout:g} s "
                f"({self._strategy}): {free:g} of {total:g} CPUs are free on {len(ray.nodes())} nodes. End other jobs, add "
                "nodes, or ask for less with cpus=... or another strategy=..."
            )
        kind = ray.remote(concurrency_groups={"up": 1, "down": 1})(PartyActor)
        for place, order in enumerate(orders):
            actor = kind.options(
                num_cpus=self._cpus,
                max_restarts=0,
                scheduling_strategy=ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(
                    placement_group=group, placement_group_bundle_index=place
                ),
            ).remote(order.name, dict(order.config), str(order.log))
            yield RayMember(ray, actor, order)

    def threads(self, members: int) -> int:  # noqa: ARG002
        """What a process was given of Ray's processors."""
        return max(1, int(self._cpus))

    def close(self) -> None:
        """Remove the placement groups, which ends what still runs in them, and leave the cluster. Idempotent."""
        if self._ray is None:
            return
        ray, self._ray = self._ray, None
        for group in self._groups:
            with suppress(Exception):  # a cluster that is gone has no groups
                ray.util.remove_placement_group(group)
        cluster.leave()


@final
class RayMember:
    """One party's process in an actor, as its session sees it."""

    def __init__(self, ray: Any, actor: Any, order: Order) -> None:
        self.name = order.name
        self._ray = ray
        self._actor = actor
        ours, theirs = socket.socketpair()
        self.line = ControlLine(ours, order.name, patience=order.patience)
        self._dead = False
        self._relay = Relay(order.name, theirs, self._put, self._get)

    def _put(self, data: bytes) -> bool:
        if self._dead:  # Ray would start a cluster for a call after its end
            return False
        taken: bool = self._ray.get(self._actor.put.options(concurrency_group="up").remote(data))
        return taken

    def _get(self) -> Any:
        if self._dead:
            return b"", True, False, ""
        return self._ray.get(self._actor.get.options(concurrency_group="down").remote())

    @property
    def pid(self) -> int:
        """The process number on its node."""
        number: int = self._ray.get(self._actor.pid.remote())
        return number

    @property
    def stopped(self) -> bool:
        """Whether the process is stopped, or its node has not answered for a while."""
        return self._relay.stopped

    def exit_reason(self) -> str:
        """How it ended, in words; empty while that is not known."""
        self._relay.over.wait(1.0)
        return self._relay.reason

    def ask_to_stop(self) -> None:
        """Tell the process that the session is over."""
        self.line.sock.settimeout(STOP_SECONDS)
        with suppress(TacitError):
            self.line.send("stop")

    def wait(self, seconds: float) -> None:
        """Wait until the process ended, at most `seconds`."""
        self._relay.over.wait(seconds)

    def kill(self) -> None:
        """End the process and its actor. Idempotent."""
        if self._dead:
            return
        self._dead = True
        with suppress(Exception):  # the actor is gone already, and the process with it
            self._ray.get(self._actor.end.remote(), timeout=KILL_SECONDS)
        with suppress(Exception):
            self._ray.kill(self._actor, no_restart=True)
        self._relay.close(CLOSE_SECONDS)


STRATEGIES = ("SPREAD", "PACK", "STRICT_SPREAD", "STRICT_PACK")
