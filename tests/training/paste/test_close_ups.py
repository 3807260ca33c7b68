"""Close-ups from a small shared folder: few, large products, and some scenes without any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.detector.photos import photo_names, read_photos
from training.paste.close_ups import _speckled, make_close_up, paste_close_ups
from training.paste.scenes import Material, load_material

from .drawn import write_shared


@pytest.fixture(scope="module")
def small_shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shared(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def material(small_shared: Path) -> Material:
    return load_material(small_shared, lambda done, total: None)


def test_close_ups_are_a_yolo_folder_of_large_things(small_shared: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    paste_close_ups(tmp_path, 30, 0, small_shared, lambda done, total: told.append((done, total)))
    photos = read_photos(tmp_path, photo_names(tmp_path), longest_side=1000)
    assert told[-1] == (30, 30)
    assert all(400 <= side < 640 for photo in photos for side in photo.pixels_rgb.shape[:2])
    counts = [len(photo.boxes_xyxy) for photo in photos]
    assert 0 in counts
    assert max(counts) > 1
    shares = [
        side / min(photo.pixels_rgb.shape[:2])
        for photo in photos
        for side in (photo.boxes_xyxy[:, 2:] - photo.boxes_xyxy[:, :2]).max(axis=1).tolist()
    ]
    assert np.median(shares) > 0.35


def test_the_seed_decides(small_shared: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        paste_close_ups(tmp_path / name, 1, seed, small_shared)
    a, b, c = ((tmp_path / name / "images/000000.jpg").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_boxes_lie_in_the_picture(material: Material) -> None:
    for seed in range(20):
        scene = make_close_up(np.random.default_rng(seed), material)
        height, width = scene.pixels_rgb.shape[:2]
        assert (scene.boxes_xyxy[:, :2] >= 0).all()
        assert (scene.boxes_xyxy[:, 2:] <= (width, height)).all()


def test_speckles_are_black_or_white_and_few() -> None:
    gray = np.full((100, 100, 3), 128, np.uint8)
    seen = _speckled(np.random.default_rng(0), gray)
    changed = (seen != 128).any(axis=2)
    assert 0.001 < changed.mean() < 0.05
    assert set(np.unique(seen[changed])) <= {0, 255}
    assert (gray == 128).all(), "the picture itself is left as it was"
