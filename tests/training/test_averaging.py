"""The mean of checkpoints, against means by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

from typer.testing import CliRunner

from training.averaging import average_weights
from training.checkpoint import save_checkpoint
from training.cli import app
from training.detector.train import load_detector
from training.networks.picodet import PicoDet, PicoDetConfig

CONFIG = {"scale": 0.25, "channels": 8, "head_convs": 1}


def write_run(path: Path, value: float, steps: int) -> Path:
    """Write a checkpoint of a small detector, all of whose weights are a value."""
    network = PicoDet(PicoDetConfig(0.25, 8, 1))
    for tensor in network.state_dict().values():
        tensor.fill_(value if tensor.is_floating_point() else steps)
    path.parent.mkdir()
    save_checkpoint(path, {"kind": "detector", "config": CONFIG, "options": {}, "network": network.state_dict()})
    return path


def test_weights_are_the_mean_and_counters_the_last(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"{value}" / "detector.pt", value, int(value)) for value in (1.0, 2.0, 6.0)]
    finished = CliRunner().invoke(app, ["average", "detector", *map(str, runs), "--out", str(tmp_path / "mean")])
    assert finished.exit_code == 0, finished.output
    for value in load_detector(tmp_path / "mean" / "detector.pt").state_dict().values():
        assert (value == (3.0 if value.is_floating_point() else 6)).all()


def test_refuses_another_network(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run" / "detector.pt", 1.0, 1)
    other = tmp_path / "other.pt"
    wide = PicoDet(PicoDetConfig(0.5, 8, 1))
    save_checkpoint(other, {"kind": "detector", "config": CONFIG, "options": {}, "network": wide.state_dict()})
    with pytest.raises(ValueError, match=r"other\.pt: expected weights of the shapes of .*detector\.pt, found others"):
        average_weights("detector", [other, run])
    with pytest.raises(ValueError, match="expected a checkpoint of kind extractor, found detector"):
        average_weights("extractor", [run])
