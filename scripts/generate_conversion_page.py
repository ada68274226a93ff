"""Write docs/conversions.md: the conversion matrix, from the docstrings of the conversions themselves."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

from tacit.device.transfer import TRANSFERS

HEAD = """# Conversions between devices

`x.to(device)` is one node of the graph. This page is generated from `tacit.device.transfer.TRANSFERS`, which is the whole
matrix; a pair that is not in it raises `NoRoute` when the graph is built, with a way round.

"""


PAGE = Path(__file__).parents[1] / "docs" / "conversions.md"


def main() -> int:
    """Write the page, or with --check only say whether it is up to date."""
    wanted = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(wanted, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != wanted:
        sys.stderr.write(f"docs/{PAGE.name} is out of date: run `make generate`\n")
        return 1
    return 0


def page() -> str:
    """The page as it should be."""
    kinds = list(dict.fromkeys(kind for pair in TRANSFERS for kind in pair))
    lines = [
        "| from, to | " + " | ".join(kind.__name__ for kind in kinds) + " |",
        "|---|" + "---|" * len(kinds),
        *(
            f"| {source.__name__} | "
            + " | ".join(
                f"[`{TRANSFERS[source, target].__name__}`](#{_anchor(source, target)})"
                if (source, target) in TRANSFERS
                else "by MPC"
                for target in kinds
            )
            + " |"
            for source in kinds
        ),
        "",
    ]
    for (source, target), function in TRANSFERS.items():
        text = inspect.cleandoc(function.__doc__ or "")
        lines += [f"## {source.__name__} to {target.__name__}", "", text.replace("\nCosts:", "\n\nCosts:"), ""]
    return HEAD + re.sub(r"2(?:\*\*|\^)(-?\d+)", r"$2^{\1}$", "\n".join(lines))


def _anchor(source: type, target: type) -> str:
    return f"{source.__name__}-to-{target.__name__}".lower()


if __name__ == "__main__":
    sys.exit(main())
