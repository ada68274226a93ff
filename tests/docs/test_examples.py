"""Every Python example in the documentation runs.

The blocks of one page form one script, executed as a reader would: in a fresh interpreter and an empty folder, from
top to bottom. A block whose first line is `# not executed: <reason>` is left out.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SECONDS = 110

FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>`{3,}|:{3,})(?:python|\{code-block\} *python)[ \t]*\n"
    r"(?P<body>.*?)^(?P=indent)(?P=fence)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
OPTION = re.compile(r"^ *:[\w-]+:.*$", re.MULTILINE)
OPT_OUT = re.compile(r"\s*# not executed:(?P<reason>.*)")


def script_of(page: str) -> str:
    """Keep a page's executable code, each line at its own number, so that a traceback points into the page."""
    lines = [""] * (page.count("\n") + 1)
    for block in FENCE.finditer(page):
        body = OPTION.sub("", block["body"]) if "{code-block}" in block[0] else block["body"]
        if opt_out := OPT_OUT.match(body):
            assert opt_out["reason"].strip(), "`# not executed:` needs a reason"
            continue
        first = page.count("\n", 0, block.start("body"))
        code = textwrap.dedent(body).splitlines()
        lines[first : first + len(code)] = code
    return "\n".join(lines).rstrip()


SCRIPTS = {str(page.relative_to(ROOT)): script for page in PAGES if (script := script_of(page.read_text()))}


@pytest.mark.multiprocess
@pytest.mark.parametrize("page", SCRIPTS)
def test_page(page: str, tmp_path: Path) -> None:
    script = tmp_path / Path(page).with_suffix(".py").name
    script.write_text(SCRIPTS[page] + "\n")
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{page} does not run:\n{done.stdout}{done.stderr}"


def test_the_readme_is_among_the_pages() -> None:
    assert "README.md" in SCRIPTS


@pytest.mark.parametrize(
    ("page", "script"),
    [
        ("# t\n```python\nx = 1\n```\n", "\n\nx = 1"),
        ("```python\nx = 1\n```\ntext\n```python\ny = x\n```\n", "\nx = 1\n\n\n\ny = x"),
        ("- item\n  ```python\n  x = 1\n  ```\n", "\n\nx = 1"),
        ("```{code-block} python\n:caption: c\nx = 1\n```\n", "\n\nx = 1"),
        ("```python\n# not executed: needs two machines\nx = 1\n```\n", ""),
        ("```text\nx\n```\n```console\n$ x\n```\n", ""),
    ],
)
def test_extraction(page: str, script: str) -> None:
    assert script_of(page) == script


def test_an_opt_out_without_a_reason_is_refused() -> None:
    with pytest.raises(AssertionError, match="needs a reason"):
        script_of("```python\n# not executed:\nx = 1\n```\n")
