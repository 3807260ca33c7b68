"""Pictures in: path, bytes, file object, PIL image or array → RGB pixels. The only reader of image formats.

`image_files` looks at a file's structure, then Pillow decodes it. Upright JPEGs in color or grey go to OpenCV, where it
is installed: both have libjpeg-turbo inside, but Pillow keeps four bytes per pixel, which then have to be copied to
three. Both get the same bytes, such that either one refuses a frame whose end is missing.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any, BinaryIO, Literal, TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from .errors import ImageError
from .files import read_bounded
from .formats import HEAD_BYTES, image_format
from .image_files import Jpeg, RefusedError, TruncatedError, examine
from .image_readers import FORMATS as FORMATS
from .image_readers import reader
from .opencv import opencv
from .rgb import is_sideways, rgb_pixels

Encoded: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO"
Source: TypeAlias = "Encoded | Image.Image | NDArray[np.uint8]"
DecodeMode = Literal["auto", "exact"]

_Pixels = NDArray[np.uint8]


_EXIF_ORIENTATION = 0x0112
_BYTES_PER_PIXEL = 8
"""What decoding may take, times `DecodeLimits.max_pixels`."""
_REDUCED = 4
"""How many times the limit of pixels a JPEG may have that is decoded at reduced scale: all of it takes time."""
_SCALES = (8, 4, 2, 1)
_DECODER_ERRORS = Exception
"""What Pillow raises on bad files: OSError (truncated pixel data is one, unless the host program
has set `PIL.ImageFile.LOAD_TRUNCATED_IMAGES`), SyntaxError,
EOFError, TypeError, its own warnings where warnings are errors. A list would lack what the next damaged file brings."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What is too much: bytes of an encoded picture, pixels of a decoded one.

    Decoding a file takes at most 8 bytes of memory per pixel of `max_pixels`, three times the file and 128 MiB. Images
    that need more per pixel (WebP, AVIF, HEIC, progressive JPEG in full color, some TIFF) may have the fewer pixels. A
    JPEG that may be decoded at reduced scale may have four times as many.
    """

    max_bytes: int = 64 << 20
    max_pixels: int = 80_000_000


@dataclass(frozen=True, slots=True)
class Picture:
    """Decoded pixels (h, w, 3) uint8 RGB, and the size in pixels that the picture has by itself.

    They differ where a large JPEG was decoded at reduced scale; `scale` is `(width / w, height / h)`.
    """

    pixels_rgb: NDArray[np.uint8]
    width: int
    height: int

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the picture per decoded pixel, along x and y."""
        height, width = self.pixels_rgb.shape[:2]
        return self.width / width, self.height / height


DEFAULT_LIMITS = DecodeLimits()


