"""Networks exported by Paddle, converted by both routes, against Paddle inference on the uncut model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from shitu_edge_export import isolate
from shitu_edge_export.checks import compare_detector, compare_extractor
from shitu_edge_export.convert import FRONTEND_ROUTE, ONNX_ROUTE
from shitu_edge_export.errors import ConversionError, ModelError
from shitu_edge_export.images import load_sample, synthetic_samples
from shitu_edge_export.kinds import PicoDet
from shitu_edge_export.networks import convert_detector, convert_extractor
from shitu_edge_export.parity import BoxParity, RowParity
from shitu_edge_export.progress import Progress
from shitu_edge_export.receipt import Check, Tolerances
from shitu_edge_export.single import convert_single

from .paddle_networks import (
    DETECTORS,
    EXTRACTORS,
    FORMATS,
    SHARED_CONVOLUTIONS,
    SHARED_NORMS,
    Detector,
    Extractor,
    Format,
    missing,
)

Models = Mapping[Format, Path]
SILENT = Progress(console=Console(quiet=True))
IMAGES = [sample.pixels_rgb for sample in synthetic_samples(4)]
EXACT = Tolerances()
DECODED = [detector for detector in (*DETECTORS, SHARED_CONVOLUTIONS, SHARED_NORMS) if detector.name != "raw_c3_r11"]
OFFICIAL = ("det_mainbody", "rec_v1", "rec_v2")


def routes_of(checks: tuple[Check, ...]) -> set[tuple[str, str]]:
    return {(check.route, check.engine) for check in checks}


def expected_routes(file_format: Format) -> set[tuple[str, str]]:
    """OpenVINO's frontend reads `.pdmodel` alone."""
    routes = {(ONNX_ROUTE, "openvino"), (ONNX_ROUTE, "onnxruntime")}
    return routes | ({(FRONTEND_ROUTE, "openvino")} if file_format == "pdmodel" else set())


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("built", [*DETECTORS, SHARED_CONVOLUTIONS, SHARED_NORMS], ids=lambda built: built.name)
def test_structure(paddle_models: Models, tmp_path: Path, built: Detector, file_format: Format) -> None:
    """Strides, bins, classes and what followed the head are found as they were built."""
    found = convert_detector(paddle_models[file_format] / built.name, tmp_path, 128 if built.dynamic else None, SILENT)
    head = found.spec.head
    assert head.layout == "picodet_levels"
    assert head.strides == built.strides
    assert head.reg_max == built.reg_max
    assert isinstance(found.kind, PicoDet)
    assert found.kind.control_flow == (built.kind == "while")
    sides = (128, 128) if built.dynamic else (built.height, built.width)
    assert (found.spec.network.input.height, found.spec.network.input.width) == sides
    if built.kind in ("nms", "while"):
        assert (head.nms_iou, head.nms_top_k, head.keep_top_k) == (built.iou, built.nms_top_k, built.keep_top_k)
    if built.kind != "raw":
        assert head.clip_first == (built.kind == "while")
    if built.kind == "while":
        assert head.pre_nms_top_k == built.pre_nms_top_k


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("built", DECODED, ids=lambda built: built.name)
def test_boxes(paddle_models: Models, tmp_path: Path, built: Detector, file_format: Format) -> None:
    found = convert_detector(paddle_models[file_format] / built.name, tmp_path, 128 if built.dynamic else None, SILENT)
    comparison, reference = compare_detector(found, IMAGES, EXACT, SILENT)
    checks = comparison.check_routes()
    assert sum(map(len, reference)) > 20, "there is something to compare"
    assert routes_of(checks) == expected_routes(file_format)
    for check in checks:
        assert check.passed, (check.route, check.engine, check.parity)


@pytest.mark.parametrize("file_format", FORMATS)
def test_another_input_size(paddle_models: Models, tmp_path: Path, file_format: Format) -> None:
    """A loop decodes whatever its head answers, so that Paddle can say what another size should give."""
    found = convert_detector(paddle_models[file_format] / "while_s2_c3_r11_96", tmp_path, 160, SILENT)
    assert found.spec.network.input.shape() == (1, 3, 160, 160)
    comparison, _ = compare_detector(found, IMAGES, EXACT, SILENT)
    checks = comparison.check_routes()
    for check in checks:
        assert check.passed, (check.route, check.engine, check.parity)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("built", EXTRACTORS, ids=lambda built: built.name)
def test_embeddings(paddle_models: Models, tmp_path: Path, built: Extractor, file_format: Format) -> None:
    found = convert_extractor(paddle_models[file_format] / built.name, tmp_path, None, SILENT)
    assert found.kind.dim == found.spec.dim == built.dim
    assert built.style.upper() in found.kind.kind
    comparison, rows = compare_extractor(found, IMAGES, EXACT, SILENT)
    checks = comparison.check_routes()
    assert rows.shape == (len(IMAGES), built.dim)
    assert routes_of(checks) == expected_routes(file_format)
    assert all(check.passed for check in checks), checks


