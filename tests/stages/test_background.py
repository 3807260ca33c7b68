"""Background: what an empty counter shows is told from what is put on it, in any light."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge import EmptyCounter
from shitu_edge.stages.background import background

Pixels = NDArray[np.uint8]
POSTER, READER, PLAIN = (120, 80, 360, 320), (800, 400, 920, 560), (500, 400, 640, 560)


def print_on(pixels: Pixels, box: tuple[int, int, int, int], seed: int) -> None:
    """Draw blotches of 20 pixels, as a picture or a label has them."""
    x1, y1, x2, y2 = box
    blotches = np.random.default_rng(seed).integers(0, 256, ((y2 - y1) // 20, (x2 - x1) // 20, 3), np.uint8)
    pixels[y1:y2, x1:x2] = blotches.repeat(20, axis=0).repeat(20, axis=1)


def counter() -> Pixels:
    """Return a gray counter with a poster and a card reader."""
    pixels = np.full((720, 1280, 3), (150, 145, 140), np.uint8)
    print_on(pixels, POSTER, 1)
    print_on(pixels, READER, 2)
    return pixels


def found(image: Pixels, *boxes: tuple[int, int, int, int]) -> list[bool]:
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    return list(map(bool, background(EmptyCounter.of(counter()), image, rows)))


def test_background_is_what_the_empty_counter_shows() -> None:
    assert found(counter(), POSTER, READER, (90, 60, 380, 350)) == [True, True, True]
    assert found(counter()) == []


def test_background_is_not_a_plain_place() -> None:
    """What is found there cannot be something that the reference shows."""
    assert found(counter(), PLAIN, (0, 0, 1, 1), (1270, 710, 1280, 720)) == [False, False, False]


def darker(pixels: Pixels) -> Pixels:
    return (pixels * 0.45).astype(np.uint8)


def warmer(pixels: Pixels) -> Pixels:
    return np.asarray(np.clip(pixels * np.array([1.25, 1.0, 0.75]), 0, 255), np.uint8)


def noisy(pixels: Pixels) -> Pixels:
    noise = np.random.default_rng(5).normal(0, 12, pixels.shape)
    return np.asarray(np.clip(pixels + noise, 0, 255), np.uint8)


def shaded(pixels: Pixels) -> Pixels:
    return np.asarray(pixels * np.linspace(1, 0.5, pixels.shape[1])[:, None], np.uint8)


def shaken(pixels: Pixels) -> Pixels:
    return np.roll(pixels, (-9, 14), (0, 1))


LIGHTS = [darker, warmer, noisy, shaded, shaken]


@pytest.mark.parametrize("light", LIGHTS)
def test_background_is_known_in_other_light(light: Callable[[Pixels], Pixels]) -> None:
    moved = np.array([14, -9, 14, -9]) if light is shaken else np.zeros(4, int)
    boxes = [tuple((np.array(box) + moved).tolist()) for box in (POSTER, READER)]
    assert found(light(counter()), *boxes) == [True, True]


@pytest.mark.parametrize("light", [lambda pixels: pixels, *LIGHTS])
def test_background_is_never_what_is_put_on_it(light: Callable[[Pixels], Pixels]) -> None:
    """A printed product on the plain counter, over the card reader, and in front of the poster; boxes around both."""
    image = counter()
    print_on(image, PLAIN, 3)
    print_on(image, READER, 4)
    print_on(image, (200, 160, 280, 280), 5)
    assert found(light(image), PLAIN, READER, (200, 160, 280, 280), POSTER, (180, 140, 300, 300)) == [False] * 5


@pytest.mark.parametrize("contrast", [-60, -12, 12, 60])
def test_background_is_never_a_plain_body(contrast: int) -> None:
    """On the plain counter, over the card reader, and over half of it."""
    image = counter()
    half = (READER[0], READER[1], READER[2], (READER[1] + READER[3]) // 2)
    for x1, y1, x2, y2 in (PLAIN, half):
        image[y1:y2, x1:x2] = np.clip(150 + contrast, 0, 255)
    assert found(image, PLAIN, READER, half) == [False, False, False]


def test_background_is_never_another_color_of_the_same_outline() -> None:
    """A plain card reader, then a product that covers it exactly, as bright as it."""
    empty, image = (np.full((720, 1280, 3), 200, np.uint8) for _ in range(2))
    empty[400:560, 800:920], image[400:560, 800:920] = (40, 60, 110), (110, 60, 40)
    boxes = np.array([(790, 390, 930, 570)], np.float32)
    assert background(EmptyCounter.of(empty), empty, boxes).tolist() == [True]
    assert background(EmptyCounter.of(empty), image, boxes).tolist() == [False]


def test_background_is_nothing_of_another_scene() -> None:
    image = np.random.default_rng(7).integers(0, 256, (36, 64, 3), np.uint8).repeat(20, 0).repeat(20, 1)
    assert found(image, POSTER, READER, PLAIN) == [False, False, False]
    assert found(np.zeros((720, 1280, 3), np.uint8), POSTER, READER) == [False, False]


def test_background_holds_at_any_resolution() -> None:
    half = np.ascontiguousarray(counter()[::2, ::2])
    assert found(half, (60, 40, 180, 160), (250, 200, 320, 280)) == [True, False]
