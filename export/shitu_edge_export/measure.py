"""Runs converted files as the runtime would, and takes their times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shitu_edge.bundle import DetectorSpec, ExtractorSpec, Network, PicoDetLevels
from shitu_edge.engines import EngineName, Model, ModelFiles, Resources, Session, open_session
from shitu_edge.imaging.geometry import Pixels
from shitu_edge.imaging.preprocess import InputBuilder
from shitu_edge.results import Detections
from shitu_edge.stages.detect import Detector
from shitu_edge.stages.extract import Extractor
from shitu_edge.system.cpu import read_cpu

from .errors import ExportError

Feed = dict[str, NDArray[np.float32]]

_ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Variant:
    """One stored variant of a network: its file (of an IR the .xml), and the engine that runs it."""

    file: Path
    engine: EngineName
    precision: str = "fp32"

    @property
    def format(self) -> str:
        """As `bundle.json` calls it."""
        return "openvino" if self.file.suffix == ".xml" else "onnx"

    @property
    def files(self) -> tuple[Path, ...]:
        """The file, and the weights beside an IR."""
        return (self.file, self.file.with_suffix(".bin")) if self.format == "openvino" else (self.file,)

    @property
    def bytes(self) -> int:
        """Size of the files."""
        return sum(path.stat().st_size for path in self.files)


def open_variant(variant: Variant, network: Network) -> Session:
    """Open a variant on its engine, with all threads that this process may use, freshly compiled.

    Raises:
        EngineError: the engine refuses it.
    """
    model = Model(
        network.name,
        variant.precision,
        (variant.format,),
        lambda _: ModelFiles(variant.files, ""),
        {network.input.name: network.input.shape()},
    )
    return open_session(model, variant.engine, Resources(read_cpu().threads))


def detect_all(variant: Variant, spec: DetectorSpec, images: Sequence[Pixels], threshold: float) -> list[Detections]:
    """Detect things in images (H, W, 3) uint8 RGB, down to a score of `threshold`, as many as the head keeps."""
    detector = Detector(open_variant(variant, spec.network), spec)
    return [detector.detect(pixels, score_threshold=threshold, max_boxes=most_boxes(spec)) for pixels in images]


def most_boxes(spec: DetectorSpec) -> int:
    """Return how many boxes a detector's head keeps of an image at most."""
    return spec.head.keep_top_k if isinstance(spec.head, PicoDetLevels) else spec.max_boxes


def embed_all(variant: Variant, spec: ExtractorSpec, crops: Sequence[Pixels]) -> NDArray[np.float32]:
    """Embed crops (h, w, 3) uint8 RGB as unit rows (N, D)."""
    extractor = Extractor(open_variant(variant, spec.network), spec, streams=1)
    try:
        return extractor.embed_crops(list(crops))
    finally:
        extractor.close()


def network_feed(network: Network, pixels_rgb: Pixels) -> Feed:
    """Return a network's input for an image (H, W, 3) uint8 RGB."""
    tensor = np.empty(network.input.shape(), np.float32)
    InputBuilder(network.input).fill(tensor[0], pixels_rgb)
    return {network.input.name: tensor}


def time_variants(variants: Sequence[Variant], network: Network, rounds: int = _ROUNDS) -> Mapping[Variant, float]:
    """Return each variant's median ms per inference, taken in turns so that a noisy machine is fair."""
    generator = np.random.default_rng(0)
    feed = {network.input.name: generator.normal(size=network.input.shape()).astype(np.float32)}
    sessions = {variant: open_variant(variant, network) for variant in variants}
    times: dict[Variant, list[float]] = {variant: [] for variant in variants}
    for number in range(rounds + 2):
        for variant, session in sessions.items():
            begun = time.perf_counter_ns()
            session.run(feed)
            elapsed = (time.perf_counter_ns() - begun) / 1e6
            if number >= 2:  # the first runs warm up
                times[variant].append(elapsed)
    return {variant: statistics.median(values) for variant, values in times.items()}


def unit_rows(rows: NDArray[np.float32], what: str) -> NDArray[np.float32]:
    """Return unit rows of a source's embeddings.

    Raises:
        ExportError: one has no direction.
    """
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or not (norms > 0).all():
        raise ExportError(f"{what}: the source itself answers vectors that are zero or not finite")
    unit: NDArray[np.float32] = rows / norms
    return unit
