"""Named library procedures: what a party runs on its own plain values, alone or with its peers, outside of a program.

A node executes nothing that a peer sent; a procedure is installed with the library and called by name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from tacit.foundation.errors import ConfigError
from tacit.foundation.ledger import Ledger
from tacit.primitive.driver import Driver


@dataclass(frozen=True, slots=True)
class PartyView:
    """What a procedure is given at one party: its own inputs only."""

    name: str
    driver: Driver
    ledger: Ledger
    inputs: Sequence[Any]
    blobs: Sequence[np.ndarray]
    state: dict[str, Any] = field(default_factory=dict)
    """What procedures keep from call to call at this party, under names of their own."""


Facts: TypeAlias = dict[str, Any]
Procedure: TypeAlias = Callable[..., tuple[Sequence[Any], Facts]]
"""Takes a PartyView and parameters; returns plain values for this party and public facts for the session."""

PROCEDURES: dict[str, Procedure] = {}


def procedure(name: str) -> Callable[[Procedure], Procedure]:
    """Install a procedure under a name."""

    def keep(function: Procedure) -> Procedure:
        if name in PROCEDURES:
            raise ValueError(f"procedure {name!r} is installed already")
        PROCEDURES[name] = function
        return function

    return keep


def install(modules: Iterable[str]) -> None:
    """Load the modules whose procedures this process offers. Raises ConfigError for a module that is not of this library."""
    for module in modules:
        if not module.startswith("tacit.") or not module.replace(".", "").replace("_", "").isalnum():
            raise ConfigError(f"{module!r} is no module of Tacit; procedures come from the installed library only")
        try:
            importlib.import_module(module)
        except ModuleNotFoundError:
            raise ConfigError(f"this installation has no module {module!r}") from None


def describe() -> Mapping[str, str]:
    """Installed procedures and what they do."""
    return {name: (function.__doc__ or "").strip().split("\n")[0] for name, function in PROCEDURES.items()}
