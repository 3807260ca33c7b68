"""Average precision and decoding, by hand."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from shitu_edge.results import Detections
from training.detector.evaluation import decode, evaluate_ap
from training.networks.picodet import STRIDES, HeadOutputs

HEIGHT, WIDTH = 160, 352


def found(*rows: tuple[float, ...]) -> Detections:
    table = np.array(rows, np.float32).reshape(len(rows), 5)
    return Detections(table[:, :4], table[:, 4], np.zeros(len(rows), np.int32))


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(len(rows), 4)


def test_average_precision_by_hand() -> None:
    """Best first: right, wrong (a second one on the same thing), right, wrong, right; one of four is never found.

    Recall rises by a quarter each at precisions 1, 2/3 and 3/5.
    """
    first, second, third, fourth = (0, 0, 10, 10), (50, 50, 70, 70), (0, 0, 20, 20), (200, 0, 220, 20)
    detections = [
        found((0, 0, 10, 9, 0.9), (0, 0, 10, 10, 0.8), (51, 50, 70, 70, 0.7)),
        found((100, 100, 120, 120, 0.6), (0, 0, 20, 11, 0.5)),
    ]
    expected = (1 + 2 / 3 + 3 / 5) / 4
    assert evaluate_ap(detections, [boxes(first, second), boxes(third, fourth)]) == pytest.approx(expected)


def test_average_precision_counts_the_envelope() -> None:
    """A wrong one before two right ones: precisions 0, 1/2, 2/3, of which the later, higher one counts for both."""
    detections = [found((90, 90, 99, 99, 0.9), (0, 0, 10, 10, 0.8), (20, 0, 30, 10, 0.7))]
    assert evaluate_ap(detections, [boxes((0, 0, 10, 10), (20, 0, 30, 10))]) == pytest.approx(2 / 3)


def test_nothing_found_and_nothing_there() -> None:
    assert evaluate_ap([found()], [boxes((0, 0, 10, 10))]) == 0
    assert evaluate_ap([found((0, 0, 10, 10, 0.9)), found()], [boxes(), boxes((0, 0, 9, 9))]) == 0
    with pytest.raises(ValueError, match="at least one box"):
        evaluate_ap([found()], [boxes()])


def test_decode_reads_boxes_by_hand() -> None:
    """One sure cell a level, each side's bins pointing at one distance: its center less and plus so many strides."""
    grids = [(-(-HEIGHT // stride), -(-WIDTH // stride)) for stride in STRIDES]
    logits = [torch.full((2, 1, *grid), -9.0) for grid in grids]
    bins = [torch.zeros(2, 4, 8, *grid) for grid in grids]
    for level, side in enumerate((1, 2, 3, 1)):
        logits[level][1, 0, 1, 2] = 2.0 - level
        bins[level][1, :, side, 1, 2] = 40.0
    outputs = HeadOutputs(tuple(logits), tuple(level.flatten(1, 2) for level in bins))
    nothing, found = decode(outputs, HEIGHT, WIDTH)
    assert len(nothing) == 0
    np.testing.assert_allclose(found.scores, torch.tensor([2.0, 1.0, 0.0, -1.0]).sigmoid(), rtol=1e-5)
    expected = [(12, 4, 28, 20), (8, -8, 72, 56), (-16, -48, 176, 144), (96, 32, 224, 160)]
    np.testing.assert_allclose(found.boxes_xyxy, np.clip(expected, 0, [WIDTH, HEIGHT] * 2), atol=1e-3)
