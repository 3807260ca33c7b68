"""Tiny real networks, so that tests run both engines on any machine.

The detector sees dark things on white: PicoDet's raw head over average pooling, one anchor a cell, boxes of a fixed
reach. The extractor's embedding is the image shrunk to 4 × 4 pixels, less a gray level that white does not hide.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from shitu_edge.bundle import (
    Bundle,
    DecisionPolicy,
    DetectorSpec,
    ExtractorSpec,
    InputSpec,
    Manifest,
    Network,
    NetworkFile,
    PicoDetLevels,
    write_manifest,
)
from shitu_edge.cli.selftest import INPUTS, OUTPUTS, network_weights

SIDE = 128
STRIDE = 16
REACH = 1.0
"""Strides from an anchor's center to each side of its box."""
EMBEDDED = 4
DIM = 3 * EMBEDDED * EMBEDDED


def write_detector(path: Path) -> None:
    """Write a network: `image` (1, 3, 128, 128) in 0..1 → `scores` (1, 8, 8, 1), `distances` (1, 8, 8, 32)."""
    cells = SIDE // STRIDE
    bins = np.full((4, 8), -20, np.float32)
    bins[:, int(REACH)] = 20
    nodes = [
        helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[STRIDE, STRIDE], strides=[STRIDE, STRIDE]),
        helper.make_node("ReduceMean", ["pooled"], ["bright"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["one", "bright"], ["dark"]),
        helper.make_node("Transpose", ["dark"], ["scores"], perm=[0, 2, 3, 1]),
        helper.make_node("Mul", ["spread", "fixed"], ["distances"]),
        helper.make_node("Add", ["zero_scores", "one"], ["spread"]),
        helper.make_node("Mul", ["scores", "zero"], ["zero_scores"]),
    ]
    order = [0, 1, 2, 3, 6, 5, 4]
    constants = {"one": np.float32(1), "zero": np.float32(0), "fixed": bins.reshape(1, 1, 1, 32)}
    _save(
        path,
        [nodes[i] for i in order],
        {"image": [1, 3, SIDE, SIDE]},
        {"scores": [1, cells, cells, 1], "distances": [1, cells, cells, 32]},
        constants,
    )


def write_extractor(path: Path) -> None:
    """Write a network: `image` (N, 3, 32, 32) in 0..1 → `embedding` (N, 48), not yet unit rows."""
    kernel = 32 // EMBEDDED
    nodes = [
        helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[kernel, kernel], strides=[kernel, kernel]),
        helper.make_node("Sub", ["pooled", "gray"], ["centerd"]),
        helper.make_node("Flatten", ["centerd"], ["embedding"]),
    ]
    _save(path, nodes, {"image": ["N", 3, 32, 32]}, {"embedding": ["N", DIM]}, {"gray": np.float32(0.45)})


def write_selftest(path: Path) -> None:
    """Write the network that `shitu-edge doctor` tries: `input` (1, 64) → `output` (1, 32)."""
    nodes = [
        helper.make_node("MatMul", ["input", "weights"], ["product"]),
        helper.make_node("Relu", ["product"], ["output"]),
    ]
    _save(path, nodes, {"input": [1, INPUTS]}, {"output": [1, OUTPUTS]}, {"weights": network_weights()})


def write_bundle(folder: Path, *, name: str = "tiny", weights: str = "0" * 64) -> Bundle:
    """Write a bundle of the tiny networks; `weights` tells extractors apart."""
    folder.mkdir(parents=True, exist_ok=True)
    write_detector(folder / "detector.onnx")
    write_extractor(folder / "extractor.onnx")
    detector = DetectorSpec(
        _network("tiny detector", "detector.onnx", SIDE, "1" * 64),
        PicoDetLevels("picodet_levels", strides=(STRIDE,), scores=("scores",), distances=("distances",)),
        score_threshold=0.3,
    )
    extractor = ExtractorSpec(_network(f"{name} extractor", "extractor.onnx", 32, weights), "embedding", DIM)
    return write_manifest(folder, Manifest(1, name, "for tests", "Apache-2.0", detector, extractor, DecisionPolicy()))


def _network(name: str, file: str, side: int, weights: str) -> Network:
    spec = InputSpec("image", side, side, "bilinear", scale=1 / 255)
    return Network(name, "made by tests/networks.py", weights, {"fp32": {"onnx": (NetworkFile(file, ""),)}}, spec)


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    outputs: Mapping[str, Sequence[int | str]],
    constants: Mapping[str, NDArray[np.float32] | np.float32],
) -> None:
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


if __name__ == "__main__":
    write_selftest(Path(sys.argv[1]))
