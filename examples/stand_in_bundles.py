"""Make bundles of public networks that stand in for PP-ShiTu's until real weights are at hand.

    python examples/stand_in_bundles.py ../shared/models build/stand-in

A class-agnostic object localizer finds things; ImageNet networks embed them: MobileNetV1 for OpenVINO (TFLite), int8
MobileNetV2 for onnxruntime. The COCO PicoDets show the other head layouts. It is also an example of describing any
network in a `bundle.json`.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from shitu_edge.bundle import (
    BoxesScores,
    Bundle,
    DecisionPolicy,
    DetectorSpec,
    ExtractorSpec,
    InputSpec,
    Manifest,
    Network,
    NetworkFile,
    PicoDetLevels,
    Postprocessed,
    Precision,
    write_manifest,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_bundles(models: Path, out: Path) -> list[Bundle]:
    """Copy the networks in `models` into one bundle folder each under `out`, and open them."""
    localizer = DetectorSpec(
        _network(
            models / "mobile_object_localizer.onnx",
            "onnx",
            "int8",
            InputSpec("normalized_input_image_tensor", 192, 192, "bilinear", layout="NHWC", dtype="uint8"),
        ),
        BoxesScores(
            "boxes_scores",
            boxes="TFLite_Detection_PostProcess",
            scores="TFLite_Detection_PostProcess:2",
            box_order="yxyx",
            coordinates="relative",
            nms_iou=0.5,
        ),
        score_threshold=0.25,
        max_boxes=10,
    )
    picodet_s = DetectorSpec(
        _network(
            models / "picodet_s_320_coco.onnx",
            "onnx",
            "fp32",
            InputSpec("image", 320, 320, "cubic", scale=1 / 255, mean=MEAN, std=STD),
        ),
        PicoDetLevels(
            "picodet_levels",
            strides=(8, 16, 32, 64),
            scores=tuple(f"save_infer_model/scale_{i}.tmp_1" for i in range(4)),
            distances=tuple(f"save_infer_model/scale_{i}.tmp_1" for i in range(4, 8)),
        ),
        score_threshold=0.4,
        max_boxes=10,
    )
    picodet_xs = DetectorSpec(
        _network(
            models / "picodet_xs_320_lcnet_postprocessed.onnx",
            "onnx",
            "fp32",
            InputSpec("image", 320, 320, "cubic", scale=1 / 255, mean=MEAN, std=STD),
            {"scale_factor": ((1.0, 1.0),)},
        ),
        Postprocessed("postprocessed", rows="multiclass_nms3_0.tmp_0", count="multiclass_nms3_0.tmp_2"),
        score_threshold=0.4,
        max_boxes=10,
    )
    mobilenet_v1 = ExtractorSpec(
        _network(
            models / "mobilenet_v1_embedding.tflite",
            "tflite",
            "int8",
            InputSpec("input", 224, 224, "bilinear", layout="NHWC", dtype="uint8"),
        ),
        output="MobilenetV1/Logits/AvgPool_1a/AvgPool",
        dim=1024,
    )
    mobilenet_v2 = ExtractorSpec(
        _network(
            models / "mobilenet_v2_int8.onnx",
            "onnx",
            "int8",
            InputSpec("input", 224, 224, "bilinear", scale=1 / 255, mean=MEAN, std=STD),
        ),
        output="output",
        dim=1000,
    )
    return [
        _bundle(models, out / "stand-in-openvino", localizer, mobilenet_v1, 0.75),
        _bundle(models, out / "stand-in-onnxruntime", localizer, mobilenet_v2, 0.6),
        _bundle(models, out / "picodet-s", picodet_s, mobilenet_v1, 0.75),
        _bundle(models, out / "picodet-xs", picodet_xs, mobilenet_v1, 0.75),
    ]


def _network(
    file: Path,
    file_format: str,
    precision: Precision,
    spec: InputSpec,
    constants: dict[str, tuple[tuple[float, ...], ...]] | None = None,
) -> Network:
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    files: dict[str, dict[str, tuple[NetworkFile, ...]]] = {precision: {file_format: (NetworkFile(file.name, digest),)}}
    return Network(file.stem, f"public {file.name}", digest, files, spec, precision, constants or {})


def _bundle(models: Path, folder: Path, detector: DetectorSpec, extractor: ExtractorSpec, threshold: float) -> Bundle:
    folder.mkdir(parents=True, exist_ok=True)
    for network in (detector.network, extractor.network):
        for formats in network.files.values():
            for files in formats.values():
                for file in files:
                    shutil.copyfile(models / file.path, folder / file.path)
    description = f"{detector.network.name} finds, {extractor.network.name} embeds: stands in for PP-ShiTu's networks"
    rule = DecisionPolicy(similarity_threshold=threshold)
    return write_manifest(folder, Manifest(1, folder.name, description, "Apache-2.0", detector, extractor, rule))


def main() -> None:
    """Make the bundles and name them."""
    if len(sys.argv) != 3:
        sys.exit("usage: stand_in_bundles.py MODELS OUT")
    for bundle in make_bundles(Path(sys.argv[1]), Path(sys.argv[2])):
        print(bundle.folder)


if __name__ == "__main__":
    main()
