"""Scenes from a small shared folder, as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from training.detector.photos import photo_names, read_photos
from training.paste.scenes import paste_scenes

from .drawn import write_shared


@pytest.fixture(scope="module")
def small_shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shared(tmp_path_factory.mktemp("shared"))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def test_scenes_are_a_yolo_folder(small_shared: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    paste_scenes(tmp_path, 6, 0, small_shared, lambda done, total: told.append((done, total)))
    photos = read_photos(tmp_path, photo_names(tmp_path), longest_side=1000)
    assert [photo.name for photo in photos] == [f"{number:06d}.jpg" for number in range(6)]
    assert told[:8] == [(number, 8) for number in range(1, 9)]  # photos looked at for cut-outs
    assert told[8:] == [(number, 6) for number in range(1, 7)]
    for photo in photos:
        height, width = photo.pixels_rgb.shape[:2]
        assert 480 <= min(height, width) <= max(height, width) <= 640
        assert len(photo.boxes_xyxy) <= 10
    assert sum(len(photo.boxes_xyxy) for photo in photos) > 6


def test_the_seed_decides(small_shared: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        paste_scenes(tmp_path / name, 2, seed, small_shared)
    assert files_of(tmp_path / "a") == files_of(tmp_path / "b")
    assert files_of(tmp_path / "a") != files_of(tmp_path / "c")
