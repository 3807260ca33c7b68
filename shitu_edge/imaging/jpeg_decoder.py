"""JPEGs → RGB pixels by OpenCV or Pillow, with the same pixels and the same refusals.

Both use libjpeg-turbo. OpenCV writes three bytes per pixel, Pillow four, which must then be copied to three; so upright
JPEGs of one scan in color or gray go to OpenCV, if it is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from io import BytesIO
from typing import Any
from zlib import crc32

import numpy as np
from PIL import JpegImagePlugin

from .decode_limits import DecodeLimits
from .files import Jpeg, RefusedError, TruncatedError, examine
from .files.jpeg import LOOKAHEAD
from .geometry import Pixels
from .opencv import opencv_version
from .rgb import PILLOW, rgb_pixels

_Decoded = tuple[Pixels, str]
"""Pixels, and what decoded them."""

_REDUCED = 4
"""A JPEG decoded at reduced scale may have this many times the pixel limit, since it takes time too."""
_SCALES = (8, 4, 2, 1)
_SHORTER = 64
"""Bytes: more than a block, and more plain blocks than a decoder's lookahead."""
_MAX_DECODED_TWICE = 16 << 20
"""Bytes: up to half a second."""


class _Whole(BytesIO):
    """A file that raises when read beyond its end, even if a program has Pillow accept truncated images."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if size and not data:
            raise TruncatedError()
        return data


def jpeg_pixels(file: Jpeg, enough_side: int | None, limits: DecodeLimits, cv2: Any | None) -> _Decoded:
    """Return a JPEG's upright pixels (h, w, 3) uint8, possibly at reduced scale, and its decoder; see `decode.decode`.

    Raises:
        RefusedError: it exceeds a limit; TruncatedError, or Pillow's errors: it is damaged.
    """
    scale = _scale(file, enough_side, limits)
    if file.has_zeros_at_end or file.has_zeros_within:
        return _with_zeros(file, partial(_decoded, file, scale, cv2))
    # Arithmetic coding reads beyond its end and would decode the junk.
    if file.single_scan or file.arithmetic or len(file.content) > _MAX_DECODED_TWICE:
        return _decoded(file, scale, cv2, file.content)
    with_junk = crc32(_decoded(file, scale, cv2, file.with_junk())[0].data)
    pixels, decoder = _decoded(file, scale, cv2, file.content)
    if crc32(pixels.data) != with_junk:
        raise TruncatedError("its last scan")
    return pixels, decoder


def _scale(file: Jpeg, enough_side: int | None, limits: DecodeLimits) -> int:
    """Return the scale's divisor: as large as `enough_side` allows, larger if the pixel limit requires it."""
    reducible = enough_side is not None and file.single_scan  # several scans take the same memory at any scale
    if not reducible or not limits.max_pixels < file.width * file.height <= _REDUCED * limits.max_pixels:
        limits.require(file.width, file.height, file.bytes_per_pixel)
    scale = 1
    if enough_side:
        scale = next((scale for scale in _SCALES if min(file.width, file.height) >= scale * enough_side), 1)
        while scale < _SCALES[0] and -(-file.width // scale) * -(-file.height // scale) > limits.max_pixels:
            scale *= 2
    return scale


def _with_zeros(file: Jpeg, decoded: Callable[[bytes], _Decoded]) -> _Decoded:
    """Decode a JPEG of one scan with many zeros in its data, if they are image data or padding.

    In a plain image with custom Huffman tables zeros are data: without the last bytes it is incomplete. Padding is not
    needed at all. If zeros replace data that a camera lost, too few bytes remain, or some are left over.
    """

    def attempt(content: bytes) -> _Decoded | None:
        try:
            return decoded(content)
        except Exception:  # Pillow raises many kinds
            return None

    padding = file.zeros if file.has_zeros_at_end else 0
    found = attempt(file.without_last(padding))
    if found is None:
        if padding and attempt(file.without_last(LOOKAHEAD)) is not None:
            raise TruncatedError("zeros in place of data")
        return decoded(file.content)
    if file.has_zeros_within:
        shorter = (attempt(file.without_last(padding + _SHORTER, ones=ones)) for ones in (False, True))
        if all(less is not None for less in shorter):
            raise RefusedError("cannot be decoded: its data continue after its last pixel, so a part was replaced")
    return found


def _decoded(file: Jpeg, scale: int, cv2: Any | None, content: bytes) -> _Decoded:
    is_plain = scale == 1 and file.orientation == 1 and file.channels != 4 and file.single_scan
    if is_plain and (pixels := _by_opencv(file, cv2, content)) is not None:
        return pixels, opencv_version(cv2)
    with JpegImagePlugin.JpegImageFile(_Whole(content)) as image:
        image.decodermaxblock = len(content)  # all at once, as for OpenCV
        if scale > 1:
            image.draft(image.mode, (file.width // scale, file.height // scale))
        image.load()
        return rgb_pixels(image, file.orientation), PILLOW


def _by_opencv(file: Jpeg, cv2: Any | None, content: bytes) -> Pixels | None:
    """Decode by OpenCV; None if it cannot, so that Pillow decodes or raises."""
    if cv2 is None or not hasattr(cv2, "IMREAD_COLOR_RGB"):  # before 4.11 it ignores this and returns BGR
        return None
    if not _refuses_a_cut_frame(cv2):
        return None
    pixels = _imdecode(cv2, content)
    return pixels if pixels is not None and pixels.shape == (file.height, file.width, 3) else None


@cache
def _refuses_a_cut_frame(cv2: Any) -> bool:
    """Whether this OpenCV, like all known versions, refuses a truncated frame; else Pillow decodes."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    encoded = examine("JPEG", cv2.imencode(".jpg", noise)[1].tobytes()).content
    return _imdecode(cv2, encoded[: len(encoded) // 2]) is None


def _imdecode(cv2: Any, content: bytes) -> Pixels | None:
    try:
        as_stored = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        pixels: Pixels | None = cv2.imdecode(np.frombuffer(content, np.uint8), as_stored)
    except cv2.error:
        return None
    return pixels
