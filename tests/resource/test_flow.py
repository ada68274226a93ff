"""A peer that runs far ahead waits in sending; nothing is refused, nothing is lost, and the others are still heard."""

from __future__ import annotations

import numpy as np
import pytest
from parties import connected, send, together

from tacit.primitive.driver import Driver
from tacit.resource.channel import LinkSettings
from tacit.resource.wire.frame import FrameLimits

NAMES = ("alice", "bob", "carol")
AHEAD = 1 << 20


@pytest.mark.parametrize("kind", ["plain", "tls"])
@pytest.mark.parametrize("size", [1 << 12, 1 << 18])
def test_a_dealer_that_runs_ahead_of_those_it_deals_to_waits_for_them(kind, size):
    """carol deals 96 MB to bob, 90 times what he may hold unread, while he talks with alice first."""
    total = 96 << 20
    settings = LinkSettings(limits=FrameLimits(ahead_bytes=AHEAD))
    ends = connected(NAMES, kind=kind, settings=settings)
    drivers = {name: Driver(name, ends[name], deadline=60.0) for name in NAMES}
    deals = total // size

    async def program(driver: Driver) -> int:
        wrong = 0
        for number in range(deals):
            value = np.full(size, number % 251, np.uint8)
            if driver.me == "carol":
                await driver.exchange([("bob", value)], [])
                continue
            peer = "bob" if driver.me == "alice" else "alice"
            mine, theirs = np.zeros(8, np.uint8), np.empty(8, np.uint8)
            deal = np.empty(size, np.uint8)
            receives = [(peer, theirs)] + [("carol", deal)] * (driver.me == "bob")
            await driver.exchange([(peer, mine)], receives)
            wrong += driver.me == "bob" and not np.array_equal(deal, value)
        return wrong

    results = together({name: lambda d=drivers[name]: d.run(program(d)) for name in NAMES})
    assert results == {"alice": 0, "bob": 0, "carol": 0}
    held = ends["bob"]["carol"]._inbox
    assert held._ahead <= AHEAD + (2 << 20)


def test_a_full_channel_does_not_hide_another_peers_end():
    """bob holds all he may of carol's; alice's end still reaches him while he waits for her."""
    settings = LinkSettings(limits=FrameLimits(ahead_bytes=AHEAD), patience=30.0)
    ends = connected(NAMES, kind="tls", settings=settings)
    bob = Driver("bob", ends["bob"], deadline=30.0)

    def carol():
        send(ends["carol"]["bob"], 0, memoryview(bytearray(64 << 20)))

    def alice():
        while not ends["bob"]["carol"].full:
            pass
        ends["alice"]["bob"].abort("enough")

    async def waits() -> None:
        await bob.exchange([], [("alice", np.empty(8, np.uint8))])

    results = together({"alice": alice, "bob": lambda: bob.run(waits()), "carol": carol})
    assert "alice stopped: enough" in str(results["bob"])
    assert isinstance(results["carol"], ConnectionError)  # told by bob, while it waited in sending
