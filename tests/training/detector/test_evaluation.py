"""Average precision by hand; decoding against the runtime's on the same outputs."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from shitu_edge.bundle import DetectorSpec, InputSpec, Network, PicoDetLevels
from shitu_edge.stages.detect import decode_head
from training.detector.evaluation import NMS_IOU, Found, decode, evaluate_ap
from training.networks.picodet import STRIDES, HeadOutputs

HEIGHT, WIDTH = 160, 352


def found(*rows: tuple[float, ...]) -> Found:
    table = np.array(rows, np.float32).reshape(len(rows), 5)
    return Found(table[:, :4], table[:, 4])


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


def test_average_precision_of_another_overlap() -> None:
    detections, true = [found((0, 0, 10, 7, 0.9))], [boxes((0, 0, 10, 10))]
    assert evaluate_ap(detections, true, iou=0.7) == 1
    assert evaluate_ap(detections, true, iou=0.71) == 0


def test_nothing_found_and_nothing_there() -> None:
    assert evaluate_ap([found()], [boxes((0, 0, 10, 10))]) == 0
    assert evaluate_ap([found((0, 0, 10, 10, 0.9)), found()], [boxes(), boxes((0, 0, 9, 9))]) == 0
    with pytest.raises(ValueError, match="at least one box"):
        evaluate_ap([found()], [boxes()])


@pytest.mark.parametrize("lowest_score", [0.01, 0.6, 0.97])
def test_decodes_as_the_runtime(lowest_score: float) -> None:
    generator = torch.Generator().manual_seed(1)
    grids = [(-(-HEIGHT // stride), -(-WIDTH // stride)) for stride in STRIDES]
    outputs = HeadOutputs(
        tuple(torch.randn(2, 1, *grid, generator=generator) * 2 for grid in grids),
        tuple(torch.randn(2, 32, *grid, generator=generator) * 3 for grid in grids),
    )
    names = [str(stride) for stride in STRIDES]
    scores, distances = (tuple(kind + n for n in names) for kind in "sd")
    head = PicoDetLevels("picodet_levels", STRIDES, scores, distances, nms_iou=NMS_IOU)
    network = Network("detector", "made up", "0" * 64, {}, InputSpec("image", HEIGHT, WIDTH, "cubic"))
    for index, item in enumerate(decode(outputs, HEIGHT, WIDTH, lowest_score)):
        raw = {f"s{n}": out[index : index + 1].sigmoid() for n, out in zip(names, outputs.logits, strict=True)}
        raw |= {f"d{n}": out[index : index + 1] for n, out in zip(names, outputs.bins, strict=True)}
        arrays = {name: value.permute(0, 2, 3, 1).numpy() for name, value in raw.items()}
        expected_boxes, expected_scores, _ = decode_head(DetectorSpec(network, head), arrays, lowest_score)
        assert len(item.scores) == len(expected_scores) > 0
        np.testing.assert_allclose(item.scores, expected_scores, rtol=1e-5)
        np.testing.assert_allclose(item.boxes_xyxy, expected_boxes, atol=1e-3)
