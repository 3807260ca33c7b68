"""Progress of long steps: a line per step on stderr, with a spinner if stderr is a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, ProgressColumn, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

Report = Callable[[int, int | None], None]


class Progress:
    """Announces steps; `title` stands before each."""

    def __init__(self, title: str = "", console: Console | None = None) -> None:
        self._title = title
        self._console = console or Console(stderr=True, highlight=False)

    def of(self, title: str) -> Progress:
        """Return one for the same console under another title."""
        return Progress(title, self._console)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Announce a step while it runs, and how long it took when it has ended."""
        name = f"{self._title}: {what}" if self._title else what
        begun = time.perf_counter()
        if not self._console.is_terminal:
            self._console.print(f"{name} ...", markup=False, soft_wrap=True)
        with self._console.status(name):
            yield
        self._console.print(f"{name}: {time.perf_counter() - begun:.1f} s", markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Say something."""
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def transfer(self, what: str) -> Iterator[Report]:
        """Show a bar while bytes arrive; the reporter takes those so far and those of all, None if not known."""
        if not self._console.is_terminal:
            self._console.print(f"Downloading {what} ...", markup=False, soft_wrap=True)
        with bar(f"Downloading {what}", self._console, DownloadColumn(), TransferSpeedColumn()) as report:
            yield report


@contextmanager
def bar(title: str, console: Console, *columns: ProgressColumn) -> Iterator[Report]:
    """Show a bar while the block runs if the console is a terminal; the reporter takes what is done and the total."""
    columns = (TextColumn("{task.description}"), BarColumn(), *columns)
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(title, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
