"""Calibrating from frames of a drawn counter, with the tiny detector, which finds dark squares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge import EmptyCounter, ImageError, OptionError, Recognizer, View, calibrate_camera
from shitu_edge.drawing.proposal import draw_proposal
from shitu_edge.engines import ENGINES, EngineName

Pixels = NDArray[np.uint8]
FIXTURE = (1, 1)
PLACES = ((3, 3), (5, 3), (3, 5), (5, 5), (4, 4))


def frame(*things: tuple[int, int], shift: int = 0) -> Pixels:
    """Return a counter of 512 pixels with dark squares in cells of 8 × 8, the first of which belongs to it."""
    pixels = np.full((512, 512, 3), 250, np.uint8)
    for number, (column, row) in enumerate((FIXTURE, *things)):
        color = (30, 30, 190) if number == 0 else (20, 30 + 10 * number, 150)
        pixels[row * 64 + shift : row * 64 + 64 + shift, column * 64 + shift : column * 64 + 64 + shift] = color
    return pixels


def a_day() -> list[Pixels]:
    """Return 25 frames: every fifth is empty, the others have things in changing places."""
    return [
        frame(*(() if number % 5 == 0 else (PLACES[number % 5], PLACES[(number // 5 + number) % 4])))
        for number in range(25)
    ]


@pytest.fixture(scope="module", params=ENGINES)
def recognizer(request: pytest.FixtureRequest, tiny_bundle: Path) -> Iterator[Recognizer]:
    pytest.importorskip(request.param, exc_type=ImportError)
    engine: EngineName = request.param
    with Recognizer.open(tiny_bundle, engine=engine) as opened:
        yield opened


def test_calibrate_finds_the_empty_counter_and_where_things_are_put(recognizer: Recognizer) -> None:
    found = calibrate_camera(recognizer, a_day())
    assert found.view.empty is not None
    np.testing.assert_allclose(found.view.empty.pixels_rgb, EmptyCounter.of(frame()).pixels_rgb, atol=2)
    assert (found.frames, found.empty_frames, found.unsure) == (25, 5, 0)
    assert (found.width, found.height) == (512, 512)
    assert found.count("background") >= 25
    assert found.view.region is not None
    (x1, y1), (x2, y2) = np.array(found.view.region).min(axis=0), np.array(found.view.region).max(axis=0)
    assert 0.2 < x1 < 3 / 8 < 6 / 8 < x2 < 0.95
    assert 0.2 < y1 < 3 / 8 < 6 / 8 < y2 < 0.95
    assert found.view.min_size is not None
    assert found.view.min_size < 1 / 8 / 0.6
    assert json.dumps(found.as_dict())
    assert draw_proposal(found).width >= 960


def test_calibrate_makes_a_view_that_drops_the_background_and_keeps_things(recognizer: Recognizer) -> None:
    view = calibrate_camera(recognizer, a_day()).view
    kept = recognizer.detect(frame((5, 3)), view=view).boxes_xyxy
    assert len(kept)
    centers = (kept[:, :2] + kept[:, 2:]) / 2
    assert (np.abs(centers - (352, 224)) < 64).all()
    assert len(recognizer.detect(frame(), view=view)) == 0
    assert len(recognizer.detect(frame(), view=View())) > 0


def test_calibrate_takes_empty_frames(recognizer: Recognizer) -> None:
    busy = [one for number, one in enumerate(a_day()) if number % 5]
    found = calibrate_camera(recognizer, busy, [frame(), frame()])
    assert found.view.empty is not None
    np.testing.assert_allclose(found.view.empty.pixels_rgb, EmptyCounter.of(frame()).pixels_rgb, atol=1)
    assert not any("pieced together" in note for note in found.notes)


def test_calibrate_says_what_is_unsure(recognizer: Recognizer) -> None:
    found = calibrate_camera(recognizer, [frame(PLACES[0], PLACES[3])] * 4)
    notes = "\n".join(found.notes)
    assert "Few frames, 4: 20 or more" in notes
    assert "Few objects were seen" in notes
    assert found.view.min_size is None


def test_calibrate_leaves_out_frames_after_the_camera_was_moved(recognizer: Recognizer) -> None:
    scene = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    still, elsewhere = (np.ascontiguousarray(scene[at : at + 512, at : at + 512]) for at in (0, 60))
    found = calibrate_camera(recognizer, [still] * 8 + [elsewhere] * 3)
    assert found.frames == 8
    assert [one.reason for one in found.skipped] == ["the camera stood elsewhere"] * 3
    assert any("3 of 11 frames do not show the counter" in note for note in found.notes)


def test_calibrate_skips_frames_of_another_shape_and_no_images(recognizer: Recognizer, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    found = calibrate_camera(recognizer, [tmp_path / "text.jpg", *a_day(), np.zeros((300, 600, 3), np.uint8)])
    assert found.frames == 25
    reasons = {one.source: one.reason for one in found.skipped}
    assert reasons[str(tmp_path / "text.jpg")].startswith("is not an image")
    assert reasons["frame 27"] == "is 600 × 300, another shape than 512 × 512"


def test_calibrate_refuses_what_it_cannot_use(recognizer: Recognizer) -> None:
    with pytest.raises(ImageError, match=r"^no frame of the camera can be used"):
        calibrate_camera(recognizer, [])
    with pytest.raises(ImageError, match="too small or too long"):
        calibrate_camera(recognizer, [np.zeros((20, 20, 3), np.uint8)])
    with pytest.raises(OptionError, match="recognizer: expected a Recognizer"):
        calibrate_camera(None, [frame()])  # type: ignore[arg-type]


def test_calibrate_reports_progress(recognizer: Recognizer) -> None:
    told: list[tuple[int, int]] = []
    calibrate_camera(recognizer, a_day()[:3], progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
