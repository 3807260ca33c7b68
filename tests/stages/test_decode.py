"""Images in: real files of every format, against OpenCV's decoders, numpy and sums worked by hand."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from shitu_edge.errors import ImageError
from shitu_edge.stages import decode as decode_module
from shitu_edge.stages.decode import DecodedImage, DecodeLimits, decode

Pixels = NDArray[np.uint8]
HEIGHT, WIDTH = 37, 53
ORIENTATION_TAG = 0x0112


@pytest.fixture(autouse=True, params=["opencv", "pillow"])
def _decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds with OpenCV, which takes plain JPEGs, and without."""
    if request.param == "pillow":
        monkeypatch.setattr(decode_module, "opencv", lambda: None)


def noise(height: int = HEIGHT, width: int = WIDTH, channels: int = 3, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def smooth(height: int, width: int) -> Pixels:
    """Return slow waves, which lossy formats keep, without any symmetry."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 19 + y / 31), np.cos(x / 23 - y / 11), np.sin(y / 17) + x / width - 0.5]
    return np.stack([np.clip(127 + 90 * wave, 0, 255) for wave in waves], axis=2).astype(np.uint8)


def encode(pixels: Pixels | NDArray[np.uint16] | Image.Image, file_format: str, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    stream = BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = value
    return exif


def opencv(content: bytes) -> Pixels:
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert decoded is not None
    rgb: Pixels = decoded[:, :, ::-1]
    return rgb


def on_white(color: Pixels, alpha: Pixels) -> NDArray[np.float64]:
    share = alpha[..., None] / 255
    mixed: NDArray[np.float64] = color * share + 255 * (1 - share)
    return mixed


def assert_close(found: Pixels, expected: NDArray[Any], levels: int) -> None:
    assert found.shape == expected.shape
    assert np.abs(found.astype(float) - expected).max() <= levels


def bilevel() -> Image.Image:
    return Image.fromarray(noise()).convert("1")


def paletted() -> Image.Image:
    return Image.fromarray(noise()).quantize(16)


def sixteen_bits() -> NDArray[np.uint16]:
    levels = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH)).astype(np.uint16)
    levels[0, :6] = [0, 128, 129, 257, 65406, 65535]
    return levels


FILES: dict[str, bytes] = {
    "jpeg": encode(smooth(HEIGHT, WIDTH), "JPEG"),
    "jpeg progressive": encode(smooth(HEIGHT, WIDTH), "JPEG", progressive=True),
    "jpeg gray": encode(smooth(HEIGHT, WIDTH)[:, :, 0], "JPEG"),
    "jpeg cmyk": encode(Image.fromarray(smooth(HEIGHT, WIDTH)).convert("CMYK"), "JPEG"),
    "jpeg exif": encode(smooth(HEIGHT, WIDTH), "JPEG", exif=orientation(6)),
    "png": encode(noise(), "PNG"),
    "png palette": encode(paletted(), "PNG"),
    "png palette transparency": encode(paletted(), "PNG", transparency=3),
    "png gray alpha": encode(Image.frombytes("LA", (WIDTH, HEIGHT), noise(channels=2).tobytes()), "PNG"),
    "png rgba": encode(noise(channels=4), "PNG"),
    "png 16 bits": encode(sixteen_bits(), "PNG"),
    "png bilevel": encode(bilevel(), "PNG"),
    "webp": encode(smooth(HEIGHT, WIDTH), "WEBP", method=0),
    "webp lossless": encode(noise(), "WEBP", lossless=True, method=0),
    "bmp": encode(noise(), "BMP"),
    "bmp palette": encode(paletted(), "BMP"),
    "tiff": encode(noise(), "TIFF"),
    "tiff lzw": encode(noise(), "TIFF", compression="tiff_lzw"),
    "tiff deflate": encode(noise(), "TIFF", compression="tiff_adobe_deflate"),
    "tiff jpeg": encode(smooth(HEIGHT, WIDTH), "TIFF", compression="jpeg"),
    "tiff 16 bits": encode(sixteen_bits(), "TIFF"),
    "tiff fax": encode(bilevel(), "TIFF", compression="group4"),
    "gif": encode(paletted(), "GIF"),
    "gif transparency": encode(paletted(), "GIF", transparency=3),
}


@pytest.mark.parametrize("name", ["png", "png palette", "webp lossless", "bmp", "bmp palette", "tiff", "tiff lzw"])
def test_lossless_formats_equal_opencv(name: str) -> None:
    image = decode(FILES[name])
    assert np.array_equal(image.pixels_rgb, opencv(FILES[name]))
    assert (image.width, image.height, image.scale) == (WIDTH, HEIGHT, (1, 1))


@pytest.mark.parametrize("name", ["jpeg", "jpeg progressive", "jpeg gray", "webp"])
def test_lossy_formats_are_close_to_opencv(name: str) -> None:
    assert_close(decode(FILES[name]).pixels_rgb, opencv(FILES[name]), levels=4)


@pytest.mark.parametrize("name", ["jpeg", "webp", "tiff jpeg", "jpeg cmyk"])
def test_lossy_formats_are_close_to_the_original(name: str) -> None:
    difference = decode(FILES[name]).pixels_rgb.astype(float) - smooth(HEIGHT, WIDTH)
    assert np.abs(difference).mean() < 4


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("kind", ["jpeg", "jpeg progressive", "jpeg gray"])
def test_jpegs_are_the_same_with_opencv_and_without(
    monkeypatch: pytest.MonkeyPatch, kind: str, subsampling: str
) -> None:
    pixels = noise(61, 47)
    options = {"subsampling": subsampling, "progressive": kind == "jpeg progressive"}
    content = encode(pixels[:, :, 0] if kind == "jpeg gray" else pixels, "JPEG", **options)
    monkeypatch.setattr(decode_module, "opencv", lambda: cv2)
    found = decode(content).pixels_rgb
    monkeypatch.setattr(decode_module, "opencv", lambda: None)
    assert_close(found, decode(content).pixels_rgb, levels=1)


@pytest.mark.parametrize(
    ("content", "by_opencv"),
    [
        (FILES["jpeg"], True),
        (FILES["jpeg gray"], True),
        (FILES["jpeg"] + b"\0", True),
        (FILES["jpeg exif"], False),
        (FILES["jpeg cmyk"], False),
        (FILES["png"], False),
    ],
    ids=["color", "gray", "more bytes after the end", "turned", "CMYK", "PNG"],
)
def test_plain_jpegs_alone_go_to_opencv(monkeypatch: pytest.MonkeyPatch, content: bytes, by_opencv: bool) -> None:
    calls = []
    monkeypatch.setattr(decode_module, "opencv", lambda: cv2)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: calls.append(1))
    assert decode(content).pixels_rgb.shape[2] == 3, "what OpenCV gives up, Pillow reads"
    assert bool(calls) == by_opencv


def test_an_opencv_that_knows_no_rgb_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 4.11 it passes over the flag and answers blue first."""
    monkeypatch.setattr(decode_module, "opencv", lambda: cv2)
    monkeypatch.delattr(cv2, "IMREAD_COLOR_RGB")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("asks for what it does not know"))
    assert decode(FILES["jpeg"]).pixels_rgb.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_eight_bit_rgb(name: str) -> None:
    pixels = decode(FILES[name]).pixels_rgb
    assert pixels.dtype == np.uint8
    assert pixels.shape in {(HEIGHT, WIDTH, 3), (WIDTH, HEIGHT, 3)}
    assert pixels.std() > 10, "there is something to see"


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF"])
def test_gray_fills_three_channels(file_format: str) -> None:
    gray = noise()[:, :, 0]
    assert np.array_equal(decode(encode(gray, file_format)).pixels_rgb, np.stack([gray] * 3, axis=2))


