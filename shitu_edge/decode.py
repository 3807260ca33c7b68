"""Pictures in: path, bytes, file object, PIL image or array → RGB pixels. The only reader of image formats.

Pillow reads them. Plain JPEGs go to OpenCV once Pillow has read their header, where it is installed: both have
libjpeg-turbo inside, but Pillow keeps four bytes a pixel, which then have to be copied to three.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from .errors import ImageError
from .opencv import opencv

Encoded: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO"
Source: TypeAlias = "Encoded | Image.Image | NDArray[np.uint8]"
DecodeMode = Literal["auto", "exact"]

# Named here, so that Pillow tries these formats and neither looks for nor loads its forty others.
_READERS = (
    JpegImagePlugin.JpegImageFile,
    PngImagePlugin.PngImageFile,
    WebPImagePlugin.WebPImageFile,
    BmpImagePlugin.BmpImageFile,
    TiffImagePlugin.TiffImageFile,
    GifImagePlugin.GifImageFile,
)
FORMATS = tuple(reader.format for reader in _READERS)

_WHITE = (255, 255, 255, 255)
_EXIF_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_END_OF_JPEG = b"\xff\xd9"
"""The last marker: it stands nowhere among compressed pixels, so a file that ends with it was not cut off in these."""
_DECODER_ERRORS = Exception
"""What Pillow raises on bad files: OSError (truncated pixel data is one, unless the host program
has set `PIL.ImageFile.LOAD_TRUNCATED_IMAGES`), SyntaxError,
EOFError, TypeError, its own warnings where warnings are errors. A list would lack what the next damaged file brings."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What is too much: bytes of an encoded picture, pixels of a decoded one.

    Pillow has a limit of its own for files, about 179 million pixels (`PIL.Image.MAX_IMAGE_PIXELS`, twice).
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

    Args:
        source: path, encoded bytes, binary file object, PIL image, or (H, W, 3) uint8 RGB array.
        enough_side: pixels that the shorter side has to keep. JPEGs at least twice as large are decoded at 1/2, 1/4
            or 1/8, which takes a third of the time. None decodes every pixel.
        limits: larger pictures are refused before they are decoded.

    Raises:
        ImageError: the picture is missing, unreadable, truncated or over a limit, or the array is of another kind.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, limits)
    if isinstance(source, Image.Image):
        return _from_image(source, "the image", None, limits)
    name, content = _read(source, limits)
    if not content:
        raise ImageError(f"{name}: is empty")
    try:
        image = Image.open(BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(f"{name}: is not a picture in a known format ({', '.join(FORMATS)})") from error
    except _DECODER_ERRORS as error:
        raise ImageError(f"{name}: cannot be decoded: {error}") from error
    with image:
        return _from_image(image, name, enough_side, limits, content)


def _from_array(array: NDArray[np.uint8], limits: DecodeLimits) -> Picture:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise ImageError(f"expected a uint8 RGB array of shape (H, W, 3), found {array.dtype} {array.shape}")
    height, width = array.shape[:2]
    _check_pixels("the array", width, height, limits)
    return Picture(array, width, height)


def _from_image(
    image: Image.Image, name: str, enough_side: int | None, limits: DecodeLimits, content: bytes = b""
) -> Picture:
    width, height = image.size
    _check_pixels(name, width, height, limits)
    try:
        if enough_side and image.format in ("JPEG", "MPO") and min(width, height) >= 2 * enough_side:
            shrink = min(width, height) // enough_side
            image.draft(image.mode, (width // shrink, height // shrink))
        elif (pixels := _by_opencv(image, content)) is not None:
            return Picture(pixels, width, height)
        image.load()
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
        rgb = _to_rgb(image)
    except _DECODER_ERRORS as error:
        raise ImageError(f"{name}: cannot be decoded: {error or type(error).__name__}") from error
    if orientation in _UPRIGHT:
        rgb = rgb.transpose(_UPRIGHT[orientation])
        width, height = (height, width) if orientation >= 5 else (width, height)
    return Picture(np.asarray(rgb), width, height)


def _by_opencv(image: Image.Image, content: bytes) -> NDArray[np.uint8] | None:
    """Decode a whole upright JPEG in colour or grey; None where that cannot be, for Pillow to do it or say why."""
    cv2 = opencv()
    plain = image.format == "JPEG" and image.mode in ("RGB", "L") and content.endswith(_END_OF_JPEG)
    if cv2 is None or not hasattr(cv2, "IMREAD_COLOR_RGB"):  # an older one passes over the flag and answers blue first
        return None
    if not plain or image.getexif().get(_EXIF_ORIENTATION, 1) in _UPRIGHT:
        return None
    try:
        as_stored = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
        pixels: NDArray[np.uint8] | None = cv2.imdecode(np.frombuffer(content, np.uint8), as_stored)
    except cv2.error:
        return None
    return pixels if pixels is not None and pixels.shape == (image.height, image.width, 3) else None


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.mode == "F":
        raise ValueError("pixels are floating point; save it with 8 or 16 bits a channel")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        coloured = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", coloured.size, _WHITE), coloured).convert("RGB")
    return image.convert("RGB")


def _from_16_bit(image: Image.Image) -> Image.Image:
    levels = np.asarray(image)
    if levels.min() < 0 or levels.max() > 65535:
        raise ValueError("grey levels are beyond 16 bits; save it with 8 or 16 bits a channel")
    return Image.fromarray(((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)).convert("RGB")


def _read(source: Encoded, limits: DecodeLimits) -> tuple[str, bytes]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        name, content = "the bytes", bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        try:
            with Path(source).open("rb") as stream:
                content = stream.read(limits.max_bytes + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ImageError(f"{name}: cannot be read: {reason}") from error
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


def _check_pixels(name: str, width: int, height: int, limits: DecodeLimits) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"{name}: has no pixels ({width} × {height})")
    if width * height > limits.max_pixels:
        raise ImageError(f"{name}: {width} × {height} pixels are more than {limits.max_pixels}")
