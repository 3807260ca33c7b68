"""Empty counters pieced together from frames whose truth is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from shitu_edge.camera.reference import in_one_light, median, piece_together
from shitu_edge.imaging.geometry import Boxes

Pixels = NDArray[np.uint8]
POSTER = (20, 20, 80, 70)
PRODUCT = (150, 90, 200, 150)
HEIGHT, WIDTH = 180, 320


def blotches(seed: int, box: tuple[int, int, int, int]) -> Pixels:
    x1, y1, x2, y2 = box
    coarse = np.random.default_rng(seed).integers(0, 256, (-(-(y2 - y1) // 8), -(-(x2 - x1) // 8), 3), np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)[: y2 - y1, : x2 - x1]


def put(pixels: Pixels, seed: int, box: tuple[int, int, int, int]) -> None:
    pixels[box[1] : box[3], box[0] : box[2]] = blotches(seed, box)


def counter() -> Pixels:
    pixels = np.full((HEIGHT, WIDTH, 3), (160, 150, 130), np.uint8)
    pixels[:, :, 0] -= np.linspace(0, 40, WIDTH).astype(np.uint8)
    put(pixels, 1, POSTER)
    return pixels


def shares(*boxes: tuple[int, int, int, int]) -> Boxes:
    return (np.array(boxes, np.float32).reshape(-1, 4) / (WIDTH, HEIGHT, WIDTH, HEIGHT)).astype(np.float32)


def frames(count: int, product: Callable[[int], int | None]) -> tuple[list[Pixels], list[Boxes]]:
    """Return frames whose poster is always boxed, with a product of a seed, or none, that is boxed too."""
    pictures, boxes = [], []
    for number in range(count):
        pixels, seed = counter(), product(number)
        if seed is not None:
            put(pixels, seed, PRODUCT)
        noise = np.random.default_rng([8, number]).normal(0, 3, pixels.shape)
        pictures.append(np.asarray(np.clip(pixels * (0.7 + 0.02 * number) + noise, 0, 255), np.uint8))
        boxes.append(shares(POSTER, *([] if seed is None else [PRODUCT])))
    return pictures, boxes


def off(found: Pixels, box: tuple[int, int, int, int]) -> float:
    """Return the mean difference from the empty counter inside a box, apart from the light."""
    x1, y1, x2, y2 = box
    gain = np.median(counter() / np.maximum(found.astype(float), 1), axis=(0, 1))
    return float(np.abs(found * gain - counter())[y1:y2, x1:x2].mean())


@pytest.mark.parametrize("every", [2, 3, 10])
def test_piece_together_leaves_out_a_product_that_often_rests(every: int) -> None:
    """One product lies in its place in all frames but every second, third or tenth."""
    found, sure = piece_together(*frames(30, lambda number: None if number % every == 0 else 2))
    assert off(found, PRODUCT) < 4
    assert off(found, POSTER) < 8
    assert sure.all()


def test_piece_together_keeps_what_is_always_found_and_looks_the_same() -> None:
    found, sure = piece_together(*frames(20, lambda number: None))
    assert off(found, POSTER) < 8
    assert sure.all()


def test_piece_together_is_unsure_where_another_product_lies_each_time() -> None:
    found, sure = piece_together(*frames(20, lambda number: 10 + number))
    x1, y1, x2, y2 = PRODUCT
    assert not sure[y1 + 8 : y2 - 8, x1 + 8 : x2 - 8].any()
    assert off(found, PRODUCT) < 10  # as plain as the counter around it
    assert sure.mean() > 0.9
    assert off(found, POSTER) < 8


def test_in_one_light_undoes_exposure_and_a_shake() -> None:
    pictures = [np.asarray(np.roll(counter() * gain, move, (0, 1)), np.uint8) for gain, move in ((1, 0), (0.6, 4))]
    levels = in_one_light([pictures[0], pictures[0], pictures[1]])
    inside = np.s_[10:-10, 10:-10]
    np.testing.assert_allclose(levels[2][inside], levels[0][inside], atol=4)


def test_median_is_that_of_each_pixel() -> None:
    levels = np.random.default_rng(0).uniform(0, 255, (5, 37, 9, 3)).astype(np.float32)
    np.testing.assert_array_equal(median(levels), np.sort(levels, axis=0)[2])
