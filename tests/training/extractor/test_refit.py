"""The last layer by linear discriminant analysis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
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


def test_turned_images_bring_turned_products_closer_and_varied_ones_count_once(tmp_path: Path) -> None:
    for name, products in (("own", range(40)), ("other", range(100, 130))):
        pack_images([write_products(tmp_path / name, products, range(4))], tmp_path / f"{name}-pack", 40, False, ignore)
    own, other = Pack.open(tmp_path / "own-pack"), Pack.open(tmp_path / "other-pack")
    torch.manual_seed(1)
    untrained = Extractor(0.25, 32)
    steps: list[tuple[int, int]] = []
    upright = refit(untrained, [(own, 1.0)], 40, 0, ignore, turned=0)
    turned = refit(untrained, [(own, 1.0)], 40, 0, ignore, turned=1)
    varied = refit(untrained, [(own, 1.0)], 40, 0, lambda *step: steps.append(step), varied=[(other, 0.5)], turned=0)
    assert steps[-1] == (len(own) + len(other),) * 2
    lying = Pack(own.folder, np.rot90(own.pixels_rgb, axes=(1, 2)), own.labels, own.names)

    def similarity(network: Extractor) -> float:
        return float((embed_pack(network, own, 40) * embed_pack(network, lying, 40)).sum(1).mean())

    assert similarity(turned) > similarity(upright) + 0.05
    assert not torch.equal(varied.last_conv.weight, upright.last_conv.weight)


def test_more_numbers_than_the_backbone_has_are_refused() -> None:
    with pytest.raises(ValueError, match="512 numbers an embedding are more than the 128"):
        refit(Extractor(0.25, 512), [], 40, 1, ignore)
