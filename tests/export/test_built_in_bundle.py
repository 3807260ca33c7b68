"""The built-in bundle answers what the Paddle inference models answer that it was made of, in every variant of it."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from shitu_edge_export.kinds import Extractor, PicoDet, recognize
from shitu_edge_export.parity import compare_boxes, compare_rows
from shitu_edge_export.receipt import Tolerances
from shitu_edge_export.reference import reference_detections, run_source
from shitu_edge_export.source import open_model

from shitu_edge import Recognizer
from shitu_edge.bundle import Bundle
from shitu_edge.bundle.built_in import BUNDLES, SAMPLES
from shitu_edge.engines import ENGINES, EngineName
from shitu_edge.imaging.preprocess import InputBuilder
from shitu_edge.stages.decode import decode

BUNDLE = BUNDLES / "shitu-small"
PADDLE = Path(__file__).parents[2] / "training" / "shitu_small" / "paddle"
SCENES = sorted((SAMPLES / "scenes").glob("*.jpg"))
PRODUCTS = sorted((SAMPLES / "gallery").glob("*/*.jpg"))
LIMITS = Tolerances()

needs_paddle = pytest.mark.skipif(
    importlib.util.find_spec("paddle") is None, reason="paddle not installed: `make test-export` sets it up"
)


def pixels_of(path: Path) -> NDArray[np.uint8]:
    return decode(path).pixels_rgb


@pytest.mark.parametrize("role", ["detector", "extractor"])
def test_it_was_made_of_these_models(role: str) -> None:
    manifest = Bundle.open(BUNDLE).manifest
    network = manifest.detector.network if role == "detector" else manifest.extractor.network
    weights = (PADDLE / role / "inference.pdiparams").read_bytes()
    assert network.source_sha256 == hashlib.sha256(weights).hexdigest()


@needs_paddle
@pytest.mark.parametrize("engine", ENGINES)
def test_boxes(engine: EngineName) -> None:
    spec = Bundle.open(BUNDLE).manifest.detector
    model = open_model(PADDLE / "detector")
    kind = recognize(model)
    assert isinstance(kind, PicoDet)
    assert kind.decodes, "the whole graph is run, with its own decoding and suppression"
    images = [pixels_of(path) for path in SCENES]
    reference = reference_detections(model, kind, None, spec, images, spec.score_threshold)
    assert sum(map(len, reference)) >= 29, "the things on the scenes"
    with Recognizer.open(BUNDLE, engine=engine, precision="fp32") as recognizer:
        found = [recognizer.detect(pixels, max_boxes=100) for pixels in images]
    parity = compare_boxes(zip(reference, found, strict=True), spec.score_threshold, 100)
    assert (parity.missed, parity.extra) == (0, 0)
    assert parity.max_px <= LIMITS.max_px
    assert parity.max_score <= LIMITS.max_score


@needs_paddle
@pytest.mark.parametrize("engine", ENGINES)
def test_embeddings(engine: EngineName) -> None:
    entry = Bundle.open(BUNDLE).manifest.extractor.network.input
    model = open_model(PADDLE / "extractor")
    assert isinstance(recognize(model), Extractor)
    images = [pixels_of(path) for path in PRODUCTS]
    builder = InputBuilder(entry)
    feeds = []
    for pixels in images:
        tensor = np.empty(entry.shape(), np.float32)
        builder.fill(tensor[0], pixels)
        feeds.append({entry.name: tensor})
    reference = np.stack([np.ravel(outputs[0]) for outputs in run_source(model.path, model.weights_path, feeds)])
    with Recognizer.open(BUNDLE, engine=engine, precision="fp32") as recognizer:
        found = np.concatenate([recognizer.embed(pixels) for pixels in images])
    assert compare_rows(reference, found).min_cosine >= LIMITS.min_cosine
