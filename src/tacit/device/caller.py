"""Which line of the user's a call came from: what profiles, errors and ledgers show."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

_NOT_THE_USER = (
    str(Path(__file__).resolve().parents[1]),
    *{str(Path(sysconfig.get_path(name)).resolve()) for name in ("purelib", "platlib", "stdlib")},
)


def user_line() -> str:
    """`file.py:12` of the innermost frame outside of this package and of installed libraries; empty if there is none."""
    frame = sys._getframe(1)  # noqa: SLF001  the documented way to the caller, without building a traceback
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_NOT_THE_USER) and not name.startswith("<frozen"):
            return f"{Path(name).name}:{frame.f_lineno}"
        frame = frame.f_back  # type: ignore[assignment]  # None at the outermost
    return ""
