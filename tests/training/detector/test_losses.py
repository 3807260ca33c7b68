"""The losses, by hand, and that minimizing them finds what is there."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.detector.evaluation import detect, evaluate_ap, normalize
from training.detector.losses import _weights, detection_losses, distribution_focal, varifocal
from training.detector.photos import photo_names, read_photos
from training.networks.picodet import HeadOutputs, PicoDet, PicoDetConfig


def test_varifocal_by_hand() -> None:
    score = 0.8
    logit = math.log(score / (1 - score))
    background = -0.75 * score**2 * math.log(1 - score)
    thing = -0.6 * (0.6 * math.log(score) + 0.4 * math.log(1 - score))
    found = varifocal(torch.tensor([logit, logit]), torch.tensor([0.0, 0.6]))
    assert found.tolist() == pytest.approx([background, thing], rel=1e-5)


def test_distribution_focal_by_hand() -> None:
    bins = torch.zeros(8)
    bins[3] = math.log(3.0)  # probabilities 3/10 for 3, 1/10 for each other
    found = distribution_focal(bins.expand(3, 8), torch.tensor([3.25, 3.0, 99.0]))
    expected = [-0.75 * math.log(0.3) - 0.25 * math.log(0.1), -math.log(0.3), -math.log(0.1)]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_background_alone_teaches_scores_only() -> None:
    sides = (4, 2, 1, 1)
    outputs = HeadOutputs(
        tuple(torch.zeros(1, 1, side, side, requires_grad=True) for side in sides),
        tuple(torch.zeros(1, 32, side, side, requires_grad=True) for side in sides),
    )
    losses = detection_losses(outputs, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long))
    assert float(losses["score"].detach()) == pytest.approx(22 * 0.75 * 0.25 * math.log(2), rel=1e-5)
    assert losses["box"] == losses["distribution"] == 0


def test_an_image_counts_with_the_root_of_its_positives() -> None:
    image = torch.tensor([0] * 16 + [1] * 64 + [2] * 4)
    weights = _weights(image, 4).double()
    assert float(weights @ torch.tensor([16, 64, 4, 1], dtype=torch.double)) == pytest.approx(1)
    assert float(16 * weights[0] / (64 * weights[1])) == pytest.approx(0.5)
    assert weights[2] == weights[3]  # few, and none


def test_learns_eight_photos_by_heart(drawn: Path) -> None:
    torch.manual_seed(0)
    photos = read_photos(drawn, photo_names(drawn))
    side = 96
    network = PicoDet(PicoDetConfig(0.25, 24, 1))
    optimizer = torch.optim.AdamW(network.parameters(), 4e-3)
    scale = np.array([side / 96, side / 64] * 2, np.float32)
    boxes = torch.from_numpy(np.concatenate([photo.boxes_xyxy * scale for photo in photos]))
    image = torch.from_numpy(np.repeat(np.arange(8), [len(photo.boxes_xyxy) for photo in photos]))
    images = normalize(torch.from_numpy(np.stack([cv2.resize(photo.pixels_rgb, (side, side)) for photo in photos])))
    for _ in range(60):
        optimizer.zero_grad()
        torch.stack(list(detection_losses(network(images), boxes, image).values())).sum().backward()
        optimizer.step()
    assert evaluate_ap(detect(network, photos, side), [photo.boxes_xyxy for photo in photos]) > 0.9
