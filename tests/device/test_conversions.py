"""Every conversion of the matrix: values survive any way through it, and each costs what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tacit
from tacit import MPC, Plain, Session
from tacit.device.he import HE
from tacit.device.tee import TEE
from tacit.device.transfer import TRANSFERS

SHAPES = hnp.array_shapes(min_dims=0, max_dims=2, max_side=3)
REALS = hnp.arrays(np.float64, SHAPES, elements=st.floats(-1000, 1000, width=32))
WHOLES = hnp.arrays(np.int64, SHAPES, elements=st.integers(-(2**30), 2**30))
HIDING = (MPC, HE, TEE)
WAYS = st.lists(st.sampled_from(HIDING), min_size=1, max_size=4).filter(
    lambda way: all(pair in TRANSFERS for pair in zip([Plain, *way], way, strict=False))
)


@pytest.fixture(scope="module")
def places(session: Session, mpc: MPC) -> dict[type, Any]:
    """One device of each kind."""
    he = session.he(key_holder="alice", evaluators=["bob"])
    tee = session.tee("conversions", host="carol", backend="simulation", development=True)
    return {Plain: session.plain("bob"), MPC: mpc, HE: he, TEE: tee}


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.one_of(REALS, WHOLES), way=WAYS)
def test_values_survive_every_way(session: Session, places: dict[type, Any], data: np.ndarray, way: list[type]) -> None:
    """Error: half a unit of 18 fraction bits on entering MPC, one more for each time bits are cut off; integers exact."""
    value = places[HE].encrypt(session.plain("bob").put(data), magnitude=2.0**31) if way[0] is HE else None
    for kind in way if value is None else way[1:]:
        value = (session.plain("bob").put(data) if value is None else value).to(places[kind])
    if way[-1] is MPC:
        found = tacit.reveal(value, to="carol", because="a test")
    else:
        end = session.plain("alice")
        found = end.get(value.to(end, because="a test"))  # type: ignore[union-attr]
    assert found.dtype == data.dtype
    assert found.shape == data.shape
    np.testing.assert_allclose(found, data, rtol=0, atol=0 if data.dtype == np.int64 else len(way) * 2.0**-17)


COSTS = {
    (Plain, Plain): (1, 8),
    (Plain, MPC): (1, 8),
    (Plain, HE): (0, 0),  # the owner evaluates
    (MPC, Plain): (1, 8),
    (MPC, MPC): (3, 32),
    (MPC, HE): (3, 528),
    (HE, Plain): (1, 512),
    (HE, MPC): (2, 528),
}
"""Rounds, and bytes per number of all parties together, for Assisted and Paillier-2048."""


@pytest.mark.parametrize("pair", COSTS, ids=lambda pair: f"{pair[0].__name__}-{pair[1].__name__}")
def test_a_conversion_costs_what_is_written(session: Session, places: dict[type, Any], pair: tuple[type, type]) -> None:
    count = 16
    x = session.plain("bob").put(np.linspace(-1, 1, count))
    start = {
        Plain: lambda: x,
        MPC: lambda: places[MPC].share(x),
        HE: lambda: places[HE].encrypt(x, magnitude=4, fraction_bits=18),
    }[pair[0]]()
    session.run(start)
    target = {Plain: session.plain("alice"), MPC: places[MPC], HE: places[HE]}[pair[1]]
    if pair == (MPC, MPC):
        target = session.mpc(parties=["bob", "alice", "carol"])
    rounds, payload = spent(session, lambda: session.run(start.to(target, because="a test")))
    assert (rounds, payload / count) == COSTS[pair]


def spent(session: Session, work: Callable[[], object]) -> tuple[int, int]:
    """Rounds of the party that had most, and bytes of all."""
    before = session.ask(session.parties, "profile", {})
    work()
    after = session.ask(session.parties, "profile", {})
    rounds = [after[party][0]["rounds"] - before[party][0]["rounds"] for party in session.parties]
    payload = [after[party][0]["bytes"] - before[party][0]["bytes"] for party in session.parties]
    return max(rounds), sum(payload)
