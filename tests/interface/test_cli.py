"""The command line, where no party's process is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tacit.foundation.ledger import Ledger
from tacit.interface.cli import app

run = CliRunner().invoke


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "alice.ledger.jsonl"
    writer = Ledger(path, "alice")
    for number in range(3):
        writer.append("reveal", what="fixed", shape=[number], to=["bob"], because=f"reason {number}", line="a.py:1")
    writer.append("save", what=["coef"], model="m", file="alice.share")
    writer.append("opened", what="sorted order", shape=[5], to="all parties")
    writer.close()
    return path


def test_info_says_what_runs_and_what_is_assumed() -> None:
    result = run(app, ["info"])
    assert result.exit_code == 0
    for words in (
        "instruction set",
        "AES instructions",
        "threads",
        "jax",
        "Assisted: three parties",
        "Replicated: three",
        "semi-honest",
    ):
        assert words in result.output


def test_info_in_one_line() -> None:
    result = run(app, ["info", "--short"])
    assert result.exit_code == 0
    assert result.output.count("\n") == 1
    assert result.output.startswith("tacit ")


def test_ledger_show_prints_every_record(ledger: Path) -> None:
    result = run(app, ["ledger", "show", str(ledger)])
    assert result.exit_code == 0
    for words in ("5 records", "reason 2", "bob", "sorted order", "coef", "last hash: "):
        assert words in result.output


def test_ledger_verify_accepts_a_whole_ledger(ledger: Path) -> None:
    result = run(app, ["ledger", "verify", str(ledger), str(ledger)])
    assert result.exit_code == 0
    assert result.output.count("5 records") == 2


@pytest.mark.parametrize(
    ("line", "was", "now", "said"),
    [
        (2, "reason 1", "reason 9", "line 2: the hash does not fit"),
        (3, None, None, "line 3 should be record 2"),
        (1, '"kind"', "kind", "line 1 is not a ledger record"),
    ],
)
def test_ledger_verify_names_the_broken_line(
    ledger: Path, line: int, was: str | None, now: str | None, said: str
) -> None:
    lines = ledger.read_text().splitlines(keepends=True)
    lines[line - 1] = "" if was is None else lines[line - 1].replace(was, now or "")
    ledger.write_text("".join(lines))
    for command in ("verify", "show"):
        result = run(app, ["ledger", command, str(ledger)])
        assert result.exit_code == 1
        assert said in result.output


def test_a_ledger_that_is_not_there(tmp_path: Path) -> None:
    result = run(app, ["ledger", "verify", str(tmp_path / "none.jsonl")])
    assert result.exit_code == 1
    assert "there is no ledger file" in result.output


@pytest.mark.parametrize("command", ["train", "predict"])
def test_a_bad_job_is_refused_before_anything_starts(tmp_path: Path, command: str) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("parties: 3\n")
    result = run(app, [command, "lr", "--config", str(job)])
    assert result.exit_code == 1
    assert "ConfigError: job.yaml line 1: parties" in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "modules"),
    [
        (["info", "--short"], ("jax", "pyarrow", "cryptography", "yaml")),
        (["info"], ("jax", "pyarrow", "yaml")),
        (["ledger", "verify", "LEDGER"], ("jax", "numpy", "pyarrow", "yaml")),
        (["--help"], ("jax", "numpy", "pyarrow", "yaml")),
    ],
)
def test_a_command_loads_only_what_it_needs(ledger: Path, arguments: list[str], modules: tuple[str, ...]) -> None:
    told = [argument.replace("LEDGER", str(ledger)) for argument in arguments]
    script = f"""
import sys
sys.argv = ["tacit", *{told!r}]
from tacit.interface.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
loaded = [name for name in {modules!r} if name in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
