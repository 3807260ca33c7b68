"""AVIF and HEIC, and formats that are not read: each by its name, with what to do."""

from __future__ import annotations

import struct
import sys
from io import BytesIO
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image, features

from shitu_edge.errors import ImageError
from shitu_edge.stages.decode import DecodeLimits, decode

HEIGHT, WIDTH = 48, 80
Y, X = np.mgrid[:HEIGHT, :WIDTH]
PIXELS = np.stack([X * 3, Y * 5, 255 - X * 3], axis=2).astype(np.uint8)


def saved(file_format: str, **options: object) -> bytes:
    stream = BytesIO()
    Image.fromarray(PIXELS).save(stream, file_format, **options)
    return stream.getvalue()


@pytest.fixture
def pillow_heif() -> ModuleType:
    module: ModuleType = pytest.importorskip("pillow_heif", reason="the extra `heif` is not installed")
    return module


@pytest.fixture
def heic(pillow_heif: ModuleType) -> bytes:
    stream = BytesIO()
    pillow_heif.from_pillow(Image.fromarray(PIXELS)).save(stream, quality=90)
    return stream.getvalue()


@pytest.fixture
def avif() -> bytes:
    if "avif" not in features.modules or not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    return saved("AVIF", quality=90)


@pytest.mark.parametrize("file_format", ["avif", "heic"])
def test_avif_and_heic_are_read(request: pytest.FixtureRequest, file_format: str, tmp_path: Path) -> None:
    content: bytes = request.getfixturevalue(file_format)
    path = tmp_path / "IMG_0001.jpg"
    path.write_bytes(content)
    image = decode(path)
    assert (image.width, image.height) == (WIDTH, HEIGHT)
    assert np.abs(image.pixels_rgb.astype(int) - PIXELS).mean() < 5
    with pytest.raises(ImageError, match=r"truncated|cannot be decoded"):
        decode(content[: len(content) * 2 // 3])


@pytest.mark.parametrize("file_format", ["avif", "heic"])
def test_avif_and_heic_have_the_same_limits(request: pytest.FixtureRequest, file_format: str) -> None:
    content: bytes = request.getfixturevalue(file_format)
    assert decode(content, limits=DecodeLimits(max_pixels=WIDTH * HEIGHT)).width == WIDTH
    with pytest.raises(ImageError, match="80 × 48 pixels are more than 3839; "):
        decode(content, limits=DecodeLimits(max_pixels=WIDTH * HEIGHT - 1))


@pytest.mark.parametrize("value", range(1, 9))
def test_turned_avif_is_upright(avif: bytes, value: int) -> None:
    """Its own properties say so; EXIF beside them does not count a second time."""
    exif = Image.Exif()
    exif[0x0112] = value
    assert decode(avif).pixels_rgb.shape == (HEIGHT, WIDTH, 3)
    expected = decode(saved("JPEG", quality=95, subsampling=0, exif=exif)).pixels_rgb
    found = decode(saved("AVIF", quality=95, exif=exif)).pixels_rgb
    assert np.abs(found.astype(int) - expected).mean() < 5


@pytest.mark.parametrize("value", [1, 3, 6, 8])
def test_turned_heic_is_upright(pillow_heif: ModuleType, value: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = value
    stream = BytesIO()
    image = pillow_heif.from_pillow(Image.fromarray(PIXELS))
    image.info["exif"] = exif.tobytes()
    image.save(stream, quality=95)
    expected = decode(saved("JPEG", quality=95, subsampling=0, exif=exif)).pixels_rgb
    found = decode(stream.getvalue()).pixels_rgb
    assert np.abs(found.astype(int) - expected).mean() < 5


def test_sound_pixels_beside_damaged_exif_in_heic_are_read(pillow_heif: ModuleType, heic: bytes) -> None:
    stream = BytesIO()
    pillow_heif.from_pillow(Image.fromarray(PIXELS)).save(stream, quality=90, exif=b"Exif\0\0II*\0\x08\0\0\0")
    damaged = stream.getvalue().replace(b"II*\0\x08", b"\0\x08\0\x02\x01")
    np.testing.assert_array_equal(decode(damaged).pixels_rgb, decode(heic).pixels_rgb)


def test_heic_without_the_extra_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch, heic: bytes) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match=r"the bytes: is HEIC, which needs pillow-heif; pip install pillow-heif"):
        decode(heic)


def test_avif_without_a_pillow_that_reads_it_is_named(monkeypatch: pytest.MonkeyPatch, avif: bytes) -> None:
    monkeypatch.delitem(features.modules, "avif")
    with pytest.raises(ImageError, match=r"is AVIF, which this Pillow does not support; pip install --upgrade pillow"):
        decode(avif)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\xff\x4f\xff\x51", "JPEG 2000"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"8BPS", "PSD"),
    ],
)
def test_other_formats_are_named_whatever_the_file_is_called(tmp_path: Path, head: bytes, name: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(head + bytes(100))
    with pytest.raises(ImageError, match=rf"photo\.jpg: is {name}, which is not supported; save it as JPEG or PNG"):
        decode(path)


def bigtiff(order: str) -> bytes:
    """Return a BigTIFF of 4 × 3 levels of gray, 0 to 11."""
    entries = [(256, 4, 1, 4), (257, 4, 1, 3), (258, 3, 1, 8), (262, 3, 1, 1), (273, 16, 1, 0), (277, 3, 1, 1)]
    entries += [(278, 4, 1, 3), (279, 16, 1, 12), (305, 2, 100, 5000)]
    data = 16 + 8 + 20 * len(entries) + 8
    content = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HHHQQ", 43, 8, 0, 16, len(entries))
    for tag, kind, count, value in entries:
        form = {3: "H6x", 4: "I4x"}.get(kind, "Q")
        content += struct.pack(f"{order}HHQ{form}", tag, kind, count, data if tag == 273 else value)
    return content + bytes(8) + bytes(range(12))


def test_bigtiff_is_read_as_far_as_pillow_reads_it() -> None:
    assert decode(bigtiff("<")).pixels_rgb[:, :, 0].ravel().tolist() == list(range(12))
    with pytest.raises(ImageError, match="is a big-endian BigTIFF, which is not supported; save it as TIFF or PNG"):
        decode(bigtiff(">"))
