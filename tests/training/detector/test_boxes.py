"""Anchors, boxes from distances, overlap: against numbers worked by hand."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.detector.boxes import decode_boxes, gather_predictions, overlap
from training.networks.picodet import HeadOutputs


def test_anchors_are_cell_centers_row_after_row() -> None:
    grids = [(2, 3), (1, 2), (1, 1), (1, 1)]
    outputs = HeadOutputs(
        tuple(torch.arange(h * w).float().reshape(1, 1, h, w) for h, w in grids),
        tuple(torch.zeros(1, 32, h, w) for h, w in grids),
    )
    outputs.bins[0][0, 8:16, 1, 2] = 7.0  # the second side of the cell in the second row, third column
    found = gather_predictions(outputs)
    assert found.centers[:8].tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12], [8, 8], [24, 8]]
    assert found.strides.tolist() == [8] * 6 + [16] * 2 + [32, 64]
    assert found.logits.tolist() == [[0, 1, 2, 3, 4, 5, 0, 1, 0, 0]]
    assert found.bins[0, 5].sum(dim=1).tolist() == [0, 56, 0, 0]
    assert found.bins[0, :5].abs().sum() == 0


def test_a_box_is_the_mean_of_its_bins() -> None:
    bins = torch.full((4, 8), -100.0)
    for side, distances in enumerate(([2], [0], [3, 4], [7])):
        bins[side, distances] = 100.0
    box = decode_boxes(bins, torch.tensor([100.0, 50.0]), torch.tensor(8.0))
    torch.testing.assert_close(box, torch.tensor([100 - 16.0, 50, 100 + 28, 50 + 56]))


@pytest.mark.parametrize(
    ("other", "iou", "generalized"),
    [
        ((0, 0, 10, 10), 1.0, 1.0),
        ((5, 0, 15, 10), 50 / 150, 50 / 150),
        ((5, 5, 15, 15), 25 / 175, 25 / 175 - 50 / 225),
        ((20, 0, 30, 10), 0.0, -100 / 300),
    ],
)
def test_overlap(other: tuple[float, ...], iou: float, generalized: float) -> None:
    found = overlap(torch.tensor([0.0, 0, 10, 10]), torch.tensor(other, dtype=torch.float32))
    assert [float(value) for value in found] == pytest.approx([iou, generalized], abs=1e-6)
