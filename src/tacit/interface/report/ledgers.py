"""Ledgers in the terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from tacit.foundation.errors import LedgerError
from tacit.foundation.ledger import verify


def show_ledger(path: Path, console: Console) -> None:
    """Print a ledger's records. Raises LedgerError for a file that is missing or broken."""
    _there(path)
    records = list(verify(path))
    table = Table(title=f"{path.name}: {len(records)} records", title_justify="left", pad_edge=False)
    for name in ("no.", "time", "kind", "what", "to", "because", "line"):
        table.add_column(name, justify="right" if name == "no." else "left")
    for record in records:
        to = record.get("to", "")
        what = record.get("what", "")
        shape = f" {record['shape']}" if record.get("shape") else ""
        table.add_row(
            str(record["number"]),
            record["time"],
            record["kind"],
            (what if isinstance(what, str) else ", ".join(what)) + shape,
            to if isinstance(to, str) else ", ".join(to),
            record.get("because", ""),
            record.get("line", ""),
        )
    console.print(table)
    console.print(f"last hash: {records[-1]['hash'] if records else 'none'}", highlight=False)


def check_ledger(path: Path, console: Console) -> bool:
    """Verify a ledger and say so; whether it is whole."""
    try:
        _there(path)
        count, head = 0, "none"
        for record in verify(path):
            count, head = count + 1, record["hash"]
    except LedgerError as error:
        console.print(f"[red]✗[/] {error}", highlight=False, soft_wrap=True)
        return False
    console.print(f"[green]✓[/] {path.name}: {count} records, last hash {head}", highlight=False, soft_wrap=True)
    return True


def _there(path: Path) -> None:
    if not path.is_file():
        raise LedgerError(f"there is no ledger file {path}")
