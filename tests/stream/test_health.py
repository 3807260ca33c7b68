from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from shitu_edge.stream.cells import reduce
from shitu_edge.stream.health import Health, sharpness

SIZE = (720, 1280)


def counter(seed: int = 0) -> NDArray[np.uint8]:
    """Return boxes and text-like stripes on a gray counter."""
    rng = np.random.default_rng(seed)
    image = np.full((*SIZE, 3), 170, np.uint8)
    for _ in range(12):
        x, y = int(rng.integers(0, 1100)), int(rng.integers(0, 600))
        image[y : y + 110, x : x + 150] = rng.integers(20, 240, 3)
        image[y + 20 : y + 60 : 7, x + 20 : x + 120] = rng.integers(0, 255, 3)
    return image


def noisy(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


def blurred(image: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(sigma)))


def states(health: Health, frames: list[NDArray[np.uint8]], step_s: float = 0.5) -> list[str]:
    return [health.see(frame, reduce(frame), step_s) for frame in frames]


def test_health_of_a_good_camera() -> None:
    rng = np.random.default_rng(0)
    assert set(states(Health(), [noisy(counter(), rng) for _ in range(10)])) == {"good"}


def test_health_black_at_once_and_good_again() -> None:
    rng = np.random.default_rng(0)
    black = np.zeros((*SIZE, 3), np.uint8)
    assert states(Health(), [noisy(counter(), rng), noisy(black, rng), noisy(counter(), rng)]) == [
        "good",
        "black",
        "good",
    ]


def test_health_does_not_call_a_dark_shop_black() -> None:
    rng = np.random.default_rng(0)
    dark = (counter() // 6).astype(np.uint8)
    assert set(states(Health(), [noisy(dark, rng) for _ in range(4)])) == {"good"}


def test_health_frozen_after_two_seconds_of_equal_frames() -> None:
    rng = np.random.default_rng(0)
    frame = noisy(counter(), rng)
    assert states(Health(), [frame] * 6) == ["good"] * 4 + ["frozen"] * 2
    still = [noisy(counter(), rng) for _ in range(8)]
    assert "frozen" not in states(Health(), still)


@pytest.mark.parametrize("seed", range(3))
def test_health_blurred_after_two_checks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = [noisy(blurred(counter(seed), 5), rng) for _ in range(4)]
    assert states(Health(), frames, 1.0) == ["good", "blurred", "blurred", "blurred"]
    assert states(Health(), [*frames[:1], *(noisy(counter(seed), rng) for _ in range(3))], 1.0) == ["good"] * 4


def test_health_moved_asks_once_a_second() -> None:
    rng = np.random.default_rng(0)
    asked: list[int] = []

    def moved(pixels_rgb: NDArray[np.uint8]) -> bool:
        asked.append(len(pixels_rgb))
        return True

    frames = [noisy(counter(), rng) for _ in range(21)]
    found = states(Health(moved), frames, 0.1)
    assert (found[5], found[-1]) == ("good", "moved")
    assert 2 <= len(asked) <= 3


@pytest.mark.parametrize("sigma", [1.5, 3.0, 5.0])
def test_sharpness_of_an_edge_blurred_by_gauss(sigma: float) -> None:
    """The steepest step of a blurred edge is its contrast / (sigma · sqrt(2 pi))."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[:, 200:700] = 240
    found = sharpness(blurred(image, sigma))
    assert found == pytest.approx(1 / (sigma * np.sqrt(2 * np.pi)), rel=0.25)


def test_sharpness_of_a_bare_counter_is_not_judged() -> None:
    rng = np.random.default_rng(0)
    assert sharpness(noisy(np.full((*SIZE, 3), 150, np.uint8), rng)) is None
    assert sharpness(np.zeros((20, 20, 3), np.uint8)) is None
