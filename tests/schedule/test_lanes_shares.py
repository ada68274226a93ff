"""Shares that go from lane to lane inside each party: exact in the ring, unseen by the other parties, never masked twice alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from tacit.foundation.errors import InputError
from tacit.primitive.driver import Driver, run_together
from tacit.primitive.mpc.assisted.session import open_session as open_assisted
from tacit.primitive.mpc.form import Elementwise
from tacit.primitive.mpc.replicated.session import open_session as open_replicated
from tacit.primitive.mpc.value import Boolean, Fixed, Integer
from tacit.resource.channel import MemoryChannel
from tacit.schedule.siblings import Handed, give, take

NAMES = ("alice", "bob", "carol")
BITS = 18
OPENERS = {"assisted": open_assisted, "replicated": open_replicated}
RING = st.integers(0, 2**64 - 1)
FALSE_ALARM = 1e-9


class Rig:
    """Two lanes of three parties in this thread, and links between the two processes of each party."""

    def __init__(self, opener: Any) -> None:
        self.channels, self.drivers, self.kernels = [], [], []
        for _ in range(2):
            mesh = MemoryChannel.mesh(NAMES)
            drivers = {name: Driver(name, mesh[name]) for name in NAMES}
            kernels = run_together(*[(driver, opener(driver, NAMES)) for driver in drivers.values()])
            self.drivers.append(drivers)
            self.kernels.append(dict(zip(NAMES, kernels, strict=True)))
        self.siblings = {}
        for name in NAMES:
            first, second = MemoryChannel.pair("lane 0", "lane 1")
            self.siblings[name] = (Driver("lane 0", {"lane 1": first}), Driver("lane 1", {"lane 0": second}))

    def run(self, lane: int, body: Any) -> dict[str, Any]:
        """body(kernel, name) at every party of a lane."""
        pairs = [(self.drivers[lane][name], body(self.kernels[lane][name], name)) for name in NAMES]
        return dict(zip(NAMES, run_together(*pairs), strict=True))

    def hand(self, source: int, values: dict[str, Any], described: Sequence[Any]) -> dict[str, Any]:
        """Every party's value from lane `source` to the other."""
        target = 1 - source
        handed = Handed.of(described)
        taken = {}
        for name in NAMES:
            ends = self.siblings[name]
            give(ends[source], f"lane {target}", [(handed, values[name])], self.kernels[source][name], BITS)
            (taken[name],) = take(ends[target], f"lane {source}", [handed], self.kernels[target][name], BITS)
        return taken

    def sent(self) -> int:
        """Payload bytes that parties have sent each other so far, in both lanes."""
        return sum(driver.profile.payload for drivers in self.drivers for driver in drivers.values())


@pytest.fixture(scope="module", params=OPENERS)
def rig(request: pytest.FixtureRequest) -> Rig:
    return Rig(OPENERS[request.param])


def share(rig: Rig, lane: int, owner: str, ring: np.ndarray) -> dict[str, Any]:
    return rig.run(lane, lambda k, me: k.share(owner, ring.shape, ring if me == owner else None))


def opened(rig: Rig, lane: int, shares: dict[str, Any]) -> np.ndarray:
    results = rig.run(lane, lambda k, me: k.reveal(shares[me], NAMES))
    for name in NAMES:
        np.testing.assert_array_equal(results[name], results["alice"])
    return results["alice"]


@settings(max_examples=30)
@given(st.data())
def test_sums_over_lanes_are_exact_modulo_2_64(rig: Rig, data: Any) -> None:
    """What is handed may be a fresh share, a product of opened values, or have public numbers in it."""
    owner = data.draw(st.sampled_from(NAMES))
    x, y, z = (np.array(data.draw(st.lists(RING, min_size=4, max_size=4)), np.uint64) for _ in range(3))
    here, there = share(rig, 0, owner, x), share(rig, 1, owner, y)

    async def work(k: Any, me: str) -> Any:
        square = await k.product(Elementwise(), there[me], there[me])
        return k.add_public(k.linear(lambda s: 3 * s, k.add(square, there[me])), z)

    computed = rig.run(1, work)
    before = rig.sent()
    moved = rig.hand(1, {name: Integer(computed[name]) for name in NAMES}, [7, [4], "int"])
    total = {name: rig.kernels[0][name].add(here[name], moved[name].share) for name in NAMES}
    assert rig.sent() == before, "a party sent another something"
    np.testing.assert_array_equal(opened(rig, 0, total), x + 3 * (y * y + y) + z)


