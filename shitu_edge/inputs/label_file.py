"""Label files: a line per image, `path<TAB>label` as in PaddleClas, or CSV as from spreadsheets."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import GalleryError
from ..gallery.labels import normal_label
from ..system.text import TAB, columns
from .text_file import read_text_file

PATH_COLUMNS = frozenset(["path", "file", "filename", "file_name", "image", "image_name"])
LABEL_COLUMNS = frozenset(["label", "class", "product", "name"])
"""Names of columns in a header, in lower case."""
_OTHER_DELIMITERS = (";", ",")
_MOST_BYTES = 64 << 20
_SAMPLE = 60

_Row = tuple[int, list[str]]
"""A line's number, from 1, and its columns."""


@dataclass(frozen=True, slots=True)
class LabelLine:
    """A line of a label file: the image's path, with / as separator, and its label."""

    path: str
    label: str


@dataclass(frozen=True, slots=True)
class LabelFile:
    """The lines of a label file, and what was assumed to read it."""

    lines: tuple[LabelLine, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which columns hold the path and the label, and the header, None without one."""

    path: int = 0
    label: int = 1
    header: str | None = None


def read_label_file(file: Path) -> LabelFile:
    """Read a label file: UTF-8, UTF-16 with its mark, or GBK; columns by tabs, semicolons or commas, quoted as in CSV.

    The first line is a header if it names a column of `PATH_COLUMNS` and one of `LABEL_COLUMNS`, which then hold the
    path and the label; or if its path has no suffix and does not exist. Otherwise the first column is the path, and the
    second the label. Further columns are ignored.

    Raises:
        GalleryError: it cannot be read or parsed, or a label is refused by `normal_label`.
    """
    text = read_text_file(file, _MOST_BYTES)
    lines = [(number, line) for number, line in enumerate(text.lines, start=1) if line.strip()]
    delimiter = _delimiter([line for _, line in lines])
    rows = [(number, _columns(file, number, line, delimiter)) for number, line in lines]
    layout = _layout(file, rows[0][1]) if rows else _Layout()
    for (number, row), (_, line) in zip(rows, lines, strict=True):
        _check_filled(file, number, row, layout, line, delimiter)
    if delimiter != TAB:
        _check_widths(file, rows)
    notes = text.notes
    if layout.header is not None:
        rows.pop(0)
        notes += (f"{file}: the first line is read as a header: {layout.header}",)
    return LabelFile(tuple(_label_line(file, number, row, layout) for number, row in rows), notes)


def _delimiter(lines: Sequence[str]) -> str:
    """Return the tab if half of the lines have one, else the delimiter that most lines have."""
    if 2 * sum(TAB in line for line in lines) >= len(lines):
        return TAB
    counts = {delimiter: sum(delimiter in line for line in lines) for delimiter in _OTHER_DELIMITERS}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else TAB


def _columns(file: Path, number: int, line: str, delimiter: str) -> list[str]:
    try:
        return [column.strip() for column in columns(line, delimiter)]
    except csv.Error as error:
        raise GalleryError(f"{file}, line {number}: is not CSV: {error}") from error


def _layout(file: Path, first: Sequence[str]) -> _Layout:
    names = [column.lower() for column in first]
    path, label = (
        next((place for place, name in enumerate(names) if name in known), None)
        for known in (PATH_COLUMNS, LABEL_COLUMNS)
    )
    if path is not None and label is not None and not os.path.exists(file.parent / first[path]):
        told = f"{first[path]} (the path), {first[label]} (the label)"
        return _Layout(path, label, told)
    if not Path(first[0]).suffix and not os.path.exists(file.parent / first[0]):
        return _Layout(header=", ".join(first))
    return _Layout()


def _check_filled(file: Path, number: int, row: Sequence[str], layout: _Layout, line: str, delimiter: str) -> None:
    """Check that a line has a path and a label."""
    if len(row) <= max(layout.path, layout.label) or not row[layout.path] or not row[layout.label]:
        between = "<TAB>" if delimiter == TAB else delimiter
        expected = f"path{between}label" if (layout.path, layout.label) == (0, 1) else f"columns {layout.header}"
        raise GalleryError(f"{file}, line {number}: expected {expected}, found {line.strip()[:_SAMPLE]!r}")


def _check_widths(file: Path, rows: Sequence[_Row]) -> None:
    """Check that no label was split at a comma."""
    expected = len(rows[0][1])
    for number, row in rows:
        if len(row) != expected:
            raise GalleryError(
                f"{file}, line {number}: expected {expected} columns as in the first line, found {len(row)}; "
                "quote labels that hold the delimiter"
            )


def _label_line(file: Path, number: int, row: Sequence[str], layout: _Layout) -> LabelLine:
    path = row[layout.path]
    if "\\" in path and not os.path.exists(file.parent / path):
        path = path.replace("\\", "/")
    return LabelLine(path, normal_label(row[layout.label], f"{file}, line {number}"))
