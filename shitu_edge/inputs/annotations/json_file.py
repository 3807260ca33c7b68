"""JSON files that name images beside them."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import GalleryError
from ...system.files import read_json

_MOST_BYTES = 256 << 20


def json_content(file: Path) -> Any:
    """Return the content of a file; raises `GalleryError` if it cannot be read or is not JSON."""
    try:
        return read_json(file, _MOST_BYTES)
    except OSError as error:
        raise GalleryError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise GalleryError(f"{file}: {error}") from error


def named_image(file: Path, name: str) -> Path:
    """Return the path of an image that a file names, beside the file; raises `GalleryError` if it is elsewhere."""
    relative = PurePosixPath(name.replace("\\", "/"))
    if not relative.parts or relative.is_absolute() or ".." in relative.parts or ":" in relative.parts[0]:
        raise GalleryError(f"{file}: {name!r}: expected an image in the file's folder or below it")
    return file.parent / relative
