"""`shitu-edge camera calibrate`: what it writes, prints, and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shitu_edge import View
from tests.camera.test_calibrate import a_day, frame
from tests.shell import Shell


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, pixels in enumerate(a_day()):
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return folder


def test_calibrate_writes_a_camera_file_its_image_and_a_drawing(shell: Shell, frames: Path, tiny_bundle: Path) -> None:
    ran = shell("camera", "calibrate", frames, "--out", "counter.json", "--models", tiny_bundle)
    assert ran.code == 0, ran.err
    assert "25 of 512 × 512, 5 of them empty" in ran.out
    view = View.read("counter.json")
    assert view.empty is not None
    assert view.region is not None
    assert Path("counter.empty.png").is_file()
    with Image.open("counter.proposal.png") as drawing:
        assert drawing.width > 900


def test_calibrate_writes_nothing_without_out(shell: Shell, frames: Path, tiny_bundle: Path) -> None:
    before = sorted(Path().iterdir())
    ran = shell("camera", "calibrate", frames, "--json", "--models", tiny_bundle)
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["out"] is None
    assert found["schema_version"] == 1
    assert found["boxes"]["background"] > 0
    assert found["empty_frames"] == 5
    assert sorted(Path().iterdir()) == before


def test_calibrate_replaces_a_file_only_by_force(shell: Shell, frames: Path, tiny_bundle: Path) -> None:
    Path("camera.json").write_text("kept", encoding="utf-8")
    arguments = ["camera", "calibrate", frames, "--out", "camera.json", "--models", tiny_bundle]
    ran = shell(*arguments)
    assert ran.code == 1
    assert "camera.json exists: use --force to replace it" in ran.err
    assert Path("camera.json").read_text("utf-8") == "kept"
    assert shell(*arguments, "--force").code == 0
    assert View.read("camera.json").empty is not None


def test_calibrate_takes_empty_frames_and_names_unread_ones(shell: Shell, frames: Path, tiny_bundle: Path) -> None:
    Image.fromarray(frame()).save("empty.png")
    Path("broken.jpg").write_text("no image", encoding="utf-8")
    arguments = ["camera", "calibrate", frames, "broken.jpg", "--empty", "empty.png", "--models", tiny_bundle]
    ran = shell(*arguments, "--draw", "seen.jpg")
    assert ran.code == 0, ran.err
    assert "skipped: broken.jpg: is not an image" in ran.err
    assert "pieced together" not in ran.err
    assert Path("seen.jpg").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--draw", "drawing.gif"], 2, "expected a name that ends in .png or .jpg"),
        (["--out", "missing/camera.json"], 1, "No such file"),
        (["--empty", "missing.png"], 0, ""),
    ],
)
def test_calibrate_checks_what_it_is_to_write(
    shell: Shell, tmp_path: Path, tiny_bundle: Path, arguments: list[str], code: int, message: str
) -> None:
    Image.fromarray(np.full((512, 512, 3), 200, np.uint8)).save(tmp_path / "one.png")
    ran = shell("camera", "calibrate", tmp_path / "one.png", "--models", tiny_bundle, *arguments)
    assert ran.code == code
    assert message in " ".join(ran.err.split())
