"""The one door to Microsoft SEAL, through TenSEAL's plain bindings `tenseal.sealapi`. It is part of the extra `he`.

SEAL throws where a result would be transparent (its second polynomial zero, so that anybody could read it), as in
x - x. `Transparent` is how the code above hears of it. Nothing that arrives from others reaches SEAL's own readers:
see `words`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from tacit.foundation.errors import MissingExtra

EXTRA = "he"


class Transparent(Exception):
    """SEAL refused a result that would not be hidden by encryption: it is a constant everybody knows."""


@cache
def seal() -> Any:
    """The module, or how to install it."""
    try:
        return import_module("tenseal.sealapi")
    except ImportError:
        raise MissingExtra("tenseal", EXTRA) from None


def hidden(operation: Callable[..., None], *operands: Any) -> None:
    """Call a SEAL operation; Transparent where its result would be."""
    try:
        operation(*operands)
    except RuntimeError as error:
        if "transparent" in str(error):
            raise Transparent from None
        raise
