"""The protocols that every test of a function runs in."""

from __future__ import annotations

import pytest
from three import ThreePartyWorld
from worlds import WORLDS, World

from tacit.primitive.mpc.assisted import session

ALL = (
    *WORLDS,
    ThreePartyWorld("assisted", session.open_session),
    ThreePartyWorld("assisted-exact", session.open_session, exact=True),
)


@pytest.fixture(scope="session", params=ALL, ids=lambda world: world.name)
def world(request: pytest.FixtureRequest) -> World:
    """A protocol under test."""
    return request.param
