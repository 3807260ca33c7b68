"""SimOTA in one go for a batch, against a plain loop over images, things and anchors."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from torch import Tensor

from training.detector.assignment import assign
from training.detector.boxes import Predictions, decode_boxes, gather_predictions, overlap
from training.networks.picodet import HeadOutputs


def predictions(images: int) -> Predictions:
    generator = torch.Generator().manual_seed(3)
    sides = (8, 4, 2, 1)
    return gather_predictions(
        HeadOutputs(
            tuple(torch.randn(images, 1, side, side, generator=generator) for side in sides),
            tuple(torch.randn(images, 32, side, side, generator=generator) for side in sides),
        )
    )


def test_equals_the_plain_loop() -> None:
    found = predictions(images=3)
    boxes = torch.tensor([[4.0, 6, 30, 50], [10, 10, 40, 44], [0, 0, 64, 64], [33, 33, 37, 36], [50, 2, 63, 20]])
    image_of = torch.tensor([0, 0, 0, 2, 2])
    assignment = assign(found, boxes, image_of)
    got = {
        (int(p), int(a)): int(t) for p, a, t in zip(assignment.image, assignment.anchor, assignment.thing, strict=True)
    }
    expected = {key: thing for image in range(3) for key, thing in by_loop(found, boxes, image_of, image)}
    assert got == expected
    assert len(assignment.anchor) == len(got)
    assert set(assignment.thing.tolist()) == {0, 1, 2, 3, 4}
    decoded = decode_boxes(found.bins, found.centers, found.strides)[assignment.image, assignment.anchor]
    torch.testing.assert_close(assignment.quality, overlap(decoded, boxes[assignment.thing])[0])


def test_nothing_there() -> None:
    assignment = assign(predictions(images=2), torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    assert len(assignment.anchor) == len(assignment.quality) == 0


def by_loop(found: Predictions, boxes: Tensor, image_of: Tensor, image: int) -> Iterator[tuple[tuple[int, int], int]]:
    """Yield (image, anchor), thing as the paper tells it."""
    takers: dict[int, tuple[float, int]] = {}
    decoded = decode_boxes(found.bins[image], found.centers, found.strides)
    for thing in (image_of == image).nonzero().flatten().tolist():
        x1, y1, x2, y2 = boxes[thing].tolist()
        ious = overlap(decoded, boxes[thing])[0].tolist()
        costs = {}
        for anchor, (x, y) in enumerate(found.centers.tolist()):
            reach = 2.5 * float(found.strides[anchor])
            inside = x1 < x < x2 and y1 < y < y2
            near = max(abs(x - (x1 + x2) / 2), abs(y - (y1 + y2) / 2)) < reach
            if inside or near:
                score = 1 / (1 + math.exp(-float(found.logits[image, anchor])))
                entropy = -ious[anchor] * math.log(score) - (1 - ious[anchor]) * math.log(1 - score)
                cost = entropy * (ious[anchor] - score) ** 2 - 6 * math.log(ious[anchor] + 1e-7)
                costs[anchor] = cost + (0 if inside and near else 1e5)
        wanted = max(1, int(sum(sorted(ious)[-10:])))
        for anchor in sorted(costs, key=lambda index: costs[index])[:wanted]:
            if anchor not in takers or costs[anchor] < takers[anchor][0]:
                takers[anchor] = costs[anchor], thing
    for anchor, (_, thing) in takers.items():
        yield (image, anchor), thing
