"""TIFF files by structure (TIFF 6.0): the first image's directory, with the tags that its pixels need."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from math import ceil

from .examined import USUAL_BYTES_PER_PIXEL, Examined, RefusedError, TruncatedError
from .exif import orientation

_MAX_VALUES = 262_144
_MAX_UNIT, _MAX_UNITS = 1 << 20, 16
"""Most pixels of a strip or tile, which is decoded whole; larger ones may have as many as 16 times the image."""
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of a value by type."""
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _ORIENTATION, _SAMPLES, _ROWS = 256, 257, 258, 259, 274, 277, 278
_TILE_WIDTH, _TILE_HEIGHT, _XMP = 322, 323, 700
_NEEDED = frozenset(
    {254, 255, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, 262, 266, 273, _SAMPLES, _ROWS, 279, 284, 292, 293, 317, 320}
    | {_TILE_WIDTH, _TILE_HEIGHT, 324, 325, 332, 334, 338, 339, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521}
    | {529, 530, 531, 532, 50674}
)
"""Tags of layout, compression (LERC's too) and color, without resolutions, texts, profiles and metadata."""


@dataclass(frozen=True, slots=True)
class _Entry:
    raw: bytes
    kind: int
    count: int
    where: int

    @property
    def size(self) -> int:
        return self.count * _SIZES.get(self.kind, 1)


class _Directory:
    """The first directory of a TIFF or BigTIFF."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.order = "<" if content[:2] == b"II" else ">"
        big = 43 in content[2:4]
        if big and self.order == ">":  # Pillow reads it as an ordinary TIFF
            raise RefusedError("is a big-endian BigTIFF, which is not supported; save it as TIFF or PNG")
        self._count, self._entry, self._offset = ("Q", "HHQ", "Q") if big else ("H", "HHI", "I")
        try:
            (self.start,) = struct.unpack_from(self.order + self._offset, content, 8 if big else 4)
            (entries,) = struct.unpack_from(self.order + self._count, content, self.start)
            self.entries = self._read(entries)
        except struct.error as error:
            raise TruncatedError() from error

    def _read(self, entries: int) -> dict[int, _Entry]:
        if entries > 65_535:
            raise RefusedError("cannot be decoded: its TIFF directory is damaged")
        inline = struct.calcsize(self.order + self._offset)
        length = struct.calcsize(self.order + self._entry) + inline
        found: dict[int, _Entry] = {}
        position = self.start + struct.calcsize(self.order + self._count)
        for at in range(position, position + length * entries, length):
            tag, kind, count = struct.unpack_from(self.order + self._entry, self.content, at)
            where = at + length - inline
            if count * _SIZES.get(kind, 1) > inline:
                (where,) = struct.unpack_from(self.order + self._offset, self.content, where)
            found.setdefault(tag, _Entry(self.content[at : at + length], kind, count, where))
        return found

    def values(self, tag: int, default: int = 0) -> tuple[int, ...]:
        """Return a tag's whole numbers, at most sixteen; the default if there are none."""
        entry = self.entries.get(tag)
        if entry is None or entry.kind not in _INTEGERS:
            return (default,)
        form = f"{self.order}{min(entry.count, 16)}{_INTEGERS[entry.kind]}"
        try:
            return struct.unpack_from(form, self.content, entry.where) or (default,)
        except struct.error:
            return (default,)

    def value(self, tag: int, default: int = 0) -> int:
        """Return a tag's first whole number."""
        return self.values(tag, default)[0]

    def bytes_of(self, tag: int) -> bytes | None:
        """Return a tag's bytes."""
        entry = self.entries.get(tag)
        return None if entry is None else self.content[entry.where : entry.where + entry.size]

    def with_needed(self) -> bytes:
        """Return the file with a single directory of the needed tags."""
        kept = [entry.raw for tag, entry in sorted(self.entries.items()) if tag in _NEEDED]
        count, end = struct.pack(self.order + self._count, len(kept)), struct.pack(self.order + self._offset, 0)
        directory = count + b"".join(kept) + end
        return self.content[: self.start] + directory + self.content[self.start + len(directory) :]


def examine(content: bytes) -> Examined:
    """Return a TIFF's first image.

    Raises:
        RefusedError: its directory is damaged, or has too many values or too large tiles.
    """
    directory = _Directory(content)
    for tag, entry in directory.entries.items():
        if tag in _NEEDED and entry.count > _MAX_VALUES:
            raise RefusedError(f"is a TIFF with {entry.count} values in tag {tag}, expected at most {_MAX_VALUES}")
    width, height = directory.value(_WIDTH), directory.value(_HEIGHT)
    named = directory.value(_ORIENTATION)
    turned = named if 1 <= named <= 8 else orientation(None, directory.bytes_of(_XMP))
    return Examined(directory.with_needed(), turned, width, height, _bytes_per_pixel(directory, width, height))


def _bytes_per_pixel(directory: _Directory, width: int, height: int) -> int:
    """Return the memory of decoding; compressed files take one strip or tile, stored and as RGBA, in addition."""
    if directory.value(_COMPRESSION, 1) == 1:
        return USUAL_BYTES_PER_PIXEL
    tile = directory.value(_TILE_WIDTH) * directory.value(_TILE_HEIGHT)
    unit = tile or width * min(directory.value(_ROWS, height), height)
    if unit > max(_MAX_UNIT, _MAX_UNITS * width * height):
        raise RefusedError("is a TIFF whose tiles are far larger than its image")
    bits = max(directory.values(_BITS, 1)) * directory.value(_SAMPLES, 1)
    return max(USUAL_BYTES_PER_PIXEL, 4 + ceil(unit * (4 + bits / 8) / max(1, width * height)))
