"""GIF files by structure (GIF89a): blocks before the first image are limited, as they are read one by one."""

from __future__ import annotations

from .examined import Examined, RefusedError

_MAX_BLOCKS = 65_536
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B


def examine(content: bytes) -> Examined:
    """Return a GIF as it is. Raises `RefusedError` if it has no image, or too many blocks before it."""
    position = 13
    if len(content) > 10 and content[10] & 0x80:  # a global palette
        position += 3 << (content[10] & 7) + 1
    blocks = 0
    while position < len(content) and content[position] not in (_IMAGE, _TRAILER):
        in_extension = content[position] == _EXTENSION
        position += 2 if in_extension else 1  # Pillow skips bytes that begin no block
        while in_extension and position < len(content):
            length = content[position]
            position += 1 + length
            blocks += 1
            in_extension = length > 0 and blocks <= _MAX_BLOCKS
        blocks += 1
        if blocks > _MAX_BLOCKS:
            raise RefusedError(f"is a GIF of more than {_MAX_BLOCKS} blocks before its image")
    if position >= len(content) or content[position] == _TRAILER:
        raise RefusedError("is a GIF without an image")
    return Examined(content)
