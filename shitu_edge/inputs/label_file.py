"""Label files: a line per image, `path<TAB>label` as in PaddleClas, or CSV as from spreadsheets."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import GalleryError, os_errors_as
from ..gallery.labels import normal_label
from ..imaging.formats import HEAD_BYTES, image_format
from ..system.files import read_bounded
from ..system.text import TAB, columns, decoded

_OTHER_DELIMITERS = (";", ",")
_MOST_BYTES = 64 << 20
_SAMPLE = 60

_Line = tuple[int, str]
"""Its number, from 1, and its text."""


@dataclass(frozen=True, slots=True)
class LabelLine:
    """A line of a label file: the image's path, with / as separator, and its label."""

    path: str
    label: str


@dataclass(frozen=True, slots=True)
class LabelFile:
    """The lines of a label file, and its header, None without one."""

    lines: tuple[LabelLine, ...]
    header: str | None


def read_label_file(file: Path) -> LabelFile:
    """Read a label file: UTF-8, or UTF-16 with its mark; columns by tabs, semicolons or commas, quoted as in CSV.

    The first column is the path, the second the label; others are ignored. The first line is a header if its path has
    no suffix and does not exist.

    Raises:
        GalleryError: it cannot be read or parsed, or a label is refused by `normal_label`.
    """
    lines = _lines(file)
    delimiter = _delimiter([line for _, line in lines])
    rows = [(number, _row(file, number, line, delimiter)) for number, line in lines]
    if delimiter != TAB:
        _check_widths(file, rows)
    header = rows.pop(0)[1] if rows and _is_header(file, rows[0][1]) else None
    found = tuple(_label_line(file, number, row) for number, row in rows)
    return LabelFile(found, None if header is None else ", ".join(header))


def _lines(file: Path) -> list[_Line]:
    """Return the lines that are not blank."""
    with os_errors_as(GalleryError, file):
        content = read_bounded(file, _MOST_BYTES)
    if image_format(content[:HEAD_BYTES]):
        raise GalleryError(f"{file}: is an image: `gallery add` takes images, with --label for their product")
    try:
        text = decoded(content)
    except ValueError as error:
        raise GalleryError(f"{file}: {error} (in Excel: CSV UTF-8)") from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _delimiter(lines: Sequence[str]) -> str:
    """Return the tab if half of the lines have one, else the delimiter that most lines have."""
    if 2 * sum(TAB in line for line in lines) >= len(lines):
        return TAB
    counts = {delimiter: sum(delimiter in line for line in lines) for delimiter in _OTHER_DELIMITERS}
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else TAB


def _row(file: Path, number: int, line: str, delimiter: str) -> list[str]:
    try:
        row = [column.strip() for column in columns(line, delimiter)]
    except csv.Error as error:
        raise GalleryError(f"{file}, line {number}: is not CSV: {error}") from error
    if len(row) < 2 or not row[0] or not row[1]:
        expected = f"path{'<TAB>' if delimiter == TAB else delimiter}label"
        raise GalleryError(f"{file}, line {number}: expected {expected}, found {line.strip()[:_SAMPLE]!r}")
    return row


def _check_widths(file: Path, rows: Sequence[tuple[int, list[str]]]) -> None:
    """Check that no label was split at a comma."""
    expected = len(rows[0][1])
    for number, row in rows:
        if len(row) != expected:
            raise GalleryError(
                f"{file}, line {number}: expected {expected} columns as in the first line, found {len(row)}; "
                "quote labels that hold the delimiter"
            )


def _is_header(file: Path, row: Sequence[str]) -> bool:
    return not Path(row[0]).suffix and not os.path.exists(file.parent / row[0])


def _label_line(file: Path, number: int, row: Sequence[str]) -> LabelLine:
    path = row[0]
    if "\\" in path and not os.path.exists(file.parent / path):
        path = path.replace("\\", "/")
    return LabelLine(path, normal_label(row[1], f"{file}, line {number}"))
