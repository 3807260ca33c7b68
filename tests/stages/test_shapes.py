"""The detector in other input shapes: which one an image gets, on real networks of both engines."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from shitu_edge import Bundle, Recognizer
from shitu_edge.bundle import InputSpec, write_manifest
from shitu_edge.bundle.networks import DEFAULT_BUNDLE, open_network
from shitu_edge.engines import ENGINES, EngineName, Resources, Session
from shitu_edge.errors import EngineError
from shitu_edge.stages.detect import Detector
from shitu_edge.stages.shapes import distortion
from tests.networks import SIDE, STRIDE, write_bundle

PORTRAIT, LANDSCAPE = (192, 64), (64, 192)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> EngineName:
    pytest.importorskip(request.param, exc_type=ImportError)
    name: EngineName = request.param
    return name


@pytest.fixture
def shaped(tmp_path: Path) -> Path:
    """A bundle of the tiny networks, whose square detector was measured in two further shapes."""
    bundle = write_bundle(tmp_path / "shaped")
    detector = replace(bundle.manifest.detector, shapes=(PORTRAIT, LANDSCAPE))
    return write_manifest(bundle.folder, replace(bundle.manifest, detector=detector)).folder


def frame(height: int, width: int, spot: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """A white frame with a black box `x1, y1, x2, y2`."""
    pixels = np.full((height, width, 3), 255, np.uint8)
    x1, y1, x2, y2 = spot
    pixels[y1:y2, x1:x2] = 0
    return pixels


@pytest.mark.parametrize(
    ("size", "reach"),
    [((3 * SIDE, SIDE), (2, 2)), ((SIDE, 3 * SIDE), (2, 2)), ((SIDE, SIDE), (1, 1)), ((SIDE, 130), (130 / 128, 1))],
    ids=["portrait", "landscape", "square", "nearly square"],
)
def test_an_image_gets_the_shape_that_distorts_it_least(
    engine: EngineName, shaped: Path, size: tuple[int, int], reach: tuple[float, float]
) -> None:
    """The box reaches one stride of the input from the middle of what is dark: as far along x as along y."""
    height, width = size
    with Recognizer.open(shaped, engine=engine) as recognizer:
        box = frame(height, width, (32, 32, 64, 64))
        [found] = recognizer.detect(box, detection_threshold=0.9, max_boxes=1)
    x1, y1, x2, y2 = found.box_xyxy
    assert [(x2 - x1) / 2, (y2 - y1) / 2] == pytest.approx([STRIDE * side for side in reach])


def test_a_bundle_without_shapes_keeps_its_own(engine: EngineName, tiny_bundle: Path) -> None:
    with Recognizer.open(tiny_bundle, engine=engine) as recognizer:
        [found] = recognizer.detect(frame(3 * SIDE, SIDE, (32, 96, 48, 144)), detection_threshold=0.9, max_boxes=1)
    x1, y1, x2, y2 = found.box_xyxy
    assert [(x2 - x1) / 2, (y2 - y1) / 2] == pytest.approx([STRIDE, 3 * STRIDE])


def built_in(engine: EngineName, sides: tuple[int, int]) -> Session:
    network = Bundle.open(DEFAULT_BUNDLE).manifest.detector.network
    there = replace(network, input=replace(network.input, height=sides[0], width=sides[1]))
    return open_network(Bundle.open(DEFAULT_BUNDLE), there, engine, "fp32", Resources(1))


def test_both_engines_agree_on_the_further_shapes_of_the_built_in_network() -> None:
    engines: tuple[EngineName, ...] = ("openvino", "onnxruntime")
    for engine in engines:
        pytest.importorskip(engine, exc_type=ImportError)
    shapes = Bundle.open(DEFAULT_BUNDLE).manifest.detector.shapes
    assert shapes == ((352, 352),)
    for height, width in (*shapes, (448, 288)):
        image = np.random.default_rng(0).normal(0, 1, (1, 3, height, width)).astype(np.float32)
        ours, theirs = (built_in(name, (height, width)).run({"image": image}) for name in engines)
        for name in theirs:  # OpenVINO's outputs have further names
            np.testing.assert_allclose(ours[name], theirs[name], atol=2e-3)


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((720, 1280), (288, 448)),
        ((480, 640), (288, 448)),
        ((1024, 1280), (288, 448)),
        ((600, 620), (288, 448)),
        ((600, 600), (288, 448)),
        ((1000, 800), (352, 352)),
        ((1280, 720), (352, 352)),
    ],
)
def test_the_built_in_bundle_sees_landscape_as_before(size: tuple[int, int], shape: tuple[int, int]) -> None:
    with Recognizer.open(DEFAULT_BUNDLE) as recognizer:
        image = recognizer._detector._shapes.of(*size).spec.network.input
    assert (image.height, image.width) == shape


def number_cells(path: Path) -> None:
    """Fix the number of cells in a detector, as exporters do."""
    model = onnx.load(path)
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = ["cells" if name == "scores" else name for name in names]
    model.graph.node.append(onnx.helper.make_node("Reshape", ["cells", "fixed_cells"], ["scores"]))
    cells = SIDE // STRIDE
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, cells, cells, 1]), "fixed_cells"))
    onnx.save(model, path)


def test_a_graph_made_for_one_size_keeps_its_own_shape(
    engine: EngineName, shaped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    number_cells(shaped / "detector.onnx")
    write_manifest(shaped, Bundle.open(shaped).manifest)
    with Recognizer.open(shaped, engine=engine) as recognizer, caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert len(recognizer.detect(frame(3 * SIDE, SIDE, (32, 96, 48, 144)), detection_threshold=0.9)) == 1
    [line] = caplog.messages
    assert line.startswith("tiny detector keeps its own shape, 128 × 128, instead of 192 × 64: ")


def opened(folder: Path, reopen: Callable[[InputSpec], Session] | None) -> Detector:
    bundle = Bundle.open(folder)
    session = open_network(bundle, bundle.manifest.detector.network, "auto", None, Resources(1))
    return Detector(session, bundle.manifest.detector, None, reopen)


def test_a_refused_shape_falls_back_to_the_own_one_and_says_so_once(
    shaped: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def refuse(image: InputSpec) -> Session:
        asked.append(image)
        raise EngineError("fixed to its own size")

    detector = opened(shaped, refuse)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert len(detector.detect(frame(3 * SIDE, SIDE, (32, 96, 48, 144)))) == 1
    assert len(asked) == 1
    [line] = caplog.messages
    assert line == "tiny detector keeps its own shape, 128 × 128, instead of 192 × 64: fixed to its own size"


def test_threads_that_meet_open_a_shape_once(shaped: Path) -> None:
    bundle = Bundle.open(shaped)
    network = bundle.manifest.detector.network
    asked = []

    def reopen(image: InputSpec) -> Session:
        asked.append(image)
        return open_network(bundle, replace(network, input=image), "auto", None, Resources(1))

    detector = opened(shaped, reopen)
    pixels = frame(3 * SIDE, SIDE, (32, 32, 64, 64))
    threads = [threading.Thread(target=detector.detect, args=(pixels,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("one", "other", "factor"), [((2, 4), (1, 2), 1), ((1, 2), (2, 1), 4), ((3, 3), (4, 3), 4 / 3)]
)
def test_distortion(one: tuple[int, int], other: tuple[int, int], factor: float) -> None:
    assert np.exp(distortion(one, other)) == pytest.approx(factor)
    assert distortion(one, other) == pytest.approx(distortion(other, one))
