from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shitu_edge import RecognizedItem
from shitu_edge.drawing.overview import Recognized, overview
from tests.answers import answer, item

GREEN = (0, 255, 0)


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A wide green image."""
    Image.new("RGB", (320, 180), GREEN).save(tmp_path / "wide.png")
    return tmp_path / "wide.png"


def seen(path: Path, *items: RecognizedItem, alarm: bool = False) -> Recognized:
    return Recognized(path, answer(1280, 720, *items), "title", alarm)


def places(sheet: Image.Image) -> list[tuple[int, int]]:
    """Return left and top of every green image, from the top."""
    green = (np.asarray(sheet) == GREEN).all(axis=2)
    corner = green & ~np.roll(green, 1, axis=0) & ~np.roll(green, 1, axis=1)
    return [
        (int(x), int(y)) for y, x in np.argwhere(corner & np.roll(green, -30, axis=0) & np.roll(green, -30, axis=1))
    ]


def test_products_lie_over_scenes_two_a_row(wide: Path) -> None:
    products = [("Oat drink 1 l", wide), ("红茶", wide)]
    found = places(overview("heading", products, [seen(wide)] * 3))
    tops = [y for _, y in found]
    assert tops[0] == tops[1] < tops[2] == tops[3] < tops[4]
    assert found[2][0] == found[4][0] < found[3][0]


def test_scenes_show_what_was_recognized(wide: Path) -> None:
    plain, marked = (
        np.asarray(overview("heading", [], [seen(wide, *items)]))
        for items in ((), (item((100, 200, 1100, 600), None),))
    )
    rows, columns = np.nonzero((plain != marked).any(axis=2))
    assert columns.max() - columns.min() == pytest.approx(1000 * 320 / 1280, abs=5)
    assert rows.max() - rows.min() >= 400 * 320 / 1280


def test_wide_scenes_take_no_more_room_than_they_need(wide: Path) -> None:
    one, three = (overview("heading", [], [seen(wide)] * count).height for count in (1, 3))
    assert 360 < three - one < 420


def test_only_what_is_wrong_is_red(wide: Path) -> None:
    for alarm in (False, True):
        sheet = np.asarray(overview("heading", [], [seen(wide, alarm=alarm)])).astype(int)
        red = (sheet[:, :, 0] - sheet[:, :, 1:].max(axis=2) > 60).any()
        assert red == alarm


def test_at_most_forty_of_each_are_shown(wide: Path) -> None:
    forty, more = (overview("heading", [("name", wide)] * n, [seen(wide)] * n) for n in (40, 45))
    assert len(places(more)) == len(places(forty)) == 80
    assert more.size == forty.size
    assert more.tobytes() != forty.tobytes(), "the number of the others is told"


def test_what_cannot_be_read_leaves_its_frame_empty(wide: Path, tmp_path: Path) -> None:
    assert len(places(overview("heading", [("none", tmp_path / "none.jpg"), ("name", wide)], []))) == 1