def test_what_is_handed_stays_what_it_was(rig: Rig) -> None:
    """Handing copies: both lanes go on with the value, here after one of them used it."""
    x = np.arange(6, dtype=np.uint64).reshape(2, 3)
    here = share(rig, 0, "bob", x)
    there = {name: value.share for name, value in rig.hand(0, _ints(here), [1, [2, 3], "int"]).items()}
    squares = [
        rig.run(lane, lambda k, me, shares=shares: k.product(Elementwise(), shares[me], shares[me]))
        for lane, shares in ((0, here), (1, there))
    ]
    for lane, square in enumerate(squares):
        np.testing.assert_array_equal(opened(rig, lane, square), x * x)
    back = rig.hand(1, _ints(squares[1]), [2, [2, 3], "int"])
    np.testing.assert_array_equal(opened(rig, 0, {name: back[name].share for name in NAMES}), x * x)


def test_a_copy_is_opened_under_masks_of_its_lane() -> None:
    """The same shares in two lanes: what is opened of them must differ by uniform words, or the masks repeat."""
    rig = Rig(open_assisted)
    x = np.zeros(1 << 14, np.uint64)

    async def summed(k: Any, me: str) -> Any:  # a share of its own, which is open in neither lane
        first, second = (
            await k.share("alice", x.shape, x if me == "alice" else None),
            await k.share("bob", x.shape, x if me == "bob" else None),
        )
        return k.restore(x.shape, k.dump(k.add(first, second)))

    here = rig.run(0, summed)
    there = {name: value.share for name, value in rig.hand(0, _ints(here), [1, [1 << 14], "int"]).items()}
    for lane, shares in ((0, here), (1, there)):
        rig.run(lane, lambda k, me, shares=shares: k.prepare(shares[me]))
    assert here["alice"].opened is not there["alice"].opened
    difference = here["alice"].opened.value - there["alice"].opened.value
    counts = np.bincount(difference.view(np.uint8), minlength=256)
    assert np.sum((counts - counts.mean()) ** 2 / counts.mean()) < chi2.isf(FALSE_ALARM, 255)


def test_public_results_and_plain_arrays_are_handed_too(rig: Rig) -> None:
    public = dict.fromkeys(NAMES, np.array([1.5, -2.0]))
    moved = rig.hand(0, public, [1, [2], "fixed"])
    found = opened(rig, 1, {name: moved[name].share for name in NAMES}).view(np.int64) / 2**BITS
    np.testing.assert_array_equal(found, public["alice"])
    plain = rig.hand(1, dict.fromkeys(NAMES, np.array([[True, False]])), [1, [1, 2], "|b1"])
    assert plain["bob"].tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("described", "value", "words"),
    [
        ([1, [2], "complex"], np.zeros(2), "kind 'complex'"),
        ([1, [3], "<f8"], np.zeros(2), r"value 1 is float64\[2\]"),
        ([1, [2], "<i8"], np.zeros(2), r"value 1 is float64\[2\]"),
        ([1, [2], "int"], "share", r"value 1 is int\[4\]"),
        ([1, [4], "fixed"], "share", r"value 1 is int\[4\]"),
        ([1, [4], "int"], Boolean(None), "do not add"),
    ],
)
def test_what_does_not_fit_is_refused_before_it_is_sent(rig: Rig, described: Any, value: Any, words: str) -> None:
    if isinstance(value, str):
        value = Integer(share(rig, 0, "alice", np.zeros(4, np.uint64))["alice"])
    driver = rig.siblings["alice"][0]
    before = driver.profile.payload
    with pytest.raises(InputError, match=words):
        give(driver, "lane 1", [(Handed.of(described), value)], rig.kernels[0]["alice"], BITS)
    assert driver.profile.payload == before


def test_scales_travel_with_shares(rig: Rig) -> None:
    x = np.array([3 << BITS], np.uint64)
    moved = rig.hand(0, {n: Fixed(s, BITS) for n, s in share(rig, 0, "alice", x).items()}, [1, [1], "fixed"])
    assert {type(value) for value in moved.values()} == {Fixed}
    assert {value.bits for value in moved.values()} == {BITS}


def _ints(shares: dict[str, Any]) -> dict[str, Any]:
    return {name: Integer(shares[name]) for name in NAMES}
