"""The orientation from EXIF and XMP; damaged metadata counts as none."""

from __future__ import annotations

import re
import struct

_ORIENTATION = 0x0112
_PREFIX = re.compile(rb"(?:Exif\0\0){1,2}")
_BYTE_ORDERS = {b"II": "<", b"MM": ">"}
_INTEGERS = {1: "B", 3: "H", 4: "I"}
"""TIFF's types of whole numbers: BYTE, SHORT, LONG."""
_IN_XMP = re.compile(rb"tiff:Orientation(?:=\"|>)([0-9])")


def orientation(exif: bytes | None, xmp: bytes | None) -> int:
    """Return the orientation (1 to 8, EXIF 2.3 tag 274) from EXIF, else from XMP, else 1."""
    named = _of_exif(exif) if exif else None
    if named is None and xmp:
        found = _IN_XMP.search(xmp)
        named = int(found[1]) if found else None
    return named if named is not None and 1 <= named <= 8 else 1


def _of_exif(block: bytes) -> int | None:
    """Return the value of the first directory's orientation tag; a directory has at most 65 535 entries."""
    prefix = _PREFIX.match(block)
    start = prefix.end() if prefix else 0
    order = _BYTE_ORDERS.get(block[start : start + 2])
    if order is None:
        return None
    try:
        directory = start + int(struct.unpack_from(f"{order}I", block, start + 4)[0])
        (entries,) = struct.unpack_from(f"{order}H", block, directory)
        for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind, count, offset = struct.unpack_from(f"{order}HHII", block, entry)
            if tag == _ORIENTATION and kind in _INTEGERS:
                inline = count * struct.calcsize(_INTEGERS[kind]) <= 4
                where = entry + 8 if inline else start + offset
                return int(struct.unpack_from(f"{order}{_INTEGERS[kind]}", block, where)[0])
    except struct.error:  # it is truncated
        pass
    return None
