"""Recognizing with a view: what counts, in full-image pixels, on both engines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from shitu_edge import EmptyCounter, OptionError, Recognition, Recognizer, View
from shitu_edge.engines import ENGINES, EngineName
from shitu_edge.results import Detections
from shitu_edge.stages.survey import Survey

CELL = 32
DARK = (30, 30, 190)
CORNERS = ((1, 1), (5, 1), (1, 5), (5, 5))


def counter(*things: tuple[int, int], side: int = 256) -> NDArray[np.uint8]:
    """Return a white counter with dark squares in cells (column, row) of 8 × 8."""
    pixels = np.full((side, side, 3), 255, np.uint8)
    cell = side // 8
    for column, row in things:
        pixels[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = DARK
    return pixels


@pytest.fixture(scope="module", params=ENGINES)
def recognizer(
    request: pytest.FixtureRequest, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recognizer]:
    pytest.importorskip(request.param, exc_type=ImportError)
    engine: EngineName = request.param
    path = tmp_path_factory.mktemp("view") / "shop.gallery"
    with Recognizer.open(tiny_bundle, engine=engine) as embedder:
        embedder.create_gallery(path).close()
    with Recognizer.open(tiny_bundle, path, engine=engine) as opened:
        opened.enroll("blue", counter((1, 1))[16:80, 16:80], crop=False)
        yield opened


OPTIONS: dict[str, Any] = {"threshold": 0.8, "whole_image": "never", "suppression_iou": 0.3, "max_boxes": 50}


def centers(rows: Any) -> list[tuple[int, int]]:
    """Return the centers of boxes, in cells."""
    return sorted(
        (int((row.box_xyxy[0] + row.box_xyxy[2]) / 64), int((row.box_xyxy[1] + row.box_xyxy[3]) / 64)) for row in rows
    )


def reasons(answer: Recognition) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[Any]] = {}
    for box in answer.dropped:
        found.setdefault(box.reason, []).append(box)
    return {reason: centers(some) for reason, some in found.items()}


def test_recognize_counts_all_without_a_view(recognizer: Recognizer) -> None:
    answer = recognizer.recognize(counter(*CORNERS), **OPTIONS)
    assert centers(answer.items) == sorted(CORNERS)
    assert answer.dropped == ()


def test_recognize_drops_what_lies_outside_the_region(recognizer: Recognizer) -> None:
    view = View([(0, 0), (1, 0), (1, 1), (0.95, 1), (0.95, 0.5), (0, 0.5)])
    answer = recognizer.recognize(counter(*CORNERS), **OPTIONS, view=view)
    assert centers(answer.items) == [(1, 1), (5, 1)]
    assert reasons(answer) == {"outside": [(1, 5), (5, 5)]}
    np.testing.assert_allclose(sorted(item.box_xyxy for item in answer.items)[0], (16, 16, 80, 80), atol=1)


def test_recognize_drops_what_lies_in_a_zone_to_ignore(recognizer: Recognizer) -> None:
    view = View(ignore=[(0, 0.5, 0.5, 1), (0.5, 0, 1, 0.5)])
    answer = recognizer.recognize(counter(*CORNERS), **OPTIONS, view=view)
    assert centers(answer.items) == [(1, 1), (5, 5)]
    assert reasons(answer) == {"ignored": [(1, 5), (5, 1)]}
    assert "its center lies in a zone to ignore" in "\n".join(answer.explain())


def test_recognize_drops_what_the_empty_counter_shows(recognizer: Recognizer) -> None:
    """Two things belong to the counter; another is put down, and one is put in front of one of them."""
    view = View(empty=EmptyCounter.of(counter((1, 1), (5, 5), side=1024)))
    answer = recognizer.recognize(counter((1, 1), (5, 5), (1, 5)), **OPTIONS, view=view)
    assert centers(answer.items) == [(1, 5)]
    assert reasons(answer) == {"background": [(1, 1), (5, 5)]}
    assert "it shows just what the empty counter shows there" in "\n".join(answer.explain())
    assert centers(recognizer.detect(counter((1, 1), (5, 5), (1, 5)), view=view)) == [(1, 5)]
    covered = counter((1, 1), (5, 5))
    covered[176:192, 160:192] = (200, 30, 30)
    assert (5, 5) in centers(recognizer.recognize(covered, **OPTIONS, view=view).items)


def test_background_does_not_let_the_whole_image_stand_in(recognizer: Recognizer) -> None:
    view = View(empty=EmptyCounter.of(counter((1, 1), side=1024)))
    answer = recognizer.recognize(counter((1, 1)), **(OPTIONS | {"whole_image": "fallback"}), view=view)
    assert answer.items == ()
    assert set(reasons(answer)) == {"background"}


def test_deadline_leaves_out_tiles_and_says_so(recognizer: Recognizer) -> None:
    view = View(tiles=6)
    late = recognizer.recognize(counter((1, 1)), **OPTIONS, view=view, deadline_ms=0)
    assert late.tiles_left_out == 6
    assert "No time for 6 tiles" in "\n".join(late.explain())
    assert late.as_dict()["tiles_left_out"] == 6
    easy = recognizer.recognize(counter((1, 1)), **OPTIONS, view=view, deadline_ms=60_000)
    plain = recognizer.recognize(counter((1, 1)), **OPTIONS, view=view)
    assert easy.tiles_left_out == plain.tiles_left_out == 0
    assert easy.items == plain.items


@pytest.mark.parametrize(("given", "reason"), [({"min_size": 0.3}, "too_small"), ({"max_size": 0.2}, "too_large")])
def test_recognize_drops_what_is_too_small_or_large(recognizer: Recognizer, given: Any, reason: str) -> None:
    answer = recognizer.recognize(counter((1, 1)), **OPTIONS, view=View(**given))
    assert answer.items == ()
    assert reasons(answer) == {reason: [(1, 1)]}
    assert answer.as_dict()["dropped"][0]["reason"] == reason


def test_recognize_returns_boxes_of_a_region_in_pixels_of_the_image(recognizer: Recognizer) -> None:
    """The region is seen larger, so that the boxes fit closer; they still surround the thing."""
    answer = recognizer.recognize(counter((5, 5)), **OPTIONS, view=View((0.55, 0.55, 0.85, 0.85)))
    assert answer.items
    assert (answer.width, answer.height) == (256, 256)
    for item in answer.items:
        x1, y1, x2, y2 = item.box_xyxy
        assert 128 <= x1 < x2 <= 224
        assert 128 <= y1 < y2 <= 224


def test_max_boxes_counts_what_the_view_keeps(recognizer: Recognizer) -> None:
    view = View(ignore=[(0, 0, 1, 0.5)])
    answer = recognizer.recognize(counter(*CORNERS), **(OPTIONS | {"max_boxes": 2}), view=view)
    assert centers(answer.items) == [(1, 5), (5, 5)]


def test_whole_image_stands_in_only_if_nothing_is_found(recognizer: Recognizer) -> None:
    view, options = View((0, 0, 0.5, 0.5), ignore=[(0, 0, 0.5, 0.5)]), OPTIONS | {"whole_image": "fallback"}
    answer = recognizer.recognize(counter((1, 1)), **options, view=view)
    assert set(reasons(answer)) == {"ignored"}
    answer = recognizer.recognize(counter(), **options, view=view)
    [whole] = answer.dropped
    assert whole.box_xyxy == (0, 0, 141, 141)


def test_view_of_a_call_takes_the_place_of_that_of_open(recognizer: Recognizer, tiny_bundle: Path) -> None:
    lower = View(ignore=[(0, 0, 1, 0.5)])
    with Recognizer.open(tiny_bundle, recognizer.gallery, view=lower) as opened:
        assert centers(opened.recognize(counter(*CORNERS), **OPTIONS).items) == [(1, 5), (5, 5)]
        assert centers(opened.recognize(counter(*CORNERS), **OPTIONS, view=View()).items) == sorted(CORNERS)
        assert centers(opened.detect(counter(*CORNERS))) == [(1, 5), (5, 5)]
        assert centers(opened.detect(counter(*CORNERS), view=View())) == sorted(CORNERS)
        assert opened.view == lower


@pytest.mark.parametrize("view", ["auto", {"region": None}, (0, 0, 1, 1), View])
def test_recognizer_refuses_what_is_no_view(recognizer: Recognizer, tiny_bundle: Path, view: Any) -> None:
    with pytest.raises(OptionError, match="view: expected a View, found"):
        recognizer.recognize(counter(), view=view)
    with pytest.raises(OptionError, match="view: expected a View, found"):
        recognizer.detect(counter(), view=view)
    with pytest.raises(OptionError, match="view: expected a View, found"):
        Recognizer.open(tiny_bundle, view=view)


def test_view_holds_for_the_upright_image(recognizer: Recognizer) -> None:
    """A photo that is stored turned: the region holds for the upright one."""
    upright = counter((1, 1), (5, 1))
    stream, exif = BytesIO(), Image.Exif()
    exif[0x0112] = 6  # turn by 90° to the right
    Image.fromarray(np.rot90(upright).copy()).save(stream, "PNG", exif=exif)
    view = View((0, 0, 0.5, 0.5))
    answer = recognizer.recognize(stream.getvalue(), **OPTIONS, view=view)
    plain = recognizer.recognize(upright, **OPTIONS, view=view)
    assert answer.items
    assert [item.box_xyxy for item in answer.items] == [item.box_xyxy for item in plain.items]


def test_decode_keeps_the_pixels_that_a_view_needs(recognizer: Recognizer) -> None:
    stream = BytesIO()
    Image.fromarray(counter((1, 1), (5, 5), side=4096)).save(stream, "JPEG", quality=90)
    decoded = [recognizer._decode(stream.getvalue(), "auto", view.zoom) for view in (View(), View((0, 0, 0.2, 1)))]
    assert decoded[0].pixels_rgb.shape[0] < decoded[1].pixels_rgb.shape[0]
    answer = recognizer.recognize(stream.getvalue(), **OPTIONS, view=View((0, 0, 0.5, 0.5)))
    assert answer.items
    for item in answer.items:
        assert 100 < item.box_xyxy[0] < item.box_xyxy[2] < 1400


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (5, 7)])
@pytest.mark.parametrize("view", [View(tiles=64), View((0.4, 0.4, 0.6, 0.6), tiles="auto"), View((0, 0, 0.01, 0.01))])
def test_recognize_looks_at_tiny_images_in_any_view(recognizer: Recognizer, size: tuple[int, int], view: View) -> None:
    pixels = np.full((*size, 3), 20, np.uint8)
    answer = recognizer.recognize(pixels, **(OPTIONS | {"whole_image": "always"}), view=view)
    for x1, y1, x2, y2 in [item.box_xyxy for item in answer.items] + [box.box_xyxy for box in answer.dropped]:
        assert 0 <= x1 <= x2 <= size[1]
        assert 0 <= y1 <= y2 <= size[0]


def test_recognize_takes_a_view_per_thread(recognizer: Recognizer) -> None:
    pixels = counter(*CORNERS)
    views = [View(), View(tiles=4), View((0, 0, 1, 0.5)), View(ignore=[(0, 0, 1, 0.5)])]
    expected = [recognizer.recognize(pixels, **OPTIONS, view=view).items for view in views]
    found: dict[int, Any] = {}

    def run(number: int) -> None:
        for _ in range(5):
            found[number] = recognizer.recognize(pixels, **OPTIONS, view=views[number]).items

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(views))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [[item.box_xyxy for item in found[number]] for number in range(len(views))] == [
        [item.box_xyxy for item in items] for items in expected
    ]


def test_faint_detections_count_where_most_sure_ones_are_small() -> None:
    boxes = np.array([(0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10), (0, 30, 90, 90)], np.float32)
    for scores, left in (((0.8, 0.8, 0.4, 0.4), [0, 1, 2, 3]), ((0.4, 0.4, 0.8, 0.8), [2, 3]), ((0.4,) * 4, [])):
        found = Detections(boxes, np.array(scores, np.float32), np.zeros(4, np.int32))
        seen = Survey(found, (("outside", found),), (0, 0, 100, 100), 1).without_faint(0.5)
        for some in (seen.found, seen.others[0][1]):
            assert some.boxes_xyxy.tolist() == boxes[left].tolist()
