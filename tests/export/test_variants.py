"""Stored variants compute what the plain one does: simplified, and in half precision, on both engines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino as ov
import pytest
from onnx import TensorProto, helper, numpy_helper
from shitu_edge_export.variants import halve_ir, halve_onnx, simplify_onnx

from .programs import Net, Pico, extractor, write

SIDE = 32


def network(batch: int = 1) -> Net:
    """Return a small network with batch norms and weights that are worth halving."""
    net = Net()
    x = net.input("x", batch, 3, SIDE, SIDE)
    for channels in (32, 64):
        x = net.same("relu", net.batch_norm(net.conv(x, channels, 2)))
    x = net.flatten(net.pool(x))
    net.outputs = [net.same("add", net.matmul(x, net.weight(64, 128)), net.weight(128))]
    return net


def images(count: int = 4, side: int = SIDE) -> list[Any]:
    generator = np.random.default_rng(1)
    return [generator.normal(size=(1, 3, side, side)).astype(np.float32) for _ in range(count)]


def by_onnxruntime(path: Path, name: str, image: Any) -> list[Any]:
    found: list[Any] = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(
        None, {name: image}
    )
    return found


def by_openvino(path: Path, image: Any) -> list[Any]:
    compiled = ov.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return list(compiled([image]).values())


def relative(found: Any, expected: Any) -> float:
    """Return the greatest difference, relative to the greatest value."""
    return float(np.abs(found - expected).max() / np.abs(expected).max())


NETWORKS = {
    "small": (network(), "x", SIDE),
    "V1": (extractor("V1", batch=1), "x", 16),
    "V2": (extractor("V2", batch=1), "x", 16),
    "head": (Pico(end="raw", batch=1).build()[0], "image", 64),
    "decoded": (Pico(end="boxes", batch=1, clip=True).build()[0], "image", 64),
}


@pytest.mark.parametrize(("net", "name", "side"), NETWORKS.values(), ids=NETWORKS)
def test_simplified_answers_the_same(tmp_path: Path, net: Net, name: str, side: int) -> None:
    source, target = write(net, tmp_path, "onnx"), tmp_path / "simple.onnx"
    before = source.read_bytes()
    simplify_onnx(source, target)
    assert source.read_bytes() == before
    for image in images(side=side):
        expected = by_onnxruntime(source, name, image)
        for found in (by_onnxruntime(target, name, image), by_openvino(target, image)):
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, other, atol=1e-5, rtol=1e-5)


def test_batch_norms_are_folded_and_only_standard_operators_left(tmp_path: Path) -> None:
    source, target = write(network(), tmp_path, "onnx"), tmp_path / "simple.onnx"
    simplify_onnx(source, target)
    before, after = onnx.load(source), onnx.load(target)
    assert sum(node.op_type == "BatchNormalization" for node in before.graph.node) == 2
    kinds = [node.op_type for node in after.graph.node]
    assert "BatchNormalization" not in kinds
    assert kinds.count("Conv") == 2
    assert {node.domain for node in after.graph.node} <= {"", "ai.onnx"}
    assert {entry.domain for entry in after.opset_import} <= {"", "ai.onnx"}
    names = [[value.name for value in part] for part in (after.graph.input, after.graph.output)]
    assert names == [["x"], list(network().outputs)], "inputs and outputs keep their names"


def test_constants_are_folded(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Add", ["a", "b"], ["c"]),
        helper.make_node("Identity", ["c"], ["d"]),
        helper.make_node("Mul", ["x", "d"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy"]
    constants = [numpy_helper.from_array(np.array([1, 2], np.float32), name) for name in "ab"]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], constants)
    source, target = tmp_path / "a.onnx", tmp_path / "b.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), source)
    simplify_onnx(source, target)
    assert [node.op_type for node in onnx.load(target).graph.node] == ["Mul"]
    assert by_onnxruntime(target, "x", np.array([3, 4], np.float32))[0].tolist() == [6, 16]


def test_hard_swish_stays_one_operation(tmp_path: Path) -> None:
    """Taken apart, as onnxruntime writes it, OpenVINO runs it in two, each in a layout of its own."""
    nodes = [
        helper.make_node("HardSwish", ["x"], ["a"]),
        helper.make_node("HardSigmoid", ["a"], ["gate"], alpha=1 / 6, beta=0.5),
        helper.make_node("Mul", ["gate", "a"], ["b"]),
        helper.make_node("HardSigmoid", ["b"], ["steep"], alpha=0.2, beta=0.5),
        helper.make_node("Mul", ["b", "steep"], ["c"]),
        helper.make_node("HardSigmoid", ["c"], ["shared"], alpha=1 / 6, beta=0.5),
        helper.make_node("Mul", ["c", "shared"], ["d"]),
        helper.make_node("Mul", ["x", "shared"], ["e"]),
        helper.make_node("Add", ["d", "e"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [9]) for name in "xy"]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:])
    source, target = tmp_path / "a.onnx", tmp_path / "b.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), source)
    simplify_onnx(source, target)
    kinds = Counter(node.op_type for node in onnx.load(target).graph.node)
    assert kinds == {"HardSwish": 2, "HardSigmoid": 2, "Mul": 3, "Add": 1}, "of another slope, or with another reader"
    image = np.linspace(-4, 4, 9, dtype=np.float32)
    for found in (by_onnxruntime(target, "x", image), by_openvino(target, image)):
        np.testing.assert_allclose(found[0], by_onnxruntime(source, "x", image)[0], atol=1e-6)


def test_a_free_batch_stays_free(tmp_path: Path) -> None:
    source, target = write(network(batch=-1), tmp_path, "onnx"), tmp_path / "simple.onnx"
    simplify_onnx(source, target)
    rows = by_onnxruntime(target, "x", np.concatenate(images(3)))[0]
    single = np.concatenate([by_onnxruntime(source, "x", image)[0] for image in images(3)])
    np.testing.assert_allclose(rows, single, atol=1e-5)


def test_half_of_onnx(tmp_path: Path) -> None:
    source, target = write(network(), tmp_path, "onnx"), tmp_path / "half.onnx"
    halve_onnx(source, target)
    sizes = [path.stat().st_size for path in (source, target)]
    assert sizes[1] < 0.62 * sizes[0]
    for image in images():
        (expected,) = by_onnxruntime(source, "x", image)
        assert relative(by_onnxruntime(target, "x", image)[0], expected) < 1e-2
        assert relative(by_openvino(target, image)[0], expected) < 1e-2
    stored = {value.name.removesuffix(".half"): value.data_type for value in onnx.load(target).graph.initializer}
    large = {name for name, value in network().constants.items() if value.size >= 256}
    assert {name for name, kind in stored.items() if kind == TensorProto.FLOAT16} == large
    assert by_onnxruntime(target, "x", images()[0])[0].dtype == np.float32


def test_half_of_ir(tmp_path: Path) -> None:
    source = write(network(), tmp_path, "onnx")
    plain, target = tmp_path / "plain.xml", tmp_path / "half.xml"
    ov.save_model(ov.convert_model(source), plain, compress_to_fp16=False)
    halve_ir(plain, target)
    sizes = [path.with_suffix(".bin").stat().st_size for path in (plain, target)]
    assert sizes[1] < 0.6 * sizes[0]
    for image in images():
        assert relative(by_openvino(target, image)[0], by_onnxruntime(source, "x", image)[0]) < 1e-2


def test_weights_beyond_half_precision_are_limited(tmp_path: Path) -> None:
    """70 000 is infinity in float16; the largest number that there is takes its place."""
    net = Net()
    x = net.flatten(net.pool(net.input("x", 1, 3, 4, 4)))
    net.outputs = [net.matmul(x, net.constant(np.full((3, 100), 70_000.0)))]
    source, target = write(net, tmp_path, "onnx"), tmp_path / "half.onnx"
    halve_onnx(source, target)
    (found,) = by_onnxruntime(target, "x", np.ones((1, 3, 4, 4), np.float32))
    assert found.tolist() == [[3 * 65504.0] * 100]


def test_values_of_other_types_are_left(tmp_path: Path) -> None:
    """Indices and shapes stay whole numbers, however many."""
    net, _, _ = Pico(end="boxes", batch=1).build()
    source, target = write(net, tmp_path, "onnx"), tmp_path / "half.onnx"
    halve_onnx(source, target)
    before = {v.name: v for v in onnx.load(source).graph.initializer if v.data_type != TensorProto.FLOAT}
    after = {v.name: v for v in onnx.load(target).graph.initializer}
    assert before
    assert all(after[name] == value for name, value in before.items())
