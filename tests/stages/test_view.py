"""Views: which values they take, which boxes they drop, and their file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shitu_edge import EmptyCounter, OptionError, View

TRIANGLE = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0))


def test_view_stores_a_box_as_its_corners() -> None:
    corners = ((0.1, 0.2), (0.5, 0.2), (0.5, 0.9), (0.1, 0.9))
    assert View((0.1, 0.2, 0.5, 0.9)).region == corners
    assert View(np.array([0.1, 0.2, 0.5, 0.9])).region == corners  # type: ignore[arg-type]
    assert View(corners) == View([list(corner) for corner in corners])
    assert View(ignore=[[0, 0, 1, 0.5], TRIANGLE]).ignore == (((0, 0), (1, 0), (1, 0.5), (0, 0.5)), TRIANGLE)
    assert hash(View(TRIANGLE, ignore=[TRIANGLE], tiles=3))


@pytest.mark.parametrize(
    "zone",
    [
        (),
        (0.1, 0.2, 0.5),
        (0.5, 0.2, 0.1, 0.9),
        (0.1, 0.9, 0.5, 0.2),
        (0.1, 0.2, 0.1, 0.9),
        (0, 0, 1.01, 1),
        (-0.01, 0, 1, 1),
        (0, 0, math.nan, 1),
        (0, 0, math.inf, 1),
        (0, 0, 10**400, 1),
        ("0", "0", "1", "1"),
        (False, False, True, True),
        ((0, 0), (1, 1)),
        ((0, 0), (0.5, 0.5), (1, 1)),
        ((0.1, 0.1), (0.2, 0.2), (0.3, 0.3)),
        ((0, 0), (1, 1), (1, 0), (0, 1)),
        ((0, 0), (1, 0), (math.nan, 1)),
        ((0, 0), (1, 0), (0, 2)),
        ((0, 0), (1, 0), (0, 1, 1)),
        ((0, 0, 0), (1, 0, 0), (0, 1, 0)),
        (0.5, 0.5, 0.5002, 0.5002),
        "whole",
        {"x": 1},
        3,
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["region", "ignore"])
def test_view_refuses_a_zone_that_is_none(name: str, zone: Any) -> None:
    given: dict[str, Any] = {name: [zone] if name == "ignore" else zone}
    with pytest.raises(OptionError, match=f"^{name}: expected a box x1, y1, x2, y2 or at least 3 corners") as caught:
        View(**given)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ignore": "all"}, "ignore: expected a list of zones, found 'all'"),
        ({"ignore": None}, "ignore: expected a list of zones, found None"),
        ({"ignore": [0, 0, 1, 1]}, "ignore: expected a box"),
        ({"min_size": -0.1}, "min_size: expected a number from 0 to 1, found -0.1"),
        ({"max_size": 1.1}, "max_size: expected a number from 0 to 1, found 1.1"),
        ({"min_size": math.nan}, "min_size: expected a number from 0 to 1, found nan"),
        ({"min_size": "0.1"}, "min_size: expected a number from 0 to 1, found '0.1'"),
        ({"min_size": 0.5, "max_size": 0.4}, "min_size: expected at most max_size, 0.4, found 0.5"),
        ({"tiles": 0}, "tiles: expected a whole number from 1 to 64, found 0"),
        ({"tiles": 65}, "tiles: expected a whole number from 1 to 64, found 65"),
        ({"tiles": 10**100}, "tiles: expected a whole number from 1 to 64, found 1000"),
        ({"tiles": 2.5}, "tiles: expected a whole number from 1 to 64, found 2.5"),
        ({"tiles": True}, "tiles: expected a whole number from 1 to 64, found True"),
        ({"tiles": "4"}, "tiles: expected a whole number from 1 to 64, found '4'"),
        ({"tiles": None}, "tiles: expected a whole number from 1 to 64, found None"),
    ],
)
def test_view_refuses_other_values(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        View(**given)
    assert str(caught.value).startswith(message)


def boxes(*centers: tuple[float, float], side: float = 10) -> Any:
    return np.array([(x - side / 2, y - side / 2, x + side / 2, y + side / 2) for x, y in centers], np.float32)


def dropped(view: View, found: Any, height: int = 100, width: int = 200) -> dict[str, list[bool]]:
    return {reason: where.tolist() for reason, where in view.drops(found, height, width).items()}


def test_drops_by_where_the_center_lies() -> None:
    found = boxes((40, 20), (150, 20), (40, 70), (100, 49), (100, 51))
    assert dropped(View(TRIANGLE), found) == {"outside": [False, False, False, False, True]}
    assert dropped(View(ignore=[TRIANGLE]), found) == {"ignored": [True, True, True, True, False]}
    assert dropped(View((0, 0, 0.5, 1), ignore=[(0, 0, 1, 0.5)]), boxes((40, 20), (160, 20), (40, 80))) == {
        "outside": [False, True, False],
        "ignored": [True, False, False],
    }
    assert dropped(View(), found) == {}
    assert dropped(View(TRIANGLE, ignore=[TRIANGLE], min_size=0.1), np.zeros((0, 4), np.float32)) == {}


def test_drops_by_a_concave_polygon() -> None:
    letter = View([(0, 0), (1, 0), (1, 0.2), (0.2, 0.2), (0.2, 0.8), (1, 0.8), (1, 1), (0, 1)])
    found = boxes((100, 10), (100, 50), (100, 90), (20, 50))
    assert dropped(letter, found) == {"outside": [False, True, False, False]}


def test_drops_by_the_longer_side_as_a_share_of_the_longer_side() -> None:
    found = np.array([(0, 0, 10, 10), (0, 0, 20, 5), (0, 0, 5, 60), (0, 0, 100, 100)], np.float32)
    assert dropped(View(min_size=0.1, max_size=0.3), found) == {
        "too_small": [True, False, False, False],
        "too_large": [False, False, False, True],
    }
    region = View((0, 0, 0.5, 1), min_size=0.1, max_size=0.6)  # 100 x 100 pixels
    assert dropped(region, found) == {"too_large": [False, False, False, True]}
    assert dropped(View(min_size=0.05, max_size=0.05), found[:1]) == {}


def test_area_is_the_bounding_box_and_a_tenth_around_it() -> None:
    assert View().area(100, 200) == (0, 0, 200, 100)
    assert View((0.25, 0.25, 0.5, 0.75)).area(100, 200) == (45, 20, 105, 80)
    assert View(TRIANGLE).area(100, 200) == (0, 0, 200, 100)
    assert View((0.9, 0, 1, 0.05)).area(100, 200) == (178, 0, 200, 6)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (2, 3), (7, 1)])
def test_area_holds_a_pixel_of_the_smallest_image(size: tuple[int, int]) -> None:
    for view in (View((0.999, 0.999, 1, 1)), View((0, 0, 0.001, 0.001)), View((0.5, 0.5, 0.501, 0.501)), View()):
        x1, y1, x2, y2 = view.area(*size)
        assert 0 <= x1 < x2 <= size[1]
        assert 0 <= y1 < y2 <= size[0]


def test_zoom_grows_with_region_and_tiles() -> None:
    assert View().zoom == 1
    assert View((0, 0, 0.5, 1)).zoom == 2
    assert View((0, 0, 0.5, 1), tiles=4).zoom == 4
    assert View(tiles="auto").zoom == pytest.approx(math.sqrt(6))


def test_read_returns_what_was_written(tmp_path: Path) -> None:
    for view in (View(), View((0.1, 0.2, 0.5, 0.9), [TRIANGLE, (0, 0, 1, 0.5)], 0.02, 0.5, "auto"), View(tiles=8)):
        view.write(tmp_path / "camera.json")
        assert View.read(tmp_path / "camera.json") == view


def test_read_takes_defaults_for_what_a_file_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "camera.json"
    path.write_text('{"schema_version": 1, "region": [0.1, 0.2, 0.5, 0.9]}', encoding="utf-8")
    assert View.read(path) == View((0.1, 0.2, 0.5, 0.9))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Expecting value"),
        ("[]", "expected schema_version 2 or older, found None"),
        ("{}", "expected schema_version 2 or older, found None"),
        ('{"schema_version": 3}', "expected schema_version 2 or older, found 3"),
        ('{"schema_version": true}', "expected schema_version 2 or older, found True"),
        ('{"schema_version": 1, "regoin": []}', "regoin: unknown; expected region, ignore, min_size, max_size, tiles"),
        ('{"schema_version": 1, "a\\nb": 1}', "'a\\nb': unknown; expected"),
        ('{"schema_version": 1, "region": [0, 0, NaN, 1]}', ""),
        ('{"schema_version": 1, "region": [0.5, 0, 0.1, 1]}', "region: expected a box"),
        ('{"schema_version": 1, "region": {"x1": 0}}', "region: expected a box"),
        ('{"schema_version": 1, "tiles": "many"}', "tiles: expected a whole number from 1 to 64, found 'many'"),
        ('{"schema_version": 1, "min_size": null, "max_size": "1"}', "max_size: expected a number"),
        ('{"schema_version": 1, "ignore": null}', "ignore: expected a list of zones, found None"),
        (json.dumps({"schema_version": 1, "region": [[0, 0]] * 40000}), ""),
        ('{"schema_version": 2, "empty": 3}', "empty: expected the name of an image in the same folder, found 3"),
        ('{"schema_version": 2, "empty": "missing.png"}', "empty: expected the name of an image in the same folder"),
        ('{"schema_version": 2, "empty": "../camera.json"}', "empty: expected the name of an image in the same folder"),
        ('{"schema_version": 2, "empty": "/dev/zero"}', "empty: expected the name of an image in the same folder"),
        ('{"schema_version": 2, "empty": "a\\u0000b"}', "empty: expected the name of an image in the same folder"),
        ('{"schema_version": 2, "empty": "."}', "empty: expected the name of an image in the same folder"),
        ('{"schema_version": 2, "empty": "camera.json"}', "camera.json: is not an image"),
    ],
)
def test_read_refuses_what_is_no_camera_file_in_a_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "camera.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(OptionError) as caught:
        View.read(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_read_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"camera\.json: No such file"):
        View.read(tmp_path / "camera.json")


@pytest.mark.parametrize("version", [1, 2])
def test_read_takes_files_of_each_version(tmp_path: Path, version: int) -> None:
    path = tmp_path / "camera.json"
    path.write_text(json.dumps({"schema_version": version, "tiles": 4}), encoding="utf-8")
    assert View.read(path) == View(tiles=4)


def test_write_keeps_the_empty_counter_next_to_the_file(tmp_path: Path) -> None:
    empty = EmptyCounter.of(np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8))
    view = View((0, 0.2, 1, 1), min_size=0.05, empty=empty)
    view.write(tmp_path / "counter.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["counter.empty.png", "counter.json"]
    assert json.loads((tmp_path / "counter.json").read_text("utf-8"))["empty"] == "counter.empty.png"
    assert View.read(tmp_path / "counter.json") == view


def test_read_reduces_any_photo_of_the_empty_counter(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (960, 1280, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    (tmp_path / "camera.json").write_text('{"schema_version": 2, "empty": "photo.png"}', encoding="utf-8")
    assert View.read(tmp_path / "camera.json").empty == EmptyCounter.of(pixels)


def test_view_refuses_what_is_no_empty_counter() -> None:
    with pytest.raises(OptionError, match=r"empty: expected an EmptyCounter, found 'empty\.png'"):
        View(empty="empty.png")  # type: ignore[arg-type]
