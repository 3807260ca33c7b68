"""The forms in which a network's weights are stored beside plain float32: simplified ONNX, half precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import openvino as ov
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_WORTH_HALVING = 256
"""Numbers from which a parameter is stored in half precision; small ones are shapes, scales and biases."""


def simplify_onnx(source: Path, target: Path) -> None:
    """Write a model with constants folded and batch norms put into convolutions: onnxruntime's basic optimisations.

    They use standard operators alone and do not depend on the machine.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    # The file also asks for onnxruntime's own operator sets, of which nothing is used.
    model = onnx.load(target)
    used = {node.domain for node in model.graph.node}
    kept = [entry for entry in model.opset_import if entry.domain in used | {"", "ai.onnx"}]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def halve_onnx(source: Path, target: Path) -> None:
    """Write a model whose large weights are stored in float16 and cast to float32 when it is loaded."""
    model = onnx.load(source)
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims, dtype=np.int64) < _WORTH_HALVING:
            continue
        halved = numpy_helper.from_array(_half(numpy_helper.to_array(weight)), f"{weight.name}.half")
        casts.append(helper.make_node("Cast", [halved.name], [weight.name], to=TensorProto.FLOAT))
        weight.CopyFrom(halved)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def halve_ir(source: Path, target: Path) -> None:
    """Write an IR whose weights are stored in float16; OpenVINO computes with them in float32."""
    ov.save_model(ov.Core().read_model(str(source)), target, compress_to_fp16=True)


def _half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    limit = float(np.finfo(np.float16).max)
    return np.asarray(np.clip(values, -limit, limit), np.float16)
