"""`shitu-edge demo` with tiny networks and drawn products: what it says, writes, and when it fails."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from shitu_edge.bundle import DecisionPolicy, write_manifest
from shitu_edge.cli.desktop import show
from shitu_edge.gallery import Gallery
from shitu_edge.stages.decode import decode
from tests.networks import write_bundle
from tests.shell import Shell
from tests.test_recognizer import BLUE, GREEN, RED, scene

RED_BOX, GREEN_BOX, BLUE_BOX = [16, 16, 80, 80], [144, 16, 208, 80], [16, 144, 80, 208]


@pytest.fixture(scope="module")
def strict_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny networks, and a rule that keeps overlapping boxes and asks for much similarity."""
    bundle = write_bundle(tmp_path_factory.mktemp("bundles") / "strict")
    policy = DecisionPolicy(similarity_threshold=0.9, whole_image="never", suppression_iou=0.3)
    return write_manifest(bundle.folder, replace(bundle.manifest, policy=policy)).folder


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two products, and a scene of both and a stranger."""
    folder = tmp_path / "photos"
    for name, color in (("Red thing", RED), ("绿色 的东西", GREEN)):
        (folder / "gallery" / name).mkdir(parents=True)
        Image.fromarray(scene((3, 3, color))).save(folder / "gallery" / name / "1.png")
    (folder / "scenes").mkdir()
    Image.fromarray(scene((1, 1, RED), (5, 1, GREEN), (1, 5, BLUE))).save(folder / "scenes" / "counter.png")
    return folder


def expect(photos: Path, *things: tuple[list[int], str | None]) -> None:
    known = {"counter.png": [{"box_xyxy": box, "label": label} for box, label in things]}
    (photos / "scenes" / "scenes.json").write_text(json.dumps(known), encoding="utf-8")


def test_says_and_draws_what_it_sees(shell: Shell, strict_bundle: Path, photos: Path, tmp_path: Path) -> None:
    run = shell("demo", "--photos", photos, "--models", strict_bundle)
    assert run.code == 0
    rows = [line.split() for line in run.out.splitlines()[1:4]]
    assert rows[0][0] == "counter.png"
    assert sorted(row[1 if row[0] == "counter.png" else 0] for row in rows) == ["1", "2", "3"]
    assert "1 scene: 2 items named, 1 unknown" in run.out
    out = tmp_path / "shitu-edge-demo"
    assert str(out / "overview.jpg") in run.out
    assert decode(out / "seen" / "counter.png.jpg").pixels_rgb.shape == (256, 256, 3)
    assert decode(out / "overview.jpg").width > 256
    with Gallery.open(out / "demo.gallery") as gallery:
        assert gallery.label_counts() == {"Red thing": 1, "绿色 的东西": 1}
    assert shell("demo", "--photos", photos, "--models", strict_bundle).code == 0, "again, over the earlier results"


def test_what_is_expected_passes(shell: Shell, strict_bundle: Path, photos: Path, tmp_path: Path) -> None:
    expect(photos, (RED_BOX, "Red thing"), (GREEN_BOX, "绿色 的东西"), (BLUE_BOX, None))
    run = shell("demo", "--photos", photos, "--models", strict_bundle, "--out", tmp_path / "here" / "out")
    assert run.code == 0
    assert "2 of 2 products named, 1 of 1 other object unknown\n" in run.out
    assert (tmp_path / "here" / "out" / "overview.jpg").is_file()
    assert not (tmp_path / "shitu-edge-demo").exists()


def test_what_is_not_as_expected_fails(shell: Shell, strict_bundle: Path, photos: Path) -> None:
    expect(photos, (RED_BOX, "绿色 的东西"), (GREEN_BOX, None), ([100, 150, 130, 180], "Red thing"))
    run = shell("demo", "--photos", photos, "--models", strict_bundle)
    assert run.code == 1
    assert "0 of 2 products named, 0 of 1 other object unknown\n" in run.out
    table = [re.sub(" +", " ", line).strip() for line in run.out.splitlines()[1:5]]
    assert sum("accepted Red thing" in row and "NO: 绿色 的东西" in row for row in table) == 1
    assert sum("accepted 绿色 的东西" in row and "NO: unknown" in row for row in table) == 1
    assert table[3] == "missed NO: Red thing"


def test_prints_json(shell: Shell, strict_bundle: Path, photos: Path, tmp_path: Path) -> None:
    expect(photos, (RED_BOX, "Red thing"), (GREEN_BOX, None))
    run = shell("demo", "--photos", photos, "--models", strict_bundle, "--json")
    assert run.code == 1
    answer: dict[str, Any] = json.loads(run.out)
    assert [answer[key] for key in ("right", "products", "named", "unknown_objects", "unknown")] == [
        False,
        1,
        1,
        1,
        0,
    ]
    assert answer["overview"] == str(Path("shitu-edge-demo/overview.jpg"))
    (only,) = answer["scenes"]
    assert {item["label"] for item in only["items"]} == {"Red thing", "绿色 的东西", None}
    assert set(answer["median_ms"]) == {"decode", "detect", "extract", "search", "verify", "decide", "total"}


def test_unreadable_images_are_told_and_skipped(shell: Shell, strict_bundle: Path, photos: Path) -> None:
    (photos / "gallery" / "Red thing" / "0.jpg").write_bytes(b"broken")
    (photos / "scenes" / "bad.jpg").write_bytes(b"broken")
    run = shell("demo", "--photos", photos, "--models", strict_bundle)
    assert run.code == 0
    assert re.fullmatch(r"skipped: Red thing/0\.jpg, bad\.jpg: is not an image[^\n]*\n", run.err)
    assert "1 scene: 2 items named, 1 unknown" in run.out


def test_an_unreadable_scene_that_is_judged_fails(shell: Shell, strict_bundle: Path, photos: Path) -> None:
    Image.fromarray(scene((1, 1, RED))).save(photos / "scenes" / "other.png")
    expect(photos, (RED_BOX, "Red thing"))
    (photos / "scenes" / "counter.png").write_bytes(b"broken")
    run = shell("demo", "--photos", photos, "--models", strict_bundle)
    assert run.code == 1
    assert "0 of 1 product named" in run.out


def test_nothing_to_see_is_one_line(shell: Shell, strict_bundle: Path, photos: Path, tmp_path: Path) -> None:
    (photos / "scenes" / "counter.png").write_bytes(b"broken")
    for folder, message in (
        (photos, "none of 1 scenes can be read"),
        (tmp_path / "no", "no: no such folder; expected"),
    ):
        run = shell("demo", "--photos", folder, "--models", strict_bundle)
        assert (run.code, run.out) == (1, "")
        assert re.fullmatch(rf"error: [^\n]*{message}[^\n]*\n", run.err)


@pytest.fixture
def viewer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Linux desktop whose viewer writes down what it is to show, in the file returned."""
    told, script = tmp_path / "told", tmp_path / "bin" / "xdg-open"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > "{told}"; test -e "$1"\n')
    script.chmod(0o755)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    return told


@pytest.mark.skipif(os.name == "nt", reason="the viewer is a shell script")
def test_open_hands_the_overview_to_the_viewer(shell: Shell, strict_bundle: Path, photos: Path, viewer: Path) -> None:
    run = shell("demo", "--photos", photos, "--models", strict_bundle, "--open")
    assert (run.code, run.err) == (0, "")
    assert viewer.read_text() == str(Path("shitu-edge-demo/overview.jpg"))
    assert show(Path("missing.jpg")) == "xdg-open ended with status 1"


def test_open_without_a_desktop_says_so(
    shell: Shell, strict_bundle: Path, photos: Path, viewer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    run = shell("demo", "--photos", photos, "--models", strict_bundle, "--open")
    assert run.code == 0
    assert re.fullmatch(r".*overview\.jpg cannot be opened: no desktop is running\n", run.err)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", "")
    assert show(Path("overview.jpg")) == "xdg-open is not installed"
    assert not viewer.exists()
