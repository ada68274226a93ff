"""The written pages say what is in the code: every package, every error, every command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
PACKAGES = sorted({".".join(path.parent.relative_to(SOURCE).parts) for path in (SOURCE / "tacit").rglob("*.py")})
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
MENTIONED = sorted(set(re.findall(r"`(tacit(?:\.[a-z_0-9]+)*)`", ARCHITECTURE)))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_architecture_names_every_package(package: str) -> None:
    assert package in MENTIONED, f"ARCHITECTURE.md does not say what `{package}` holds"


@pytest.mark.parametrize("name", MENTIONED)
def test_the_architecture_names_nothing_else(name: str) -> None:
    path = SOURCE.joinpath(*name.split("."))
    stub = path.with_suffix(".pyi")
    assert name in PACKAGES or path.with_suffix(".py").is_file() or stub.is_file(), f"`{name}` does not exist"


@pytest.mark.parametrize("page", ["error", "function", "conversion"])
def test_generated_pages_are_what_the_code_generates(page: str) -> None:
    script = ROOT / "scripts" / f"generate_{page}_page.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_contributing_names_every_make_target() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    missing = [target for target in targets if f"make {target}" not in text]
    assert not missing, f"CONTRIBUTING.md does not name make {', make '.join(missing)}"


def test_every_changelog_fragment_has_a_known_type() -> None:
    types = re.search(r"types: (.*)\.", (ROOT / "changelog.d" / "README.md").read_text())
    assert types is not None
    known = re.findall(r"`(\w+)`", types[1])
    fragments = [path.name for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"]
    assert [name for name in fragments if not re.fullmatch(rf"[+\w-]+\.({'|'.join(known)})(\.\d+)?\.md", name)] == []


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_links_between_the_top_level_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text())
    missing = [target for target in targets if not (ROOT / target).exists()]
    assert not missing, f"{page.name} links to {', '.join(missing)}"
