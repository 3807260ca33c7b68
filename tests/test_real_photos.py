"""Real networks on real photos: bottles that anyone would count are boxed, on every engine and head layout."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from shitu_edge import EngineError, Recognizer
from shitu_edge.drawing.draw import draw
from shitu_edge.engines import EngineName
from shitu_edge.enrollment import build_gallery
from shitu_edge.imaging.geometry import iou
from shitu_edge.inputs.sources import LabeledImage

pytestmark = pytest.mark.shared_data

BOTTLES = {
    "nongfu_spring.jpeg": [(238, 38, 506, 966)],
    "100.jpeg": [(230, 72, 438, 674), (464, 80, 650, 670), (794, 91, 972, 644)],
}
"""Boxes drawn by eye, in pixels."""

NETWORKS: list[tuple[str, EngineName]] = [
    ("stand-in-openvino", "openvino"),
    ("stand-in-onnxruntime", "onnxruntime"),
    ("picodet-s", "openvino"),
    ("picodet-xs", "openvino"),
]


def _stand_ins() -> ModuleType:
    path = Path(__file__).parent.parent / "examples" / "stand_in_bundles.py"
    spec = importlib.util.spec_from_file_location("stand_in_bundles", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bundles(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stand-in")
    _stand_ins().make_bundles(shared / "models", folder)
    return folder


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda network: network[0])
def recognizer(request: pytest.FixtureRequest, bundles: Path) -> Iterator[Recognizer]:
    name, engine = request.param
    pytest.importorskip(engine, reason=f"{engine} is not installed")
    with Recognizer.open(bundles / name, engine=engine) as opened:
        yield opened


@pytest.mark.parametrize("photo", BOTTLES)
def test_every_bottle_is_boxed(recognizer: Recognizer, shared: Path, photo: str) -> None:
    found = recognizer.detect(shared / "data" / "drinks" / "queries" / photo, detection_threshold=0.3, max_boxes=20)
    for bottle in BOTTLES[photo]:
        overlap = iou(np.array(bottle, np.float32), found.boxes_xyxy)
        assert overlap.max(initial=0) > 0.75, f"{bottle}: {found.boxes_xyxy.round().tolist()}"


@pytest.mark.parametrize(("name", "engine"), NETWORKS[:2])
def test_photos_of_a_gallery_find_themselves(
    bundles: Path, shared: Path, tmp_path: Path, name: str, engine: EngineName
) -> None:
    pytest.importorskip(engine, reason=f"{engine} is not installed")
    folder = shared / "data" / "drinks" / "gallery"
    lines = (folder / "drink_label_all.txt").read_text(encoding="utf-8").splitlines()[:200:4]
    images = [LabeledImage(folder / path, label, path) for path, label in (line.split("\t") for line in lines)]
    with Recognizer.open(bundles / name, engine=engine) as embedder:
        assert build_gallery(embedder, tmp_path / "drinks.gallery", images).added == len(images)
    with Recognizer.open(bundles / name, tmp_path / "drinks.gallery", engine=engine) as recognizer:
        for image in images[::7]:
            answer = recognizer.recognize(image.path)
            assert image.label in {item.label for item in answer.items}
            assert draw(image.path, answer).size == (answer.width, answer.height)


def test_network_that_openvino_refuses_falls_back_and_says_so(bundles: Path, caplog: pytest.LogCaptureFixture) -> None:
    for engine in ("openvino", "onnxruntime"):
        pytest.importorskip(engine, reason=f"{engine} is not installed")
    with pytest.raises(EngineError, match="QLinearConv"):
        Recognizer.open(bundles / "stand-in-onnxruntime", engine="openvino")
    with Recognizer.open(bundles / "stand-in-onnxruntime") as recognizer:
        info = recognizer._extractor.engine
    assert info.engine == "onnxruntime"
    assert "QLinearConv" in str(info.fallback)
    assert "runs on onnxruntime" in caplog.text
