"""What import-linter cannot see: who knocks at the native door, and who uses the package's own front.

The order of the layers themselves is the contract `[tool.importlinter]` in pyproject.toml, run by `make check`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
MODULES = sorted((SOURCE / "tacit").rglob("*.py"))
NATIVE = "tacit._native"


def module_name(path: Path) -> str:
    """Name a source file as Python imports it."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def test_every_package_has_its_init() -> None:
    """Without it import-linter does not see the modules of a folder."""
    folders = {str(path.parent.relative_to(SOURCE)) for path in MODULES if not path.with_name("__init__.py").is_file()}
    assert sorted(folders) == []


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_only_primitives_call_the_kernels(path: Path) -> None:
    module = module_name(path)
    allowed = module.startswith(("tacit.primitive", "tacit.interface"))
    lines = [line for line, name in imports(path, module) if name == NATIVE or name.startswith(NATIVE + ".")]
    assert allowed or not lines, f"{path}:{lines[0]} imports {NATIVE}; call it through tacit.primitive"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_module_imports_the_front(path: Path) -> None:
    """`tacit` re-exports the upper layers, so that importing it from inside would reach upwards unseen."""
    module = module_name(path)
    if module.startswith("tacit.interface"):
        return
    lines = [line for line, name in imports(path, module) if name == "tacit"]
    assert not lines, f"{path}:{lines[0]} imports the package tacit itself; import the module that is meant"


def imports(path: Path, module: str) -> Iterator[tuple[int, str]]:
    """List (line, module) of all imports, relative ones resolved, and `from tacit import x` as `tacit.x` if x is a module."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package.split(".")[: len(package.split(".")) - node.level + 1]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield node.lineno, inner if inner == NATIVE or is_module(inner) else source


def is_module(name: str) -> bool:
    """Say whether a dotted name is a file or folder of the source tree."""
    path = SOURCE.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()
