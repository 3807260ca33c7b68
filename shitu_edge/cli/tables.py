"""Tables, facts and JSON on stdout, progress on stderr."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..system.text import MOST_IN_A_LINE, UNSAFE, printable, shown
from .printing import is_quiet, print_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from ..system.progress import StepProgress

SCHEMA_VERSION = 1
"""Of the JSON lines. New keys may appear in a version; a key that changes or goes raises it."""

_NARROW = 16
"""Cells up to this width are never broken over lines: numbers, decisions, dates."""
_STEPS = {
    "images": "Embedding images",
    "frames": "Looking at frames",
    "scenes": "Recognizing scenes",
    "features": "Finding local features",
    "index": "Building the index",
    "entries": "Checking items",
    "recall": "Comparing with exact search",
    "audit": "Comparing items",
    "items": "Writing items",
    "ranks": "Ranking queries",
    "unknown": "Ranking unknown objects",
}


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, folding: Collection[str] = ()) -> None:
    """Print rows under headings in the width of the terminal, of `$COLUMNS`, or else 80 columns; wide cells wrap.

    Narrow cells wrap in columns `folding` alone, for tables that could be too wide otherwise.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, heading in enumerate(headings):
        widest = max((cell_len(shown(row[number])) for row in rows), default=0)
        table.add_column(Text(shown(heading)), overflow="fold", no_wrap=widest <= _NARROW and heading not in folding)
    for row in rows:
        table.add_row(*(Text(shown(cell)) for cell in row))  # labels are text, whatever brackets they hold
    _console().print(table)


def print_facts(facts: Mapping[str, object]) -> None:
    """Print one name and value per line; long values continue below their beginning."""
    indent = max(map(len, facts)) + 2
    width = max(_console().width, 2 * indent)
    for name, value in facts.items():
        line = f"{name:<{indent}}{shown(str(value), MOST_IN_A_LINE)}"
        for piece in textwrap.wrap(
            line, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
        ):
            print_line(piece)


def print_json(record: Mapping[str, Any]) -> None:
    """Print a record as one line of JSON, in any script; characters that a terminal would act on are escaped."""
    versioned = {"schema_version": SCHEMA_VERSION, **record}
    text = printable(json.dumps(versioned, ensure_ascii=False, default=str))
    print(UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], text), flush=True)


@contextmanager
def progress_bar() -> Iterator[StepProgress]:
    """Show a progress bar on stderr for each step that reports; nothing if stderr is not a terminal, or with `-q`."""
    if is_quiet() or not sys.stderr.isatty():
        yield lambda step, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, TaskID] = {}

        def report(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(_STEPS.get(step, step))
            bars.update(tasks[step], completed=done, total=total)

        yield report


def _console() -> Console:
    from rich.console import Console

    return Console()
