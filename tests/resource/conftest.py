"""Leave no socket behind, whatever a test did to its channels."""

from __future__ import annotations

import contextlib

import parties
import pytest


@pytest.fixture(autouse=True)
def close_what_was_opened():
    yield
    while parties.OPENED:
        opened = parties.OPENED.pop()
        with contextlib.suppress(OSError):
            opened.close()