def decode(source: Source, *, enough_side: int | None = None, limits: DecodeLimits = DEFAULT_LIMITS) -> Picture:
    """Decode a picture: EXIF orientation applied, alpha laid on white, 16 bits reduced to 8, first frame only.

    An image whose alpha is 0 everywhere has its colors.

    Args:
        source: path, encoded bytes, binary file object, PIL image, or (H, W, 3) uint8 RGB array.
        enough_side: pixels that the shorter side has to keep. JPEGs at least twice as large are decoded at 1/2, 1/4
            or 1/8, which takes a third of the time. So are JPEGs over the limit of pixels, however small that makes
            them. None decodes every pixel.
        limits: larger pictures are refused before they are decoded.

    Raises:
        ImageError: the picture is missing, unreadable, truncated or over a limit, or the array is of another kind.
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
    """Say what an error is about."""
    try:
        yield
    except ImageError:
        raise
    except RefusedError as error:
        raise ImageError(f"{name}: {error}") from error
    except _DECODER_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{name}: cannot be decoded: {reason}") from error


def _from_array(array: _Pixels, limits: DecodeLimits) -> Picture:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ImageError(f"expected a uint8 RGB array of shape (H, W, 3), found {array.dtype} {array.shape}")
    height, width = array.shape[:2]
    _require_within(limits, width, height)
    return Picture(array, width, height)


def _from_image(image: Image.Image, limits: DecodeLimits) -> Picture:
    _require_within(limits, image.width, image.height)
    image.load()
    return _unscaled(rgb_pixels(image, _orientation(image)))


def _from_file(content: bytes, enough_side: int | None, limits: DecodeLimits) -> Picture:
    if not content:
        raise RefusedError("is empty")
    name = image_format(content[:HEAD_BYTES])
    open_image = reader(name)
    file = examine(name, content)
    if isinstance(file, Jpeg):
        return _from_jpeg(file, enough_side, limits)
    if file.width is not None and file.height is not None:
        _require_within(limits, file.width, file.height, file.bytes_per_pixel)
    with open_image(BytesIO(file.content)) as image:
        _require_within(limits, image.width, image.height, file.bytes_per_pixel)
        image.load()
        return _unscaled(rgb_pixels(image, _orientation(image) if file.orientation is None else file.orientation))


def _unscaled(pixels_rgb: _Pixels) -> Picture:
    height, width = pixels_rgb.shape[:2]
    return Picture(pixels_rgb, width, height)


def _orientation(image: Image.Image) -> int:
    """Return what EXIF says; damaged EXIF says nothing."""
    try:
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    except _DECODER_ERRORS:
        return 1


def _require_within(limits: DecodeLimits, width: int, height: int, bytes_per_pixel: int = _BYTES_PER_PIXEL) -> None:
    if width < 1 or height < 1:
        raise RefusedError(f"has no pixels ({width} × {height})")
    allowed = min(limits.max_pixels, limits.max_pixels * _BYTES_PER_PIXEL // bytes_per_pixel)
    if width * height > allowed:
        of_such = "" if allowed == limits.max_pixels else ", the limit for files of this kind"
        raise RefusedError(
            f"{width} × {height} pixels are more than {allowed}{of_such}; "
            "a larger DecodeLimits.max_pixels or --max-megapixels allows them"
        )


def _from_jpeg(file: Jpeg, enough_side: int | None, limits: DecodeLimits) -> Picture:
    scale = _scale(file, enough_side, limits)
    if scale == 1:
        _require_within(limits, file.width, file.height, file.bytes_per_pixel)
    pixels = _whole(file, partial(_jpeg_pixels, file, scale))
    width, height = (file.height, file.width) if is_sideways(file.orientation) else (file.width, file.height)
    return Picture(pixels, width, height)


def _scale(file: Jpeg, enough_side: int | None, limits: DecodeLimits) -> int:
    """Return how many pixels along a side become one: as many as the shorter side allows, more where the limit asks."""
    if not enough_side:
        return 1
    scale = next((scale for scale in _SCALES if min(file.width, file.height) >= scale * enough_side), 1)
    pixels = file.width * file.height
    if not file.single_scan:  # all coefficients are held at any scale
        _require_within(limits, file.width, file.height, file.bytes_per_pixel)
    elif limits.max_pixels < pixels <= _REDUCED * limits.max_pixels:
        while scale < _SCALES[0] and -(-file.width // scale) * -(-file.height // scale) > limits.max_pixels:
            scale *= 2
    elif pixels > limits.max_pixels:
        _require_within(limits, file.width, file.height)
    return scale


def _whole(file: Jpeg, decode_pixels: Callable[[bytes], _Pixels]) -> _Pixels:
    """Decode a JPEG that is whole, at its end too; see `image_files.jpeg`."""
    if file.has_many_zeros:
        return _whole_with_zeros(file, decode_pixels)
    if file.single_scan or file.arithmetic:  # arithmetic coding reads on behind its end
        return decode_pixels(file.content)
    with_junk = crc32(decode_pixels(file.with_junk()).data)
    pixels = decode_pixels(file.content)
    if crc32(pixels.data) != with_junk:
        raise TruncatedError("its last scan")
    return pixels


def _whole_with_zeros(file: Jpeg, decode_pixels: Callable[[bytes], _Pixels]) -> _Pixels:
    """Decode a JPEG that ends with many zeros, if these are either a part of the image or padding.

    Part of the image, as of a plain one with Huffman tables of its own: it is not whole without the last ones. Padding:
    it is whole without all of them. Neither holds for what a camera's buffer held behind half a frame.
    """
    try:
        decode_pixels(file.without_last_zeros())
    except _DECODER_ERRORS:
        return decode_pixels(file.content)
    return decode_pixels(file.without_zeros())


def _jpeg_pixels(file: Jpeg, scale: int, content: bytes) -> _Pixels:
    is_plain = scale == 1 and file.orientation == 1 and file.channels != 4 and file.single_scan
    if is_plain and (pixels := _by_opencv(file, content)) is not None:
        return pixels
    with JpegImagePlugin.JpegImageFile(BytesIO(content)) as image:
        image.decodermaxblock = len(content)  # all of it at once, as OpenCV gets it
        if scale > 1:
            image.draft(image.mode, (file.width // scale, file.height // scale))
        image.load()
        return rgb_pixels(image, file.orientation)


def _by_opencv(file: Jpeg, content: bytes) -> _Pixels | None:
    """Decode an upright JPEG of one scan in color or gray; None if Pillow has to do it, or to say why not."""
    cv2 = opencv()
    if cv2 is None or not hasattr(cv2, "IMREAD_COLOR_RGB"):  # before 4.11 it ignores this and answers blue first
        return None
    try:
        pixels: _Pixels | None = _imdecode(cv2, content)
    except cv2.error:
        return None
    return pixels if pixels is not None and pixels.shape == (file.height, file.width, 3) else None


def _imdecode(cv2: Any, content: bytes) -> Any:
    as_stored = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(content, np.uint8), as_stored)


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
