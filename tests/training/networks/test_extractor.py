"""The extractor with either backbone, made of one stage or more."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.checkpoint import save_checkpoint
from training.extractor.train import load_extractor
from training.networks.extractor import Backbone, Extractor


@pytest.mark.parametrize("backbone", ["lcnet", "lcnet_v2"])
@pytest.mark.parametrize("stages", [1, 3])
def test_a_checkpoint_gives_the_extractor_back(tmp_path: Path, backbone: Backbone, stages: int) -> None:
    torch.manual_seed(1)
    extractor = Extractor(0.25, 24, backbone=backbone, stages=stages).eval()
    state = {"kind": "extractor", "options": extractor.facts, "network": extractor.state_dict()}
    save_checkpoint(tmp_path / "extractor.pt", state)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        found = load_extractor(tmp_path / "extractor.pt")(images)
        assert found.shape == (2, 24)
        torch.testing.assert_close(found, extractor(images), rtol=0, atol=0)


def test_a_checkpoint_that_says_less_gives_the_defaults_and_one_that_says_more_is_heard(tmp_path: Path) -> None:
    """Trainings from before there were stages say nothing of them; what came back from Paddle says all."""
    other = Extractor(0.25, 24, last_stride=2)
    for options, stride in (({"backbone": "lcnet", "scale": 0.25, "dim": 24}, 1), (other.facts, 2)):
        save_checkpoint(
            tmp_path / "extractor.pt", {"kind": "extractor", "options": options, "network": other.state_dict()}
        )
        found = load_extractor(tmp_path / "extractor.pt")
        assert (found.facts["last_stride"], found.stages) == (stride, 1)


def test_the_last_layer_sees_the_averages_of_the_last_stages() -> None:
    extractor = Extractor(0.25, 24, stages=2).eval()
    channels = extractor.backbone.stage_channels
    averages = extractor.average([torch.full((1, count, 4, 4), float(n)) for n, count in enumerate(channels)])
    assert averages.flatten().tolist() == [3.0] * 64 + [4.0] * 128
    assert extractor.last_conv.in_channels == 192


def test_an_extractor_of_mirror_images_is_refused() -> None:
    facts = Extractor(0.25, 24).facts
    assert Extractor.of(facts | {"mirrored": False}).facts == facts
    with pytest.raises(ValueError, match="mirror images are no longer supported"):
        Extractor.of(facts | {"mirrored": True})


def test_more_stages_than_there_are_are_refused() -> None:
    with pytest.raises(ValueError, match="stages: expected 1 to 4, found 5"):
        Extractor(0.25, 24, backbone="lcnet_v2", stages=5)
