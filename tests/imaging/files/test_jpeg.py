"""Webcam frames that lost a part, JPEGs of too many parts, and whole ones with all that may stand around them."""

from __future__ import annotations

import struct
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from shitu_edge.errors import ImageError
from shitu_edge.stages import decode as decode_module
from shitu_edge.stages.decode import DecodeLimits, decode

from .jpegs import END, WHOLE, drawn, encoded, last_scan, segment, with_segments

NEXT = encoded(drawn()[::-1])


@pytest.fixture(autouse=True, params=["opencv", "pillow"])
def _decoder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_module, "opencv", (lambda: None) if request.param == "pillow" else lambda: cv2)


def pixels(content: bytes) -> NDArray[np.uint8]:
    return decode(content).pixels_rgb


def refusal(content: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decode(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


BEHIND_A_PART: dict[str, Callable[[bytes, int], bytes]] = {
    "nothing": lambda whole, cut: b"",
    "end marker": lambda whole, cut: END,
    "zeros": lambda whole, cut: bytes(len(whole) - cut),
    "zeros, end marker": lambda whole, cut: bytes(len(whole) - cut) + END,
    "many zeros, end marker": lambda whole, cut: bytes(60_000) + END,
    "next frame": lambda whole, cut: NEXT,
    "end marker, next frame": lambda whole, cut: END + NEXT,
    "end marker, its own rest": lambda whole, cut: END + whole[cut:],
    "restart marker, end marker": lambda whole, cut: b"\xff\xd0" + END,
    "tables, end marker": lambda whole, cut: segment(0xDD, b"\0\0") + END,
    "fill bytes, end marker": lambda whole, cut: b"\xff" * 100 + END,
}


@pytest.mark.parametrize("behind", BEHIND_A_PART)
@pytest.mark.parametrize("name", WHOLE)
def test_a_part_of_a_frame_is_refused_whatever_is_behind_it(name: str, behind: str) -> None:
    whole = WHOLE[name]
    start, end = last_scan(whole), len(whole) - 2
    cuts = [start + int((end - start) * share) for share in (0, 0.1, 0.33, 0.5, 0.77, 0.9)]
    if name not in ("progressive", "progressive 4:4:4", "progressive with restarts", "three scans"):
        cuts.append(end - 60)
    for cut in cuts:
        assert refusal(whole[:cut] + BEHIND_A_PART[behind](whole, cut))


@pytest.mark.parametrize("name", ["4:2:0", "CMYK", "tables of its own", "progressive"])
def test_half_a_frame_is_refused_where_a_host_program_fills_images_up(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = WHOLE[name]
    assert "truncated" in refusal(whole[: len(whole) * 3 // 4] + END)
    assert pixels(whole).shape == (120, 168, 3)
    assert pixels(whole[:-2] + bytes(500) + END).shape == (120, 168, 3)


@pytest.mark.parametrize("enough_side", [None, 60, 15])
@pytest.mark.parametrize("name", ["4:2:0", "restarts by row", "gray"])
def test_half_a_frame_is_refused_at_reduced_scale_too(name: str, enough_side: int | None) -> None:
    whole = WHOLE[name]
    half = whole[: len(whole) // 2] + END
    with pytest.raises(ImageError, match="truncated"):
        decode(half, enough_side=enough_side)


@pytest.mark.parametrize("name", ["progressive", "progressive with restarts", "three scans"])
def test_missing_scans_are_missed(name: str) -> None:
    whole = WHOLE[name]
    position = 0
    while (position := whole.find(b"\xff\xda", position + 1)) >= 0:
        assert "truncated" in refusal(whole[:position] + END) or position == whole.find(b"\xff\xda")


@pytest.mark.parametrize("name", ["restarts by row", "restarts by block", "progressive with restarts"])
def test_a_lost_packet_between_restart_markers_is_seen(name: str) -> None:
    whole = WHOLE[name]
    start = last_scan(whole)
    first = whole.index(b"\xff\xd1", start)
    for last in (b"\xff\xd2", b"\xff\xd3"):
        assert refusal(whole[:first] + whole[whole.index(last, first) :])
    doubled = whole[: whole.index(b"\xff\xd2", first)] + whole[first:]
    assert refusal(doubled)


def test_restart_markers_where_none_belong_are_refused() -> None:
    whole = WHOLE["4:2:0"]
    middle = (last_scan(whole) + len(whole)) // 2
    assert "restart markers" in refusal(whole[:middle] + b"\xff\xd0" + whole[middle:])


AROUND: dict[str, Callable[[bytes], bytes]] = {
    "zeros behind": lambda whole: whole + bytes(4096),
    "fill bytes behind": lambda whole: whole + b"\xff" * 99,
    "next frame behind": lambda whole: whole + NEXT,
    "half a frame behind": lambda whole: whole + NEXT[:700],
    "film behind": lambda whole: whole + b"\0\0\0\x18ftypmp42" + bytes(500),
    "fill bytes before the end": lambda whole: whole[:-2] + b"\xff" * 7 + END,
    "comment before the end": lambda whole: whole[:-2] + segment(0xFE, b"seen by a camera") + END,
    "AVI1": lambda whole: with_segments(whole, segment(0xE0, b"AVI1" + bytes(10))),
    "cut JFIF and Adobe": lambda whole: with_segments(whole, segment(0xE0, b"JFIF\0\1"), segment(0xEE, b"Adobe\0")),
    "fill bytes between segments": lambda whole: with_segments(whole, b"\xff" * 12),
    "Adobe and JFIF twice": lambda whole: with_segments(whole, whole[2:20], whole[2:20]) if whole[3] == 0xE0 else whole,
    "many profiles": lambda whole: with_segments(whole, *[segment(0xE2, b"ICC_PROFILE\0" + bytes(900))] * 50),
    "all application segments": lambda whole: with_segments(
        whole, *(segment(marker, bytes(range(200))) for marker in range(0xE1, 0xEE))
    ),
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_frame_is_read_whatever_is_around_it(name: str, around: str) -> None:
    np.testing.assert_array_equal(pixels(AROUND[around](WHOLE[name])), pixels(WHOLE[name]))


@pytest.mark.parametrize("name", ["4:2:0", "4:4:4", "gray", "tables of its own", "restarts by row"])
@pytest.mark.parametrize("count", [1, 9, 10_000])
def test_zeros_before_the_end_marker_are_padding(name: str, count: int) -> None:
    whole = WHOLE[name]
    np.testing.assert_array_equal(pixels(whole[:-2] + bytes(count) + END), pixels(whole))


def test_zeros_that_are_a_part_of_the_image_are_needed() -> None:
    """A plain image with tables of its own: a block is two zero bits, and the last ones fill whole bytes."""
    plain = np.full((200, 200), 255, np.uint8)
    plain[4:12, 4:20] = 0
    whole = encoded(plain, optimize=True)
    zeros = len(whole) - 2 - len(whole[:-2].rstrip(b"\0"))
    assert zeros > 100
    assert np.abs(pixels(whole)[:, :, 0].astype(int) - plain).max() < 30
    for missing in (20, 60, zeros):
        assert "truncated" in refusal(whole[: -2 - missing] + END)


def test_zeros_in_the_middle_are_a_part_of_the_image_or_of_a_camera_that_lost_some() -> None:
    plain = np.full((400, 400), 255, np.uint8)
    plain[4:12, 4:20] = plain[384:396, 300:] = 0
    whole = encoded(plain, optimize=True)
    assert bytes(100) in whole
    assert np.abs(pixels(whole)[:, :, 0].astype(int) - plain).max() < 30
    lossy = encoded(drawn(480, 640), quality=95, subsampling="4:2:2")
    for place in range(last_scan(lossy) + 1000, len(lossy) - 5000, 9000):
        assert refusal(lossy[:place] + bytes(4096) + lossy[place + 4096 :])
        assert refusal(lossy[:place] + lossy[place + 4096 :])


def test_one_restart_marker_may_close_a_scan() -> None:
    whole = WHOLE["restarts by row"]
    count = sum(whole.count(bytes([0xFF, 0xD0 + number])) for number in range(8))
    closed = whole[:-2] + bytes([0xFF, 0xD0 + count % 8]) + END
    np.testing.assert_array_equal(pixels(closed), pixels(whole))


def test_the_color_space_is_that_of_adobes_and_jfifs_segments() -> None:
    """RGB in a JPEG is told by Adobe's segment alone."""
    rgb = np.full((16, 16, 3), (200, 30, 60), np.uint8)
    in_rgb = encoded(rgb, keep_rgb=True, quality=95)
    assert b"Adobe" in in_rgb
    assert np.abs(pixels(in_rgb).astype(int) - rgb).max() < 6
    assert np.abs(pixels(with_segments(in_rgb, segment(0xEE, b"no color"))).astype(int) - rgb).max() < 6


def frame_with(content: bytes, offset: int, new: bytes) -> bytes:
    """Return a baseline JPEG with bytes of its frame header changed."""
    at = content.index(b"\xff\xc0") + 4 + offset
    return content[:at] + new + content[at + len(new) :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (frame_with(WHOLE["4:2:0"], 0, b"\x0c"), "is a JPEG with 12 bits per channel; save it with 8"),
        (frame_with(WHOLE["4:2:0"], 1, b"\0\0"), r"has no pixels \(168 × 0\)"),
        (frame_with(WHOLE["4:2:0"], 1, struct.pack(">HH", 8900, 8900)), "truncated"),
        (
            frame_with(WHOLE["4:2:0"], 1, struct.pack(">HH", 65500, 65500)),
            "65500 × 65500 pixels are more than 80000000",
        ),
        (WHOLE["4:2:0"].replace(b"\xff\xc0", b"\xff\xc7", 1), r"JPEG coding \(SOF7\).* save it as baseline JPEG"),
        (WHOLE["4:2:0"][: last_scan(WHOLE["4:2:0"]) - 14] + END, "is a JPEG without image data"),
        (b"\xff\xd8" + segment(0xDA, bytes([1, 1, 0, 0, 63, 0])) + b"data" + END, "without a frame header"),
    ],
)
def test_what_is_not_read_is_named(content: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=rf"^the bytes: .*{message}"):
        decode(content)


def progressive_with(scans: int, width: int = 64, height: int = 64) -> bytes:
    """Return a progressive JPEG whose last scan comes so many times."""
    whole = encoded(np.full((64, 64), 90, np.uint8), progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : -2]
    content = whole[:-2] + last * (scans - whole.count(b"\xff\xda")) + END
    at = content.index(b"\xff\xc2") + 5
    return content[:at] + struct.pack(">HH", height, width) + content[at + 4 :]


def test_scans_are_counted() -> None:
    assert "is a JPEG of 501 or more scans" in refusal(progressive_with(501))
    assert "too many for 79210000 pixels" in refusal(progressive_with(40, 8900, 8900))


def test_segments_are_counted() -> None:
    whole = WHOLE["4:2:0"]
    exif = segment(0xE1, b"Exif\0\0" + bytes(10))
    np.testing.assert_array_equal(pixels(with_segments(whole, *[exif] * 4000)), pixels(whole))
    assert "more than 4096 segments" in refusal(with_segments(whole, *[exif] * 4200))


def test_a_jpeg_over_the_limit_is_decoded_at_the_scale_that_fits() -> None:
    content = encoded(drawn(320, 480), quality=95)
    limits = DecodeLimits(max_pixels=320 * 480 // 3)
    image = decode(content, enough_side=300, limits=limits)
    assert image.pixels_rgb.shape == (160, 240, 3)
    assert (image.width, image.height, image.scale) == (480, 320, (2, 2))
    np.testing.assert_array_equal(image.pixels_rgb, decode(content, enough_side=160).pixels_rgb)
    with pytest.raises(ImageError, match=r"480 × 320 pixels are more than 51200; .*--max-megapixels"):
        decode(content, limits=limits)


def test_a_jpeg_far_over_the_limit_or_of_several_scans_is_refused_at_any_scale() -> None:
    small = DecodeLimits(max_pixels=320 * 480 // 4 - 1)
    with pytest.raises(ImageError, match="more than"):
        decode(encoded(drawn(320, 480)), enough_side=20, limits=small)
    third = DecodeLimits(max_pixels=320 * 480 // 3)
    with pytest.raises(ImageError, match="more than"):
        decode(encoded(drawn(320, 480), progressive=True), enough_side=20, limits=third)


def test_an_opencv_that_fills_frames_up_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one would whose reader puts an end marker where data end, like that of libjpeg for files."""

    class FillsUp:
        error = cv2.error
        IMREAD_COLOR_RGB, IMREAD_IGNORE_ORIENTATION = cv2.IMREAD_COLOR_RGB, cv2.IMREAD_IGNORE_ORIENTATION
        imencode = staticmethod(cv2.imencode)

        @staticmethod
        def imdecode(content: NDArray[np.uint8], flags: int) -> NDArray[np.uint8] | None:
            return cv2.imdecode(np.append(content, np.frombuffer(END, np.uint8)), flags)

    monkeypatch.setattr(decode_module, "opencv", FillsUp)
    whole = WHOLE["4:2:0"]
    assert "truncated" in refusal(whole[: len(whole) // 2] + END)
    assert pixels(whole).shape == (120, 168, 3)


def lossless(gray: NDArray[np.uint8]) -> bytes:
    """Return a lossless JPEG by T.81 annex H: each sample's difference from its left, or upper, neighbor."""
    above, left = np.vstack([gray[:1], gray[:-1]]), np.roll(gray, 1, axis=1)
    predicted = np.where(np.arange(gray.shape[1]) == 0, above, left).astype(int)
    predicted[0, 0] = 128
    bits = ""
    for difference in (gray.astype(int) - predicted).ravel().tolist():
        size = abs(difference).bit_length()
        value = difference if difference >= 0 else difference + (1 << size) - 1
        bits += f"{size:04b}" + (f"{value:0{size}b}" if size else "")
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    table = bytes([0, 0, 0, 0, 9]) + bytes(12) + bytes(range(9))
    frame = struct.pack(">BHHB", 8, *gray.shape, 1) + bytes([1, 0x11, 0])
    scan = segment(0xDA, bytes([1, 1, 0, 1, 0, 0]))
    return b"\xff\xd8" + segment(0xC4, table) + segment(0xC3, frame) + scan + data + END


def test_a_lossless_jpeg_is_read_whole_or_refused() -> None:
    gray = drawn(40, 50)[:, :, 0]
    content = lossless(gray)
    np.testing.assert_array_equal(pixels(content)[:, :, 0], gray)
    assert refusal(content[: len(content) // 2] + END)
    assert refusal(content[: len(content) // 2] + content)


def test_pillow_is_told_what_opencv_is_told() -> None:
    """Mutations that were read by one and refused by the other: a second scan, tables within the data."""
    whole = WHOLE["4:2:0"]
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    assert "second scan" in refusal(whole[:-2] + scan + END)
    middle = (last_scan(whole) + len(whole)) // 2
    assert refusal(whole[:middle] + b"\xff\xc4" + whole[middle:])
    Image.fromarray(pixels(whole)).verify()
