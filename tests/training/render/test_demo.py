from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from shitu_edge.demo.scenes import find_photos
from training.render import demo, demo_scenes
from training.render.demo_products import samples
from training.render.sprite import View

_SAMPLES = Path(__file__).parents[3] / "examples" / "samples"


def test_the_drawn_samples_are_what_the_demo_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (demo, demo_scenes):  # coarser, to be quick
        monkeypatch.setattr(module, "FINE", 1)
        monkeypatch.setattr(module, "TEXTURES", 0.5)
    names = {"Cola can", "Honey", "Oat drink 1 l", "Tomato juice"}
    few = tuple(sample for sample in samples() if sample.name is None or sample.name in names)
    demo.draw_demo(tmp_path, 3, few, {"kitchen": demo_scenes.SCENES["kitchen"]})
    read = find_photos(tmp_path)
    assert Counter(picture.label for picture in read.gallery) == dict.fromkeys(names, 3)
    (scene,) = read.scenes
    shown = [thing.label for thing in scene.expected or ()]
    assert sorted(map(str, shown)) == ["Cola can", "Honey", "None", "Oat drink 1 l", "Tomato juice"]
    picture = cv2.imread(str(scene.path))
    assert picture is not None
    assert picture.shape == (720, 1280, 3)
    # The can of cola is red, its box not much larger than it.
    x1, y1, x2, y2 = next(map(round, thing.box_xyxy) for thing in scene.expected or () if thing.label == "Cola can")
    can = picture[y1:y2, x1:x2].astype(int)
    assert ((can[..., 2] > 90) & (can[..., 1] < 70)).mean() > 0.4


def test_a_product_prints_its_name() -> None:
    for sample in samples():
        design = sample.product.design
        printed = f"{design.brand} {design.variety}".replace("\n", " ").lower()
        if sample.name is not None:
            assert sample.name.lower().split()[0] in printed


def test_samples_are_told_apart_by_what_they_look_like() -> None:
    light = demo_scenes.friendly_light(np.random.default_rng(0))
    drawn = [sample.product.draw(View(0.0, 0.1, light), 100).paint for sample in samples()]
    for k, one in enumerate(drawn):
        for other in drawn[:k]:
            assert one.shape != other.shape or (np.abs(one.astype(int) - other) > 30).mean() > 0.03


def test_the_samples_in_the_project_are_complete() -> None:
    read = find_photos(_SAMPLES)
    names = {sample.name for sample in samples()} - {None}
    assert Counter(picture.label for picture in read.gallery) == dict.fromkeys(names, 3)
    assert len(read.scenes) == 5
    for scene in read.scenes:
        labels = [thing.label for thing in scene.expected or ()]
        assert 3 <= len(set(labels) - {None}) <= 6
        assert 1 <= labels.count(None) <= 2
    assert sum(path.stat().st_size for path in _SAMPLES.rglob("*") if path.is_file()) < 1_600_000