@pytest.mark.parametrize("name", ["png bilevel", "tiff fax"])
def test_bilevel_is_black_and_white(name: str) -> None:
    expected = np.asarray(bilevel()).astype(np.uint8) * 255
    assert np.array_equal(decode(FILES[name]).pixels_rgb, np.stack([expected] * 3, axis=2))


def palette_colors() -> tuple[NDArray[np.uint8], Pixels]:
    """Return the indices of the paletted image and their colors."""
    image = paletted()
    colors = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
    indices = np.asarray(image)
    return indices, colors[indices]


@pytest.mark.parametrize("name", ["png palette", "gif", "bmp palette"])
def test_palette_is_looked_up(name: str) -> None:
    assert np.array_equal(decode(FILES[name]).pixels_rgb, palette_colors()[1])


@pytest.mark.parametrize("name", ["png palette transparency", "gif transparency"])
def test_transparent_palette_color_is_white(name: str) -> None:
    indices, colors = palette_colors()
    assert (indices == 3).any()
    expected = np.where((indices == 3)[..., None], np.uint8(255), colors)
    assert np.array_equal(decode(FILES[name]).pixels_rgb, expected)


def test_half_transparent_palette_is_laid_on_white() -> None:
    indices, colors = palette_colors()
    alphas = np.arange(0, 256, 17, dtype=np.uint8)
    content = encode(paletted(), "PNG", transparency=alphas.tobytes())
    assert_close(decode(content).pixels_rgb, on_white(colors, alphas[indices]), levels=1)


