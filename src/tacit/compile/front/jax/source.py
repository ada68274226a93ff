"""Where a traced operation comes from: the user's own file and line, frames of installed libraries skipped."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

from jax._src import source_info_util

_LIBRARIES = tuple(
    str(Path(path))
    for path in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), sysconfig.get_path("stdlib")}
)
_PACKAGE = Path(__file__).parents[3]
_OURS = (str(_PACKAGE / "compile"), str(_PACKAGE / "device"))
WRITTEN_AT = "written at "
"""A `jax.named_scope` of this and a line says where an operator on a secret stands, which is traced only later."""


def line_of(source_info: Any) -> str:
    """`file.py:12` of the innermost frame that the user wrote, or of the innermost library frame; empty if unknown."""
    scope = str(source_info.name_stack)
    if WRITTEN_AT in scope:
        return scope.rpartition(WRITTEN_AT)[2].partition("/")[0]
    fallback = ""
    for frame in source_info_util.user_frames(source_info.traceback):
        if frame.file_name.startswith(_OURS):
            continue
        text = f"{Path(frame.file_name).name}:{frame.start_line}"
        if written_by_user(frame.file_name):
            return text
        fallback = fallback or text
    return fallback


def written_by_user(file_name: str) -> bool:
    """Say whether a source file is neither an installed library's nor this front end's."""
    return not file_name.startswith(("<", *_LIBRARIES, *_OURS))


def body_written_by_user(jaxpr: Any) -> bool:
    """Say whether the function behind a call was written by the user, so that lines inside it are worth showing.

    Bodies of library functions are traced once and cached: their lines are those of the first call ever made.
    """
    described = getattr(jaxpr.debug_info, "func_filename", None)
    return described is not None and written_by_user(described)
