"""The protocols that every test of a function runs in."""

from __future__ import annotations

import pytest
from three import ThreePartyWorld
from worlds import WORLDS, World

from tacit.primitive.mpc.assisted.session import open_session as open_assisted
from tacit.primitive.mpc.replicated.session import open_session as open_replicated

ALL = (
    *WORLDS,
    ThreePartyWorld("assisted", open_assisted),
    ThreePartyWorld("assisted-exact", open_assisted, exact=True),
    ThreePartyWorld("replicated", open_replicated),
)


@pytest.fixture(scope="session", params=ALL, ids=lambda world: world.name)
def world(request: pytest.FixtureRequest) -> World:
    """A protocol under test."""
    return request.param
