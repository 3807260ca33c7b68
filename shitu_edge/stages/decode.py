"""Path, bytes, file object, PIL image or array → RGB pixels. The only reader of image formats.

`imaging.files` checks a file's structure, then Pillow or OpenCV (`imaging.jpeg_decoder`) decodes it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Literal, TypeAlias

import numpy as np
from PIL import Image

from ..errors import ImageError
from ..imaging.decode_limits import DecodeLimits as DecodeLimits
from ..imaging.files import Jpeg, RefusedError, examine
from ..imaging.formats import HEAD_BYTES, image_format
from ..imaging.geometry import Pixels
from ..imaging.jpeg_decoder import jpeg_pixels
from ..imaging.opencv import opencv
from ..imaging.readers import FORMATS as FORMATS
from ..imaging.readers import reader
from ..imaging.rgb import PILLOW, is_sideways, rgb_pixels
from ..system.files import read_bounded

Encoded: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO"
Source: TypeAlias = "Encoded | Image.Image | Pixels"
DecodeMode = Literal["auto", "exact"]


_EXIF_ORIENTATION = 0x0112
_DECODER_ERRORS = Exception
"""Pillow raises OSError, SyntaxError, EOFError, TypeError and others on bad files; no list would be complete."""


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """Decoded pixels (h, w, 3) uint8 RGB, and the image's size in pixels.

    The sizes differ if a large JPEG was decoded at reduced scale; `scale` is `(width / w, height / h)`. `decoder` is
    Pillow or OpenCV with its version; None for an array.
    """

    pixels_rgb: Pixels
    width: int
    height: int
    decoder: str | None

    @property
    def scale(self) -> tuple[float, float]:
        """Image pixels per decoded pixel, along x and y."""
        height, width = self.pixels_rgb.shape[:2]
        return self.width / width, self.height / height


DEFAULT_LIMITS = DecodeLimits()


def decode(source: Source, *, enough_side: int | None = None, limits: DecodeLimits = DEFAULT_LIMITS) -> DecodedImage:
    """Decode an image's first frame: EXIF orientation applied, alpha on white, 16 bits reduced to 8.

    Alpha that is 0 everywhere is ignored.

    Args:
        source: path, encoded bytes, binary file object, PIL image, or (H, W, 3) uint8 RGB array.
        enough_side: least pixels of the shorter side. JPEGs at least twice as large are decoded at 1/2, 1/4 or 1/8, in
            a third of the time. So are JPEGs over the pixel limit, whatever size results. None decodes every pixel.
        limits: larger images are refused before decoding.

    Raises:
        ImageError: the image is missing, unreadable, truncated or over a limit, or the array is of another kind.
    """
    if isinstance(source, np.ndarray):
        with _errors_of("the array"):
            return _from_array(source, limits)
    if isinstance(source, Image.Image):
        with _errors_of("the image"):
            return _from_image(source, limits)
    name, content = _read(source, limits)
    with _errors_of(name):
        return _from_file(content, enough_side, limits)


@contextmanager
def _errors_of(name: str) -> Iterator[None]:
    """Prefix errors with the image's name."""
    try:
        yield
    except ImageError:
        raise
    except RefusedError as error:
        raise ImageError(f"{name}: {error}") from error
    except _DECODER_ERRORS as error:
        printable = "".join(char if char.isprintable() else " " for char in str(error))
        reason = " ".join(printable.split()) or type(error).__name__
        raise ImageError(f"{name}: cannot be decoded: {reason}") from error


def _from_array(array: Pixels, limits: DecodeLimits) -> DecodedImage:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ImageError(f"expected a uint8 RGB array of shape (H, W, 3), found {array.dtype} {array.shape}")
    height, width = array.shape[:2]
    limits.require(width, height)
    return DecodedImage(array, width, height, None)


def _from_image(image: Image.Image, limits: DecodeLimits) -> DecodedImage:
    limits.require(image.width, image.height)
    image.load()
    return _unscaled(rgb_pixels(image, _orientation(image)))


def _from_file(content: bytes, enough_side: int | None, limits: DecodeLimits) -> DecodedImage:
    if not content:
        raise RefusedError("is empty")
    kind = image_format(content[:HEAD_BYTES])
    open_image = reader(kind)
    file = examine(kind, content)
    if isinstance(file, Jpeg):
        pixels, decoder = jpeg_pixels(file, enough_side, limits, opencv())
        sideways = is_sideways(file.orientation)
        width, height = (file.height, file.width) if sideways else (file.width, file.height)
        return DecodedImage(pixels, width, height, decoder)
    if file.width is not None and file.height is not None:
        limits.require(file.width, file.height, file.bytes_per_pixel)
    with open_image(BytesIO(file.content)) as image:
        limits.require(image.width, image.height, file.bytes_per_pixel)
        image.load()
        return _unscaled(rgb_pixels(image, _orientation(image) if file.orientation is None else file.orientation))


def _unscaled(pixels_rgb: Pixels) -> DecodedImage:
    height, width = pixels_rgb.shape[:2]
    return DecodedImage(pixels_rgb, width, height, PILLOW)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; 1 if EXIF is damaged."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except _DECODER_ERRORS:
        return 1


def _read(source: Encoded, limits: DecodeLimits) -> tuple[str, bytes]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, content = "the bytes", bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        try:
            return name, read_bounded(source, limits.max_bytes)
        except OSError as error:
            reason = error.strerror if error.errno == errno.EFBIG else f"cannot be read: {error.strerror}"
            raise ImageError(f"{name}: {reason}") from error
        except ValueError as error:
            raise ImageError(f"{name}: cannot be read: {error}") from error
    elif hasattr(source, "read"):
        name = str(getattr(source, "name", "the stream"))
        try:
            content = source.read(limits.max_bytes + 1)
        except UnicodeDecodeError as error:
            raise ImageError(f"{name}: expected a file opened in binary mode") from error
        except (OSError, ValueError) as error:  # ValueError: it is closed or only for writing
            raise ImageError(f"{name}: cannot be read: {error}") from error
        if not isinstance(content, bytes):
            raise ImageError(f"{name}: expected a file opened in binary mode")
    else:
        raise ImageError(f"expected a path, bytes, file, PIL image or array, found {type(source).__name__}")
    if len(content) > limits.max_bytes:
        raise ImageError(f"{name}: is larger than {limits.max_bytes} bytes")
    return name, content
