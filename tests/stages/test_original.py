"""Crops of an answer: whatever the image was given as, they are the pixels that its boxes mean."""

from __future__ import annotations

import copy
import os
import pickle
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shitu_edge import DecodeLimits, ImageError, OptionError, Recognition, Recognizer
from shitu_edge.stages.original import Original
from tests.test_recognizer import BLUE, GREEN, RED, STRICT, product, scene

Pixels = NDArray[np.uint8]

STORED_AS = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
"""How an upright image lies in a file of each EXIF orientation: the pixels (H, W, 3) before it is turned."""


def upright(side: int = 256) -> Pixels:
    """A counter that is wider than high, with three squares of which no turn or mirror image looks alike."""
    return scene((1, 1, RED), (5, 1, GREEN), (1, 5, BLUE), side=side)[: side * 7 // 8]


def encoded(pixels: Pixels, orientation: int = 1, file_format: str = "JPEG") -> bytes:
    stream = BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"quality": 95, "subsampling": 0} if file_format == "JPEG" else {}
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, file_format, exif=exif, **options)
    return stream.getvalue()


@pytest.fixture
def recognizer(tiny_bundle: Path, tmp_path: Path) -> Any:
    with Recognizer.open(tiny_bundle) as maker:
        gallery = maker.create_gallery(tmp_path / "shop.gallery")
    with gallery, Recognizer.open(tiny_bundle, gallery) as opened:
        for label, color in (("red", RED), ("green", GREEN), ("blue", BLUE)):
            opened.enroll(label, product(color))
        yield opened


def middle_colors(answer: Recognition) -> dict[str | None, NDArray[np.float64]]:
    """The color in the middle of each recognized item's crop, by its label."""
    found = {}
    for item in answer.items:
        pixels = answer.crop(item)
        height, width = pixels.shape[:2]
        found[item.label] = pixels[height * 3 // 8 : height * 5 // 8, width * 3 // 8 : width * 5 // 8].mean((0, 1))
    return found


@pytest.mark.parametrize("given_as", ["bytes", "path", "PIL image"])
@pytest.mark.parametrize("orientation", STORED_AS)
def test_crop_shows_items_in_every_orientation(
    recognizer: Recognizer, tmp_path: Path, orientation: int, given_as: str
) -> None:
    content = encoded(STORED_AS[orientation](upright()), orientation)
    (tmp_path / "photo.jpg").write_bytes(content)
    sources: dict[str, Any] = {
        "bytes": content,
        "path": tmp_path / "photo.jpg",
        "PIL image": Image.open(BytesIO(content)),
    }
    answer = recognizer.recognize(sources[given_as], **STRICT)
    assert (answer.width, answer.height) == (256, 224)
    colors = middle_colors(answer)
    assert set(colors) == {"red", "green", "blue"}
    for label, color in (("red", RED), ("green", GREEN), ("blue", BLUE)):
        np.testing.assert_allclose(colors[label], color, atol=6)


@pytest.mark.parametrize("orientation", STORED_AS)
def test_crop_has_the_pixels_of_the_upright_image(recognizer: Recognizer, orientation: int) -> None:
    """PNG is without loss, so they are the same to the bit; the box is cut down to whole pixels."""
    pixels = np.random.default_rng(orientation).integers(0, 256, (96, 160, 3), np.uint8)
    answer = recognizer.recognize(encoded(STORED_AS[orientation](pixels), orientation, "PNG"))
    np.testing.assert_array_equal(answer.crop((10.0, 20.0, 150.9, 90.0)), pixels[20:90, 10:150])
    np.testing.assert_array_equal(answer.crop((-5, -5, 999, 999)), pixels)


def test_crop_is_at_full_resolution_though_decoding_was_reduced(recognizer: Recognizer) -> None:
    large = upright(2048)
    answer = recognizer.recognize(encoded(large), **STRICT)
    item = next(item for item in answer.items if item.label == "green")
    crop = answer.crop(item)
    x1, y1, x2, y2 = (int(side) for side in item.box_xyxy)
    assert crop.shape == (y2 - y1, x2 - x1, 3)
    assert np.abs(crop.astype(int) - large[y1:y2, x1:x2]).mean() < 3


def test_crop_over_the_limit_of_pixels_is_at_reduced_scale(tiny_bundle: Path) -> None:
    large = upright(2048)
    limits = DecodeLimits(max_pixels=large.shape[0] * large.shape[1] // 2)
    box = (256.0, 256.0, 512.0, 512.0)
    crop = Original.of(encoded(large), limits).crop(box)
    assert crop.shape == (128, 128, 3)
    np.testing.assert_allclose(crop.mean((0, 1)), RED, atol=6)


def test_crop_copies_what_an_array_holds_then(recognizer: Recognizer) -> None:
    frame = upright()
    answer = recognizer.recognize(frame, **STRICT)
    crop = answer.crop((0, 0, 10, 10))
    assert not np.shares_memory(crop, frame)
    frame[:10, :10] = 7
    assert (crop == 255).all()
    assert (answer.crop((0, 0, 10, 10)) == 7).all()


def test_crop_takes_dropped_boxes(recognizer: Recognizer) -> None:
    answer = recognizer.recognize(upright(), **STRICT, max_boxes=1)
    assert [box.reason for box in answer.dropped] == ["max_boxes"] * 2
    assert all(answer.crop(box).size for box in answer.dropped)


def test_crop_says_why_an_image_cannot_be_read_again(recognizer: Recognizer, tmp_path: Path) -> None:
    content = encoded(upright())
    with pytest.raises(ImageError, match="a stream, which is read once: pass its bytes"):
        recognizer.recognize(BytesIO(content)).crop((0, 0, 9, 9))
    path = tmp_path / "frame.jpg"
    path.write_bytes(content)
    answer = recognizer.recognize(path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ImageError, match=r"frame\.jpg: has changed since it was recognized"):
        answer.crop((0, 0, 9, 9))
    path.unlink()
    with pytest.raises(ImageError, match=r"frame\.jpg"):
        answer.crop((0, 0, 9, 9))


COPIES: list[Callable[[Recognition], Recognition]] = [
    lambda answer: pickle.loads(pickle.dumps(answer)),
    copy.copy,
    copy.deepcopy,
]


@pytest.mark.parametrize("copied", COPIES, ids=["pickle", "copy", "deepcopy"])
def test_copied_answer_is_without_its_image(
    recognizer: Recognizer, copied: Callable[[Recognition], Recognition]
) -> None:
    answer = recognizer.recognize(BytesIO(encoded(upright())), **STRICT)
    other = copied(answer)
    assert other == answer
    with pytest.raises(ImageError, match="a copied answer is without its image"):
        other.crop(other.items[0])


def test_as_dict_is_without_the_image(recognizer: Recognizer) -> None:
    answer = recognizer.recognize(upright(), **STRICT)
    assert set(answer.as_dict()) == {"items", "dropped", "width", "height", "stage_ms", "made_by"} | {
        "calibration",
        "threshold",
        "second_look",
        "hint",
        "tiles_left_out",
    }
    assert "_cut" not in repr(answer)


@pytest.mark.parametrize("box", [(300, 300, 400, 400), (5, 5, 5, 9), (0, 0, float("nan"), 9), (1, 2, 3), "box", None])
def test_crop_refuses_boxes_outside_the_image(recognizer: Recognizer, box: Any) -> None:
    with pytest.raises(OptionError, match="box"):
        recognizer.recognize(upright()).crop(box)
