"""What is held out: the same each time, and no near-duplicate of what is trained with."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.detector.photos import photo_names
from training.detector.split import near_duplicates, split_photos


def image(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_turned_mirrored_and_darker_copies_are_found() -> None:
    first, second = image(1), image(2)
    slight = cv2.warpAffine(second, cv2.getRotationMatrix2D((32, 32), 12, 1), (64, 64))
    copies = [np.rot90(first).copy(), (first[:, ::-1] * 0.6).astype(np.uint8), cv2.GaussianBlur(slight, (5, 5), 0)]
    assert near_duplicates([first, second, *copies, image(3)]) == [[0, 2, 3], [1, 4], [5]]


def test_chains_are_one_group() -> None:
    """Each is like the next, the ends are not like one another."""
    start, end = image(1).astype(np.float32), image(2).astype(np.float32)
    chain = [(start + (end - start) * share).astype(np.uint8) for share in np.linspace(0, 1, 16)]
    assert near_duplicates([chain[0], chain[-1]]) == [[0], [1]]
    assert near_duplicates(chain) == [list(range(16))]


def test_copies_stay_on_one_side(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for index in range(20):
        cv2.imwrite(str(tmp_path / "images" / f"{index:02}.png"), image(index // 2))
    for seed in range(5):
        train, held_out = split_photos(tmp_path, 0.3, seed)
        assert sorted(train + held_out) == photo_names(tmp_path)
        assert len(held_out) == 6
        for first, copy in zip(photo_names(tmp_path)[::2], photo_names(tmp_path)[1::2], strict=True):
            assert (first in train) == (copy in train)
        assert (train, held_out) == split_photos(tmp_path, 0.3, seed)
    assert split_photos(tmp_path, 0.3, 0) != split_photos(tmp_path, 0.3, 1)
    assert split_photos(tmp_path, 0) == (photo_names(tmp_path), [])


@pytest.mark.shared_data
def test_beverage(shared: Path) -> None:
    folder = shared / "data" / "beverage"
    train, held_out = split_photos(folder, 0.2)
    assert (len(train), len(held_out)) == (260, 65)
    # By eye: the same photo twice, a can turned a little, a photo turned, one wall with two cans.
    for one, other in ((0, 219), (32, 193), (14, 214), (25, 317)):
        assert (f"{one:04}.jpg" in train) == (f"{other:04}.jpg" in train)
