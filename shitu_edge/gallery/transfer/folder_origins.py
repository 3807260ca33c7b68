"""Origins in an exported folder.

origins.jsonl    a JSON object per item that has an origin, with the number of its line in labels.tsv
pictures/        the items' pictures, if images are requested
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath

from ...errors import GalleryError, os_errors_as
from ...ranges import shown
from ...results import Box
from ...schema import build
from ...system.files import file_inside, open_regular, parse_json
from ..store import Origin
from ..store.records import Crop, OriginFacts
from ..store.schema import MOST_PICTURE

ORIGINS, PICTURES = "origins.jsonl", "pictures"
_MOST_LINE = 2048
"""Bytes."""


@dataclass(frozen=True, slots=True)
class _Line:
    """An item's origin; `line` counts from 1, `picture` is a name inside the folder."""

    line: int
    box_xyxy: Box | None
    crop: Crop
    source_sha256: str
    product_xyxy: Box | None
    picture: str | None


def write_origin(folder: Path, line: int, item: int, origin: Origin, *, picture: bool) -> str | None:
    """Write an item's origin, the first of a folder into a new file; return its picture's name if that is written."""
    name = None
    facts = asdict(OriginFacts.of(origin))
    if picture and origin.picture:
        suffix = ".webp" if origin.picture.startswith(b"RIFF") else ".jpg"
        name = str(PurePosixPath(PICTURES) / f"{item}{suffix}")
        (folder / PICTURES).mkdir(exist_ok=True)
        (folder / name).write_bytes(origin.picture)
    else:
        facts["product_xyxy"] = None
    with (folder / ORIGINS).open("a", encoding="utf-8", newline="") as lines:
        lines.write(json.dumps({"line": line, **facts, "picture": name}) + "\n")
    return name


def read_origins(folder: Path) -> Generator[tuple[int, Origin], None, None]:
    """Yield the number of an item's line, ascending, and its origin; nothing without a file of them.

    Raises:
        GalleryError: the file or a picture cannot be read, or is not from an export.
    """
    path, before = folder / ORIGINS, 0
    if not path.exists():
        return
    with os_errors_as(GalleryError, path), open_regular(path) as stream:
        for number, read in enumerate(_lines(stream, path), start=1):
            if read.line <= before:
                raise GalleryError(f"{path}, line {number}: expected a line after {before}, found {read.line}")
            before = read.line
            facts = OriginFacts(read.box_xyxy, read.crop, read.source_sha256, read.product_xyxy)
            yield read.line, facts.with_picture(_picture(folder, read.picture) if read.picture else b"")


def _lines(stream: BufferedReader, path: Path) -> Iterator[_Line]:
    for number, line in enumerate(iter(lambda: stream.readline(_MOST_LINE + 1), b""), start=1):
        try:
            if len(line) > _MOST_LINE:
                raise ValueError(f"is longer than {_MOST_LINE} bytes")
            yield build(_Line, parse_json(line))
        except ValueError as error:
            raise GalleryError(f"{path}, line {number}: is not from `gallery export`: {error}") from error


def _picture(folder: Path, name: str) -> bytes:
    file = file_inside(folder, name)
    if file is None:
        raise GalleryError(f"{folder}: there is no picture {shown(name)}")
    with os_errors_as(GalleryError, file), open_regular(file) as stream:
        return stream.read(MOST_PICTURE + 1)