def test_gray_with_alpha_is_laid_on_white() -> None:
    gray, alpha = noise(channels=2).transpose(2, 0, 1)
    expected = on_white(np.stack([gray] * 3, axis=2), alpha)
    assert_close(decode(FILES["png gray alpha"]).pixels_rgb, expected, levels=1)


@pytest.mark.parametrize(
    ("file_format", "options"), [("PNG", {}), ("WEBP", {"lossless": True, "exact": True}), ("TIFF", {})]
)
def test_color_with_alpha_is_laid_on_white(file_format: str, options: dict[str, Any]) -> None:
    rgba = noise(channels=4)
    rgba[0, :2, 3] = 0, 255
    found = decode(encode(rgba, file_format, **options)).pixels_rgb
    assert_close(found, on_white(rgba[:, :, :3], rgba[:, :, 3]), levels=1)
    assert found[0, 0].tolist() == [255, 255, 255]
    assert np.array_equal(found[0, 1], rgba[0, 1, :3])


def test_transparent_key_color_is_white() -> None:
    pixels = noise()
    pixels[5:9, 5:9] = 10, 20, 30
    found = decode(encode(pixels, "PNG", transparency=(10, 20, 30))).pixels_rgb
    expected = pixels.copy()
    expected[5:9, 5:9] = 255
    assert np.array_equal(found, expected)


def test_cmyk_by_the_subtractive_formula() -> None:
    cmyk = noise(channels=4)
    found = decode(encode(Image.frombytes("CMYK", (WIDTH, HEIGHT), cmyk.tobytes()), "TIFF")).pixels_rgb
    inks = cmyk.astype(float)
    assert_close(found, (255 - inks[:, :, :3]) * (255 - inks[:, :, 3:]) / 255, levels=2)


@pytest.mark.parametrize("name", ["png 16 bits", "tiff 16 bits"])
def test_sixteen_bits_are_rounded_to_eight(name: str) -> None:
    expected = np.rint(sixteen_bits() / 257)
    found = decode(FILES[name]).pixels_rgb
    assert np.array_equal(found, np.stack([expected] * 3, axis=2))
    assert found[0, :6, 0].tolist() == [0, 0, 1, 1, 254, 255]


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(ImageError, match="floating point"):
        decode(encode(Image.new("F", (3, 2), 0.5), "TIFF"))


def test_gray_levels_beyond_sixteen_bits_are_refused() -> None:
    with pytest.raises(ImageError, match="beyond 16 bits"):
        decode(Image.fromarray(np.array([[-1, 7]], np.int32)))


