"""The last layer by linear discriminant analysis."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

from training.extractor.evaluate import embed_pack, evaluate
from training.extractor.packs import Pack, pack_images
from training.extractor.refit import refit
from training.networks.extractor import Extractor

from .images import write_products
from .test_packs import ignore


def test_the_network_gives_what_was_fitted(tmp_path: Path) -> None:
    """Products that it has never seen are told apart better than by the untrained last layer."""
    for name, products, views in (("own", range(40), range(6)), ("new", range(50, 70), range(6))):
        pack_images([write_products(tmp_path / name, products, views)], tmp_path / f"{name}-pack", 40, False, ignore)
    own, new = Pack.open(tmp_path / "own-pack"), Pack.open(tmp_path / "new-pack")
    torch.manual_seed(1)
    untrained = Extractor(0.25, 32)
    before = {name: value.clone() for name, value in untrained.state_dict().items()}
    steps: list[tuple[int, int]] = []
    fitted = refit(untrained, [(own, 1.0)], 40, 1, lambda *step: steps.append(step))
    assert steps[-1] == (len(own), len(own))
    assert all(torch.equal(before[name], value) for name, value in untrained.state_dict().items()), "left as it was"
    assert torch.equal(fitted.backbone.conv1.conv.weight, untrained.backbone.conv1.conv.weight)
    assert embed_pack(fitted, new, 40).shape == (len(new), 32)
    gained = (
        evaluate(fitted, new, new, 40).mean_average_precision - evaluate(untrained, new, new, 40).mean_average_precision
    )
    assert gained > 0.05
    wider = refit(untrained, [(own, 1.0)], 40, 0, ignore, stages=5)
    assert wider.last_conv.in_channels == sum(untrained.backbone.stage_channels)
    assert torch.equal(wider.backbone.conv1.conv.weight, untrained.backbone.conv1.conv.weight)
    assert evaluate(wider, new, new, 40).mean_average_precision > 0.05


def test_more_numbers_than_the_backbone_has_are_refused() -> None:
    with pytest.raises(ValueError, match="512 numbers an embedding are more than the 128"):
        refit(Extractor(0.25, 512), [], 40, 1, ignore)
