"""Text files as any system writes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import GalleryError, os_errors_as
from ..imaging.formats import HEAD_BYTES, image_format
from ..system.files import read_bounded
from ..system.text import decoded, from_gbk, shown

_SAMPLE = 30


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file's lines without their ends, and a note if its encoding had to be assumed."""

    lines: tuple[str, ...]
    notes: tuple[str, ...]


def read_text_file(file: Path, max_bytes: int) -> TextFile:
    """Read a text file: UTF-8, the encoding of its byte order mark, or GBK if it is Chinese in no other.

    Raises:
        GalleryError: it cannot be read, is an image, or is in another encoding.
    """
    with os_errors_as(GalleryError, file):
        content = read_bounded(file, max_bytes)
    if image_format(content[:HEAD_BYTES]):
        raise GalleryError(f"{file}: is an image: `gallery add` takes images, with --label for their product")
    notes: tuple[str, ...] = ()
    try:
        text = decoded(content)
    except ValueError as error:
        chinese = from_gbk(content)
        if chinese is None:
            raise GalleryError(f"{file}: {error} (in Excel: CSV UTF-8)") from error
        text = chinese
        sample = next(line for line in text.splitlines() if not line.isascii())
        notes = (f"{file}: is not UTF-8; read as GBK, such as {shown(sample, _SAMPLE)!r}",)
    return TextFile(tuple(text.replace("\r\n", "\n").replace("\r", "\n").split("\n")), notes)
