"""Damaged image files without end: `python -m tests.fuzz_decode --minutes 10 --seed 1`.

Whatever the bytes are, decoding gives an image or one line that says why not, and a JPEG becomes the same with OpenCV
and without. A file that breaks this is written into the working folder.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from PIL import Image

from shitu_edge.errors import ImageError
from shitu_edge.stages import decode as decode_module
from shitu_edge.stages.decode import DecodedImage, DecodeLimits, decode
from tests.imaging.files.jpegs import END, WHOLE, drawn, encoded
from tests.imaging.files.test_other_formats import saved

_LIMITS = DecodeLimits(max_pixels=300_000)
_DECODERS = {"opencv": lambda: cv2, "pillow": lambda: None}
_SIDES = (None, None, None, 40, 12)
_HEADER = 700


def seeds() -> dict[str, bytes]:
    """Return small files of each format: JPEGs first, of all codings."""
    color = Image.fromarray(drawn(48, 64))
    alpha = color.copy()
    alpha.putalpha(90)
    exif = Image.Exif()
    exif[0x0112] = 6
    others = {
        "JPEG with EXIF": encoded(color, exif=exif, xmp=b'<x tiff:Orientation="3"/>'),
        "MPO": saved("MPO", color, save_all=True, append_images=[alpha.convert("RGB")]),
        "PNG": saved("PNG", alpha, exif=exif, icc_profile=bytes(300)),
        "PNG palette": saved("PNG", color.quantize(16), transparency=bytes(range(16))),
        "APNG": saved("PNG", color, save_all=True, append_images=[alpha.convert("RGB")]),
        "WebP": saved("WEBP", color, exif=exif),
        "WebP lossless": saved("WEBP", alpha, lossless=True),
        "WebP animation": saved("WEBP", color, save_all=True, append_images=[color.rotate(180)]),
        "TIFF": saved("TIFF", color, exif=exif),
        "TIFF LZW": saved("TIFF", alpha, compression="tiff_lzw", tiffinfo={278: 5}),
        "TIFF JPEG": saved("TIFF", color, compression="jpeg"),
        "TIFF fax": saved("TIFF", color.convert("1"), compression="group4"),
        "BigTIFF": saved("TIFF", color, big_tiff=True, compression="tiff_adobe_deflate"),
        "GIF": saved("GIF", color.quantize(16), transparency=3, comment=b"words " * 60),
        "BMP": saved("BMP", color),
        "BMP palette": saved("BMP", color.quantize(16)),
    }
    return {**{f"JPEG {name}": content for name, content in WHOLE.items()}, **others}


def damaged(rng: np.random.Generator, content: bytes, others: Sequence[bytes]) -> bytes:
    """Return a file with one kind of damage."""
    data, size = bytearray(content), len(content)
    kind = int(rng.integers(0, 10))
    place = int(rng.integers(2, size))
    if kind <= 1:  # single bytes, most of them in what comes first
        reach = size if rng.integers(2) else min(size, _HEADER)
        for at in rng.integers(0, reach, rng.integers(1, 5)):
            data[at] = rng.integers(0, 256)
    elif kind == 2:  # single bits
        for at in rng.integers(0, min(size, _HEADER), rng.integers(1, 9)):
            data[at] ^= 1 << int(rng.integers(0, 8))
    elif kind == 3:
        data[place:] = END if rng.integers(2) else b""
    elif kind == 4:
        data[place:] = bytes(rng.integers(0, size)) + END
    elif kind == 5:
        del data[place : place + int(rng.integers(1, 600))]
    elif kind == 6:
        data[place:] = others[int(rng.integers(len(others)))]
    elif kind == 7:  # a piece once more, elsewhere
        start, length = int(rng.integers(0, size)), int(rng.integers(1, 400))
        data[place:place] = data[start : start + length]
    elif kind == 8:  # a marker of JPEG
        data[place:place] = bytes([0xFF, rng.integers(0xC0, 0xFF)])
    else:  # a length or an offset
        data[place : place + 4] = rng.integers(0, 2**32, dtype=np.uint32).tobytes() if rng.integers(2) else bytes(4)
    return bytes(data)


def files(rng: np.random.Generator, sound: Mapping[str, bytes]) -> Iterator[tuple[str, bytes, int | None]]:
    """Yield damaged files, each with the name of what it was and the side that is enough."""
    names, contents = list(sound), list(sound.values())
    while True:
        name = names[rng.integers(len(names))]
        content = damaged(rng, sound[name], contents)
        if not rng.integers(4):
            content = damaged(rng, content, contents) if len(content) > 2 else content
        yield name, content, _SIDES[rng.integers(len(_SIDES))]


def outcome(content: bytes, enough_side: int | None, decoder: str) -> DecodedImage | str:
    """Return the image or the message."""
    with patch.object(decode_module, "opencv", _DECODERS[decoder]):
        try:
            image = decode(content, enough_side=enough_side, limits=_LIMITS)
        except ImageError as error:
            message = str(error)
            assert message.startswith("the bytes: ")
            assert message.isprintable()
            return message
    height, width, channels = image.pixels_rgb.shape
    assert image.pixels_rgb.dtype == np.uint8
    assert channels == 3
    assert 0 < width <= image.width
    assert 0 < height <= image.height
    assert image.width * image.height <= 4 * _LIMITS.max_pixels
    return image


def check(content: bytes, enough_side: int | None) -> str:
    """Decode, a JPEG with either decoder, compare, and return what became of it."""
    first = second = outcome(content, enough_side, "opencv")
    if content.startswith(b"\xff\xd8\xff"):
        second = outcome(content, enough_side, "pillow")
    if isinstance(first, str) or isinstance(second, str):
        assert first == second, "refused by one decoder, or for different reasons"
        return "refused"
    difference = np.abs(first.pixels_rgb.astype(np.int16) - second.pixels_rgb)
    assert (first.width, first.height) == (second.width, second.height)
    assert difference.max() <= 1, "decoded differently"
    return "read"


def main() -> None:
    """Check damaged files for a time, and print how many there were of each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    counts: Counter[tuple[str, str]] = Counter()
    slowest, slowest_name, end = 0.0, "", time.monotonic() + 60 * arguments.minutes
    for name, content, side in files(np.random.default_rng(arguments.seed), seeds()):
        before = time.perf_counter()
        try:
            counts[name, check(content, side)] += 1
        except Exception as error:
            broken = Path(f"broken-{arguments.seed}-{counts.total()}")
            broken.write_bytes(content)
            print(f"{broken}: {name}, enough_side {side}: {type(error).__name__}: {error}", flush=True)
            counts[name, "BROKEN"] += 1
        if (took := time.perf_counter() - before) > slowest:
            slowest, slowest_name = took, name
        if time.monotonic() > end:
            break
    for (name, became), count in sorted(counts.items()):
        print(f"{count:8d} {became:8} {name}")
    print(f"{counts.total()} files, slowest {slowest:.2f} s ({slowest_name})")
    sys.exit(any(became == "BROKEN" for _, became in counts))


if __name__ == "__main__":
    main()
