"""Which boxes of a teacher are believed, with a teacher that finds red blocks."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge.imaging.geometry import iou
from shitu_edge.results import Detections
from shitu_edge.stages.detect import Detector
from training.detector.photos import read_photos, read_rgb
from training.paste.pseudo_labels import LOOSE, PACKAGES, grocery_photos, label_photos, trusted_box
from training.paste.teacher import open_localizer

from .drawn import write_rgb

Pixels = NDArray[np.uint8]


class RedBlocks:
    """Finds red blocks, the largest first; their scores are given; `shift` moves the boxes of every look but one."""

    def __init__(self, scores: tuple[float, ...] = (0.9, 0.1), shift: float = 0, steady_look: int = 0) -> None:
        self._scores, self._shift, self._steady_look, self._looks = scores, shift, steady_look, 0

    def detect(self, pixels_rgb: Pixels) -> Detections:
        red = (pixels_rgb[..., 0] > 150) & (pixels_rgb[..., 1] < 90)
        boxes = np.array(
            [
                (x, y, x + width, y + height)
                for x, y, width, height, area in cv2.connectedComponentsWithStats(red.astype(np.uint8))[2][1:]
                if area > 20
            ],
            np.float32,
        ).reshape(-1, 4)
        order = np.argsort(-np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
        boxes = boxes[order] + (0 if self._looks == self._steady_look else self._shift)
        self._looks += 1
        return Detections(
            boxes.astype(np.float32), np.array(self._scores[: len(boxes)], np.float32), np.zeros(len(boxes), np.int32)
        )


def teacher(*arguments: object) -> Detector:
    return cast(Detector, RedBlocks(*arguments))  # type: ignore[arg-type]


def shop(*blocks: tuple[int, int, int, int], height: int = 160, width: int = 200) -> Pixels:
    image = np.full((height, width, 3), 120, np.uint8)
    for x0, y0, x1, y1 in blocks:
        image[y0:y1, x0:x1] = (220, 20, 20)
    return image


MILK, FAR = (60, 30, 110, 130), (150, 20, 165, 40)


def test_a_box_on_which_all_looks_agree_is_believed() -> None:
    box = trusted_box(teacher(), shop(MILK, FAR), PACKAGES)
    assert box is not None
    np.testing.assert_allclose(box, MILK, atol=0.01)


@pytest.mark.parametrize(
    ("scores", "shift", "image"),
    [
        ((0.4,), 0, shop(MILK)),  # not sure
        ((0.9, 0.5), 0, shop(MILK, FAR)),  # a rival
        ((0.9,), 12, shop(MILK)),  # another box in the mirror
        ((0.9,), 0, shop((0, 0, 200, 160))),  # all of the photo
        ((0.9,), 0, shop()),  # nothing
    ],
)
def test_others_are_not(scores: tuple[float, ...], shift: float, image: Pixels) -> None:
    assert trusted_box(teacher(scores, shift), image, PACKAGES) is None


def test_loose_goods_must_be_surer_and_smaller() -> None:
    assert trusted_box(teacher((0.8,)), shop(MILK), PACKAGES) is not None
    assert trusted_box(teacher((0.8,)), shop(MILK), LOOSE) is None
    assert trusted_box(teacher((0.9,)), shop(MILK), LOOSE) is not None
    crate = (10, 10, 190, 140)
    assert trusted_box(teacher((0.9,)), shop(crate), PACKAGES) is not None
    assert trusted_box(teacher((0.9,)), shop(crate), LOOSE) is None


def test_trusted_photos_are_written_around_their_box(tmp_path: Path) -> None:
    photos = [tmp_path / f"in/Packages/Milk/{number}.jpg" for number in range(3)]
    large = shop((300, 900, 500, 1300), height=1600, width=1200)
    for photo, image in zip(photos, (shop(MILK), shop(), large), strict=True):
        write_rgb(photo, image)
    told: list[tuple[int, int]] = []
    written = label_photos(photos, tmp_path / "out", teacher(), lambda done, total: told.append((done, total)))
    assert written == 2
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert sorted(path.name for path in (tmp_path / "out/labels").iterdir()) == ["000000.txt", "000002.txt"]
    milk, big = read_photos(tmp_path / "out", ["000000.jpg", "000002.jpg"])
    # Four tenths of 100 pixels are kept on each side, as far as there are any: columns 20 to 150, rows 0 to 160.
    assert milk.pixels_rgb.shape == (160, 130, 3)
    np.testing.assert_allclose(milk.boxes_xyxy, [[40, 30, 90, 130]], atol=1.5)
    assert max(big.pixels_rgb.shape) == 448
    x0, y0, x1, y1 = np.rint(big.boxes_xyxy[0]).astype(int)
    assert (big.pixels_rgb[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3, 0] > 180).all()
    assert (big.pixels_rgb[: y0 - 3, :, 0] < 160).all()


def test_photos_of_the_test_split_are_never_listed(tmp_path: Path) -> None:
    base = tmp_path / "data/grocery"
    base.mkdir(parents=True)
    for split in ("train", "val", "test_dev"):
        (base / f"{split}.txt").write_text(f"{split}/Fruit/Lime/Lime_001.jpg, 3, 2\n", "utf-8")
    names = [photo.relative_to(base).as_posix() for photo in grocery_photos(tmp_path)]
    assert names == ["images/train/Fruit/Lime/Lime_001.jpg", "images/val/Fruit/Lime/Lime_001.jpg"]


@pytest.mark.shared_data
def test_the_localizer_finds_a_package_in_a_catalog_image(shared: Path) -> None:
    localizer = open_localizer(shared / "models/mobile_object_localizer.onnx")
    file = next((shared / "data/grocery/images/iconic/Packages").rglob("Bravo-Apple-Juice_Iconic.jpg"))
    pixels = read_rgb(file)
    rows, columns = np.nonzero(pixels.min(axis=2) < 235)
    carton = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float32)
    found = localizer.detect(pixels)
    assert iou(carton, found.boxes_xyxy[:1])[0] > 0.75
