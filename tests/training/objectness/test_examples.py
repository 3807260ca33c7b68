"""Which boxes of a photo are examples of what; the tiny detector finds squares of dark color."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

from shitu_edge import Recognizer
from tests.networks import DIM
from tests.test_recognizer import GREEN, RED, scene
from training.detector.photos import Photo
from training.objectness.examples import _lie_on, find_examples


@pytest.fixture(scope="module")
def recognizer(tiny_bundle: Path) -> Iterator[Recognizer]:
    with Recognizer.open(tiny_bundle) as opened:
        yield opened


def test_a_box_lies_on_a_product_if_half_of_the_smaller_does() -> None:
    boxes = np.array([[0, 0, 10, 10], [40, 40, 60, 60], [0, 0, 100, 100], [200, 0, 210, 10]], np.float32)
    product = np.array([[45, 40, 90, 60]], np.float32)
    assert _lie_on(boxes, product).tolist() == [False, True, True, False]
    assert _lie_on(boxes, np.zeros((0, 4), np.float32)).tolist() == [False] * 4


def test_found_boxes_are_examples_of_products_and_of_others(recognizer: Recognizer) -> None:
    photo = Photo("one", scene((1, 1, RED), (5, 5, GREEN)), np.array([[16, 16, 80, 80]], np.float32))
    found = find_examples(recognizer, [photo, photo])
    assert found.rows.shape == (len(found.scores), DIM)
    np.testing.assert_allclose(np.linalg.norm(found.rows, axis=1), 1, atol=1e-5)
    assert sorted(found.whole[found.scores >= 0.5].tolist()) == [False, False, True, True]
    assert (found.on_product >= found.whole).all()


def test_photo_without_boxes_is_no_example(recognizer: Recognizer) -> None:
    empty = np.full((64, 64, 3), 255, np.uint8)
    found = find_examples(recognizer, [Photo("none", empty, np.zeros((0, 4), np.float32))])
    assert found.rows.shape == (0, DIM)
    assert found.whole.shape == found.on_product.shape == found.scores.shape == (0,)
