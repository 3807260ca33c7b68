"""What `inspect` says: of small models in every format, of PP-ShiTu's own graphs, of trained detectors in ONNX.

The trained detectors are also converted and compared with their source on both engines, which needs no Paddle.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console
from shitu_edge_export.checks import compare_detector
from shitu_edge_export.errors import ConversionError, ModelError
from shitu_edge_export.images import image_files, load_sample
from shitu_edge_export.inspection import inspect
from shitu_edge_export.kinds import Extractor, PicoDet
from shitu_edge_export.networks import convert_detector
from shitu_edge_export.parity import BoxParity
from shitu_edge_export.progress import Progress
from shitu_edge_export.receipt import Tolerances

from shitu_edge.bundle import PicoDetLevels

from .programs import FILES, FORMATS, PADDLE_FORMATS, Format, Net, Pico, extractor, write


@pytest.fixture
def quiet() -> Progress:
    return Progress(console=Console(quiet=True))


@pytest.mark.parametrize("file_format", FORMATS)
def test_facts_of_a_detector(tmp_path: Path, file_format: Format) -> None:
    net, _, _ = Pico(classes=3, strides=(16, 32), batch=1).build()
    path = write(net, tmp_path, file_format)
    (tmp_path / "infer_cfg.yml").write_text("Preprocess: []")
    found = inspect(tmp_path)
    facts = found.facts()
    assert json.loads(json.dumps(facts)) == facts, "plain values"
    assert facts["file"] == str(path)
    assert facts["kind"] == "PicoDet with post-processing in the graph"
    assert facts["inputs"] == {"image": [1, 3, 64, 64]}
    assert facts["preprocessing"] == str(tmp_path / "infer_cfg.yml")
    assert (facts["levels"], facts["bins"], facts["weights"]) == (2, 8, None)
    assert facts["suppression"].endswith("IoU 0.6, top 1000, keeps 100, scores over 0.025")
    assert sum(facts["ops"]["0"].values()) == len(found.graph.ops)
    own = sum(value.size for value in net.constants.values())
    assert facts["parameters"] == own if file_format != "onnx" else facts["parameters"] > own, (
        "ONNX has shapes among them"
    )
    assert any("nms" in common.lower() or "NonMax" in common for common in facts["left_behind"])


@pytest.mark.parametrize("file_format", FORMATS)
def test_lines_of_an_extractor(tmp_path: Path, file_format: Format) -> None:
    path = write(extractor("V2", 512), tmp_path, file_format)
    lines = list(inspect(path).lines())
    assert lines[0] == f"{path}: extractor V2 (PPLCNetV2, batch-norm neck)"
    assert lines[1] == "  input   x N × 3 × 16 × 16"
    assert lines[2].startswith("  output  ")
    assert lines[2].endswith(" N × 512")
    assert "  embedding: 512" in lines
    assert not any("\n" in line for line in lines)
    if file_format != "onnx":
        assert "knows all ops" in lines[-1]


@pytest.mark.parametrize("file_format", PADDLE_FORMATS)
def test_ops_that_do_not_convert(tmp_path: Path, file_format: Format) -> None:
    """Only those of the part that is converted: the loop behind the head is left behind."""
    net, _, _ = Pico(scores="sigmoid", loop=True).build()
    found = inspect(write(net, tmp_path, file_format))
    assert not any(found.unknown.values())
    assert any("while" in kind for kind in found.left_behind)
    other = Net()
    x = other.same("viterbi_decode", other.flatten(other.pool(other.conv(other.input("x", -1, 3, 16, 16), 8))))
    other.outputs = [x]
    unknown = inspect(write(other, tmp_path / "other", file_format)).unknown
    assert [name.split()[0] for name in unknown] == (
        ["paddle2onnx", "OpenVINO"] if file_format == "pdmodel" else ["paddle2onnx"]
    )
    assert all(len(ops) == 1 and ops[0].endswith("viterbi_decode") for ops in unknown.values())
    assert "does not convert" in "\n".join(inspect(tmp_path / "other" / FILES[file_format]).lines())


@pytest.mark.parametrize("file_format", PADDLE_FORMATS)
def test_missing_weights_are_a_fact_and_wrong_ones_an_error(tmp_path: Path, file_format: Format) -> None:
    path = write(Pico(scores="sigmoid", loop=True).build()[0], tmp_path, file_format)
    whole = inspect(path)
    weights = path.with_suffix(".pdiparams")
    content = weights.read_bytes()
    weights.unlink()
    without = inspect(path)
    assert without.weights == "its weights are missing, so that it cannot be converted"
    assert (without.kind, without.parameters) == (whole.kind, whole.parameters)
    assert without.facts()["weights"] == without.weights
    weights.write_bytes(content[:-1])
    with pytest.raises(ModelError, match="cut short"):
        inspect(path)


@pytest.mark.shared_data
def test_the_official_detector(shared: Path) -> None:
    found = inspect(shared / "models" / "ppshitu" / "det_mainbody")
    kind = found.kind
    assert isinstance(kind, PicoDet)
    assert kind.kind == "PicoDet with post-processing in the graph (control flow)"
    assert (len(kind.scores), len(kind.distances), len(kind.projection)) == (4, 4, 8)
    assert kind.clips
    assert kind.suppression is not None
    figures = kind.suppression
    assert (figures.iou, figures.top_k, figures.keep_top_k, figures.score_threshold) == (0.6, 1000, 100, 0.025)
    assert figures.pre_nms_top_k == 1000
    assert [found.graph.shape(name)[1:3] for name in kind.distances] == [(n, n) for n in (80, 40, 20, 10)]
    assert set(found.graph.input_names) == {"image", "im_shape", "scale_factor"}
    assert not any(found.unknown.values())
    assert {"while", "conditional_block", "multiclass_nms3"} <= set(found.left_behind)
    assert found.parameters == 6_633_116
    json.dumps(found.facts())


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "kind"), [("rec_v1", "V1 (PPLCNet, fully"), ("rec_v2", "V2 (PPLCNetV2, batch-norm")])
def test_the_official_extractors(shared: Path, name: str, kind: str) -> None:
    found = inspect(shared / "models" / "ppshitu" / name)
    assert isinstance(found.kind, Extractor)
    assert found.kind.kind.startswith(f"extractor {kind}")
    assert found.kind.dim == 512
    assert found.graph.shape(found.kind.image) == (-1, 3, 224, 224)
    assert not any(found.unknown.values())
    assert not found.left_behind


TRAINED = {
    "picodet_s_320_coco": ("PicoDet, raw head", ()),
    "picodet_xs_320_lcnet_postprocessed": (
        "PicoDet with post-processing in the graph",
        (0, 1, 2, 3.0003, 4, 5, 6.0006, 7),
    ),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", TRAINED)
def test_trained_detectors(shared: Path, name: str) -> None:
    found = inspect(shared / "models" / f"{name}.onnx").kind
    assert isinstance(found, PicoDet)
    kind, projection = TRAINED[name]
    assert found.kind == kind
    assert found.projection == pytest.approx(projection, abs=1e-4)
    assert len(found.scores) == len(found.distances) == 4


@pytest.mark.shared_data
@pytest.mark.parametrize("name", TRAINED)
def test_trained_detectors_convert(shared: Path, tmp_path: Path, quiet: Progress, name: str) -> None:
    """Cut, converted and compared on real photos, on onnxruntime and on OpenVINO, within the tolerances by default."""
    network = convert_detector(shared / "models" / f"{name}.onnx", tmp_path, None, quiet)
    head = network.spec.head
    assert isinstance(head, PicoDetLevels)
    assert head.strides == (8, 16, 32, 64)
    assert (head.reg_max, head.nms_iou, head.keep_top_k) == (7, 0.6, 100)
    outputs = network.facts["outputs"]
    assert [outputs[score][1 if head.scores_order == "CN" else -1] for score in head.scores] == [80] * 4
    images = [load_sample(path).pixels_rgb for path in image_files([shared / "data" / "drinks" / "queries"])]
    comparison, reference = compare_detector(network, images, Tolerances(), quiet)
    checks = comparison.check_routes()
    assert [check.engine for check in checks] == ["openvino", "onnxruntime"]
    assert all(check.passed for check in checks), [check.parity for check in checks]
    assert all(isinstance(check.parity, BoxParity) and check.parity.boxes > 10 for check in checks)
    assert len(reference) == len(images)


@pytest.mark.shared_data
def test_another_input_size(shared: Path, tmp_path: Path, quiet: Progress) -> None:
    """A head that is cut before anything flattens it takes another size; one with fixed reshapes inside says so."""
    models = shared / "models"
    network = convert_detector(models / "picodet_xs_320_lcnet_postprocessed.onnx", tmp_path / "xs", 416, quiet)
    assert isinstance(network.spec.head, PicoDetLevels)
    assert network.spec.head.strides == (8, 16, 32, 64)
    assert (network.spec.network.input.height, network.spec.network.input.width) == (416, 416)
    with pytest.raises(ConversionError) as caught:
        convert_detector(models / "picodet_s_320_coco.onnx", tmp_path / "s", 416, quiet)
    assert "\n" not in str(caught.value)
