"""Tacit's own worker for correlations dealt beforehand, at a small size: right, fresh for each run, gone afterwards."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks.cases import catalogue
from benchmarks.measure import Options, Table
from benchmarks.network import NETWORKS
from benchmarks.variants import Variant

OFFLINE = Variant("tacit", "Assisted-offline")


@pytest.mark.multiprocess
def test_cases_run_on_fresh_correlations_and_their_dealing_is_reported(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    commands = {OFFLINE: [sys.executable, "-m", OFFLINE.worker]}
    table = Table(commands, NETWORKS["loopback"], Options(runs=1), tmp_path / "logs")
    rows = {row.case: row for row in table.measure(catalogue(0.01), ["mul", "less", "sort", "relu"])}
    elements = 10_000
    for name, error in (("mul", 1e-4), ("less", 0.0), ("relu", 1e-5)):
        assert rows[name].failure is None
        assert rows[name].max_error <= error
        assert rows[name].dealing_seconds > 0
    # The parties of `mul` open one value per element and operand; what the dealer made is in its own column.
    assert (rows["mul"].bytes, rows["mul"].busiest_bytes, rows["mul"].rounds) == (16 * elements, 8 * elements, 1)
    assert 8 * elements < rows["mul"].dealing_bytes < 20 * elements
    assert "cannot be dealt beforehand" in rows["sort"].failure
    assert not list(tmp_path.glob("bench-tacit-*"))
