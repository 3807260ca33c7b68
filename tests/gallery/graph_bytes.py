"""The bytes of an hnswlib graph's file, read one number at a time: where things lie, and whether all is in range."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

HEADER = {
    "offsetLevel0": (0, "<Q"),
    "max_elements": (8, "<Q"),
    "cur_element_count": (16, "<Q"),
    "size_data_per_element": (24, "<Q"),
    "label_offset": (32, "<Q"),
    "offsetData": (40, "<Q"),
    "maxlevel": (48, "<i"),
    "enterpoint_node": (52, "<I"),
    "maxM": (56, "<Q"),
    "maxM0": (64, "<Q"),
    "M": (72, "<Q"),
    "mult": (80, "<d"),
    "ef_construction": (88, "<Q"),
}
"""Offset and kind of each field that hnswlib's `saveIndex` writes first, by its name there."""
HEADER_BYTES = 96


@dataclass(frozen=True, slots=True)
class GraphBytes:
    """A file and the parameters that its graph was built with."""

    content: bytes
    dim: int
    count: int
    m: int
    ef_construction: int

    @property
    def row_bytes(self) -> int:
        return 4 + 8 * self.m + 4 * self.dim + 8

    @property
    def list_bytes(self) -> int:
        """Of an item's links at an upper level."""
        return 4 + 4 * self.m

    @property
    def rows_end(self) -> int:
        return HEADER_BYTES + self.count * self.row_bytes

    def header(self, name: str) -> int | float:
        place, kind = HEADER[name]
        value: int | float = struct.unpack_from(kind, self.content, place)[0]
        return value

    def word(self, place: int) -> int:
        """Return a number of four bytes."""
        return int.from_bytes(self.content[place : place + 4], "little")

    def row(self, item: int) -> int:
        """Return where an item's number of links is; its links, row and id follow."""
        return HEADER_BYTES + item * self.row_bytes

    def vector(self, item: int) -> int:
        return self.row(item) + 4 + 8 * self.m

    def id(self, item: int) -> int:
        return self.row(item) + self.row_bytes - 8

    def upper(self) -> list[int] | None:
        """Return where the size of each item's upper links is, None if they do not fill the rest of the file."""
        places, place = [], self.rows_end
        for _ in range(self.count):
            if place + 4 > len(self.content):
                return None
            places.append(place)
            place += 4 + self.word(place)
        return places if place == len(self.content) else None

    def is_sound(self) -> bool:
        """Return whether hnswlib can neither leave its memory by this file nor answer what is no cosine."""
        if len(self.content) < HEADER_BYTES or not self._is_header_sound() or len(self.content) < self.rows_end:
            return False
        places = self.upper()
        if places is None or any(self.word(place) % self.list_bytes for place in places):
            return False
        levels = [self.word(place) // self.list_bytes for place in places]
        entry, top = int(self.header("enterpoint_node")), self.header("maxlevel")
        if entry >= self.count or not levels[entry] == top == max(levels):
            return False
        ids = {struct.unpack_from("<q", self.content, self.id(item))[0] for item in range(self.count)}
        if len(ids) < self.count or min(ids) < 0:
            return False
        return all(self._is_row_sound(item) for item in range(self.count)) and all(
            self._is_list_sound(place + 4 + (level - 1) * self.list_bytes, level, levels)
            for place, reached in zip(places, levels, strict=True)
            for level in range(1, reached + 1)
        )

    def _is_header_sound(self) -> bool:
        expected = {
            "offsetLevel0": 0,
            "max_elements": self.count,
            "cur_element_count": self.count,
            "size_data_per_element": self.row_bytes,
            "label_offset": self.row_bytes - 8,
            "offsetData": 4 + 8 * self.m,
            "maxM": self.m,
            "maxM0": 2 * self.m,
            "M": self.m,
            "ef_construction": max(self.m, self.ef_construction),
        }
        scale = self.header("mult")
        return math.isclose(scale, 1 / math.log(self.m), rel_tol=1e-9) and all(
            self.header(name) == value for name, value in expected.items()
        )

    def _is_row_sound(self, item: int) -> bool:
        place = self.row(item)
        links = [self.word(place + 4 + 4 * i) for i in range(2 * self.m)]
        vector = struct.unpack_from(f"<{self.dim}f", self.content, self.vector(item))
        length = sum(number * number for number in vector)
        return self.word(place) <= 2 * self.m and max(links) < self.count and abs(length - 1) < 1e-3

    def _is_list_sound(self, place: int, level: int, levels: list[int]) -> bool:
        links = [self.word(place + 4 + 4 * i) for i in range(self.m)]
        used = self.word(place)
        if used > self.m or max(links) >= self.count:
            return False
        return all(levels[link] >= level for link in links[:used])