@pytest.mark.parametrize(("file_format", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_first_frame_counts(file_format: str, options: dict[str, Any]) -> None:
    first, second = (Image.new("RGB", (20, 10), color) for color in ("red", "blue"))
    content = encode(first, file_format, save_all=True, append_images=[second], **options)
    assert (decode(content).pixels_rgb == (255, 0, 0)).all()


# What the 0th row and column of the stored pixels show, by the EXIF 2.3 table of tag 274.
UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: stored.transpose(1, 0, 2)[:, ::-1],
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: stored.transpose(1, 0, 2)[::-1],
}


@pytest.mark.parametrize("value", UPRIGHT)
@pytest.mark.parametrize(
    ("file_format", "options", "levels"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}, 6),
        ("PNG", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
    ],
    ids=["jpeg", "png", "tiff", "tiff-lzw", "webp"],
)
def test_exif_orientation(value: int, file_format: str, options: dict[str, Any], levels: int) -> None:
    stored = smooth(40, 24)
    stored[:8, :16] = 255, 0, 0
    image = decode(encode(stored, file_format, exif=orientation(value), **options))
    expected = UPRIGHT[value](stored)
    assert_close(image.pixels_rgb, expected, levels)
    assert (image.height, image.width) == expected.shape[:2]


@pytest.mark.parametrize("value", [0, 9, 300])
def test_unknown_orientation_changes_nothing(value: int) -> None:
    content = encode(noise(), "PNG", exif=orientation(value))
    assert np.array_equal(decode(content).pixels_rgb, noise())


def test_sources_are_equal(tmp_path: Path) -> None:
    path = tmp_path / "Ünïcode 图.png"
    path.write_bytes(FILES["png"])
    padded = b"".join(bytes([byte, 0]) for byte in FILES["png"])
    with path.open("rb") as file, path.open("rb", buffering=0) as unbuffered, Image.open(path) as image:
        sources = (
            str(path),
            path,
            FILES["png"],
            bytearray(FILES["png"]),
            memoryview(FILES["png"]),
            memoryview(padded)[::2],
            BytesIO(FILES["png"]),
            file,
            unbuffered,
            image,
            noise(),
        )
        for source in sources:
            decoded = decode(source)
            assert np.array_equal(decoded.pixels_rgb, noise()), type(source)
            assert (decoded.width, decoded.height) == (WIDTH, HEIGHT)


def test_a_stream_is_read_from_where_it_stands() -> None:
    stream = BytesIO(b"header" + FILES["png"])
    stream.seek(6)
    assert np.array_equal(decode(stream).pixels_rgb, noise())


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "CMYK", "LA", "I;16"])
def test_a_pil_image_is_not_altered(mode: str) -> None:
    image = Image.fromarray(sixteen_bits()) if mode == "I;16" else Image.fromarray(noise()).convert(mode)
    image.getexif()[ORIENTATION_TAG] = 6
    before = (image.mode, image.size, image.tobytes(), dict(image.info), dict(image.getexif()))
    decoded = decode(image)
    assert (image.mode, image.size, image.tobytes(), dict(image.info), dict(image.getexif())) == before
    assert (decoded.width, decoded.height) == (HEIGHT, WIDTH), "its orientation is applied"


def test_a_pil_image_is_never_reduced() -> None:
    content = encode(smooth(64, 96), "JPEG")
    with Image.open(BytesIO(content)) as image:
        assert decode(image, enough_side=8).pixels_rgb.shape == (64, 96, 3)
        assert image.size == (96, 64)


def test_changing_the_pixels_of_a_pil_image_later_changes_nothing() -> None:
    image = Image.fromarray(noise())
    decoded = decode(image)
    image.paste((0, 0, 0), (0, 0, WIDTH, HEIGHT))
    assert np.array_equal(decoded.pixels_rgb, noise())


def test_an_array_may_be_a_view() -> None:
    view = noise()[5:20, ::-1]
    assert np.array_equal(decode(view).pixels_rgb, noise()[5:20, ::-1])


