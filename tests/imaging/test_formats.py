"""Formats by content, against files that Pillow writes and headers by hand."""

from io import BytesIO

import pytest
from PIL import Image, features

from shitu_edge.imaging.formats import HEAD_BYTES, image_format

WRITTEN = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", *(("AVIF",) if features.check("avif") else ()))


@pytest.mark.parametrize("name", WRITTEN)
def test_image_format_knows_what_pillow_writes(name: str) -> None:
    stream = BytesIO()
    Image.new("RGB", (8, 8)).save(stream, name)
    assert image_format(stream.getvalue()[:HEAD_BYTES]) == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x00\x00\x00\x24ftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"\x00\x00\x00\x24ftypmif1\x00\x00\x00\x00mif1avif", "AVIF"),
        (b"\x00\x00\x00\x24ftypmif1\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2", None),
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"<!doctype html>", None),
        (b"BMW\t3 series, the blue one", None),
        (b"", None),
    ],
)
def test_image_format_reads_headers(head: bytes, name: str | None) -> None:
    assert image_format(head) == name
