"""Progress of a long step: a callback for the code, and a bar for the user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn
from shitu_edge_export.progress import bar as export_bar

Progress = Callable[[int, int], None]
"""Called with what is done and what there is in all."""


@contextmanager
def bar(title: str) -> Iterator[Progress]:
    """Show progress on stderr: a bar on a terminal, else a line every twentieth of the way."""
    console = Console(stderr=True, highlight=False)
    columns = (MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with export_bar(title, console, *columns) as show:
        said = 0

        def report(done: int, total: int) -> None:
            nonlocal said
            show(done, total)
            if not console.is_terminal and 20 * done // total > said:
                said = 20 * done // total
                console.print(f"{title}: {done} of {total}")

        yield report