@pytest.mark.parametrize(
    "array",
    [
        noise().astype(np.float32),
        noise().astype(np.int16),
        noise() > 3,
        noise()[:, :, 0],
        noise(channels=4),
        noise(channels=1),
        noise()[None],
        noise().transpose(2, 0, 1),
        noise()[:0],
        noise()[:, :0],
        np.array("image"),
    ],
    ids=lambda array: f"{array.dtype} {array.shape}",
)
def test_other_arrays_are_refused(array: NDArray[Any]) -> None:
    with pytest.raises(ImageError) as caught:
        decode(array)
    assert f"found {array.dtype} {array.shape}" in str(caught.value)


def test_limit_of_bytes(tmp_path: Path) -> None:
    content = FILES["png"]
    path = tmp_path / "image.png"
    path.write_bytes(content)
    fits, short = DecodeLimits(max_bytes=len(content)), DecodeLimits(max_bytes=len(content) - 1)
    assert decode(path, limits=fits).width == WIDTH
    for source in (content, path, BytesIO(content)):
        with pytest.raises(ImageError, match=f"is larger than {len(content) - 1} bytes"):
            decode(source, limits=short)


def test_limit_of_bytes_holds_while_reading() -> None:
    class Endless(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert 0 <= size < 1000
            return b"\0" * size

    with pytest.raises(ImageError, match="is larger than 100 bytes"):
        decode(Endless(), limits=DecodeLimits(max_bytes=100))


@pytest.mark.parametrize("as_source", [bytes, lambda content: Image.open(BytesIO(content)), opencv])
def test_limit_of_pixels(as_source: Callable[[bytes], Any]) -> None:
    fits, short = DecodeLimits(max_pixels=WIDTH * HEIGHT), DecodeLimits(max_pixels=WIDTH * HEIGHT - 1)
    assert decode(as_source(FILES["png"]), limits=fits).width == WIDTH
    with pytest.raises(ImageError, match=f"53 × 37 pixels are more than {WIDTH * HEIGHT - 1}"):
        decode(as_source(FILES["png"]), limits=short)


def png_of_zeros(width: int, height: int) -> bytes:
    """Return a valid bilevel PNG of black pixels, packed row by row."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    packer = zlib.compressobj(9)
    row = bytes(1 + -(-width // 8))
    packed = b"".join(packer.compress(row * 1000) for _ in range(height // 1000)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_a_small_valid_png_of_zeros() -> None:
    """The bomb below differs only in size."""
    assert not decode(png_of_zeros(800, 1000)).pixels_rgb.any()


def test_decompression_bomb_is_refused() -> None:
    bomb = png_of_zeros(30_000, 30_000)
    assert len(bomb) < 200_000
    with pytest.raises(ImageError, match="pixels"):
        decode(bomb)


@pytest.mark.parametrize("warn", [True, False])
def test_a_image_just_over_the_limit_is_refused(warn: bool) -> None:
    """Pillow only warns between its limit and twice of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error" if warn else "ignore")
        with pytest.raises(ImageError, match="pixels"):
            decode(png_of_zeros(12_000, 10_000))


def test_no_such_file(tmp_path: Path) -> None:
    path = tmp_path / "none.jpg"
    with pytest.raises(ImageError, match="cannot be read: No such file"):
        decode(path)
    with pytest.raises(ImageError) as caught:
        decode(str(path))
    assert str(path) in str(caught.value)


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        decode(tmp_path)


@pytest.mark.parametrize("path", ["a\0b.jpg", "x" * 5000, "\udcff.jpg", ""], ids=["null", "long", "surrogate", "empty"])
def test_impossible_paths(path: str) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        decode(path)


def test_empty_files(tmp_path: Path) -> None:
    path = tmp_path / "empty.jpg"
    path.touch()
    for source in (path, b"", BytesIO()):
        with pytest.raises(ImageError, match="is empty"):
            decode(source)


def test_text_named_as_a_image(tmp_path: Path) -> None:
    path = tmp_path / "note.jpg"
    path.write_text("no image at all\n" * 40, encoding="utf-8")
    with pytest.raises(ImageError, match=r"note\.jpg: is not an image in a known format \(JPEG, PNG"):
        decode(path)


def test_other_formats_are_not_tried() -> None:
    """Pillow reads PPM and, with Ghostscript, runs PostScript; neither is asked for."""
    for content in (encode(noise(), "PPM"), encode(noise(), "EPS"), encode(noise(), "PDF")):
        with pytest.raises(ImageError, match="is not an image in a known format"):
            decode(content)


@pytest.mark.parametrize("content", [FILES["jpeg"], b"plain words"], ids=["image", "words"])
def test_a_file_in_text_mode(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    with path.open(encoding="utf-8") as file, pytest.raises(ImageError, match="opened in binary mode"):
        decode(file)  # type: ignore[arg-type]


def test_a_file_that_cannot_be_read_from(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    with path.open("wb") as writable, pytest.raises(ImageError, match="cannot be read"):
        decode(writable)
    with pytest.raises(ImageError, match="cannot be read"):
        decode(writable)


@pytest.mark.parametrize("source", [None, 3, 2.5, [1, 2], {"path": "a.jpg"}, object()], ids=repr)
def test_other_types_are_refused(source: Any) -> None:
    with pytest.raises(ImageError, match=f"expected a path, .* found {type(source).__name__}"):
        decode(source)


@pytest.mark.parametrize("mode", ["RGB", "L", "I"])
def test_an_image_without_pixels(mode: str) -> None:
    with pytest.raises(ImageError, match="has no pixels"):
        decode(Image.new(mode, (0, 5)))


def outcome(content: bytes, **options: Any) -> DecodedImage | None:
    """Decode damaged content: the image, or None for an ImageError of one line."""
    try:
        return decode(content, **options)
    except ImageError as error:
        message = str(error)
    assert message
    assert "\n" not in message
    return None


@pytest.mark.parametrize("warn", ["error", "ignore"])
@pytest.mark.parametrize("name", FILES)
def test_truncated_files(name: str, warn: Literal["error", "ignore"]) -> None:
    content, whole = FILES[name], decode(FILES[name])
    cuts = {*np.linspace(0, len(content) - 1, 60).astype(int).tolist(), *range(len(content) - 12, len(content))}
    with warnings.catch_warnings():
        warnings.simplefilter(warn)
        for cut in cuts:
            image = outcome(content[:cut])
            if image is not None:
                assert np.array_equal(image.pixels_rgb, whole.pixels_rgb), "a truncated image was filled up"
                assert cut > 0.8 * len(content), "only bytes after the pixels may be missing"


def assert_refused_or_valid(content: bytes, enough_side: int | None) -> None:
    limits = DecodeLimits(max_pixels=200_000)
    image = outcome(content, enough_side=enough_side, limits=limits)
    if image is None:
        return
    pixels = image.pixels_rgb
    height, width, channels = pixels.shape
    assert pixels.dtype == np.uint8
    assert channels == 3
    assert 0 < width <= image.width
    assert 0 < height <= image.height
    assert image.width * image.height <= limits.max_pixels


@pytest.mark.parametrize("warn", ["error", "ignore"])
@pytest.mark.parametrize("name", FILES)
def test_altered_files(name: str, warn: Literal["error", "ignore"]) -> None:
    generator = np.random.default_rng(zlib.crc32(f"{name} {warn}".encode()))
    content = np.frombuffer(FILES[name], np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter(warn)
        for round_ in range(80):
            altered = content.copy()
            reach = len(content) if round_ % 4 == 0 else min(200, len(content))
            places = generator.integers(0, reach, generator.integers(1, 7))
            if round_ % 4 == 1:  # the directory of a TIFF stands at the end
                places = len(content) - 1 - places
            if round_ % 2:
                altered[places] ^= np.uint8(1) << generator.integers(0, 8, places.size, np.uint8)
            else:
                altered[places] = generator.integers(0, 256, places.size, np.uint8)
            assert_refused_or_valid(altered.tobytes(), enough_side=8 if round_ % 3 else None)


def test_a_tiff_whose_strip_offset_is_no_number() -> None:
    """Pillow answers it with a TypeError."""
    content = bytearray(FILES["tiff 16 bits"])
    entry = content.rindex(struct.pack("<HH", 273, 4))
    content[entry + 2 : entry + 4] = struct.pack("<H", 11)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ImageError, match="cannot be decoded"):
            decode(bytes(content))


MAGIC = [
    b"",
    b"\xff\xd8\xff\xe0",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF\x40\0\0\0WEBPVP8 ",
    b"BM",
    b"II*\0\x08\0\0\0",
    b"GIF89a",
]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(MAGIC), st.binary(max_size=300), st.sampled_from([None, 8]))
def test_any_bytes(magic: bytes, content: bytes, enough_side: int | None) -> None:
    assert_refused_or_valid(magic + content, enough_side)


@dataclass(frozen=True)
class Reduction:
    height: int
    width: int
    enough_side: int
    divisor: int


REDUCTIONS = [
    Reduction(480, 640, 480, 1),
    Reduction(480, 640, 241, 1),
    Reduction(480, 640, 240, 2),
    Reduction(480, 640, 130, 2),
    Reduction(480, 640, 120, 4),
    Reduction(640, 480, 61, 4),
    Reduction(480, 640, 60, 8),
    Reduction(480, 640, 3, 8),
    Reduction(101, 203, 50, 2),
    Reduction(203, 101, 50, 2),
    Reduction(103, 1000, 25, 4),
    Reduction(65, 64, 8, 8),
]


@pytest.mark.parametrize("case", REDUCTIONS, ids=repr)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_large_jpegs_are_reduced(case: Reduction, mode: str) -> None:
    content = encode(Image.fromarray(smooth(case.height, case.width)).convert(mode), "JPEG")
    image = decode(content, enough_side=case.enough_side)
    height, width = image.pixels_rgb.shape[:2]
    assert (height, width) == (-(-case.height // case.divisor), -(-case.width // case.divisor))
    assert (image.height, image.width) == (case.height, case.width)
    assert image.scale == (case.width / width, case.height / height)
    assert min(height, width) >= min(case.enough_side, case.height, case.width)


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_other_formats_are_not_reduced(file_format: str) -> None:
    assert decode(encode(smooth(64, 96), file_format), enough_side=4).pixels_rgb.shape == (64, 96, 3)


def test_no_side_decodes_every_pixel() -> None:
    content = encode(smooth(480, 640), "JPEG")
    assert decode(content).pixels_rgb.shape == (480, 640, 3)
    assert decode(content, enough_side=None).scale == (1, 1)


@pytest.mark.parametrize("enough_side", [240, 120, 60])
def test_reduced_pixels_are_averages(enough_side: int) -> None:
    original = smooth(480, 640)
    reduced = decode(encode(original, "JPEG", quality=95), enough_side=enough_side).pixels_rgb
    height, width = reduced.shape[:2]
    block = 480 // height
    averages = original.reshape(height, block, width, block, 3).mean(axis=(1, 3))
    assert np.abs(reduced - averages).mean() < 1.5
    assert np.abs(reduced - averages).max() < 16


@pytest.mark.parametrize("value", UPRIGHT)
@pytest.mark.parametrize("enough_side", [None, 150, 75, 40])
def test_boxes_map_back_through_scale_and_orientation(value: int, enough_side: int | None) -> None:
    """A dark box, found in the decoded pixels, lies where it lies in the upright image."""
    stored = np.full((320, 480, 3), 255, np.uint8)
    stored[64:160, 32:240] = 0
    image = decode(encode(stored, "JPEG", exif=orientation(value)), enough_side=enough_side)
    expected = UPRIGHT[value](stored)
    assert (image.height, image.width) == expected.shape[:2]
    scale_x, scale_y = image.scale
    found = extent(image.pixels_rgb) * np.array([scale_x, scale_y, scale_x, scale_y])
    assert found.tolist() == extent(expected).tolist()


def extent(pixels: Pixels) -> NDArray[np.int64]:
    """Return the box around the dark pixels, right and bottom exclusive."""
    rows, columns = np.nonzero(pixels[:, :, 0] < 128)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
