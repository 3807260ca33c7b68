"""Tiles: an ideal detector on drawn scenes of known truth, whose objects lie on seams; then the real one."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge import Recognizer, View
from shitu_edge.bundle.built_in import SAMPLES
from shitu_edge.bundle.networks import DEFAULT_BUNDLE
from shitu_edge.engines import ENGINES, EngineName
from shitu_edge.results import Detections
from shitu_edge.stages.decode import decode
from shitu_edge.stages.detect import Detector
from shitu_edge.stages.shapes import distortion
from shitu_edge.stages.tiles import join, lay, look, median_size, merge
from shitu_edge.stages.view import TileCount

Box = tuple[int, int, int, int]


class Ideal:
    """Finds each color that is not black, cut or not, unless it is smaller than a share of what it is shown."""

    score_threshold = 0.5
    max_boxes = 5

    def __init__(self, least: float = 0.035, aspect: tuple[int, int] = (288, 448)) -> None:
        self.least = least
        self.aspect = aspect
        self.runs = 0

    def detect_all(self, pixels_rgb: NDArray[np.uint8], score_threshold: float) -> Detections:
        self.runs += 1
        height, width = pixels_rgb.shape[:2]
        boxes = []
        for color in np.unique(pixels_rgb[..., 0]):
            rows, columns = np.nonzero(pixels_rgb[..., 0] == color)
            box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            if color and max((box[2] - box[0]) / width, (box[3] - box[1]) / height) >= self.least:
                boxes.append(box)
        scores = np.linspace(0.9, 0.8, len(boxes), dtype=np.float32)
        return Detections(np.array(boxes, np.float32).reshape(-1, 4), scores, np.zeros(len(boxes), np.int32))

    def distortion(self, height: float, width: float) -> float:
        return distortion(self.aspect, (height, width))


def scene(size: tuple[int, int], boxes: list[Box]) -> NDArray[np.uint8]:
    """Draw each box in a color of its own."""
    pixels = np.zeros((*size, 3), np.uint8)
    for number, (x1, y1, x2, y2) in enumerate(boxes, start=1):
        pixels[y1:y2, x1:x2] = number
    return pixels


def laid(area: tuple[int, int, int, int], count: int, aspect: tuple[int, int] = (288, 448)) -> list[Box]:
    return list(lay(area, count, cast(Detector, Ideal(aspect=aspect))))


def seams(tiles: int, size: tuple[int, int]) -> tuple[list[int], list[int]]:
    """Return the inner sides of tiles: x, y."""
    height, width = size
    layout = laid((0, 0, width, height), tiles)
    across, down = (sorted({tile[side] for tile in layout for side in (axis, axis + 2)}) for axis in (0, 1))
    return across[1:-1], down[1:-1]


def placed(centers: list[tuple[int, int]], width: int, height: int, size: tuple[int, int]) -> list[Box]:
    """Return boxes of a size around centers, without those that would meet another or leave the image."""
    boxes: list[Box] = []
    for x, y in centers:
        box = x - width // 2, y - height // 2, x - width // 2 + width, y - height // 2 + height
        apart = all(box[0] > b[2] + 4 or box[2] < b[0] - 4 or box[1] > b[3] + 4 or box[3] < b[1] - 4 for b in boxes)
        if apart and min(box) >= 0 and box[2] <= size[1] and box[3] <= size[0]:
            boxes.append(box)
    return boxes


def found_in(detector: Ideal, pixels: NDArray[np.uint8], tiles: TileCount) -> list[Box]:
    height, width = pixels.shape[:2]
    found = look(cast(Detector, detector), pixels, (0, 0, width, height), tiles, None).found
    return sorted((x1, y1, x2, y2) for x1, y1, x2, y2 in found.boxes_xyxy.astype(int).tolist())


@pytest.mark.parametrize("share", [0.04, 0.1, 0.2, 0.5])
@pytest.mark.parametrize("size", [(720, 1280), (1333, 1000), (500, 500)])
@pytest.mark.parametrize("tiles", [2, 3, 4, 6, 8, 12])
def test_look_finds_objects_on_seams_once_and_whole(tiles: int, size: tuple[int, int], share: float) -> None:
    """Objects of all sizes, their centers on seams and crossings of seams."""
    across, down = seams(tiles, size)
    lines = across or [size[1] // 2], down or [size[0] // 2]
    side = round(share * min(size))
    truth = placed(list(itertools.product(*lines)), side, side, size)
    assert truth
    detector = Ideal()
    assert found_in(detector, scene(size, truth), tiles) == sorted(truth)
    assert detector.runs == tiles + 1


@pytest.mark.parametrize("allowed", [0, 1, 4, 6])
def test_look_leaves_out_tiles_that_there_is_no_time_for(allowed: int) -> None:
    """Objects of the first tiles are found, and those that the whole shows; all is as without a limit if all fit."""
    truth = placed(list(itertools.product([200, 640, 900], [200, 360, 500])), 28, 28, (720, 1280))
    truth.append((1000, 560, 1200, 700))
    detector, asked = Ideal(0.06), []

    def leaves_time(run_ms: float, boxes: int) -> bool:
        asked.append((run_ms, boxes))
        return len(asked) <= allowed

    pixels, area = scene((720, 1280), truth), (0, 0, 1280, 720)
    looked = look(cast(Detector, detector), pixels, area, 6, None, leaves_time)
    assert (looked.tiles, looked.left_out, detector.runs) == (6, 6 - allowed, allowed + 1)
    assert all(run_ms > 0 for run_ms, _ in asked)
    assert [boxes for _, boxes in asked] == sorted(boxes for _, boxes in asked)
    assert asked[0][1] == 1
    found = sorted(tuple(box) for box in looked.found.boxes_xyxy.astype(int).tolist())
    assert truth[-1] in found
    assert set(found) <= set(truth)
    assert (found == sorted(truth)) == (allowed == 6)


def test_look_misses_small_objects_without_tiles() -> None:
    truth = placed(list(itertools.product([200, 640, 900], [200, 360, 500])), 28, 28, (720, 1280))
    assert found_in(Ideal(0.06), scene((720, 1280), truth), 1) == []
    assert found_in(Ideal(0.06), scene((720, 1280), truth), 6) == sorted(truth)


def test_look_finds_the_same_at_any_number_of_tiles() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        size = (int(random.integers(300, 900)), int(random.integers(300, 900)))
        side = int(random.integers(60, 260))
        truth = placed(random.integers(0, 900, (40, 2)).tolist(), side, side + 20, size)
        for tiles in (1, 2, 4, 6, 9):
            assert found_in(Ideal(), scene(size, truth), tiles) == sorted(truth)


def test_lay_covers_the_area_with_a_quarter_of_overlap() -> None:
    for count, size in itertools.product(range(1, 20), [(720, 1280), (1333, 1000), (40, 30), (3, 2), (1, 1)]):
        layout = laid((5, 7, 5 + size[1], 7 + size[0]), count)
        assert len(layout) == count
        covered = np.zeros((7 + size[0], 5 + size[1]), bool)
        for x1, y1, x2, y2 in layout:
            assert 5 <= x1 < x2 <= 5 + size[1]
            assert 7 <= y1 < y2 <= 7 + size[0]
            covered[y1:y2, x1:x2] = True
        assert covered[7:, 5:].all()


def test_lay_takes_rows_and_columns_that_distort_least() -> None:
    layout = laid((0, 0, 1280, 720), 6)
    assert layout[0] == (0, 0, 512, 411)
    assert len({tile[0] for tile in layout}) == 3
    layout = laid((0, 0, 720, 1280), 6, aspect=(352, 352))
    assert len({tile[0] for tile in layout}) == 2


def detections(*rows: tuple[float, float, float, float, float]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 5)
    return Detections(table[:, :4], table[:, 4], np.zeros(len(table), np.int32))


LAYOUT = [(0, 0, 400, 400), (300, 0, 700, 400), (600, 0, 1000, 400)]


@pytest.mark.parametrize(
    ("scores", "kept"),
    [((0.9, 0.8, 0.8), "parts"), ((0.9, 0.8, 0.7), "whole"), ((0.5, 0.9, 0.9), "whole"), ((0.9, 0.8), "whole")],
)
def test_merge_of_a_large_box_and_what_it_holds(scores: tuple[float, ...], kept: str) -> None:
    """It stays unless three objects in it are about as sure."""
    whole = detections((100, 50, 500, 350, 0.85))
    parts = detections(*((120 + 120 * n, 100, 200 + 120 * n, 300, score) for n, score in enumerate(scores)))
    found = merge(whole, parts, LAYOUT)
    expected = parts if kept == "parts" else whole
    assert sorted(found.boxes_xyxy.tolist()) == sorted(expected.boxes_xyxy.tolist())


@pytest.mark.parametrize(("score", "kept"), [(0.55, 1), (0.7, 2)])
def test_merge_keeps_what_is_much_surer_than_the_large_box_around_it(score: float, kept: int) -> None:
    """A shadow over half of the counter, and a product in it."""
    whole, product = detections((100, 50, 500, 350, 0.4)), detections((120, 100, 200, 300, score))
    assert len(merge(whole, product, LAYOUT)) == kept


def test_merge_keeps_parts_of_an_object_that_tiles_hold() -> None:
    """A small box of the whole image and a cap on it: both looks saw the object, so neither knows better."""
    whole, cap = detections((110, 100, 190, 300, 0.8)), detections((130, 100, 170, 140, 0.7))
    assert len(merge(whole, cap, LAYOUT)) == 2
    assert len(merge(detections(), cap, LAYOUT)) == 1
    assert len(merge(whole, detections(), LAYOUT)) == 1


def test_join_drops_what_a_seam_leaves_of_an_object() -> None:
    """The third tile shows the right end of a bottle that lies across its seam, the second one all of it."""
    bottle, end = detections((450, 100, 690, 180, 0.8)), detections((606, 104, 688, 178, 0.8))
    found = join([detections(), bottle, end], LAYOUT)
    assert found.boxes_xyxy.tolist() == bottle.boxes_xyxy.tolist()
    much_surer = detections((606, 104, 688, 178, 1.01))
    assert len(join([detections(), bottle, much_surer], LAYOUT)) == 2


def test_join_keeps_parts_of_an_object_that_the_same_tile_shows() -> None:
    whole, cap = (310, 100, 390, 300, 0.8), (320, 110, 350, 140, 0.7)
    assert len(join([detections(whole), detections(cap)], LAYOUT)) == 2, "the second tile holds the whole too"
    assert len(join([detections(), detections(whole, cap)], LAYOUT)) == 2


def test_join_keeps_what_a_crowd_holds_and_one_of_two_equal_boxes() -> None:
    crowd = detections((310, 100, 690, 300, 0.8))
    things = detections(*((605 + 30 * n, 120, 630 + 30 * n, 280, 0.78) for n in range(3)))
    assert len(join([detections(), crowd, things], LAYOUT)) == 4
    left, right = (detections(*((x + 40 * n, 120, x + 30 + 40 * n, 280, 0.78) for n in range(2))) for x in (320, 610))
    assert len(join([left, crowd, right], LAYOUT)) == 5, "of any tiles"
    one, other = detections((590, 100, 690, 200, 0.8)), detections((600, 100, 700, 200, 0.7))
    assert len(join([detections(), one, other], LAYOUT)) == 2, "suppression decides"


def test_join_of_fewer_tiles_than_were_planned() -> None:
    assert len(join([detections((10, 10, 50, 50, 0.5))], LAYOUT)) == 1


def test_merge_keeps_classes_apart() -> None:
    one, other = detections((110, 100, 190, 300, 0.8)), detections((110, 100, 190, 300, 0.7))
    other = Detections(other.boxes_xyxy, other.scores, np.ones(1, np.int32))
    assert merge(one, other, LAYOUT).class_ids.tolist() == [0, 1]


def test_look_takes_tiles_by_itself_if_most_objects_are_small() -> None:
    small = [(100 * n, 100, 100 * n + 60, 160) for n in range(8)]
    large = [(0, 400, 500, 900), (500, 400, 1000, 900)]
    for boxes, runs in ((small, 7), (large, 1), ([*small, *large], 7), ([*small[:1], *large], 1), ([], 1)):
        detector = Ideal()
        assert found_in(detector, scene((1000, 1000), boxes), "auto") == sorted(boxes)
        assert detector.runs == runs


def test_median_size_of_nothing_is_large() -> None:
    assert median_size(detections().boxes_xyxy, (0, 0, 10, 10)) == 1


@pytest.fixture(scope="module", params=ENGINES)
def built_in(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip(request.param, exc_type=ImportError)
    name: EngineName = request.param
    with Recognizer.open(DEFAULT_BUNDLE, engine=name, precision="fp32") as recognizer:
        yield recognizer


def test_detect_with_a_view_of_all_changes_nothing(built_in: Recognizer) -> None:
    for path in sorted(Path(SAMPLES, "scenes").glob("*.jpg")):
        pixels = decode(path).pixels_rgb
        expected = built_in._detector.detect(pixels)
        for view in (None, View(), View(tiles=1, max_size=1, min_size=0)):
            found = built_in.detect(pixels, view=view)
            assert np.array_equal(found.boxes_xyxy, expected.boxes_xyxy)
            assert np.array_equal(found.scores, expected.scores)


@pytest.mark.parametrize("tiles", [6, 8])
def test_detect_finds_products_on_seams_once(built_in: Recognizer, tiles: int) -> None:
    """Photos of products, pasted onto a plain counter with their centers on the seams of the tiles."""
    size = (720, 1280)
    across, down = seams(tiles, size)
    lines = across or [320, 960], (down or [360]) + [130, 590]
    side = 130
    truth = placed(list(itertools.product(*lines)), side, side, size)
    assert len(truth) >= 6
    pixels = np.full((*size, 3), 205, np.uint8)
    for (x1, y1, x2, y2), path in zip(truth, sorted(Path(SAMPLES, "gallery").glob("*/*.jpg"))[::3], strict=False):
        photo = decode(path).pixels_rgb
        picked = np.arange(side) * photo.shape[0] // side
        pixels[y1:y2, x1:x2] = photo[picked][:, picked]
    found = built_in.detect(pixels, view=View(tiles=tiles), max_boxes=100).boxes_xyxy
    centers = (found[:, :2] + found[:, 2:]) / 2
    inside = [((centers >= box[:2]) & (centers <= box[2:])).all(axis=1).sum() for box in truth]
    assert inside == [1] * len(truth)
    assert len(found) == len(truth)
