"""Where things are after cropping, turning and mirroring: a drawn block's pixels against its box."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from training.detector.augment import _ZOOM, _moved, _tiles, _window, augment
from training.detector.photos import Photo

BLOCK = (30, 20, 70, 90)


def photo(*boxes: tuple[int, ...]) -> Photo:
    pixels = np.full((120, 160, 3), 60, np.uint8)
    for x1, y1, x2, y2 in boxes:
        pixels[y1:y2, x1:x2] = 230
    return Photo("drawn", pixels, np.array(boxes, np.float32).reshape(len(boxes), 4))


def test_boxes_go_where_the_pixels_go() -> None:
    exact = slight = lost = 0
    for seed in range(300):
        matrix = _window(photo(BLOCK), 128, 96, _ZOOM, np.random.default_rng(seed))
        mask = np.zeros((120, 160), np.uint8)
        mask[BLOCK[1] : BLOCK[3], BLOCK[0] : BLOCK[2]] = 255
        # Edges of boxes lie between pixels, cv2's coordinates are of pixel centers.
        shifted = matrix + np.array([[0, 0, 1], [0, 0, 1]]) * (matrix[:, :2].sum(axis=1, keepdims=True) - 1) / 2
        rows, columns = np.nonzero(cv2.warpAffine(mask, shifted, (128, 96)) > 127)
        found = _moved(photo(BLOCK).boxes_xyxy, matrix, 128, 96)
        if not len(found):
            lost += 1
            continue
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        turned = np.abs(matrix[:, :2]).min() > 1e-9
        # A slight turn of at most 8° makes the block's own box larger than the one that is kept.
        tolerance = 8 if turned or np.abs(matrix[0, 0] * matrix[0, 1]) > 1e-9 else 1.5
        np.testing.assert_allclose(found[0], seen, atol=tolerance)
        exact, slight = exact + (tolerance == 1.5), slight + (tolerance > 1.5)
    assert exact > 150
    assert slight > 50
    assert lost < 60


def test_things_get_as_narrow_and_as_broad_as_in_wide_and_tall_photos_made_square() -> None:
    shapes = []
    for seed in range(200):
        matrix = _window(photo(BLOCK), 96, 96, _ZOOM, np.random.default_rng(seed))[:, :2]
        seen = np.abs(matrix) @ np.array([120.0, 120.0])  # a square block, of a photo of 160 x 120
        shapes.append(seen[0] / seen[1])
    narrowest, broadest = np.percentile(shapes, [3, 97])
    assert narrowest < 9 / 16
    assert broadest > 16 / 9


@pytest.mark.parametrize("tiles", [1, 2, 4])
def test_images(tiles: int) -> None:
    counts = []
    for seed in range(40):
        pixels, boxes = augment([photo(BLOCK, (100, 30, 140, 80))] * tiles, (96, 128), np.random.default_rng(seed))
        assert pixels.shape == (96, 128, 3)
        assert pixels.dtype == np.uint8
        assert boxes.dtype == np.float32
        assert (boxes >= 0).all()
        assert (boxes <= [128, 96, 128, 96]).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 4).all()
        counts.append(len(boxes))
    assert tiles <= np.mean(counts) <= 2 * tiles
    assert min(counts) >= tiles - 1


def test_same_seed_same_image() -> None:
    one, two = (augment([photo(BLOCK)], (64, 64), np.random.default_rng(5)) for _ in range(2))
    other = augment([photo(BLOCK)], (64, 64), np.random.default_rng(6))
    assert (one[0] == two[0]).all()
    assert (one[1] == two[1]).all()
    assert (one[0] != other[0]).any()


def test_a_photo_of_nothing() -> None:
    pixels, boxes = augment([photo()], (64, 64), np.random.default_rng(0))
    assert pixels.shape == (64, 64, 3)
    assert boxes.shape == (0, 4)


@pytest.mark.parametrize("count", [1, 2, 4, 9, 16])
def test_places_of_photos_cover_the_image_once(count: int) -> None:
    for seed in range(20):
        covered = np.zeros((90, 140), int)
        places = _tiles(count, 90, 140, np.random.default_rng(seed))
        for x1, y1, x2, y2 in places:
            covered[y1:y2, x1:x2] += 1
            assert min(x2 - x1, y2 - y1) >= 0.39 * min(90, 140) / np.ceil(np.sqrt(count))
        assert len(places) == count
        assert (covered == 1).all()


def test_sixteen_photos_show_each_thing_in_enough_pixels() -> None:
    """A block of 53 px in a photo of 160 × 120 would be 7 px in a cell of 24 × 24 seen through the largest window."""
    sides = []
    for seed in range(10):
        _, boxes = augment([photo(BLOCK)] * 16, (96, 96), np.random.default_rng(seed))
        sides += np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)).tolist()
    assert np.median(sides) > 10
    assert np.mean(np.array(sides) < 8) < 0.15
