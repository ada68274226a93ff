"""What every test shares: how hard hypothesis looks, and where the shared data folder is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

# Protocol runs take milliseconds to seconds and share the machine, so that a deadline would test the machine.
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
settings.register_profile("dev", _COMMON, max_examples=50)
settings.register_profile("ci", _COMMON, max_examples=50, derandomize=True, database=None, print_blob=True)
settings.register_profile("nightly", _COMMON, max_examples=5000, print_blob=True)
settings.load_profile("dev")  # `--hypothesis-profile` overrides this; `make test` says ci


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `shared` where the folder is absent, saying so."""
    if SHARED.is_dir():
        return
    absent = pytest.mark.skip(reason=f"the shared data folder {SHARED.name}/ is not beside the project")
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(absent)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared data folder; a test that uses it is marked `shared`."""
    return SHARED
