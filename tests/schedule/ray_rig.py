"""A Ray cluster on this machine for tests, and who runs on it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tacit.schedule.ray import cluster


@contextmanager
def running() -> Iterator[Any]:
    """Ray, from here to the end of the block, whatever sessions come and go."""
    pytest.importorskip("ray", reason='needs Ray: pip install "tacit[ray]"')
    ray = cluster.join(None)
    try:
        yield ray
    finally:
        cluster.leave()


def no_groups(ray: Any) -> bool:
    """Whether no placement group is left."""
    return all(group["state"] == "REMOVED" for group in ray.util.placement_group_table().values())


MARK = "TACIT_TEST_FAMILY"


def processes_of(family: str) -> list[int]:
    """Every process whose environment says that it belongs to `family`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={family}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def python_path() -> str:
    """So that a script finds what the tests find."""
    return ":".join(filter(None, sys.path))
