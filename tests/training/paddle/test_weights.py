"""Weights leave PyTorch whole, with the network's own answers to noise and to photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import cv2
import torch

from training.detector.train import load_detector
from training.extractor.train import load_extractor
from training.paddle.parcel import Parcel
from training.paddle.weights import export_weights

from .conftest import Checkpoint


def test_extractor(checkpoint: Checkpoint, tmp_path: Path) -> None:
    photo = np.zeros((40, 60, 3), np.uint8)
    photo[:, :] = (1, 2, 250)  # in OpenCV's order: red
    cv2.imwrite(str(tmp_path / "red.png"), photo)
    export_weights("extractor", checkpoint("lcnet"), tmp_path / "parcel", 64, 64, [tmp_path / "red.png"])
    parcel = Parcel.read(tmp_path / "parcel", "extractor")
    assert parcel.facts == {
        "backbone": "lcnet",
        "scale": 0.25,
        "dim": 24,
        "last_stride": 1,
        "stages": 1,
    }
    assert parcel.images.shape == (5, 3, 64, 64)
    np.testing.assert_allclose(
        parcel.images[4, :, 5, 7] * (0.229, 0.224, 0.225) + (0.485, 0.456, 0.406),
        np.array([250, 2, 1]) / 255,
        atol=1e-6,
    )
    extractor = load_extractor(checkpoint("lcnet"))
    with torch.no_grad():
        expected = extractor(torch.from_numpy(parcel.images)).numpy()
    np.testing.assert_allclose(parcel.answers["embedding"], expected, atol=1e-5)
    off = np.abs(parcel.answers["embedding"] - expected).max(1)
    np.testing.assert_allclose(parcel.rounding["embedding"], off, atol=1e-6)
    state = extractor.state_dict()
    assert parcel.weights.keys() == {name for name in state if "num_batches_tracked" not in name}
    assert all(np.array_equal(value, state[name].numpy()) for name, value in parcel.weights.items())


def test_detector(checkpoint: Checkpoint, tmp_path: Path) -> None:
    parcel = export_weights("detector", checkpoint("detector"), tmp_path, 64, 128)
    assert (parcel.facts, parcel.images.shape) == ({"scale": 0.25, "channels": 24, "head_convs": 2}, (4, 3, 64, 128))
    with torch.no_grad():
        outputs = load_detector(checkpoint("detector"))(torch.from_numpy(parcel.images))
    # The second level's cell in row 1, column 3 comes after the first level's 8 × 16.
    cell = 8 * 16 + 1 * 8 + 3
    assert parcel.answers["scores"].shape == (4, 8 * 16 + 4 * 8 + 2 * 4 + 1 * 2)
    np.testing.assert_allclose(parcel.answers["scores"][2, cell], outputs.logits[1][2, 0, 1, 3].sigmoid(), atol=1e-5)
    np.testing.assert_allclose(parcel.answers["distances"][2, cell], outputs.bins[1][2, :, 1, 3], atol=1e-5)


def test_a_checkpoint_of_the_other_kind(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of kind detector, found extractor"):
        export_weights("detector", checkpoint("lcnet"), tmp_path / "parcel", 64, 64)
    assert not (tmp_path / "parcel").exists()
