"""Orientation out of EXIF and XMP, against Pillow where both are sound, and none out of what is damaged."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from shitu_edge.imaging.files.exif import orientation
from shitu_edge.stages.decode import decode

TAG = 0x0112


def block(order: str, *entries: tuple[int, int, int, int], offset: int = 8) -> bytes:
    """Return EXIF with entries (tag, type, count, value or offset)."""
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", offset)
    packed = b"".join(
        struct.pack(f"{order}HHIHH" if kind == 3 else f"{order}HHII", tag, kind, count, value, *([0] * (kind == 3)))
        for tag, kind, count, value in entries
    )
    return start + struct.pack(f"{order}H", len(entries)) + packed + bytes(4)


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("kind", [3, 4], ids=["short", "long"])
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_the_tag_is_read_as_pillow_reads_it(order: str, kind: int, value: int) -> None:
    exif = block(order, (0x010F, 2, 2, 0), (TAG, kind, 1, value), (0x0128, 3, 1, 2))
    for prefix in (b"", b"Exif\0\0", b"Exif\0\0Exif\0\0"):
        assert orientation(prefix + exif, None) == value
    pillow = Image.Exif()
    pillow.load(b"Exif\0\0" + exif)
    assert pillow[TAG] == value


def test_several_values_count_as_the_first() -> None:
    assert orientation(block("<", (TAG, 3, 2, 6)), None) == 6
    at_end = block("<", (TAG, 3, 9, 26))
    assert orientation(at_end + struct.pack("<9H", 8, *range(8)), None) == 8


@pytest.mark.parametrize("value", [0, 9, 300, 65535])
def test_unknown_values_count_as_none(value: int) -> None:
    assert orientation(block("<", (TAG, 3, 1, value)), None) == 1


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0b'Exif\\x00",
        b"II*\0",
        b"MM\0*\0\0\0",
        b"II*\0" + struct.pack("<I", 2**32 - 1),
        b"XX*\0" + bytes(50),
        block("<", (TAG, 3, 1, 6))[:-9],
        block("<", (TAG, 3, 1, 6), offset=6),
        block("<", (TAG, 5, 1, 6)),
        block("<", (TAG, 4, 2**32 - 1, 2**32 - 1)),
        b"II*\0" + struct.pack("<IH", 8, 65535) + bytes(100),
    ],
)
def test_damaged_exif_is_none(exif: bytes) -> None:
    assert orientation(exif, None) == 1
    assert orientation(exif, b'<rdf:Description tiff:Orientation="6"/>') == 6


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.binary(max_size=80), st.sampled_from([b"", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"Exif\0\0II*\0"]))
def test_any_bytes_are_some_orientation(tail: bytes, head: bytes) -> None:
    assert 1 <= orientation(head + tail, tail) <= 8


def test_xmp_counts_where_exif_says_nothing() -> None:
    element, attribute = b"<tiff:Orientation>8</tiff:Orientation>", b'<x tiff:Orientation="3"/>'
    assert orientation(None, element) == 8
    assert orientation(None, attribute) == 3
    assert orientation(block("<", (TAG, 3, 1, 6)), attribute) == 6
    assert orientation(block("<", (0x010F, 2, 2, 0)), attribute) == 3
    assert orientation(None, b"tiff:Orientation=9") == 1


STORED = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
DAMAGED = {
    "text": b"Exif\0\0b'Exif\\x00\\x00MM\\x00*'",
    "no TIFF header": b"Exif\0\0\0\x08\0\x02\x01\x12",
    "short": b"Exif\0\0II*\0",
    "offset beyond the end": b"Exif\0\0II*\0\xff\xff\xff\x7f",
    "looped": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
    "nothing": b"Exif\0\0",
}


def saved(file_format: str, **options: Any) -> bytes:
    stream = BytesIO()
    Image.fromarray(STORED).save(stream, file_format, **options)
    return stream.getvalue()


FORMATS: dict[str, Callable[..., bytes]] = {
    "JPEG": lambda **options: saved("JPEG", quality=95, **options),
    "JPEG with a density": lambda **options: saved("JPEG", quality=95, dpi=(72, 72), **options),
    "PNG": lambda **options: saved("PNG", **options),
    "WebP": lambda **options: saved("WEBP", lossless=True, **options),
    "MPO": lambda **options: saved(
        "MPO", quality=95, save_all=True, append_images=[Image.new("RGB", (9, 9))], **options
    ),
}


@pytest.mark.parametrize("exif", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("file_format", FORMATS)
def test_sound_pixels_beside_damaged_exif_are_read(file_format: str, exif: bytes) -> None:
    """Without a warning too: warnings are errors here."""
    make = FORMATS[file_format]
    np.testing.assert_array_equal(decode(make(exif=exif)).pixels_rgb, decode(make()).pixels_rgb)


def test_sound_pixels_beside_damaged_exif_in_avif_are_read() -> None:
    pytest.importorskip("PIL.AvifImagePlugin", reason="this Pillow reads no AVIF")
    sound = saved("AVIF", exif=block("<", (0x010F, 2, 4, 0)))
    at = sound.index(b"II*\0")
    damaged = sound[:at] + b"\0\x08\0\x02" + sound[at + 4 :]
    np.testing.assert_array_equal(decode(damaged).pixels_rgb, decode(sound).pixels_rgb)


@pytest.mark.parametrize("value", [3, 6, 8])
def test_a_pil_image_of_damaged_exif_is_read(value: int) -> None:
    upright: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
        3: lambda stored: stored[::-1, ::-1],
        6: lambda stored: stored.transpose(1, 0, 2)[:, ::-1],
        8: lambda stored: stored.transpose(1, 0, 2)[::-1],
    }
    with Image.open(BytesIO(saved("PNG", exif=block("<", (TAG, 3, 1, value))))) as image:
        np.testing.assert_array_equal(decode(image).pixels_rgb, upright[value](STORED))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(BytesIO(saved("PNG", exif=DAMAGED["text"]))) as image:
            np.testing.assert_array_equal(decode(image).pixels_rgb, STORED)


@pytest.mark.parametrize("packed", [False, True])
def test_png_text_may_hold_exif_or_xmp(packed: bool) -> None:
    """XMP as Adobe's programs write it, EXIF as ImageMagick does."""
    sideways = STORED.transpose(1, 0, 2)[:, ::-1]
    with_xmp, with_exif = PngImagePlugin.PngInfo(), PngImagePlugin.PngInfo()
    with_xmp.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>', zip=packed)
    digits = block("<", (TAG, 3, 1, 6)).hex()
    lines = "\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    with_exif.add_text("Raw profile type exif", f"\nexif\n{len(digits) // 2:8d}\n{lines}\n", zip=packed)
    for text in (with_xmp, with_exif):
        np.testing.assert_array_equal(decode(saved("PNG", pnginfo=text)).pixels_rgb, sideways)
