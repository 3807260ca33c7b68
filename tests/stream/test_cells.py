from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge.stream.cells import Motion, Place, reduce


def noisy(image: NDArray[np.float64], rng: np.random.Generator, sigma: float = 4.0) -> NDArray[np.uint8]:
    return np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(720, 1280), (1080, 1920), (480, 640), (97, 131), (8, 8), (3, 500)])
def test_reduce_gives_the_mean_of_square_cells(height: int, width: int) -> None:
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows * 255 // height, columns * 255 // width, 0 * rows], axis=2).astype(np.uint8)
    cells = reduce(image)
    side = height // cells.shape[0]
    last_row, last_column = cells.shape[0] - 1, cells.shape[1] - 1
    for row, column in ((0, 0), (last_row, 0), (last_row // 2, last_column), (last_row, last_column // 2)):
        expected = image[side * row : side * (row + 1), side * column : side * (column + 1)].mean(axis=(0, 1))
        assert np.abs(cells[row, column] - expected).max() < 3  # not every row is looked at


def test_motion_sees_neither_noise_nor_exposure_nor_tremor() -> None:
    rng = np.random.default_rng(0)
    pattern = np.kron(rng.integers(30, 200, (45, 80, 3)), np.ones((16, 16, 1))).astype(np.float64)
    motion = Motion(reduce(noisy(pattern, rng)))
    for number in range(20):
        shifted = np.roll(pattern, number % 2, axis=1) * (1 + 0.002 * number)
        motion.see(reduce(noisy(shifted, rng)))
        assert not motion.moving.any(), number


def test_motion_sees_what_moves_where_it_does() -> None:
    rng = np.random.default_rng(1)
    image = np.full((360, 640, 3), 180.0)
    motion = Motion(reduce(noisy(image, rng)))
    motion.see(reduce(noisy(image, rng)))
    image[100:140, 200:260] = 120
    motion.see(reduce(noisy(image, rng)))
    place = Place.of(np.array([200, 100, 260, 140], np.float32), (360, 640), motion.moving.shape)
    assert place.share(motion.moving) > 0.8
    motion.moving[place.rows, place.columns] = False
    assert motion.moving.sum() <= 12  # cells at its edge


def test_motion_remembers_what_changed_since_a_look() -> None:
    rng = np.random.default_rng(2)
    image = np.full((360, 640, 3), 180.0)
    motion = Motion(reduce(noisy(image, rng)))
    for step in range(40):  # so slow that no step is motion
        image[100:180, 200:320] = 180 - 0.5 * step
        motion.see(reduce(noisy(image, rng, 1.0)))
        assert not motion.moving.any()
    assert motion.changed.any()
    motion.looked()
    motion.see(reduce(noisy(image, rng, 1.0)))
    assert not motion.changed.any()


def test_motion_learns_a_flickering_display() -> None:
    rng = np.random.default_rng(3)
    image = np.full((360, 640, 3), 100.0)
    motion = Motion(reduce(noisy(image, rng, 1.0)))
    seen = []
    for _ in range(200):
        image[40:80, 40:120] = 100 + rng.choice([-2.9, 2.9])
        motion.see(reduce(noisy(image, rng, 1.0)))
        seen.append(bool(motion.moving.any()))
    assert sum(seen[100:]) == 0


def test_alike_allows_a_shadow_and_sees_another_thing() -> None:
    rng = np.random.default_rng(4)
    image = np.kron(rng.integers(60, 200, (18, 32, 3)), np.ones((20, 20, 1))).astype(np.float64)
    before = reduce(noisy(image, rng, 1.0))
    motion = Motion(before)
    place = Place.of(np.array([100, 100, 260, 260], np.float32), (360, 640), before.shape[:2])
    motion.see(reduce(noisy(image * 0.85, rng, 1.0)))
    assert motion.alike(before, place).mean() == 1
    motion.see(reduce(noisy(image[::-1], rng, 1.0)))
    assert motion.alike(before, place).mean() < 0.5


def test_place_is_never_empty() -> None:
    place = Place.of(np.array([639.5, 359.5, 640, 360], np.float32), (360, 640), (45, 80))
    assert place.share(np.ones((45, 80), bool)) == 1
