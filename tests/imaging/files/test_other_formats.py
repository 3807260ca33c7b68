"""PNG, WebP, TIFF, GIF and BMP by structure: what the pixels need passes, and no more of it than an image has."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from shitu_edge.errors import ImageError
from shitu_edge.stages.decode import decode

PIXELS = np.random.default_rng(1).integers(0, 256, (24, 40, 3), np.uint8)


def saved(file_format: str, pixels: Any = PIXELS, **options: Any) -> bytes:
    stream = BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(stream, file_format, **options)
    return stream.getvalue()


def refusal(content: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decode(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read(content: bytes) -> bool:
    return np.array_equal(decode(content).pixels_rgb, PIXELS)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(*chunks: bytes, before: bytes = b"IDAT") -> bytes:
    whole = saved("PNG")
    at = whole.index(before) - 4
    return whole[:at] + b"".join(chunks) + whole[at:]


LARGE = np.random.default_rng(0).bytes(1 << 20) * 3


def test_png_with_large_profiles_and_texts_is_read() -> None:
    """Pillow alone refuses what unpacks to more than a megabyte."""
    assert read(saved("PNG", icc_profile=LARGE))
    text = PngImagePlugin.PngInfo()
    for zip_ in (True, False):
        text.add_text("Comment", "x" * (3 << 20), zip=zip_)
        text.add_itxt("XML:com.adobe.xmp", "y" * (3 << 20), zip=zip_)
    assert read(saved("PNG", pnginfo=text))


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_png_with_odd_chunks_is_read(before: bytes) -> None:
    odd = (chunk(b"prVt", b"?"), chunk(b"pHYs", b"1"), chunk(b"gAMA", b""), chunk(b"iCCP", b"no"), chunk(b"tEXt", b""))
    assert read(png_with(*odd, chunk(b"iTXt", b"XML:com.adobe.xmp\0\1"), chunk(b"eXIf", b"?"), before=before))


@pytest.mark.parametrize("kind", [b"tEXt", b"IHDR", b"zzZz"])
def test_png_of_a_wrong_checksum_is_named(kind: bytes) -> None:
    content = bytearray(png_with(chunk(b"tEXt", b"a\0b"), chunk(b"zzZz", b"?")))
    content[content.index(kind) + 6] ^= 1
    assert f"checksum mismatch in its PNG chunk {kind.decode()}; copy the file again" in refusal(bytes(content))


def test_png_chunks_are_counted() -> None:
    assert read(png_with(*[chunk(b"prVt", b"")] * 65_000))
    for before in (b"IDAT", b"IEND"):
        assert "more than 65536 chunks" in refusal(png_with(*[chunk(b"prVt", b"")] * 66_000, before=before))


@pytest.mark.parametrize(
    "content",
    [
        saved("PNG")[:8],
        saved("PNG")[:20],
        saved("PNG")[:8] + saved("PNG")[33:],
        png_with(chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))),
        saved("PNG")[:8] + chunk(b"IHDR", b"short") + saved("PNG")[33:],
    ],
)
def test_png_without_its_header_is_refused(content: bytes) -> None:
    assert "cannot be decoded" in refusal(content)


def test_animated_png_is_its_default_image() -> None:
    assert read(saved("PNG", save_all=True, append_images=[Image.new("RGB", (40, 24))]))
    assert read(saved("PNG", save_all=True, default_image=True, append_images=[Image.new("RGB", (40, 24))]))


def webp_chunks(content: bytes) -> list[bytes]:
    chunks, position = [], 12
    while position < len(content):
        size = 8 + int.from_bytes(content[position + 4 : position + 8], "little")
        chunks.append(content[position : position + size + (size & 1)])
        position += size + (size & 1)
    return chunks


def webp(*chunks: bytes) -> bytes:
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def canvas(width: int, height: int, flags: int = 0x10) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"VP8X" + struct.pack("<IB3x", 10, flags) + size


def test_webp_with_metadata_is_read() -> None:
    (image,) = webp_chunks(saved("WEBP", lossless=True))
    odd = [struct.pack("<4sI", kind, 6) + b"?" * 6 for kind in (b"ICCP", b"EXIF", b"XMP ", b"ABCD")]
    assert read(webp(canvas(40, 24, 0x3C), *odd, image, *odd))
    assert read(webp(image) + b"trailing")


def test_webp_animation_is_its_first_frame() -> None:
    frames = [Image.fromarray(PIXELS[::-1]), Image.new("RGB", (40, 24))]
    assert read(saved("WEBP", lossless=True, save_all=True, append_images=frames))


def test_webp_is_limited_before_its_canvas_is_made() -> None:
    (image,) = webp_chunks(saved("WEBP", Image.new("RGB", (2, 2)), lossless=True))
    assert "16383 × 16383 pixels are more than 80000000" in refusal(webp(canvas(16383, 16383), image))
    message = refusal(webp(canvas(9000, 5000), image))
    assert "9000 × 5000 pixels are more than 40000000, the limit for files of this kind" in message
    wide = b"VP8L" + struct.pack("<IBI", 5, 0x2F, 16383 | 16383 << 14) + b"\0"
    assert "16384 × 16384 pixels" in refusal(webp(wide))


def test_webp_chunks_are_counted() -> None:
    (image,) = webp_chunks(saved("WEBP", lossless=True))
    empty = b"ABCD" + bytes(4)
    assert read(webp(canvas(40, 24), *[empty] * 65_000, image))
    assert "more than 65536 chunks" in refusal(webp(canvas(40, 24), image, *[empty] * 66_000))


def test_webp_without_an_image_is_refused() -> None:
    assert "without an image" in refusal(webp(canvas(9, 9)))
    assert "truncated" in refusal(saved("WEBP")[:-3])
    assert "cannot be decoded" in refusal(webp(b"VP8L" + struct.pack("<I", 4) + b"????"))


def tiff(*entries: tuple[int, int, int, int], data: bytes = b"", order: str = "<") -> bytes:
    """Return a TIFF of one directory; a value of -1 is where the data lie."""
    start = 8 + 2 + 12 * len(entries) + 4
    packed = [
        struct.pack(f"{order}HHI", tag, kind, count)
        + (
            struct.pack(f"{order}HH", value, 0)
            if kind == 3
            else struct.pack(f"{order}I", start if value < 0 else value)
        )
        for tag, kind, count, value in sorted(entries)
    ]
    magic = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return magic + struct.pack(f"{order}H", len(entries)) + b"".join(packed) + bytes(4) + data


GRAY = (
    (256, 3, 1, 4),
    (257, 3, 1, 3),
    (258, 3, 1, 8),
    (262, 3, 1, 1),
    (273, 4, 1, -1),
    (277, 3, 1, 1),
    (279, 4, 1, 12),
)
TWELVE = bytes(range(0, 240, 20))


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_either_byte_order(order: str) -> None:
    gray = np.frombuffer(TWELVE, np.uint8).reshape(3, 4)
    found = decode(tiff(*GRAY, (278, 3, 1, 3), data=TWELVE, order=order)).pixels_rgb
    np.testing.assert_array_equal(found, np.stack([gray] * 3, axis=2))
    turned = decode(tiff(*GRAY, (274, 3, 1, 8), data=TWELVE, order=order)).pixels_rgb
    np.testing.assert_array_equal(turned, found.transpose(1, 0, 2)[::-1])


@pytest.mark.parametrize("pointer", [0, 8, 200, 2**32 - 1])
def test_tiff_with_damaged_directories_of_metadata_is_read(pointer: int) -> None:
    """EXIF, GPS, and XMP and a profile beyond the end; without a warning, which would be an error here."""
    odd = [(tag, 4, 1, pointer) for tag in (0x8769, 0x8825, 0xA005)]
    found = decode(tiff(*GRAY, *odd, (700, 7, 500, pointer), (34675, 7, 500, pointer), data=TWELVE))
    assert found.pixels_rgb[:, :, 1].tobytes() == TWELVE


def test_tiff_values_are_counted() -> None:
    rationals = bytes(8 * 300_000)
    found = decode(tiff(*GRAY, (282, 5, 300_000, -1), (283, 5, 300_000, -1), data=TWELVE + rationals))
    assert found.pixels_rgb.shape == (3, 4, 3), "resolutions are nothing to the pixels"
    many = [entry for entry in GRAY if entry[0] != 273]
    content = tiff(*many, (273, 4, 300_000, -1), data=bytes(4 * 300_000))
    assert "300000 values in tag 273, expected at most 262144" in refusal(content)


def test_tiff_tiles_are_not_far_larger_than_the_image() -> None:
    """A tile is decoded as a whole: this one of 900 megapixels for a single one."""
    of_tiles = [(256, 3, 1, 1), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (277, 3, 1, 1)]
    packed = zlib.compress(bytes(1000))
    tiles = ((322, 4, 1, 30_000), (323, 4, 1, 30_000), (324, 4, 1, -1), (325, 4, 1, len(packed)))
    assert "tiles are far larger than its image" in refusal(tiff(*of_tiles, *tiles, data=packed))


def test_tiff_directory_that_is_none_is_refused() -> None:
    for content in (b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\x09", tiff(*GRAY)[:40]):
        assert "cannot be decoded" in refusal(content)


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"big_tiff": True}], ids=repr)
def test_tiff_of_several_images_is_the_first_one(options: dict[str, Any]) -> None:
    assert read(saved("TIFF", save_all=True, append_images=[Image.new("RGB", (40, 24))], **options))


def gif_with(blocks: bytes) -> bytes:
    whole = saved("GIF", Image.fromarray(PIXELS).quantize(16))
    at = 13 + (3 << (whole[10] & 7) + 1)
    return whole[:at] + blocks + whole[at:]


def test_gif_blocks_before_the_image_are_counted() -> None:
    sound = decode(gif_with(b"")).pixels_rgb
    comment = b"!\xfe" + (b"\xff" + bytes(255)) * 60_000 + b"\0"
    for blocks in (b"", bytes(60_000), comment, b"!\xff\x02ab\0" * 20_000):
        np.testing.assert_array_equal(decode(gif_with(blocks)).pixels_rgb, sound)
    for blocks in (bytes(70_000), comment * 2, b"!\xff\x01a" + b"\x01a" * 70_000 + b"\0", b"!\xff\0" * 70_000):
        assert "more than 65536 blocks" in refusal(gif_with(blocks))


@pytest.mark.parametrize("content", [gif_with(b"")[:13], gif_with(b";"), gif_with(b"!\xfe\xff"), b"GIF89a"])
def test_gif_without_an_image_is_refused(content: bytes) -> None:
    assert refusal(content)


def run_length_bmp(width: int, height: int, data: bytes) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0)
    palette = b"".join(bytes([level, 0, 0, 0]) for level in range(256))
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + 40 + 1024) + header + palette + data


def test_run_length_bmp_is_limited() -> None:
    """Pillow decodes it in Python, a byte or a pixel at a time."""
    small = decode(run_length_bmp(4, 2, b"\x04\x10\0\0\x04\x20\0\1")).pixels_rgb
    assert small[:, :, 2].tolist() == [[32] * 4, [16] * 4]
    for content in (run_length_bmp(8000, 8000, b"\xff\x02" * 200), run_length_bmp(9, 9, b"\1\2" * (2 << 20))):
        assert "is a run-length encoded BMP of more than 2097152 bytes or 10000000 pixels" in refusal(content)
