"""PaddleClas' and PaddleDetection's networks answer as PyTorch's; where they do not, nothing is written.

Needs both frameworks in one environment, each in a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from shitu_edge_export.kinds import Extractor, PicoDet, recognize
from shitu_edge_export.preparation import DETECTOR, EXTRACTOR, read_preparation
from shitu_edge_export.source import find_configuration, open_model

from training.paddle.parcel import Kind, Parcel

from .conftest import Checkpoint

SIDE, WIDTH = 64, 96
"""The detector's input is wider than high."""
CHECKOUT = Path(__file__).parents[3]
LACKING = [name for name in ("torch", "paddle", "paddleclas", "ppdet") if find_spec(name) is None]

pytestmark = pytest.mark.skipif(bool(LACKING), reason=f"{' and '.join(LACKING)} not installed")


def _width(kind: Kind) -> int:
    return WIDTH if kind == "detector" else SIDE


def hand_over(kind: Kind, parcel: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return _run(kind, parcel, "--out", out)


def take_back(kind: Kind, model: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return _run("take-back", kind, model, "--out", out)


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "training.paddle", *arguments]
    return subprocess.run([*map(str, command)], cwd=CHECKOUT, capture_output=True, text=True, check=False)


def handed_over(kind: Kind, checkpoint: Path, folder: Path) -> dict[str, Any]:
    from training.paddle.weights import export_weights

    export_weights(kind, checkpoint, folder / "parcel", SIDE, _width(kind))
    done = hand_over(kind, folder / "parcel", folder / "model")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["model", "parcel"], "nothing temporary is left"
    report: dict[str, Any] = json.loads((folder / "model" / "parity.json").read_text(encoding="utf-8"))
    return report


def _require_equal(report: dict[str, Any], *names: str) -> None:
    pictures = report["largest_differences_from_pytorch_in_float64"]
    grains = (4, 16, 48, _width(report["kind"]))
    assert [one.pop("picture") for one in pictures] == [f"noise of {grain} blocks a row" for grain in grains]
    wheres = ("the network", "the inference model", "PyTorch's float32")
    for differences in pictures:
        assert set(differences) == {f"{name} by {where}" for name in names for where in wheres}
        assert max(differences.values()) < 1e-4


@pytest.mark.parametrize("backbone", ["lcnet", "lcnet_v2", "joined"])
def test_extractor(checkpoint: Checkpoint, tmp_path: Path, backbone: str) -> None:
    report = handed_over("extractor", checkpoint(backbone), tmp_path)
    _require_equal(report, "embedding")
    model = open_model(tmp_path / "model")
    kind = recognize(model)
    assert isinstance(kind, Extractor)
    assert (kind.dim, model.graph.shape(kind.image)) == (24, (-1, 3, SIDE, SIDE))
    found = read_preparation(find_configuration(model.path), DETECTOR)
    assert found == replace(EXTRACTOR, height=SIDE, width=SIDE)


@pytest.mark.parametrize("kind", ["extractor", "detector"])
def test_the_way_back(checkpoint: Checkpoint, tmp_path: Path, kind: Kind) -> None:
    """What comes back from Paddle is, bit by bit, what went there."""
    from training.checkpoint import load_checkpoint
    from training.paddle.weights import export_weights, import_weights

    trained = checkpoint("joined" if kind == "extractor" else kind)
    before = load_checkpoint(trained, kind)
    export_weights(kind, trained, tmp_path / "parcel", SIDE, _width(kind))
    assert hand_over(kind, tmp_path / "parcel", tmp_path / "model").returncode == 0
    assert take_back(kind, tmp_path / "model", tmp_path / "back").returncode == 0
    import_weights(kind, tmp_path / "back", tmp_path / "start")
    after = load_checkpoint(tmp_path / "start" / f"{kind}.pt", kind)
    assert after["network"].keys() == before["network"].keys()
    for name, value in before["network"].items():
        assert name.endswith("num_batches_tracked") or after["network"][name].equal(value), name
    described = "options" if kind == "extractor" else "config"
    assert before[described].items() <= after[described].items()


def test_only_its_own_models_are_taken_back(tmp_path: Path) -> None:
    done = take_back("extractor", tmp_path, tmp_path / "back")
    assert done.returncode == 1
    assert f"error: {tmp_path}: no Paddle model that `training.paddle` made" in done.stderr
    assert not (tmp_path / "back").exists()
    (tmp_path / "parity.json").write_text('{"kind": "extractor", "built_from": {}}', encoding="utf-8")
    (tmp_path / "inference.pdiparams.info").write_bytes(b"\x80\x04damaged")
    assert f"error: {tmp_path}: no Paddle model" in take_back("extractor", tmp_path, tmp_path / "back").stderr


def test_detector(checkpoint: Checkpoint, tmp_path: Path) -> None:
    report = handed_over("detector", checkpoint("detector"), tmp_path)
    _require_equal(report, "scores", "distances")
    model = open_model(tmp_path / "model")
    kind = recognize(model)
    assert isinstance(kind, PicoDet)
    assert (len(kind.scores), kind.decodes) == (4, True)
    assert kind.suppression is not None
    assert (kind.suppression.iou, kind.suppression.score_threshold) == (0.4, 0.025)
    found = read_preparation(find_configuration(model.path), EXTRACTOR)
    assert found == replace(DETECTOR, height=SIDE, width=WIDTH)


def test_other_answers_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    from training.paddle.weights import export_weights

    parcel = export_weights("extractor", checkpoint("lcnet"), tmp_path / "parcel", SIDE, SIDE)
    answers = {"embedding": parcel.answers["embedding"].copy()}
    answers["embedding"][-1, -1] += 1e-3
    replace(parcel, answers=answers).write(tmp_path / "parcel")
    done = hand_over("extractor", tmp_path / "parcel", tmp_path / "model")
    assert done.returncode == 1
    assert (
        "embedding by the network is 0.001 off PyTorch's on noise of 64 blocks a row, more than 0.0001" in done.stderr
    )
    assert [path.name for path in tmp_path.iterdir()] == ["parcel"]
    assert Parcel.read(tmp_path / "parcel", "extractor").width == SIDE
