"""The object localizer as a teacher: a trained network that finds things of any kind."""

from __future__ import annotations

import hashlib
from pathlib import Path

from shitu_edge.bundle import BoxesScores, DetectorSpec, InputSpec, Network
from shitu_edge.engines import Model, ModelFiles, Resources, open_session
from shitu_edge.stages.detect import Detector


def open_localizer(file: Path, threads: int = 1) -> Detector:
    """Open `mobile_object_localizer.onnx`, Google's class-agnostic SSD, on onnxruntime.

    Raises:
        OSError: there is no such file.
        EngineError: onnxruntime refuses it.
    """
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    spec = InputSpec("normalized_input_image_tensor", 192, 192, "bilinear", layout="NHWC", dtype="uint8")
    head = BoxesScores(
        "boxes_scores",
        boxes="TFLite_Detection_PostProcess",
        scores="TFLite_Detection_PostProcess:2",
        box_order="yxyx",
        coordinates="relative",
        nms_iou=0.5,
    )
    network = Network(file.stem, file.name, digest, {}, spec, "int8")
    files = ModelFiles((file,), digest)
    model = Model(file.stem, "int8", ("onnx",), lambda _: files, {spec.name: spec.shape(1)})
    session = open_session(model, "onnxruntime", Resources(threads))
    return Detector(session, DetectorSpec(network, head, score_threshold=0.1, max_boxes=20))
