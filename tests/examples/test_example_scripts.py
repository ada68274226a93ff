"""Every example runs as a user would run it, says what it promises, and draws its graph."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SECONDS = 100


@pytest.mark.multiprocess
@pytest.mark.parametrize("example", [path.stem for path in EXAMPLES])
def test_example(example: str, tmp_path: Path) -> None:
    script = ROOT / "examples" / f"{example}.py"
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    SAYS[example](done.stdout)
    drawing = ET.parse(tmp_path / f"{example}.svg").getroot()  # noqa: S314  written by the example
    assert len(list(drawing.iter("{http://www.w3.org/2000/svg}g"))) >= 1


def millionaires(output: str) -> None:
    assert output == "alice is richer: False\n"
    statements = [line for line in (ROOT / "examples/millionaires.py").read_text().splitlines()[5:] if line.strip()]
    session = next(i for i, line in enumerate(statements) if line.startswith("with"))
    assert len(statements[session:]) <= 10, "the millionaires' problem in under ten lines"


def hess_lr(output: str) -> None:
    found = re.fullmatch(r"AUC (0\.\d+), in the clear (0\.\d+)\nlargest difference of a score: (\S+)\n", output)
    assert found, output
    secure, plain, difference = map(float, found.groups())
    assert secure > 0.97
    assert abs(secure - plain) < 0.002
    assert difference < 2e-3


def sealed_model(output: str) -> None:
    assert output.startswith("TEE(scoring: SIMULATED at cloud): scores [")


def fedavg(output: str) -> None:
    found = re.fullmatch(
        r"rounds (\d+), epsilon spent \{'north': (\S+), 'south': (\S+), 'west': (\S+)\}\nAUC (0\.\d+)\n", output
    )
    assert found, output
    rounds, *spent, auc = map(float, found.groups())
    assert 10 <= rounds < 50, "the budget ends the training"
    assert all(5.0 < epsilon <= 6.0 for epsilon in spent)
    assert auc > 0.98


SAYS = {"fedavg": fedavg, "millionaires": millionaires, "hess_lr": hess_lr, "sealed_model": sealed_model}


def test_every_example_is_checked() -> None:
    assert set(SAYS) == {path.stem for path in EXAMPLES}
