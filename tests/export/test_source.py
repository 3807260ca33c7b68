"""Models as people hand them over: which file is meant, where its weights and its description are, what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shitu_edge_export.errors import ModelError
from shitu_edge_export.onnx_model import OnnxModel
from shitu_edge_export.pdmodel import PaddleProgram
from shitu_edge_export.pir import PirProgram
from shitu_edge_export.source import find_configuration, find_graph, find_weights, open_model, read_graph

from .programs import FILES, FORMATS, Format, extractor, to_pir, write

NET = extractor("V1")
PIR_HEAD = b'{"base_code": {"magic": "pir"}, "program": {}}'


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(PIR_HEAD if name.endswith(".json") else b"")
    return folder


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_model_is_named_by_its_folder_or_its_file(tmp_path: Path, file_format: Format) -> None:
    path = write(NET, tmp_path, file_format)
    kind = {"pdmodel": PaddleProgram, "pir": PirProgram, "onnx": OnnxModel}[file_format]
    for place in (tmp_path, path):
        assert find_graph(place) == path
        model = open_model(place)
        assert isinstance(model, kind)
        assert model.path == path
        assert read_graph(path).ops == model.graph.ops
    weights = path if file_format == "onnx" else tmp_path / "inference.pdiparams"
    assert model.weights_path == weights


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["model.pdmodel"], "model.pdmodel"),
        (["best.pdmodel"], "best.pdmodel"),
        (["inference.pdmodel", "model_state.pdmodel"], "inference.pdmodel"),
        (["inference.pdmodel", "inference.json"], "inference.pdmodel"),
        (["inference.json", "other.onnx"], "inference.json"),
        (["net.json"], "net.json"),
        (["net.onnx", "inference.pdiparams"], "net.onnx"),
        (["deep/inference.pdmodel", "x.onnx"], "x.onnx"),
    ],
)
def test_which_file_is_meant(tmp_path: Path, names: list[str], expected: str) -> None:
    assert find_graph(touch(tmp_path, *names)) == tmp_path / expected


@pytest.mark.parametrize(
    "names",
    [["a.pdmodel", "b.pdmodel"], ["inference.pdmodel", "model.pdmodel"], ["a.onnx", "b.onnx"], ["a.json", "b.json"]],
)
def test_several_models(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(ModelError, match=rf"several models: name one of {', '.join(names)}"):
        find_graph(touch(tmp_path, *names))


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"3", b'{"config": 1}', b"\xff", b'"base_cod', b"[" * 10_000])
def test_json_that_is_no_program_is_passed_over(tmp_path: Path, content: bytes) -> None:
    """PaddleDetection and Hugging Face put other JSON beside models."""
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"holds no model: expected inference\.pdmodel or inference\.json"):
        find_graph(tmp_path)
    path = write(NET, tmp_path, "pir")
    assert find_graph(tmp_path) == path
    path = write(NET, tmp_path / "onnx", "onnx")
    (tmp_path / "onnx" / "config.json").write_bytes(content)
    assert find_graph(tmp_path / "onnx") == path


def test_a_program_whose_head_comes_late(tmp_path: Path) -> None:
    """The magic may stand behind the program: order in JSON means nothing."""
    program = to_pir(NET)
    path = tmp_path / "net.json"
    path.write_text(json.dumps({"program": program["program"], "base_code": program["base_code"]}), encoding="utf-8")
    assert path.read_bytes().index(b"base_code") > 4096
    assert find_graph(tmp_path) == path
    assert read_graph(path).ops


@pytest.mark.parametrize("name", ["best.pdparams", "best.pdopt", "best.pdstates"])
def test_a_training_checkpoint(tmp_path: Path, name: str) -> None:
    """Named itself, or alone in its folder: what to do is said."""
    touch(tmp_path, name)
    for place in (tmp_path, tmp_path / name):
        with pytest.raises(ModelError, match=rf"{name}: a training checkpoint, .* export it first, .*export_model\.py"):
            find_graph(place)


def test_an_exported_model_beside_its_checkpoint(tmp_path: Path) -> None:
    touch(tmp_path, "best.pdparams", "inference.pdmodel")
    assert find_graph(tmp_path) == tmp_path / "inference.pdmodel"
    with pytest.raises(ModelError, match=r"weights are missing: .*a \.pdparams is a training checkpoint, not these"):
        find_weights(tmp_path / "inference.pdmodel")


@pytest.mark.parametrize("name", ["weights.pdiparams", "model.pt", "README.md", "model"])
def test_files_that_are_no_graph(tmp_path: Path, name: str) -> None:
    touch(tmp_path, name)
    with pytest.raises(ModelError, match=rf"{name}: no model: expected \.pdmodel, inference\.json or \.onnx"):
        find_graph(tmp_path / name)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="absent: no such file or folder"):
        find_graph(tmp_path / "absent")
    with pytest.raises(ModelError, match="holds no model"):
        find_graph(tmp_path)


def test_weights(tmp_path: Path) -> None:
    """Those of the same name, or the only ones."""
    graph = touch(tmp_path, "inference.pdmodel", "other.pdiparams") / "inference.pdmodel"
    assert find_weights(graph) == tmp_path / "other.pdiparams"
    touch(tmp_path, "inference.pdiparams")
    assert find_weights(graph) == tmp_path / "inference.pdiparams"
    touch(tmp_path, "third.pdiparams")
    (tmp_path / "inference.pdiparams").unlink()
    with pytest.raises(ModelError, match=r"weights are missing: expected inference\.pdiparams beside it$"):
        find_weights(graph)


@pytest.mark.parametrize("file_format", ["pdmodel", "pir"])
def test_a_graph_without_weights(tmp_path: Path, file_format: Format) -> None:
    path = write(NET, tmp_path, file_format)
    path.with_suffix(".pdiparams").unlink()
    with pytest.raises(ModelError, match=rf"{FILES[file_format]}: its weights are missing"):
        open_model(tmp_path)
    assert read_graph(path).ops


def test_configurations(tmp_path: Path) -> None:
    graph = touch(tmp_path, "inference.pdmodel") / "inference.pdmodel"
    assert find_configuration(graph) is None
    (tmp_path / "inference.yml").mkdir()
    touch(tmp_path, "other.yml", "deploy.yaml")
    assert find_configuration(graph) == tmp_path / "deploy.yaml", "a folder of that name is none"
    touch(tmp_path, "infer_cfg.yml")
    assert find_configuration(graph) == tmp_path / "infer_cfg.yml"
