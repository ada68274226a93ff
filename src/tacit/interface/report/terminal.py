"""A job in the terminal: its phases as they happen, then what came out, what it cost and who learnt what."""

from __future__ import annotations

from types import TracebackType
from typing import Self, final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tacit.interface.job.phase import Phase
from tacit.interface.report.record import Report, Reveal
from tacit.schedule.report import size

NAME, SECONDS, ROUNDS, BYTES = 10, 8, 7, 9


@final
class Terminal:
    """Tells a person how far a job is. Use it as a context manager around the job."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn(f"{{task.description:{NAME}}}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, visible=False, unit="")

    def __enter__(self) -> Self:
        head = f"{'phase':{NAME}} {'seconds':>{SECONDS}} {'rounds':>{ROUNDS}} {'bytes':>{BYTES}}"
        self.console.print(f"  {head}", style="dim", highlight=False)
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def begin(self, name: str) -> None:
        """Show that a phase runs."""
        self._bar.reset(self._task, total=None, description=name, visible=True, unit="")

    def epoch(self, number: int, limit: int) -> None:
        """Move the bar of training: it ends early when the parties agree to stop."""
        self._bar.update(self._task, completed=number, total=limit, unit="epochs at most")

    def end(self, phase: Phase) -> None:
        """Write the phase's line."""
        self._bar.update(self._task, visible=False)
        talked = (
            f"{phase.rounds:>{ROUNDS}} {size(phase.bytes):>{BYTES}}" if phase.messages else " " * (ROUNDS + BYTES + 1)
        )
        line = f"[green]✓[/] {phase.name:{NAME}} {phase.seconds:>{SECONDS}.2f} {talked}  [dim]{phase.note}[/]"
        self.console.print(line, highlight=False, soft_wrap=True)


def show(report: Report, console: Console) -> None:
    """The report's tables."""
    console.print()
    console.print(_results(report))
    console.print(_reveals(report.reveals))
    for ledger in report.ledgers:
        console.print(
            f"[green]✓[/] ledger of {ledger.party}: {ledger.records} records, verified, head {ledger.head[:16]}",
            highlight=False,
        )


def describe_reveal(reveal: Reveal) -> str:
    """What was revealed, in a few words."""
    kinds = {"fixed": "number", "int": "whole number", "bool": "bit"}
    if reveal.what not in kinds:
        return reveal.what if not reveal.shape else f"{reveal.what} ({reveal.shape[0]})"
    count = 1
    for extent in reveal.shape:
        count *= extent
    each = f"{count} {kinds[reveal.what]}{'' if count == 1 else 's'}"
    return each if reveal.count == 1 else f"{each}, {reveal.count} times"


def _results(report: Report) -> Table:
    table = Table(title=report.title, show_header=False, title_justify="left", pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    rows = ", ".join(f"{party.name} {party.rows}" for party in report.parties if party.role == "data")
    table.add_row("records", f"{rows}; {report.common} in common, {report.train} to train and {report.test} to test")
    table.add_row(
        "columns", ", ".join(f"{party.name} {party.features}" for party in report.parties if party.role == "data")
    )
    table.add_row("protocol", report.protocol.partition(":")[0] + ", semi-honest; TLS 1.3 between every two parties")
    table.add_row("epochs", str(len(report.epochs)))
    if report.auc_secure is not None:
        table.add_row("AUC, secure", f"[bold]{report.auc_secure:.4f}[/]")
    if report.secure and report.auc_on_shares is not None:
        table.add_row("AUC, on shares", f"{report.auc_on_shares:.4f}")
    if report.plain:
        gap = "" if report.auc_secure is None else f"  (difference {report.auc_secure - report.plain.auc:+.4f})"
        table.add_row("AUC, pooled plaintext", f"{report.plain.auc:.4f}{gap}")
    table.add_row("cost", f"{report.seconds:.1f} s, {report.rounds} rounds, {size(report.bytes)} sent by all parties")
    table.add_row("model", report.model)
    return table


def _reveals(reveals: tuple[Reveal, ...]) -> Table:
    table = Table(title="Who learnt what (from the ledgers)", title_justify="left", pad_edge=False)
    for name in ("who", "what", "why"):
        table.add_column(name)
    for reveal in reveals:
        table.add_row(", ".join(reveal.to), describe_reveal(reveal), reveal.because)
    return table
