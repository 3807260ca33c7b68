"""A photo to enroll: a plain one would be refused."""

from __future__ import annotations

from pathlib import Path

from PIL import Image


def write_photo(path: Path) -> Path:
    """Write 64 × 64 pixels in two browns."""
    photo = Image.new("RGB", (64, 64), (90, 40, 20))
    photo.paste((120, 60, 40), (0, 0, 64, 32))
    photo.save(path)
    return path
