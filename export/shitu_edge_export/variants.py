"""The variants in which a network's weights are stored beside plain float32: simplified ONNX, half precision."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import openvino as ov
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

_WORTH_HALVING = 256
"""Numbers from which a parameter is stored in half precision; small ones are shapes, scales and biases."""
_FIRST_HARD_SWISH = 14
"""The operator set that has it."""


def simplify_onnx(source: Path, target: Path) -> None:
    """Write a model with constants folded and batch norms put into convolutions: onnxruntime's basic optimizations.

    They use standard operators alone and do not depend on the machine. HardSwish, which they take apart, is put
    together again: OpenVINO runs the parts as two operations with a change of layout before and after.
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
    if any(entry.domain in {"", "ai.onnx"} and entry.version >= _FIRST_HARD_SWISH for entry in kept):
        _join_hard_swish(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, target)


def _join_hard_swish(graph: onnx.GraphProto) -> None:
    """Write x · HardSigmoid(x), where the sigmoid has a sixth as slope and serves nothing else, as HardSwish."""
    readers = Counter(name for node in graph.node for name in node.input)
    readers.update(output.name for output in graph.output)
    gates = {node.output[0]: node for node in graph.node if node.op_type == "HardSigmoid" and _gates_swish(node)}
    joined = []
    for node in graph.node:
        gate = next((gates[name] for name in node.input if name in gates), None)
        if node.op_type == "Mul" and gate and readers[gate.output[0]] == 1 and gate.input[0] in node.input:
            joined.append(gate)
            node.op_type = "HardSwish"
            del node.input[:]
            node.input.append(gate.input[0])
    for gate in joined:
        graph.node.remove(gate)


def _gates_swish(node: onnx.NodeProto) -> bool:
    numbers = {"alpha": 0.2, "beta": 0.5} | {attribute.name: attribute.f for attribute in node.attribute}
    return bool(np.isclose(numbers["alpha"], 1 / 6, rtol=1e-6) and np.isclose(numbers["beta"], 0.5, rtol=1e-6))


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
