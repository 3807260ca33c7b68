"""Packs hold what the folders hold, in RGB, and say what is wrong."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.extractor.packs import LABELS, Pack, pack_images

from .images import write_products


def ignore(done: int, total: int) -> None:
    """Take no notice of progress."""


def test_folders_are_products_wherever_they_lie(tmp_path: Path) -> None:
    write_products(tmp_path / "a" / "fruit", range(2), range(3))
    write_products(tmp_path / "b", range(1, 3), range(2))
    pack = pack_images([tmp_path / "a", tmp_path / "b"], tmp_path / "pack", 32, False, ignore)
    assert pack.names == ("product 0", "product 1", "product 2")
    assert np.bincount(pack.labels).tolist() == [3, 5, 2]
    assert pack.pixels_rgb.shape == (10, 32, 32, 3)


def test_colors_are_rgb(tmp_path: Path) -> None:
    (tmp_path / "red").mkdir()
    cv2.imwrite(str(tmp_path / "red" / "1.png"), np.full((20, 10, 3), (0, 0, 255), np.uint8))
    pack = pack_images([tmp_path], tmp_path / "pack", 32, False, ignore)
    assert (pack.pixels_rgb[0] == (255, 0, 0)).all()


def test_each_image_can_be_its_own_thing(tmp_path: Path) -> None:
    write_products(tmp_path / "a", range(2), range(3))
    assert pack_images([tmp_path / "a"], tmp_path / "pack", 32, True, ignore).labels.tolist() == list(range(6))


def test_rows_of_labels_are_those_of_the_label(tmp_path: Path) -> None:
    write_products(tmp_path / "a", range(3), range(4))
    pack = pack_images([tmp_path / "a"], tmp_path / "pack", 32, False, ignore)
    rows = pack.by_label()
    assert sorted(np.concatenate(rows).tolist()) == list(range(12))
    for label, chosen in enumerate(rows):
        assert (pack.labels[chosen] == label).all()


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"1\.jpg: cannot be decoded"):
        pack_images([tmp_path], tmp_path / "pack", 32, False, ignore)


def test_no_images_and_no_pack(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no images in this folder"):
        pack_images([tmp_path], tmp_path / "pack", 32, False, ignore)
    with pytest.raises(ValueError, match="no pack of images"):
        Pack.open(tmp_path)


def test_labels_of_another_pack_are_refused(tmp_path: Path) -> None:
    write_products(tmp_path / "a", range(2), range(2))
    pack_images([tmp_path / "a"], tmp_path / "pack", 32, False, ignore)
    np.save(tmp_path / "pack" / LABELS, np.zeros(3, np.int32))
    with pytest.raises(ValueError, match="3 labels for images of shape"):
        Pack.open(tmp_path / "pack")
