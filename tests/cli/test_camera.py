"""`recognize` with --camera, --region and --tiles, and the hint that it prints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shitu_edge import Recognizer, View
from shitu_edge.cli.camera import view_of
from tests.shell import Shell


@pytest.fixture
def shop(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A gallery, and a counter with two dark squares."""
    pixels = np.full((256, 256, 3), 255, np.uint8)
    for column, row in ((1, 1), (5, 5)):
        pixels[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32] = (30, 30, 190)
    Image.fromarray(pixels).save(tmp_path / "counter.png")
    with Recognizer.open(tiny_bundle) as embedder:
        embedder.create_gallery(tmp_path / "shop.gallery").close()
    with Recognizer.open(tiny_bundle, tmp_path / "shop.gallery") as recognizer:
        recognizer.enroll("blue", pixels[16:80, 16:80], crop=False)
    return tmp_path / "shop.gallery"


def answer(shell: Shell, shop: Path, tiny_bundle: Path, *options: object) -> dict[str, Any]:
    arguments = ["recognize", shop, "counter.png", "--models", tiny_bundle, "--json", "--whole-image", "never"]
    ran = shell(*arguments, "--suppression-iou", 0.3, *options)
    assert ran.code == 0, ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


def test_recognize_takes_a_region_and_a_camera_file(shell: Shell, shop: Path, tiny_bundle: Path) -> None:
    View((0, 0, 1, 1), ignore=[(0, 0, 0.5, 0.5)], tiles=2).write("camera.json")
    assert [box["reason"] for box in answer(shell, shop, tiny_bundle, "--camera", "camera.json")["dropped"]] == [
        "ignored"
    ]
    found = answer(shell, shop, tiny_bundle, "--region", "0,0,1,0 1,1 0.95 1 0.95,0.5 0,0.5")
    assert [box["reason"] for box in found["dropped"]] == ["outside"]
    assert len(answer(shell, shop, tiny_bundle)["items"]) == 2


def test_view_of_lets_options_override_the_file(tmp_path: Path) -> None:
    stored = View((0, 0, 0.5, 1), ignore=[(0, 0, 0.1, 0.1)], min_size=0.02, tiles=4)
    stored.write(tmp_path / "camera.json")
    assert view_of(tmp_path / "camera.json", None, None) == stored
    changed = view_of(tmp_path / "camera.json", "0.5, 0, 1, 1", "auto")
    assert changed == View((0.5, 0, 1, 1), ignore=[(0, 0, 0.1, 0.1)], min_size=0.02, tiles="auto")
    assert view_of(None, None, "8") == View(tiles=8)
    assert view_of(None, "0,0 1,0 0,1", None) == View([(0, 0), (1, 0), (0, 1)])


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--region", "0.5,0,0.1,1"], 2, "region: expected a box x1, y1, x2, y2"),
        (["--region", "0,0,1"], 2, "region: expected a box x1, y1, x2, y2"),
        (["--region", "0,0,1,nan"], 2, "region: expected a box x1, y1, x2, y2"),
        (["--region", "left"], 2, "found 'left'"),
        (["--region", ""], 2, "found []"),
        (["--tiles", "many"], 2, "tiles: expected a whole number from 1 to 64, found 'many'"),
        (["--tiles", "0"], 2, "tiles: expected a whole number from 1 to 64, found 0"),
        (["--tiles", "9" * 5000], 2, "tiles: expected a whole number from 1 to 64, found '9999"),
        (["--camera", "missing.json"], 1, "missing.json: No such file"),
        (["--camera", "counter.png"], 1, "counter.png: is not a camera file: "),
    ],
)
def test_recognize_refuses_what_is_no_view(
    shell: Shell, shop: Path, tiny_bundle: Path, options: list[str], code: int, message: str
) -> None:
    ran = shell("recognize", shop, "counter.png", "--models", tiny_bundle, *options)
    assert ran.code == code
    assert message in " ".join(ran.err.split())
    assert ran.out == ""


def test_evaluate_measures_with_the_view_of_a_camera(shell: Shell, shop: Path, tiny_bundle: Path) -> None:
    things = [{"box_xyxy": [16, 16, 80, 80], "label": "blue"}, {"box_xyxy": [144, 144, 208, 208], "label": "blue"}]
    Path("scenes.json").write_text(json.dumps({"counter.png": things}), encoding="utf-8")
    View(ignore=[(0, 0, 0.5, 0.5)]).write("camera.json")
    recalls = []
    for options in ([], ["--camera", "camera.json"]):
        ran = shell("evaluate", shop, "scenes.json", "--models", tiny_bundle, "--json", *options)
        assert ran.code == 0, ran.err
        recalls.append(json.loads(ran.out)["boxes"]["ap50"])
    assert recalls == [pytest.approx(1), pytest.approx(0.5, abs=0.01)]


def test_recognize_prints_a_hint_once(shell: Shell, shop: Path, tiny_bundle: Path) -> None:
    """The tiny detector is square, and squeezes a frame of 3 : 1."""
    Image.fromarray(np.full((768, 256, 3), 255, np.uint8)).save("portrait.png")
    arguments = ["recognize", shop, "portrait.png", "portrait.png", "--models", tiny_bundle]
    line = "hint: the image is squeezed 3.0-fold into the detector's input: turn the camera by 90°, or name a"
    ran = shell(*arguments)
    assert ran.err.count("hint: ") == 1
    assert line in " ".join(ran.err.split())
    ran = shell(*arguments, "--json")
    assert ran.err.count("hint: ") == 1
    assert [json.loads(row)["hint"].startswith(line[6:]) for row in ran.out.splitlines()] == [True, True]
    assert "hint" not in shell(*arguments, "--region", "0,0.4,1,0.6").err
