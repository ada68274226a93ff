"""One session of three parties for all tests of devices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tacit import MPC, Session


@pytest.fixture(scope="package")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Alice, Bob and Carol on processes of their own."""
    with Session.local("alice", "bob", "carol", deadline=30.0, state=tmp_path_factory.mktemp("state")) as session:
        yield session


@pytest.fixture(scope="package")
def mpc(session: Session) -> MPC:
    """The default device."""
    return session.mpc()


@pytest.fixture
def share(session: Session, mpc: MPC) -> Any:
    """A function that shares an array of a party's own."""

    def share(data: Any, owner: str = "alice") -> Any:
        return mpc.share(session.plain(owner).put(data))

    return share
