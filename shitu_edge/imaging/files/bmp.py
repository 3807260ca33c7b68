"""BMP files: run-length encoded ones have their own limit, as Pillow decodes them in Python."""

from __future__ import annotations

import struct

from .examined import Examined, RefusedError

_RUN_LENGTHS = frozenset({1, 2})
_MAX_BYTES = 2 << 20
_MAX_PIXELS = 10_000_000


def examine(content: bytes) -> Examined:
    """Return a BMP as it is. Raises `RefusedError` if it is run-length encoded and too large for that."""
    if len(content) >= 34 and int.from_bytes(content[14:18], "little") >= 40:
        width, height, _, _, compression = struct.unpack_from("<iiHHI", content, 18)
        if compression in _RUN_LENGTHS and (len(content) > _MAX_BYTES or abs(width * height) > _MAX_PIXELS):
            raise RefusedError(
                f"is a run-length encoded BMP of more than {_MAX_BYTES} bytes or {_MAX_PIXELS} pixels; save it as PNG"
            )
    return Examined(content)
