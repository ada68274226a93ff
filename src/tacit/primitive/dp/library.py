"""The one door to OpenDP (mechanisms) and dp-accounting (accountants), both of the extra `dp`."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from tacit.foundation.errors import MissingExtra

EXTRA = "dp"


@cache
def opendp() -> Any:
    """`opendp.prelude`, with what its maintainers have reviewed ("contrib") switched on."""
    try:
        library = import_module("opendp.prelude")
    except ImportError:
        raise MissingExtra("opendp", EXTRA) from None
    library.enable_features("contrib")
    return library


@cache
def special() -> Any:
    """`scipy.special`; SciPy comes with JAX."""
    return import_module("scipy.special")


@cache
def accounting() -> Any:
    """`dp_accounting`, with its packages `rdp` and `pld`."""
    try:
        library = import_module("dp_accounting")
        import_module("dp_accounting.rdp.rdp_privacy_accountant")
        import_module("dp_accounting.pld.privacy_loss_distribution")
    except ImportError:
        raise MissingExtra("dp-accounting", EXTRA) from None
    return library
