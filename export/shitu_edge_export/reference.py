"""Outputs of the source before any conversion: Paddle inference on the uncut model, or onnxruntime on ONNX."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shitu_edge.bundle import BoxesScores, DetectorSpec, PicoDetLevels
from shitu_edge.imaging.geometry import Boxes, clip_boxes
from shitu_edge.imaging.preprocess import InputBuilder
from shitu_edge.results import Detections
from shitu_edge.stages.detect import decode_head

from . import isolate
from .convert import Part
from .errors import ConversionError, ModelError
from .kinds import PicoDet
from .source import Model

Feeds = Mapping[str, NDArray[np.float32]]
Arrays = list[NDArray[Any]]


def run_source(graph_path: Path, weights_path: Path, feeds: Sequence[Feeds]) -> Iterator[Arrays]:
    """Run a model as it is on every set of inputs and yield its outputs in their order.

    Raises:
        ConversionError: the engine failed or crashed.
    """
    if graph_path.suffix == ".onnx":
        yield from _run_onnx(graph_path, feeds)
        return
    with tempfile.TemporaryDirectory(prefix="shitu-edge-export-") as scratch:
        for folder in ("in", "out"):
            Path(scratch, folder).mkdir()
        for number, arrays in enumerate(feeds):
            np.savez(Path(scratch, "in", f"{number:05}.npz"), **arrays)  # type: ignore[arg-type]
        isolate.run(
            "run_paddle",
            "Paddle inference",
            graph=str(graph_path),
            weights=str(weights_path),
            feeds=str(Path(scratch, "in")),
            outputs=str(Path(scratch, "out")),
        )
        for path in sorted(Path(scratch, "out").iterdir()):
            with np.load(path) as outputs:
                yield [outputs[f"arr_{position}"] for position in range(len(outputs.files))]


def reference_detections(
    model: Model,
    kind: PicoDet,
    part: Part | None,
    spec: DetectorSpec,
    images: Sequence[NDArray[np.uint8]],
    threshold: float,
) -> list[Detections]:
    """Detect things with the source, down to a score of `threshold`.

    The uncut graph is run where it decodes boxes. A raw head says nothing about boxes: there the part is run, which
    only then has to be given, and its levels are read as the runtime reads them.
    """
    raw = part if not kind.decodes else None
    names = [spec.network.input.name] if raw else list(model.graph.input_names)
    feeds = [_feeds(names, spec, pixels, boxes_in_input=kind.suppression is None) for pixels in images]
    source = (raw.path, raw.weights) if raw else (model.path, model.weights_path)
    outputs = run_source(*source, feeds)
    return [
        _read(kind, raw.outputs if raw else (), spec, arrays, pixels, threshold)
        for arrays, pixels in zip(outputs, images, strict=True)
    ]


def _feeds(names: Sequence[str], spec: DetectorSpec, pixels_rgb: NDArray[np.uint8], boxes_in_input: bool) -> Feeds:
    """Return what PaddleDetection's inference feeds: the image, its size as resized, and the scale (y, x)."""
    height, width = pixels_rgb.shape[:2]
    entry = spec.network.input
    builder = InputBuilder(entry)
    image = builder.tensor()
    builder.fill(image[0], pixels_rgb)
    scale = [1.0, 1.0] if boxes_in_input else [entry.height / height, entry.width / width]
    known = {
        "im_shape": np.array([[entry.height, entry.width]], np.float32),
        "scale_factor": np.array([scale], np.float32),
    }
    unknown = set(names) - set(known) - {entry.name}
    if unknown:
        raise ModelError(
            f"{spec.network.name}: unknown inputs {', '.join(sorted(unknown))}; expected an image alone, or "
            "with im_shape and scale_factor"
        )
    return {name: known.get(name, image) for name in names}


def _read(
    kind: PicoDet,
    names: Sequence[str],
    spec: DetectorSpec,
    outputs: Arrays,
    pixels_rgb: NDArray[np.uint8],
    threshold: float,
) -> Detections:
    entry = spec.network.input
    height, width = pixels_rgb.shape[:2]
    if kind.suppression is not None:
        none = np.zeros((0, 6), np.float32)
        rows: NDArray[Any] = next((array for array in outputs if array.ndim == 2 and array.shape[1] == 6), none)
        rows = rows[(rows[:, 1] >= threshold) & (rows[:, 0] >= 0)]
        rows = rows[np.argsort(-rows[:, 1], kind="stable")].astype(np.float32)
        return _detections(rows[:, 2:], rows[:, 1], rows[:, 0].astype(np.int32), width, height)
    head = spec.head
    assert isinstance(head, PicoDetLevels)
    if kind.decodes:
        boxes = next(array for array in outputs if array.ndim == 3 and array.shape[-1] == 4)
        scores = next(array for array in outputs if array is not boxes)
        order: Literal["NC", "CN"] = "CN" if scores.shape[-1] == boxes.shape[1] else "NC"
        flat = BoxesScores("boxes_scores", "b", "s", order)
        flat = replace(flat, nms_top_k=head.nms_top_k, nms_iou=head.nms_iou, keep_top_k=head.keep_top_k)
        spec, named = replace(spec, head=flat), {"b": boxes, "s": scores}
    else:
        named = dict(zip(names, outputs, strict=True))
    boxes, scores, classes = decode_head(spec, named, threshold)
    gain = np.array([width / entry.width, height / entry.height] * 2, np.float32)
    return _detections(boxes * gain, scores, classes, width, height)


def _detections(
    boxes: Boxes, scores: NDArray[np.float32], classes: NDArray[np.int32], width: int, height: int
) -> Detections:
    """Clip as the runtime does; boxes without area are left out."""
    boxes = clip_boxes(boxes, width, height)
    solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return Detections(boxes[solid], scores[solid], classes[solid])


def _run_onnx(path: Path, feeds: Sequence[Feeds]) -> Iterator[Arrays]:
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for arrays in feeds:
            yield session.run(None, dict(arrays))
    except Exception as error:  # onnxruntime's exceptions share no base class
        raise ConversionError(f"onnxruntime on {path.name}: {str(error).strip().splitlines()[0][:300]}") from error
