"""Print what this project asks for in pyproject.toml, one requirement a line: to build, to run, and to develop.

The set-up installs these first and the project itself afterwards, without its dependencies, so that rebuilding the
kernels does not ask the package index again.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def main() -> None:
    """Print every requirement once, in the order of the file."""
    declared = tomllib.loads(PYPROJECT.read_text())
    wanted = [
        *declared["build-system"]["requires"],
        *declared["project"]["dependencies"],
        *extra(declared["project"], "dev"),
    ]
    print("\n".join(dict.fromkeys(wanted)))


def extra(project: dict[str, Any], name: str) -> list[str]:
    """List one extra's requirements, with the project's own extras that it names written out."""
    own = re.compile(rf"{re.escape(project['name'])}\[(?P<names>[\w,\s-]+)\]")
    wanted: list[str] = []
    for requirement in project["optional-dependencies"][name]:
        if names := own.fullmatch(requirement):
            for other in names["names"].split(","):
                wanted += extra(project, other.strip())
        else:
            wanted.append(requirement)
    return wanted


if __name__ == "__main__":
    main()
