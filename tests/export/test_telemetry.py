"""The export stage reports nothing: neither its own process nor the worker's, with any of their libraries."""

from __future__ import annotations

import json
from pathlib import Path

from ..networks import DIM, write_extractor
from ..tracing import trace
from .paddle_networks import Format

_COMMAND = "from shitu_edge_export.cli import main; main()"


def test_conversion_of_onnx_reports_nothing(tmp_path: Path) -> None:
    write_extractor(tmp_path / "extractor.onnx")
    seen = trace(["-c", _COMMAND, "convert", tmp_path / "extractor.onnx", "--out", tmp_path / "converted"], tmp_path)
    assert (seen.sockets, seen.forks, seen.home) == ([], [], [])


def test_worker_reports_nothing(tmp_path: Path) -> None:
    write_extractor(tmp_path / "extractor.onnx")
    arguments = {
        "source": str(tmp_path / "extractor.onnx"),
        "target": str(tmp_path / "extractor.xml"),
        "shapes": {"image": [1, 3, 32, 32]},
        "outputs": ["embedding"],
        "half": False,
        "result": str(tmp_path / "result.json"),
    }
    (tmp_path / "arguments.json").write_text(json.dumps(arguments), encoding="utf-8")
    seen = trace(["-m", "shitu_edge_export.worker", "to_ir", tmp_path / "arguments.json"], tmp_path)
    assert f"{DIM}" in (tmp_path / "result.json").read_text(encoding="utf-8")
    assert (seen.sockets, seen.forks, seen.home) == ([], [], [])


def test_conversion_from_paddle_reports_nothing(paddle_models: dict[Format, Path], tmp_path: Path) -> None:
    model = paddle_models["pdmodel"] / "rec_v2"
    seen = trace(["-c", _COMMAND, "convert", model, "--out", tmp_path / "converted"], tmp_path)
    assert (seen.sockets, seen.forks) == ([], [])
    assert set(seen.home) <= {".cache", ".cache/paddle", ".cache/paddle/dataset"}, "empty folders that Paddle makes"
