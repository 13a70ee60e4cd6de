"""Progress bars and closing tables for work that takes longer than a breath."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

_SECONDS_BETWEEN_LINES = 10


class _RateColumn(ProgressColumn):
    """Units per second, as measured by rich over the last steps."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.1f} {task.fields['unit']}/s" if speed else "")


class _Lines:
    """Progress in plain lines, for logs: one every ten seconds, and one at the end."""

    def __init__(self, description: str, total: int, unit: str) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done, self._note = 0, ""
        self._started = self._printed = time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count steps and print a line if the last one is long enough ago."""
        self._done, self._note = self._done + steps, note
        if time.monotonic() - self._printed >= _SECONDS_BETWEEN_LINES:
            self.print()

    def print(self) -> None:
        """Print how far the work is."""
        self._printed = time.monotonic()
        seconds = self._printed - self._started
        rate = self._done / seconds if seconds > 0 else 0.0
        left = (self._total - self._done) / rate if rate else 0.0
        print(
            f"{self._description}: {self._done}/{self._total}, {rate:,.1f} {self._unit}/s, "
            f"{left:.0f} s left {self._note}".rstrip(),
            file=sys.stderr,
            flush=True,
        )


@contextmanager
def progress(description: str, total: int, unit: str) -> Iterator[Callable[..., None]]:
    """Show a bar with rate and time left while the block runs; plain lines if stderr is a file.

    Args:
        description: what is being done.
        total: number of steps.
        unit: what a step is, in the plural.

    Yields:
        `advance(steps=1, note="")`, to be called as steps are done; the note stands at the end of
        the line.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        lines = _Lines(description, total, unit)
        yield lines.advance
        lines.print()
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console, refresh_per_second=2) as bar:
        task = bar.add_task(description, total=total, unit=unit, note="")

        def advance(steps: int = 1, note: str = "") -> None:
            bar.update(task, advance=steps, note=note)

        yield advance


def plain_console() -> Console:
    """Return a console that prints labels and paths as they are: `[red]` is no colour."""
    return Console(markup=False, emoji=False)


def summary_table(title: str, rows: Mapping[str, object]) -> None:
    """Print a two-column table of what a stage did."""
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in rows.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    plain_console().print(table)
