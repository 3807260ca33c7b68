"""Tables, facts and JSON on stdout, progress on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ..enrollment import Progress as Report
from ..system.text import UNSAFE, printable, shown
from .printing import print_line

_STEPS = {
    "images": "Embedding images",
    "scenes": "Recognizing scenes",
    "index": "Building the index",
    "entries": "Checking items",
    "recall": "Comparing with exact search",
    "audit": "Comparing items",
    "items": "Writing items",
    "ranks": "Ranking queries",
    "unknown": "Ranking unknown objects",
}


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under headings, as wide as the terminal; whole lines where the output is no terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(Text(shown(heading)), overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))  # labels are text, whatever brackets they hold
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def print_facts(facts: dict[str, object]) -> None:
    """Print names and values, one a line."""
    width = max(map(len, facts))
    for name, value in facts.items():
        print_line(f"{name:<{width}}  {value}")


def print_json(value: Any) -> None:
    """Print one line of JSON, in any script; characters that a terminal would heed are escaped."""
    text = printable(json.dumps(value, ensure_ascii=False, default=str))
    print(UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], text), flush=True)


@contextmanager
def progress_bar() -> Iterator[Report]:
    """Show a bar on stderr for each step that reports; on no terminal, nothing."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        tasks: dict[str, TaskID] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(_STEPS.get(step, step))
            bars.update(tasks[step], completed=done, total=total)

        yield report