@pytest.mark.parametrize("file_format", FORMATS)
def test_an_unknown_op_is_named(paddle_models: Models, tmp_path: Path, file_format: Format) -> None:
    """paddle2onnx aborts its process on it; this one goes on."""
    with pytest.raises(ConversionError, match="eigvals"):
        convert_extractor(paddle_models[file_format] / "eigenvalues", tmp_path, None, SILENT)


@pytest.mark.parametrize("file_format", FORMATS)
def test_another_network(paddle_models: Models, tmp_path: Path, file_format: Format) -> None:
    model = paddle_models[file_format] / "segmentation"
    with pytest.raises(ModelError, match="expected a PicoDet"):
        convert_detector(model, tmp_path / "work", None, SILENT)
    receipt = convert_single(model, tmp_path / "out", None, [], EXACT, SILENT)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "network.onnx",
        "network.xml",
        "network.bin",
        "receipt.json",
    }
    assert all(check.passed for check in receipt.networks[0].checks)


def test_one_route_stands_in_for_the_other(
    paddle_models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = isolate.run

    def broken(task: str, *arguments: Any, **facts: Any) -> dict[str, Any]:
        if task == "paddle_to_onnx":
            raise ConversionError("paddle2onnx crashed with SIGSEGV: nothing")
        return whole(task, *arguments, **facts)

    monkeypatch.setattr(isolate, "run", broken)
    found = convert_detector(paddle_models["pdmodel"] / "while_s2_c3_r11_96", tmp_path, None, SILENT)
    assert found.best.name == FRONTEND_ROUTE
    assert [route.error for route in found.routes] == ["paddle2onnx crashed with SIGSEGV: nothing", None]
    comparison, _ = compare_detector(found, IMAGES, EXACT, SILENT)
    checks = comparison.check_routes()
    assert routes_of(checks) == {(FRONTEND_ROUTE, "openvino")}
    assert all(check.passed for check in checks)


@pytest.fixture(scope="module")
def official(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official graphs with seeded weights."""
    lacking = missing()
    if lacking:
        pytest.skip(f"{' and '.join(lacking)} not installed: `make test-export` sets them up and runs this")
    folder = tmp_path_factory.mktemp("official")
    for name in OFFICIAL:
        graph = shared / "models" / "ppshitu" / name / "inference.pdmodel"
        command = [sys.executable, str(shared / "tools" / "fill_weights.py"), str(graph), str(folder / name)]
        subprocess.run(
            command, check=True, capture_output=True, env={**os.environ, "FLAGS_enable_pir_api": "0", "CI": "true"}
        )
    return folder


@pytest.mark.shared_data
@pytest.mark.parametrize("input_size", [None, 416])
def test_the_official_detector(official: Path, shared: Path, tmp_path: Path, input_size: int | None) -> None:
    """Cut, by both routes, against the uncut graph with its loop, on photos, at its own size and at another."""
    photos = sorted((shared / "data" / "drinks" / "queries").iterdir())[:3]
    found = convert_detector(official / "det_mainbody", tmp_path, input_size, SILENT)
    comparison, reference = compare_detector(found, [load_sample(path).pixels_rgb for path in photos], EXACT, SILENT)
    checks = comparison.check_routes()
    assert sum(map(len, reference)) > 50
    assert routes_of(checks) == expected_routes("pdmodel")
    for check in checks:
        assert isinstance(check.parity, BoxParity)
        assert check.parity.max_px <= 0.01
        assert check.parity.max_score <= 1e-5
        assert (check.parity.missed, check.parity.extra) == (0, 0)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["rec_v1", "rec_v2"])
def test_the_official_extractors(official: Path, shared: Path, tmp_path: Path, name: str) -> None:
    photos = sorted((shared / "data" / "drinks" / "queries").iterdir())[:3]
    found = convert_extractor(official / name, tmp_path, None, SILENT)
    assert name[-2:].upper() in found.kind.kind
    comparison, _ = compare_extractor(found, [load_sample(path).pixels_rgb for path in photos], EXACT, SILENT)
    checks = comparison.check_routes()
    assert routes_of(checks) == expected_routes("pdmodel")
    for check in checks:
        assert isinstance(check.parity, RowParity)
        assert check.parity.min_cosine >= 0.99999


@pytest.mark.shared_data
def test_a_model_with_its_trained_weights(official: Path, shared: Path, tmp_path: Path) -> None:
    photos = shared / "data" / "drinks" / "queries"
    receipt = convert_single(shared / "models" / "ppocr_det", tmp_path / "out", None, [photos], EXACT, SILENT)
    checks = receipt.networks[0].checks
    assert routes_of(checks) == expected_routes("pdmodel")
    assert all(check.passed for check in checks), checks
