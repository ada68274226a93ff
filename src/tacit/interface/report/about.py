"""What this installation is: version, processor features in use, protocols."""

from __future__ import annotations

import platform

from rich.console import Console
from rich.table import Table

from tacit import _native as native
from tacit.interface.version import package_version


def about_briefly() -> str:
    """One line."""
    return f"tacit {package_version('tacit')}, {native.isa()}, AES {'yes' if native.has_aes() else 'no'}, {native.threads()} threads"


def about(console: Console) -> None:
    """Print all of it."""
    from tacit.primitive.mpc.protocol import PROTOCOLS

    table = Table(show_header=False, pad_edge=False, box=None)
    table.add_column(style="dim")
    table.add_column()
    table.add_row("tacit", package_version())
    table.add_row("python", platform.python_version())
    table.add_row("instruction set", f"{native.isa()} in use, {native.best_isa()} is the best this processor has")
    table.add_row(
        "AES instructions", "yes" if native.has_aes() else "no; OpenSSL expands random streams instead, slower"
    )
    table.add_row("threads", str(native.threads()))
    for package in ("jax", "numpy", "cryptography", "pyarrow"):
        table.add_row(package, package_version(package))
    console.print(table)
    for protocol in PROTOCOLS.values():
        console.print()
        console.print(str(protocol()), highlight=False, soft_wrap=True)
