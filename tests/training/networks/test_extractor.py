"""The extractor with either backbone; checkpoints from before there was a choice."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.checkpoint import save_checkpoint
from training.extractor.train import load_extractor
from training.networks.extractor import Backbone, Extractor


@pytest.mark.parametrize("backbone", ["lcnet", "lcnet_v2"])
def test_a_checkpoint_gives_the_extractor_back(tmp_path: Path, backbone: Backbone) -> None:
    torch.manual_seed(1)
    extractor = Extractor(0.25, 24, backbone=backbone).eval()
    options = {"scale": 0.25, "dim": 24, "backbone": backbone}
    state = {"kind": "extractor", "options": options, "network": extractor.state_dict()}
    save_checkpoint(tmp_path / "extractor.pt", state)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found = load_extractor(tmp_path / "extractor.pt")(images)
        assert found.shape == (2, 24)
        torch.testing.assert_close(found, extractor(images), rtol=0, atol=0)
