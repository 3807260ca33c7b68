"""Checkpoints of tiny networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

Checkpoint = Callable[[str], Path]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Give the checkpoint of a `detector` or of an extractor with the backbone of that name; skips without PyTorch.

    `joined` is an extractor whose embedding is made of three stages, of images and their mirror images.
    """
    pytest.importorskip("torch", reason="PyTorch is not installed")
    import torch

    from training.checkpoint import save_checkpoint
    from training.networks.extractor import Backbone, Extractor
    from training.networks.picodet import PicoDet, PicoDetConfig

    folder = tmp_path_factory.mktemp("checkpoints")

    def make(name: str) -> Path:
        torch.manual_seed(1)
        facts: dict[str, Any]
        network: torch.nn.Module
        if name == "detector":
            network = detector = PicoDet(PicoDetConfig(0.25, 24, 2))
            facts = {"kind": "detector", "config": asdict(detector.config)}
        else:
            backbone: Backbone = "lcnet_v2" if name == "lcnet_v2" else "lcnet"
            joined = name == "joined"
            network = extractor = Extractor(0.25, 24, backbone=backbone, stages=3 if joined else 1)
            facts = {"kind": "extractor", "options": extractor.facts}
        for parameter in network.parameters():  # far from what Paddle's networks begin with
            parameter.data += 0.05 * torch.randn_like(parameter)
        with torch.no_grad():
            network(torch.randn(16, 3, 64, 64))  # the batch norms' statistics
        save_checkpoint(folder / f"{name}.pt", {**facts, "network": network.state_dict()})
        return folder / f"{name}.pt"

    return make
