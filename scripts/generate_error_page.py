"""Write the table of docs/errors.md from tacit.foundation.errors; with --check, only say whether it is up to date."""

from __future__ import annotations

import builtins
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from tacit.foundation import errors

PAGE = Path(__file__).parents[1] / "docs" / "errors.md"
BEGIN = "<!-- generated from tacit.foundation.errors by `make generate`: do not edit below -->\n"


def main() -> int:
    """Rewrite the page's generated part, or compare it."""
    current = PAGE.read_text()
    written, marker, _ = current.partition(BEGIN)
    if not marker:
        sys.stderr.write(f"{PAGE.name} has lost the line that begins its generated part:\n{BEGIN}")
        return 1
    wanted = "\n".join([written + BEGIN, *entries(errors.TacitError), ""])
    if "--check" in sys.argv[1:]:
        if current != wanted:
            sys.stderr.write(f"docs/{PAGE.name} is out of date: run `make generate`\n")
        return int(current != wanted)
    PAGE.write_text(wanted)
    return 0


def entries(error: type[errors.TacitError], depth: int = 0) -> Iterator[str]:
    """Yield one nested list item for an error and for all that derive from it."""
    also = [
        f"`{base.__name__}`" for base in error.__bases__ if hasattr(builtins, base.__name__) and base is not Exception
    ]
    python = f" (also {' and '.join(also)})" if also else ""
    yield f"{'  ' * depth}- **{error.__name__}**{python}: {explanation(error)}"
    for child in error.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from entries(child, depth + 1)


def explanation(error: type) -> str:
    """Give the docstring as one paragraph."""
    return " ".join((inspect.getdoc(error) or "").split())


if __name__ == "__main__":
    sys.exit(main())
