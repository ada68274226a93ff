"""The protocols that every test of a function runs in."""

from __future__ import annotations

import pytest

from worlds import WORLDS, World


@pytest.fixture(scope="session", params=WORLDS, ids=lambda world: world.name)
def world(request: pytest.FixtureRequest) -> World:
    """A protocol under test."""
    return request.param
