"""A compact bundle, made of ONNX: float32 once for both engines, half precision as IR; all of it in the receipt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shitu_edge_export.bundle import Options, export_bundle
from shitu_edge_export.cli import app
from shitu_edge_export.progress import Progress
from typer.testing import CliRunner

from shitu_edge import Bundle, DecisionPolicy, EngineError, OptionError
from shitu_edge.bundle.networks import open_network
from shitu_edge.engines import ENGINES, EngineName, Resources
from shitu_edge.stages.detect import Detector

from .programs import Pico, extractor, write

STORED = [f"{role}.{name}" for role in ("detector", "extractor") for name in ("fp16.bin", "fp16.xml", "onnx")]

SETTINGS = [
    "--max-boxes",
    "7",
    "--detection-threshold",
    "0.25",
    "--similarity-threshold",
    "0.6",
    "--suppression-iou",
    "0.1",
    "--whole-image",
    "fallback",
    "--shape",
    "96x96",
    "--shape",
    "32x96",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compact")
    detector = write(Pico(end="raw", scores="sigmoid", batch=1).build()[0], folder / "det", "onnx")
    embedder = write(extractor("V2", dim=300), folder / "rec", "onnx")
    notes = folder / "notes.md"
    notes.write_text("## Data\n\nNobody's.\n", encoding="utf-8")
    arguments = ["bundle", "--detector", detector, "--extractor", embedder, "--out", folder / "mine", "--notes", notes]
    done = CliRunner().invoke(app, [*map(str, arguments), *SETTINGS, "--half", "--compact"])
    assert done.exit_code == 0, done.output
    return folder / "mine"


def test_what_is_stored(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir() if path.stem not in ("bundle", "receipt", "README")) == STORED
    assert Bundle.open(made).verify() == len(STORED)


def test_settings_and_notes_of_the_maker(made: Path) -> None:
    manifest = Bundle.open(made).manifest
    assert (manifest.detector.max_boxes, manifest.detector.score_threshold) == (7, 0.25)
    assert manifest.policy == DecisionPolicy(similarity_threshold=0.6, suppression_iou=0.1, whole_image="fallback")
    card = (made / "README.md").read_text(encoding="utf-8")
    assert card.endswith("\n\n## Data\n\nNobody's.\n")
    assert "score of 0.25, at most 7" in card
    assert manifest.detector.shapes == ((96, 96), (32, 96))
    assert "An image that 96 × 96 or 32 × 96 pixels distort much less is detected in that size.\n" in card


def test_the_receipt_covers_every_form_on_every_engine_that_reads_it(made: Path) -> None:
    receipt = json.loads((made / "receipt.json").read_text(encoding="utf-8"))
    for network, role in zip(receipt["networks"], ("detector", "extractor"), strict=True):
        size = (made / f"{role}.onnx").stat().st_size
        checked = {one["engine"] for one in network["checks"] if (one["format"], one["bytes"]) == ("onnx", size)}
        assert checked == set(ENGINES)
        assert all(check["passed"] for check in network["checks"])
        halves = [(one["precision"], one["engine"], one["format"]) for one in network["precisions"]]
        assert halves == [("fp16", "openvino", "openvino")]
    ways = [(one["precision"], one["engine"]) for one in receipt["agreement"]]
    assert ways == [("fp32", "openvino"), ("fp32", "onnxruntime"), ("fp16", "openvino")]


@pytest.mark.parametrize("engine", ENGINES)
def test_its_detector_runs_in_further_shapes(made: Path, engine: EngineName) -> None:
    spec = Bundle.open(made).manifest.detector
    for height, width in spec.shapes:
        network = replace(spec.network, input=replace(spec.network.input, height=height, width=width))
        session = open_network(Bundle.open(made), network, engine, "fp32", Resources(1))
        detector = Detector(session, replace(spec, network=network, shapes=()))
        assert len(detector.detect(np.zeros((height, width, 3), np.uint8), score_threshold=0, max_boxes=9)) == 9


@pytest.mark.parametrize(("shape", "found"), [("96", "'96'"), ("x96", "'x96'"), ("96x-2", "'96x-2'")])
def test_a_shape_that_is_none(tmp_path: Path, shape: str, found: str) -> None:
    with pytest.raises(OptionError, match=f"--shape: expected HEIGHTxWIDTH such as 352x352, found {found}"):
        export_bundle(tmp_path, tmp_path, tmp_path / "out", Options(shapes=(shape,)), Progress())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("engine", "precision"), [("openvino", None), ("onnxruntime", None), ("openvino", "fp16")])
def test_the_runtime_opens_it(made: Path, engine: EngineName, precision: str | None) -> None:
    bundle = Bundle.open(made)
    for network in (bundle.manifest.detector.network, bundle.manifest.extractor.network):
        info = open_network(bundle, network, engine, precision, Resources(1)).info
        assert (info.engine, info.precision, info.fallback) == (engine, precision or "fp32", None)


def test_half_precision_is_for_openvino_alone(made: Path) -> None:
    bundle = Bundle.open(made)
    with pytest.raises(EngineError, match="needs fp16 files as onnx, found openvino"):
        open_network(bundle, bundle.manifest.extractor.network, "onnxruntime", "fp16", Resources(1))
