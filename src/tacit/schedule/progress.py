"""A progress bar for programs that take longer than a moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, final

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

QUIET_REPORTS = 2
"""Reports of a party (two a second) before a bar is worth its lines."""


@final
class Progress:
    """Shows how far the slowest party is. shown=False: never."""

    def __init__(self, *, shown: bool, console: Console | None = None) -> None:
        self._shown = shown
        self._console = console
        self._bar: Bar | None = None
        self._reports: dict[str, int] = {}
        self._done: dict[str, int] = {}

    def told(self, party: str, fields: Mapping[str, Any]) -> None:
        """A party says how many of its program's steps it has done."""
        self._reports[party] = self._reports.get(party, 0) + 1
        self._done[party] = int(fields["done"])
        if not self._shown or self._reports[party] < QUIET_REPORTS:
            return
        if self._bar is None:
            columns = (TextColumn("computing"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
            console = self._console or Console(stderr=True)
            self._bar = Bar(*columns, TimeRemainingColumn(), console=console, transient=True)
            self._bar.add_task("", total=int(fields["of"]))
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=min(self._done.values()), total=int(fields["of"]))

    @contextmanager
    def shown_while(self) -> Iterator[None]:
        """Show a bar meanwhile if there is something to show, and take it away afterwards."""
        try:
            yield
        finally:
            if self._bar is not None:
                self._bar.stop()
            self._bar = None
            self._reports.clear()
            self._done.clear()
